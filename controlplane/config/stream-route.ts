/**
 * gateway.networking.k8s.io TLSRoute and TCPRoute with Services as parents (GAMMA) → the model's TlsRoute and TcpRoute. Both
 * decide once per connection, so of several rules only the first can ever be reached.
 */
import { parseIp } from '../../mesh/ip.ts';
import { limits } from '../limits.ts';
import { readMetadata } from './metadata.ts';
import { HOSTNAME, OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin, StreamRouteObject } from './objects.ts';
import { type BackendTarget, ELEMENTS_MAX, readBackendReference, readParents } from './route-references.ts';

/** Reads a TLSRoute or TCPRoute; null when it is unusable or attached to no Service (then it is somebody else's). */
export function readStreamRoute(
  kind: 'TLSRoute' | 'TCPRoute',
  object: ObjectReader,
  origin: ObjectOrigin,
): StreamRouteObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status']);
  for (const field of ['metadata', 'spec']) if (!object.has(field)) object.missing(field);
  if (meta === null || spec === null) return null;
  const found = readParents(spec, meta.namespace);
  if (found === null) return null;
  const hostnames = kind === 'TLSRoute' ? readHostnames(spec) : [];
  const backends = readRules(spec, meta.namespace);
  spec.finish(['useDefaultGateways']);
  const { namespace, name, createdMs } = meta;
  const common = {
    namespace,
    name,
    createdMs,
    parents: found.map(({ parent }) => parent),
    clients: ['*'],
    rules: [
      {
        matches: hostnames.length === 0 ? [] : [{ hostnames, destinationBlocks: [], port: null, client: null }],
        backends: backends.map(({ target }) => ({ ...target, valid: true })),
      },
    ],
  };
  return {
    kind,
    namespace,
    name,
    route:
      kind === 'TLSRoute'
        ? { kind: 'tlsRoute', source: 'TLSRoute', ...common }
        : { kind: 'tcpRoute', source: 'TCPRoute', ...common },
    backends: backends.map(({ reference }) => reference),
    parentPaths: found.map(({ path }) => path),
    origin,
  };
}

function readHostnames(spec: ObjectReader): string[] {
  return spec.list('hostnames', ELEMENTS_MAX).flatMap((item) => {
    const hostname = spec.asText(item, HOSTNAME);
    if (hostname === null) return [];
    if (parseIp(hostname) === null) return hostname;
    const remedy = 'a server name is a host name (RFC 6066), never an address';
    spec.problems.error('INVALID_VALUE', item.path, `is ${quote(hostname)}`, remedy);
    return [];
  });
}

/** The backends of the first rule. */
function readRules(spec: ObjectReader, namespace: string): readonly BackendTarget[] {
  if (!spec.has('rules')) spec.missing('rules', 'add rules with one rule and its backendRefs');
  const [first, ...unreachable] = spec.objects('rules', limits.routeRulesMax).map((rule) => {
    const backends = rule.objects('backendRefs', ELEMENTS_MAX).map((reader) => {
      const backend = readBackendReference(reader, namespace);
      reader.finish();
      return backend;
    });
    rule.finish(['name']);
    return { path: rule.path, backends };
  });
  for (const { path } of unreachable) {
    const reason = 'is never reached: a connection has nothing to tell rules apart by';
    spec.problems.warning('NO_EFFECT', path, reason, 'move its backendRefs to the first rule');
  }
  return first?.backends ?? [];
}
