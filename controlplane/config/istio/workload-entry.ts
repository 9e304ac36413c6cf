/** networking.istio.io WorkloadEntry, and the same fields as `endpoints` of a ServiceEntry. */
import { canonicalIp } from '../../../mesh/ip.ts';
import type { ServiceEntryEndpoint } from '../../../mesh/traffic-model.ts';
import type { Finding } from '../../finding.ts';
import type { Linked, LinkView } from '../link/view.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME } from '../names.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import type { ObjectOrigin } from '../objects.ts';
import { readHead, readPortMap, warnNotEnforced } from './object-head.ts';
import type { WorkloadEntryObject } from './objects.ts';
import { reporting } from './report.ts';
import { readHost } from './string-match.ts';

/** Largest weight of an endpoint (uint32 in Istio; the mesh model's own bound). */
const WEIGHT_MAX = 1_000_000;
const LOCALITY = /^[^/\s]+(\/[^/\s]+){0,2}$/;

/** What an endpoint's address may be. */
export type AddressKind = 'ip' | 'ip or host';

/** Reads a WorkloadEntry; whatever it returns is only to be used when no error was recorded. */
export function readWorkloadEntry(object: ObjectReader, origin: ObjectOrigin): WorkloadEntryObject | null {
  const head = readHead(object);
  if (head === null) return null;
  const { meta, spec } = head;
  const endpoint = readEndpoint(spec, 'ip or host');
  const { namespace, name, createdMs } = meta;
  return endpoint === null ? null : { kind: 'WorkloadEntry', namespace, name, createdMs, endpoint, origin };
}

/** An endpoint whose `ports` are by name; null when it has no usable address. */
export function readEndpoint(reader: ObjectReader, kind: AddressKind): ServiceEntryEndpoint | null {
  const address = readAddress(reader, kind);
  const ports = readPortMap(reader, 'ports');
  const labels = reader.textMap('labels', LABEL_KEY, LABEL_VALUE);
  const serviceAccount = reader.text('serviceAccount', OBJECT_NAME) ?? '';
  const weight = reader.integer('weight', 0, WEIGHT_MAX) ?? 1;
  const locality = reader.text('locality') ?? '';
  if (reader.has('network')) {
    reader.text('network', LABEL_NAME);
    warnNotEnforced(reader, 'network');
  }
  reader.finish();
  if (locality !== '' && !LOCALITY.test(locality)) {
    const remedy = 'write region, region/zone or region/zone/subzone';
    reader.problems.error('INVALID_VALUE', reader.at('locality'), `is ${quote(locality)}`, remedy);
  }
  return address === null ? null : { address, ports, labels, serviceAccount, weight, locality };
}

function readAddress(reader: ObjectReader, kind: AddressKind): string | null {
  if (!reader.has('address')) reader.missing('address', 'add the address of the workload');
  const value = reader.take('address');
  const item = { value, path: reader.at('address') };
  const text = value === undefined ? null : reader.asText(item);
  if (text === null) return null;
  const { problems } = reader;
  if (text.startsWith('unix://')) {
    const remedy = 'write an IP address';
    problems.error('UNSUPPORTED', item.path, 'a unix socket is nothing that pods share', remedy);
    return null;
  }
  const ip = canonicalIp(text);
  if (ip !== null) return ip;
  if (kind === 'ip') {
    const remedy = 'write an IP address, or resolution: DNS';
    problems.error('INVALID_VALUE', item.path, `${quote(text)} is not an IP address`, remedy);
    return null;
  }
  return readHost(reader, item, { wildcard: false, any: false, address: true })?.toLowerCase() ?? null;
}

/** A WorkloadEntry is no resource of its own: the ServiceEntries that select it carry it. */
export function linkWorkloadEntry(object: WorkloadEntryObject, view: LinkView): Linked {
  const findings: Finding[] = [];
  const report = reporting(findings);
  const { namespace, endpoint } = object;
  for (const service of view.services()) {
    if (service.namespace !== namespace || service.selector === null) continue;
    if (!selects(service.selector, endpoint.labels)) continue;
    const reason = `Service ${namespace}/${service.name} selects it, and weir sends the requests of a Service to its pods only, not yet to WorkloadEntries`;
    report(object, ['spec', 'labels'], 'NOT_ENFORCED', reason, 'create a ServiceEntry with workloadSelector for it');
  }
  return { resources: [], findings };
}

/** Whether labels have all that a selector asks for; one without labels selects nothing. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(selector);
  return wanted.length > 0 && wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
