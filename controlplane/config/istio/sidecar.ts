/** networking.istio.io Sidecar → SidecarScope: what its pods can see of the mesh. There is no sidecar to configure otherwise. */
import type { EgressHost, SidecarScope } from '../../../mesh/traffic-model.ts';
import type { Linked, LinkView } from '../link/view.ts';
import { LABEL_NAME } from '../names.ts';
import { type ListItem, type ObjectReader, quote } from '../object-reader.ts';
import type { ObjectOrigin } from '../objects.ts';
import { wholeHost } from './hosts.ts';
import { readHead, readWorkloadSelector, warnNotEnforced } from './object-head.ts';
import type { SidecarObject } from './objects.ts';
import { readHost } from './string-match.ts';

const LISTENERS_MAX = 256;
const HOSTS_MAX = 1_024;

type Egress = NonNullable<SidecarScope['egress']>[number];

/** Reads a Sidecar; whatever it returns is only to be used when no error was recorded. */
export function readSidecar(object: ObjectReader, origin: ObjectOrigin, rootNamespace: string): SidecarObject | null {
  const head = readHead(object);
  if (head === null) return null;
  const { meta, spec } = head;
  const { namespace, name, createdMs } = meta;
  if (spec.isEmpty) {
    spec.problems.error('INVALID_VALUE', spec.path, 'has no field', 'add egress or outboundTrafficPolicy', 'key');
  }
  const selector = readWorkloadSelector(spec, 'labels');
  const egress = spec.has('egress') ? readEgress(spec, namespace) : null;
  const outboundTrafficPolicy = readOutbound(spec);
  for (const field of ['ingress', 'inboundConnectionPool']) {
    if (!spec.has(field)) continue;
    spec.take(field);
    warnNotEnforced(spec, field);
  }
  spec.finish();
  const meshWide = namespace === rootNamespace && selector === null;
  const resource: SidecarScope = {
    kind: 'sidecarScope',
    namespace,
    name,
    meshWide,
    selector,
    egress,
    outboundTrafficPolicy,
    createdMs,
  };
  return { kind: 'Sidecar', namespace, name, createdMs, resource, origin };
}

/** A Sidecar names hosts by pattern; only which namespace is the root is to be looked up. */
export function linkSidecar({ resource }: SidecarObject, view: LinkView): Linked {
  const meshWide = resource.namespace === view.rootNamespace && resource.selector === null;
  return { resources: [{ ...resource, meshWide }], findings: [] };
}

function readEgress(spec: ObjectReader, namespace: string): Egress[] {
  const readers = spec.objects('egress', LISTENERS_MAX);
  const found: Egress[] = [];
  for (const [index, reader] of readers.entries()) {
    const port = readPort(reader);
    const items = reader.list('hosts', HOSTS_MAX);
    if (items.length === 0 && !reader.problems.refused) reader.missing('hosts', 'add hosts, such as "./*"');
    const hosts = items.flatMap((item) => readEgressHost(reader, item, namespace) ?? []);
    for (const field of ['bind', 'captureMode']) {
      if (!reader.has(field)) continue;
      reader.text(field);
      warnNotEnforced(reader, field);
    }
    reader.finish();
    if (port === null && !reader.has('port') && index < readers.length - 1) {
      const reason = 'has no port, so those below it are never asked';
      reader.problems.error('INVALID_VALUE', reader.path, reason, 'move it to the end', 'key');
    }
    if (port !== null && found.some((listener) => listener.port === port)) {
      reader.problems.error('INVALID_VALUE', reader.at('port'), `${port} is listed twice`, 'join the two', 'key');
    }
    found.push({ port, hosts });
  }
  return found;
}

function readPort(reader: ObjectReader): number | null {
  const port = reader.object('port');
  if (port === null) return null;
  if (!port.has('number')) port.missing('number', 'add its number; unix sockets are not supported by weir');
  const number = port.integer('number', 1, 65_535);
  port.text('name');
  port.text('protocol');
  port.finish();
  return number;
}

function readEgressHost(reader: ObjectReader, item: ListItem, namespace: string): EgressHost | null {
  const text = reader.asText(item);
  if (text === null) return null;
  const slash = text.indexOf('/');
  const [before, host] = [text.slice(0, Math.max(0, slash)), text.slice(slash + 1)];
  const owner = before === '.' ? namespace : before;
  if (slash < 0 || !(owner === '*' || owner === '~' || LABEL_NAME.pattern.test(owner))) {
    const remedy = 'write namespace/host, such as "./*", "prod/*.prod.svc.cluster.local" or "~/*"';
    reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
    return null;
  }
  const name = readHost(reader, { value: host, path: item.path }, { wildcard: true, any: true, address: false });
  if (name === null) return null;
  // A short name is a Service of the namespace before it.
  const whole = owner === '*' || owner === '~' ? name.toLowerCase() : wholeHost(name, owner);
  return { namespace: owner, host: whole };
}

function readOutbound(spec: ObjectReader): SidecarScope['outboundTrafficPolicy'] {
  const reader = spec.object('outboundTrafficPolicy');
  if (reader === null) return null;
  const mode = reader.choice('mode', ['REGISTRY_ONLY', 'ALLOW_ANY']);
  reader.unsupported('egressProxy');
  reader.finish();
  // protobuf's default.
  return mode ?? 'REGISTRY_ONLY';
}
