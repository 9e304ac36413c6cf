/** Whom a policy of Istio's is about: `selector`, or `targetRefs` (or the older `targetRef`), or everything in its namespace. */
import type { FieldPath } from '../finding.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';

/** targetRefs of one policy (Istio's bound). */
const TARGET_REFS_MAX = 16;

/** What weir has no proxy for: a target that is one of these never sees the traffic of the mesh. */
const GATEWAY_KINDS = ['gateway.networking.k8s.io/Gateway', 'gateway.networking.k8s.io/GatewayClass'];

export interface PolicyScope {
  /** null: every workload in scope. An empty selector is that too, as in Istio. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** `namespace/name` of Services. */
  readonly targetServices: readonly string[];
  /** Where `targetServices` are named, in the same order. */
  readonly targetPaths: readonly FieldPath[];
  /** It targets gateways alone, of which the mesh has none: nothing is in scope. */
  readonly isElsewhere: boolean;
}

/** The scope of a policy without a spec. */
export const WHOLE_NAMESPACE: PolicyScope = {
  selector: null,
  targetServices: [],
  targetPaths: [],
  isElsewhere: false,
};

/** Reads `selector`, `targetRefs` and `targetRef`, of which only one may stand there (Istio). */
export function readPolicyScope(spec: ObjectReader, namespace: string): PolicyScope {
  const selector = readSelector(spec);
  const references = spec.objects('targetRefs', TARGET_REFS_MAX);
  const single = spec.object('targetRef');
  if (single !== null && references.length > 0) {
    const remedy = 'keep targetRefs and move it there';
    spec.problems.error('INVALID_VALUE', single.path, 'stands beside targetRefs', remedy, 'key');
  }
  if (single !== null) references.push(single);
  if (spec.has('selector') && references.length > 0) {
    const remedy = 'keep selector or targetRefs';
    spec.problems.error('INVALID_VALUE', spec.at('selector'), 'stands beside targetRefs', remedy, 'key');
  }
  const targets = references.flatMap((reference) => readTarget(reference, namespace) ?? []);
  return {
    selector,
    targetServices: targets.map(({ service }) => service),
    targetPaths: targets.map(({ path }) => path),
    isElsewhere: references.length > 0 && targets.length === 0,
  };
}

/** Reads `selector`; null when it is absent or has no labels. */
export function readSelector(spec: ObjectReader): Readonly<Record<string, string>> | null {
  const selector = spec.object('selector');
  const matchLabels = selector?.textMap('matchLabels', LABEL_KEY, LABEL_VALUE) ?? {};
  selector?.finish();
  return Object.keys(matchLabels).length === 0 ? null : matchLabels;
}

/** A Service of the policy's own namespace; null for a gateway (and a warning), or what is wrong. */
function readTarget(
  reference: ObjectReader,
  namespace: string,
): { readonly service: string; readonly path: FieldPath } | null {
  const { problems } = reference;
  const group = reference.text('group') ?? '';
  const kind = reference.requiredText('kind');
  const isService = kind === 'Service' && (group === '' || group === 'core');
  const name = reference.requiredText('name', isService ? LABEL_NAME : OBJECT_NAME);
  const otherNamespace = reference.text('namespace', LABEL_NAME);
  reference.finish();
  if (otherNamespace !== null && otherNamespace !== namespace) {
    const remedy = `remove it, or move the policy to the namespace ${otherNamespace}`;
    problems.error('INVALID_VALUE', reference.at('namespace'), 'a policy targets its own namespace only', remedy);
  }
  if (kind === null) return null;
  if (GATEWAY_KINDS.includes(`${group}/${kind}`)) {
    const reason = `targets a ${kind}: the mesh has no gateways and no waypoints, so it applies to nothing`;
    problems.warning('NO_EFFECT', reference.path, reason, 'target the Service behind it, or use a selector');
    return null;
  }
  if (!isService) {
    const shown = quote(group === '' ? kind : `${group}/${kind}`);
    const remedy = 'target a Service, or use a selector';
    problems.error('UNSUPPORTED', reference.path, `a target of kind ${shown} is not supported by weir yet`, remedy);
    return null;
  }
  return name === null ? null : { service: `${namespace}/${name}`, path: reference.path };
}
