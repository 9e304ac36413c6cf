/**
 * networking.istio.io DestinationRule → the model's DestinationRule. Of what it asks for weir does its subsets so far; the rest is
 * validated, carried and reported as not enforced yet.
 */
import type { DestinationSubset } from '../../../mesh/traffic-model.ts';
import type { Finding } from '../../finding.ts';
import type { Linked, LinkView } from '../link/view.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE } from '../names.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import type { ObjectOrigin } from '../objects.ts';
import { describe, hostRemedy } from './backend-target.ts';
import { rulesByHost } from './host-index.ts';
import { targetsOf } from './host-targets.ts';
import { byAge, wholeHost } from './hosts.ts';
import { readExportTo, readHead, readWorkloadSelector } from './object-head.ts';
import type { DestinationRuleObject } from './objects.ts';
import { reporting } from './report.ts';
import { readHost } from './string-match.ts';
import { readTrafficPolicy } from './traffic-policy.ts';

/** Subsets of one rule. */
const SUBSETS_MAX = 256;

/** Reads a DestinationRule; whatever it returns is only to be used when no error was recorded. */
export function readDestinationRule(object: ObjectReader, origin: ObjectOrigin): DestinationRuleObject | null {
  const head = readHead(object);
  if (head === null) return null;
  const { meta, spec } = head;
  const { namespace, name, createdMs } = meta;
  if (!spec.has('host')) spec.missing('host', 'add the host of a Service or ServiceEntry');
  const value = spec.take('host');
  const hostPath = spec.at('host');
  const rule = { wildcard: true, any: true, address: false };
  const host = value === undefined ? null : readHost(spec, { value, path: hostPath }, rule);
  const policy = readTrafficPolicy(spec);
  const subsets = readSubsets(spec);
  const workloadSelector = readWorkloadSelector(spec, 'matchLabels');
  const exportTo = readDestinationExport(spec, namespace, workloadSelector !== null);
  spec.finish();
  if (host === null) return null;
  return {
    kind: 'DestinationRule',
    namespace,
    name,
    createdMs,
    resource: {
      kind: 'destinationRule',
      namespace,
      name,
      host: wholeHost(host, namespace),
      services: [],
      trafficPolicy: policy?.policy ?? null,
      portPolicies: policy?.ports ?? {},
      subsets,
      exportTo,
      workloadSelector,
    },
    hostPath,
    origin,
  };
}

/** A rule for some pods is one of their own namespace (Istio), also when it does not say so. */
function readDestinationExport(spec: ObjectReader, namespace: string, selective: boolean): string[] {
  const exportTo = readExportTo(spec, namespace);
  if (!selective) return exportTo;
  if (spec.has('exportTo') && (exportTo.length !== 1 || exportTo[0] !== namespace)) {
    const reason = 'goes beyond the namespace, and workloadSelector selects pods of it';
    spec.problems.error('INVALID_VALUE', spec.at('exportTo'), reason, 'write ["."]', 'key');
  }
  return [namespace];
}

function readSubsets(spec: ObjectReader): DestinationSubset[] {
  const found: DestinationSubset[] = [];
  for (const reader of spec.objects('subsets', SUBSETS_MAX)) {
    const name = reader.requiredText('name', LABEL_NAME);
    const labels = reader.textMap('labels', LABEL_KEY, LABEL_VALUE);
    const policy = readTrafficPolicy(reader);
    reader.finish();
    if (name === null) continue;
    if (found.some((subset) => subset.name === name)) {
      reader.problems.error(
        'INVALID_VALUE',
        reader.at('name'),
        `${quote(name)} is there already`,
        'write another name',
      );
    }
    found.push({ name, labels, trafficPolicy: policy?.policy ?? null });
  }
  return found;
}

/** The rule with the Services and hosts it concerns now. */
export function linkDestinationRule(object: DestinationRuleObject, view: LinkView): Linked {
  const findings: Finding[] = [];
  const report = reporting(findings);
  const { resource, hostPath, namespace } = object;
  const targets = targetsOf(resource.host, resource.exportTo, namespace, view);
  if (targets.length === 0) {
    const reason = `there is no Service and no ServiceEntry with the host ${resource.host}`;
    report(
      object,
      hostPath,
      'REFERENCE_NOT_FOUND',
      reason,
      `${hostRemedy(resource.host, view)}; the rule waits for it`,
    );
  }
  const foreign = targets.find((target) => target.namespace !== namespace);
  if (foreign !== undefined && namespace !== view.rootNamespace) {
    const reason = `concerns ${describe(foreign)}, which another namespace owns: it holds for clients of ${namespace} alone (Istio)`;
    const remedy = `move it to ${foreign.namespace} for all clients, or write exportTo: ["."] if that is what is meant`;
    if (resource.exportTo.some((each) => each !== namespace)) {
      report(object, hostPath, 'HOST_OF_ANOTHER_NAMESPACE', reason, remedy);
    }
  }
  const older = olderTwin(object, view);
  if (older !== null) {
    const reason = `DestinationRule ${older.namespace}/${older.name} is for the same host and older`;
    const remedy =
      'Istio adds the subsets of this one that the older has not, and takes its trafficPolicy only where the older has none: put them into one';
    report(object, hostPath, 'CONFLICT', reason, remedy);
  }
  const services = targets.map((target) => `${target.namespace}/${target.name}`).sort();
  return { resources: [{ ...resource, services }], findings };
}

/** The oldest other rule of the namespace for this very host and for the same pods; null: none is older. */
function olderTwin(object: DestinationRuleObject, view: LinkView): DestinationRuleObject | null {
  let oldest: DestinationRuleObject | null = null;
  for (const other of view.derived(rulesByHost).covering(object.resource.host)) {
    if (other === object || other.namespace !== object.namespace || other.resource.host !== object.resource.host)
      continue;
    if ((other.resource.workloadSelector === null) !== (object.resource.workloadSelector === null)) continue;
    if (byAge(other, object) < 0 && (oldest === null || byAge(other, oldest) < 0)) oldest = other;
  }
  return oldest;
}
