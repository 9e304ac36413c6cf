/**
 * One mesh resource on the wire: its type URL, its name, its bytes. The two ends of the control stream agree here.
 *
 *   type URL                                               name                    payload
 *   type.googleapis.com/istio.workload.Address             pod uid                 Workload
 *                                                          namespace/hostname      Service
 *   type.googleapis.com/weir.mesh.v1.HttpRoute             namespace/name          HttpRoute
 *   type.googleapis.com/weir.mesh.v1.TlsRoute              namespace/name          TlsRoute
 *   type.googleapis.com/weir.mesh.v1.TcpRoute              namespace/name          TcpRoute
 *   type.googleapis.com/weir.mesh.v1.AuthorizationPolicy   namespace/name          AuthorizationPolicy
 *   type.googleapis.com/weir.mesh.v1.MeshSettings          namespace/name          MeshSettings
 *
 * Routes, policies and settings with fields this version does not know are refused (an unknown condition that is dropped would make
 * them match more than they say); unknown fields of Istio's messages are skipped, as protobuf does.
 */
import { keyOf, type MeshKind, type MeshResource, type ResourceKey } from '../model.ts';
import { encodeService, encodeWorkload, modelServiceKey, readAddress, wireServiceKey } from './address.ts';
import { encodeAuthorizationPolicy, readAuthorizationPolicy } from './authorization-policy.ts';
import { WireCheck, type WireMessage, type WireProblem } from './check.ts';
import { encodeHttpRoute, readHttpRoute } from './http-route.ts';
import { encodeMeshSettings, readMeshSettings } from './mesh-settings.ts';
import { authorizationPolicyType, httpRouteType, meshSettingsType, tcpRouteType, tlsRouteType } from './schema-root.ts';
import { encodeTcpRoute, encodeTlsRoute, readTcpRoute, readTlsRoute } from './stream-route.ts';

/** Raised when decoding of the same bytes yields more than before: agents then ask for everything again. */
export const WIRE_REVISION = 1;

export const ADDRESS_TYPE_URL = 'type.googleapis.com/istio.workload.Address';
export const HTTP_ROUTE_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.HttpRoute';
export const TLS_ROUTE_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.TlsRoute';
export const TCP_ROUTE_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.TcpRoute';
export const AUTHORIZATION_POLICY_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.AuthorizationPolicy';
export const MESH_SETTINGS_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.MeshSettings';

/**
 * Everything an agent subscribes to, in the order in which additions are safe: nothing is open before its policy. Settings come
 * last, because they may say that less is looked at.
 */
export const TYPE_URLS = [
  AUTHORIZATION_POLICY_TYPE_URL,
  ADDRESS_TYPE_URL,
  HTTP_ROUTE_TYPE_URL,
  TLS_ROUTE_TYPE_URL,
  TCP_ROUTE_TYPE_URL,
  MESH_SETTINGS_TYPE_URL,
] as const;

/** Octets of one encoded resource; a larger one is refused by both ends. */
export const RESOURCE_BYTES_MAX = 1_048_576;

/** The type URL under which resources of a kind travel. */
export function typeUrlOf(kind: MeshKind): string {
  switch (kind) {
    case 'workload':
    case 'service':
      return ADDRESS_TYPE_URL;
    case 'httpRoute':
      return HTTP_ROUTE_TYPE_URL;
    case 'tlsRoute':
      return TLS_ROUTE_TYPE_URL;
    case 'tcpRoute':
      return TCP_ROUTE_TYPE_URL;
    case 'authorizationPolicy':
      return AUTHORIZATION_POLICY_TYPE_URL;
    case 'meshSettings':
      return MESH_SETTINGS_TYPE_URL;
  }
}

/** The xDS resource name of a resource. */
export function wireNameOf(key: ResourceKey): string {
  return key.kind === 'service' ? wireServiceKey(key.key) : key.key;
}

/** The resource a type URL and name stand for, without its content; null when they stand for none. */
export function keyFromWireName(typeUrl: string, name: string): ResourceKey | null {
  switch (typeUrl) {
    case ADDRESS_TYPE_URL: {
      if (!name.includes('/')) return { kind: 'workload', key: name };
      const key = modelServiceKey(name);
      return key === null ? null : { kind: 'service', key };
    }
    case HTTP_ROUTE_TYPE_URL:
      return { kind: 'httpRoute', key: name };
    case TLS_ROUTE_TYPE_URL:
      return { kind: 'tlsRoute', key: name };
    case TCP_ROUTE_TYPE_URL:
      return { kind: 'tcpRoute', key: name };
    case AUTHORIZATION_POLICY_TYPE_URL:
      return { kind: 'authorizationPolicy', key: name };
    case MESH_SETTINGS_TYPE_URL:
      return { kind: 'meshSettings', key: name };
    default:
      return null;
  }
}

/** The payload bytes of a resource; equal content gives equal bytes. Throws on a model that is not valid: a bug. */
export function encodeResource(resource: MeshResource): Uint8Array {
  switch (resource.kind) {
    case 'workload':
      return encodeWorkload(resource);
    case 'service':
      return encodeService(resource);
    case 'httpRoute':
      return encodeHttpRoute(resource);
    case 'tlsRoute':
      return encodeTlsRoute(resource);
    case 'tcpRoute':
      return encodeTcpRoute(resource);
    case 'authorizationPolicy':
      return encodeAuthorizationPolicy(resource);
    case 'meshSettings':
      return encodeMeshSettings(resource);
  }
}

export type DecodedResource =
  | { readonly ok: true; readonly resource: MeshResource }
  | { readonly ok: false; readonly name: string; readonly problem: WireProblem };

/** Decodes a resource from another process: anything unexpected is an answer that names the field, never an exception. */
export function decodeResource(typeUrl: string, name: string, bytes: Uint8Array): DecodedResource {
  const refuse = (field: string, reason: string): DecodedResource => ({ ok: false, name, problem: { field, reason } });
  if (bytes.length > RESOURCE_BYTES_MAX) return refuse('', `is larger than ${RESOURCE_BYTES_MAX} octets`);
  const check = new WireCheck();
  let resource: MeshResource | null;
  try {
    resource = readResource(typeUrl, bytes, check);
  } catch (error) {
    // protobufjs reports malformed bytes by throwing.
    return refuse(
      '',
      `is not a protobuf message of ${typeUrl}: ${error instanceof Error ? error.message : 'malformed'}`,
    );
  }
  if (check.problem !== null) return { ok: false, name, problem: check.problem };
  if (resource === null) return refuse('', `has the unknown type ${typeUrl}`);
  const ownName = wireNameOf(keyOf(resource));
  if (ownName !== name)
    return refuse('name', `says ${JSON.stringify(ownName)}, the envelope says ${JSON.stringify(name)}`);
  return { ok: true, resource };
}

function readResource(typeUrl: string, bytes: Uint8Array, check: WireCheck): MeshResource | null {
  switch (typeUrl) {
    case ADDRESS_TYPE_URL:
      return readAddress(bytes, check);
    case HTTP_ROUTE_TYPE_URL:
      return readHttpRoute(decodeWhole(httpRouteType, bytes, check), check);
    case TLS_ROUTE_TYPE_URL:
      return readTlsRoute(decodeWhole(tlsRouteType, bytes, check), check);
    case TCP_ROUTE_TYPE_URL:
      return readTcpRoute(decodeWhole(tcpRouteType, bytes, check), check);
    case AUTHORIZATION_POLICY_TYPE_URL:
      return readAuthorizationPolicy(decodeWhole(authorizationPolicyType, bytes, check), check);
    case MESH_SETTINGS_TYPE_URL:
      return readMeshSettings(decodeWhole(meshSettingsType, bytes, check), check);
    default:
      return null;
  }
}

/** Decodes and records a problem when the bytes hold fields of a newer schema, which protobufjs drops without a word. */
function decodeWhole(type: typeof httpRouteType, bytes: Uint8Array, check: WireCheck): WireMessage {
  const message = type.decode(bytes);
  if (type.encode(message).finish().length !== bytes.length) {
    check.fail('', 'has fields this version does not know and must not ignore; upgrade the agent');
  }
  return message as unknown as WireMessage;
}
