/**
 * gateway.networking.k8s.io TLSRoute and TCPRoute with Services as parents (GAMMA) → the model's TlsRoute and TcpRoute. Both
 * decide once per connection, so of several rules only the first can ever be reached.
 */
import { parseIp } from '../../mesh/ip.ts';
import type { BackendTarget, StreamBackend, StreamRouteRule } from '../../mesh/route-model.ts';
import { limits } from '../limits.ts';
import { HOSTNAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { BackendReference, StreamRouteObject } from './route-objects.ts';
import {
  ELEMENTS_MAX,
  readBackendReference,
  readRouteHead,
  readWeight,
  writtenParents,
  writtenTarget,
} from './route-references.ts';

/** Reads a TLSRoute or TCPRoute; null when it is unusable or attached to nothing of the mesh (then it is somebody else's). */
export function readStreamRoute(
  kind: 'TLSRoute' | 'TCPRoute',
  object: ObjectReader,
  origin: ObjectOrigin,
): StreamRouteObject | null {
  const head = readRouteHead(object);
  if (head === null) return null;
  const { meta, spec, parents } = head;
  const references = new Map<BackendTarget, BackendReference>();
  const hostnames = kind === 'TLSRoute' ? readHostnames(spec) : [];
  const backends = readRules(spec, meta.namespace, references);
  spec.finish(['useDefaultGateways']);
  const { namespace, name, createdMs, generation } = meta;
  const matches = hostnames.length === 0 ? [] : [{ hostnames, destinationBlocks: [], port: null, client: null }];
  const rules: StreamRouteRule[] = [{ matches, backends }];
  const common = { namespace, name, createdMs, parents: writtenParents(parents), clients: ['*'], rules };
  const route =
    kind === 'TLSRoute'
      ? { kind: 'tlsRoute' as const, source: kind, ...common }
      : { kind: 'tcpRoute' as const, source: kind, ...common };
  return { kind, namespace, name, generation, route, parents, references, origin };
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
function readRules(
  spec: ObjectReader,
  namespace: string,
  references: Map<BackendTarget, BackendReference>,
): readonly StreamBackend[] {
  if (!spec.has('rules')) spec.missing('rules', 'add rules with one rule and its backendRefs');
  const [first, ...unreachable] = spec.objects('rules', limits.routeRulesMax).map((rule) => {
    const backends = rule.objects('backendRefs', ELEMENTS_MAX).map((reader): StreamBackend => {
      const reference = readBackendReference(reader, namespace);
      const backend = { ...writtenTarget(reference), weight: readWeight(reader), valid: true };
      reader.finish();
      references.set(backend, reference);
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
