/** A container's environment variables: literals, downward API, ConfigMaps and Secrets, `$(NAME)` references. */
import { expandVariables } from './expansion.ts';
import type { ContainerSpec, EnvEntry } from './pod-spec.ts';

/** What the downward API tells, known once the pod has its addresses. */
export interface PodFacts {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
  readonly node: string;
  readonly serviceAccount: string;
}

/** Data of a ConfigMap or Secret of the pod's namespace (decoded), or null when there is none of that name. */
export type DataLookup = (source: 'ConfigMap' | 'Secret', name: string) => Readonly<Record<string, string>> | null;

export type ResolvedCommand =
  | { readonly ok: true; readonly argv: readonly string[]; readonly env: Readonly<Record<string, string>> }
  /** The kubelet's CreateContainerConfigError. */
  | { readonly ok: false; readonly reason: string };

/**
 * The words to run and the variables to run them with. `base` is what every container gets (PATH, HOME, HOSTNAME…); later
 * entries win over earlier ones, envFrom comes before env, and a reference sees only variables defined before it.
 */
export function resolveCommand(
  container: ContainerSpec,
  facts: PodFacts,
  base: Readonly<Record<string, string>>,
  lookup: DataLookup,
): ResolvedCommand {
  const declared = new Map<string, string>();
  for (const from of container.envFrom) {
    const data = lookup(from.source, from.object);
    if (data === null) {
      if (from.optional) continue;
      return { ok: false, reason: `envFrom: there is no ${from.source} ${facts.namespace}/${from.object}` };
    }
    for (const [key, value] of Object.entries(data)) declared.set(from.prefix + key, value);
  }
  for (const entry of container.env) {
    const value = valueOf(entry, facts, declared, lookup);
    if (value.kind === 'error') return { ok: false, reason: `env ${entry.name}: ${value.reason}` };
    if (value.kind === 'text') declared.set(entry.name, value.text);
  }
  const argv = container.commandLine.map((word) => expandVariables(word, declared));
  return { ok: true, argv, env: { ...base, ...Object.fromEntries(declared) } };
}

type Value =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'error'; readonly reason: string };

function valueOf(entry: EnvEntry, facts: PodFacts, declared: ReadonlyMap<string, string>, lookup: DataLookup): Value {
  switch (entry.kind) {
    case 'value':
      return { kind: 'text', text: expandVariables(entry.value, declared) };
    case 'field':
      return { kind: 'text', text: fieldValue(entry.fieldPath, facts) };
    case 'key': {
      const { source, object, key, optional } = entry.reference;
      const text = lookup(source, object)?.[key];
      if (text !== undefined) return { kind: 'text', text };
      if (optional) return { kind: 'absent' };
      return { kind: 'error', reason: `${source} ${facts.namespace}/${object} is not given or has no key ${key}` };
    }
  }
}

function fieldValue(path: string, facts: PodFacts): string {
  const subscript = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (subscript !== null) {
    const map = subscript[1] === 'labels' ? facts.labels : facts.annotations;
    return map[subscript[2] ?? ''] ?? '';
  }
  const values: Readonly<Record<string, string>> = {
    'metadata.name': facts.name,
    'metadata.namespace': facts.namespace,
    'metadata.uid': facts.uid,
    'status.podIP': facts.podIps[0] ?? '',
    'status.podIPs': facts.podIps.join(','),
    'status.hostIP': facts.hostIps[0] ?? '',
    'status.hostIPs': facts.hostIps.join(','),
    'spec.nodeName': facts.node,
    'spec.serviceAccountName': facts.serviceAccount,
  };
  return values[path] ?? '';
}
