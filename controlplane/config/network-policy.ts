/**
 * networking.k8s.io NetworkPolicy → the model's NetworkPolicy, with the defaults and rules of Kubernetes' own. Selectors of
 * namespaces are kept beside it: which namespaces they select changes with the namespaces (link/policies.ts).
 */
import { cidrContains, parseCidr } from '../../mesh/ip.ts';
import type { LabelSelector, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule } from '../../mesh/policy-model.ts';
import { readLabelSelector } from './label-selector.ts';
import { readMetadata } from './metadata.ts';
import { OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { NamespaceSelector, NetworkPolicyObject } from './policy-objects.ts';

const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };
/** Rules of one direction, and peers or ports of one rule. */
const ELEMENTS_MAX = 1_024;

/** IANA service name as Kubernetes checks it (IsValidPortName). */
const PORT_NAME = /^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/;

type Direction = 'ingress' | 'egress';

/** Reads a NetworkPolicy; null when it has no usable name. */
export function readNetworkPolicy(object: ObjectReader, origin: ObjectOrigin): NetworkPolicyObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  if (!object.has('metadata')) object.missing('metadata');
  const spec = object.object('spec');
  if (!object.has('spec')) object.missing('spec', 'add spec; without one every pod of the namespace would be isolated');
  object.finish(['apiVersion', 'kind', 'status', 'metadata', 'spec']);
  if (meta === null || spec === null) return null;
  const { namespace, name } = meta;
  const selector = spec.object('podSelector');
  const podSelector = selector === null ? EVERYTHING : readLabelSelector(selector);
  const namespaceSelectors: NamespaceSelector[] = [];
  const ingress = readRules(spec, 'ingress', namespace, namespaceSelectors);
  const egress = readRules(spec, 'egress', namespace, namespaceSelectors);
  const types = readTypes(spec, egress.length > 0);
  spec.finish();
  const policy: NetworkPolicy = {
    kind: 'networkPolicy',
    namespace,
    name,
    podSelector,
    ingress: types.includes('Ingress') ? ingress : null,
    egress: types.includes('Egress') ? egress : null,
  };
  return { kind: 'NetworkPolicy', namespace, name, policy, namespaceSelectors, origin };
}

/** What the policy speaks of; when it does not say: ingress, and egress where there are rules for it. */
function readTypes(spec: ObjectReader, hasEgress: boolean): readonly string[] {
  const types = spec.list('policyTypes', 2).flatMap((item) => {
    const text = spec.asText(item);
    if (text === null || text === 'Ingress' || text === 'Egress') return text ?? [];
    spec.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, 'write Ingress or Egress');
    return [];
  });
  if (types.length === 0) return hasEgress ? ['Ingress', 'Egress'] : ['Ingress'];
  for (const [field, type] of [
    ['ingress', 'Ingress'],
    ['egress', 'Egress'],
  ] as const) {
    if (!spec.has(field) || types.includes(type)) continue;
    const reason = `has no effect: policyTypes does not name ${type}`;
    spec.problems.warning('NO_EFFECT', spec.at(field), reason, `add ${type} to policyTypes`, 'key');
  }
  return types;
}

function readRules(
  spec: ObjectReader,
  direction: Direction,
  namespace: string,
  into: NamespaceSelector[],
): NetworkRule[] {
  const peersField = direction === 'ingress' ? 'from' : 'to';
  return spec.objects(direction, ELEMENTS_MAX).map((rule, ruleIndex) => {
    const peers = rule.objects(peersField, ELEMENTS_MAX).flatMap((reader) => readPeer(reader, namespace) ?? []);
    for (const [peerIndex, { selector, path }] of peers.entries()) {
      if (selector !== null) into.push({ direction, rule: ruleIndex, peer: peerIndex, selector, path });
    }
    const ports = rule.objects('ports', ELEMENTS_MAX);
    const tcp = ports.flatMap((port) => readPort(port) ?? []);
    rule.finish();
    return { peers: peers.map(({ peer }) => peer), ports: ports.length > 0 && tcp.length === 0 ? null : tcp };
  });
}

interface ReadPeer {
  readonly peer: NetworkPeer;
  /** Of namespaces, when it is not already said which. */
  readonly selector: LabelSelector | null;
  readonly path: NamespaceSelector['path'];
}

function readPeer(reader: ObjectReader, namespace: string): ReadPeer | null {
  const pods = reader.object('podSelector');
  const namespaces = reader.object('namespaceSelector');
  const block = reader.object('ipBlock');
  const podSelector = pods === null ? EVERYTHING : readLabelSelector(pods);
  const selector = namespaces === null ? null : readLabelSelector(namespaces);
  const blockPeer = block === null ? null : readBlock(block);
  reader.finish();
  const path = reader.at('namespaceSelector');
  if (block !== null) {
    if (pods === null && namespaces === null)
      return blockPeer === null ? null : { peer: blockPeer, selector: null, path };
    const remedy = 'write two peers: an address is either of a pod or in a block';
    reader.problems.error('INVALID_VALUE', block.path, 'stands beside a selector', remedy, 'key');
    return null;
  }
  if (pods === null && namespaces === null) {
    const remedy = 'add podSelector, namespaceSelector or ipBlock; {} selects everything';
    reader.problems.error('INVALID_VALUE', reader.path, 'names no peer', remedy);
    return null;
  }
  if (selector === null) return { peer: { type: 'pods', namespaces: [namespace], podSelector }, selector: null, path };
  const isEmpty = Object.keys(selector.matchLabels).length === 0 && selector.matchExpressions.length === 0;
  if (isEmpty) return { peer: { type: 'pods', namespaces: null, podSelector }, selector: null, path };
  return { peer: { type: 'pods', namespaces: [], podSelector }, selector, path };
}

function readBlock(reader: ObjectReader): NetworkPeer | null {
  const cidr = reader.requiredText('cidr');
  const whole = cidr === null ? null : parseCidr(cidr);
  if (cidr !== null && (whole === null || !cidr.includes('/'))) {
    const remedy = 'write a block such as 10.1.0.0/16; a single address is 10.1.2.3/32';
    reader.problems.error('INVALID_VALUE', reader.at('cidr'), `is ${quote(cidr)}`, remedy);
  }
  const except: string[] = [];
  for (const item of reader.list('except', ELEMENTS_MAX)) {
    const text = reader.asText(item);
    if (text === null) continue;
    const part = text.includes('/') ? parseCidr(text) : null;
    if (part === null) {
      reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, 'write a block such as 10.1.0.0/16');
    } else if (whole !== null && !(cidrContains(whole, part.network) && part.prefix > whole.prefix)) {
      const remedy = `write a block inside ${cidr}, or remove it`;
      reader.problems.error('INVALID_VALUE', item.path, `${quote(text)} is not a part of ${cidr}`, remedy);
    } else except.push(text);
  }
  reader.finish();
  return cidr === null ? null : { type: 'ipBlock', cidr, except };
}

/** null: of another protocol than TCP, or wrong. */
function readPort(reader: ObjectReader): NetworkPort | null {
  const protocol = reader.choice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
  const port = readPortValue(reader);
  const endPort = reader.integer('endPort', 1, 65_535);
  reader.finish();
  if (endPort !== null && typeof port !== 'number') {
    const remedy = 'write the first port of the range as a number';
    reader.problems.error('INVALID_VALUE', reader.at('endPort'), 'ends no range: port is not a number', remedy, 'key');
  } else if (endPort !== null && typeof port === 'number' && endPort < port) {
    const remedy = `write ${port} or more`;
    reader.problems.error('INVALID_VALUE', reader.at('endPort'), `${endPort} is below port ${port}`, remedy);
  }
  return protocol === 'TCP' ? { port, endPort } : null;
}

/** A number, the name of a container port, or null: every port. */
function readPortValue(reader: ObjectReader): number | string | null {
  const value = reader.take('port');
  if (value === undefined) return null;
  const item = { value, path: reader.at('port') };
  if (typeof value === 'number') return reader.asInteger(item, 1, 65_535);
  const name = reader.asText(item);
  if (name === null || PORT_NAME.test(name)) return name;
  const remedy = /^\d+$/.test(name)
    ? `remove the quotes: ${name}`
    : 'write a number, or the name of a container port: lower-case letters, digits and single "-", at most 15';
  reader.problems.error('INVALID_VALUE', item.path, `is ${quote(name)}`, remedy);
  return null;
}
