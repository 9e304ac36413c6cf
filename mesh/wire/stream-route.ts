/** weir.mesh.v1.TlsRoute and TcpRoute: the model's routes of whole connections on the wire. */
import type { StreamBackend, TcpRoute, TlsRoute } from '../route-model.ts';
import type { WireCheck, WireMessage } from './check.ts';
import { readParents, wireParents } from './http-route.ts';
import { tcpRouteType, tlsRouteType } from './schema-root.ts';

/** RFC 1123, optionally with `*.` before it. */
const HOSTNAME = /^(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Bytes of a weir.mesh.v1.TlsRoute. */
export function encodeTlsRoute(route: TlsRoute): Uint8Array {
  return tlsRouteType.encode({ ...route, parents: wireParents(route.parents) }).finish();
}

/** Bytes of a weir.mesh.v1.TcpRoute. */
export function encodeTcpRoute(route: TcpRoute): Uint8Array {
  return tcpRouteType.encode({ ...route, parents: wireParents(route.parents) }).finish();
}

/** Reads a decoded weir.mesh.v1.TlsRoute; what is wrong with it goes to `check`. */
export function readTlsRoute(wire: WireMessage, check: WireCheck): TlsRoute {
  return {
    kind: 'tlsRoute',
    ...readCommon(wire, check),
    hostnames: check.list(wire['hostnames'], 'hostnames', (item, field) => check.text(item, field, HOSTNAME)),
    backends: readBackends(wire, check),
  };
}

/** Reads a decoded weir.mesh.v1.TcpRoute; what is wrong with it goes to `check`. */
export function readTcpRoute(wire: WireMessage, check: WireCheck): TcpRoute {
  return { kind: 'tcpRoute', ...readCommon(wire, check), backends: readBackends(wire, check) };
}

function readCommon(wire: WireMessage, check: WireCheck): Omit<TcpRoute, 'kind' | 'backends'> {
  return {
    namespace: check.namespace(wire['namespace'], 'namespace'),
    name: check.objectName(wire['name'], 'name'),
    createdMs: check.integer(wire['createdMs'], 'created_ms', 0, Number.MAX_SAFE_INTEGER),
    parents: readParents(wire, check),
  };
}

function readBackends(wire: WireMessage, check: WireCheck): StreamBackend[] {
  return check.list(wire['backends'], 'backends', (item, field) => {
    const backend = check.message(item, field);
    return {
      namespace: check.namespace(backend['namespace'], `${field}.namespace`),
      name: check.objectName(backend['name'], `${field}.name`),
      // 0 only where the reference is broken anyway.
      port: check.integer(backend['port'], `${field}.port`, 0, 65_535),
      weight: check.integer(backend['weight'], `${field}.weight`, 0, 1_000_000),
      valid: check.flag(backend['valid'], `${field}.valid`),
    };
  });
}
