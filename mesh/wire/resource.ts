/**
 * One mesh resource on the wire: its type URL, its name, its bytes. The two ends of the control stream agree here.
 *
 *   type URL                                      name                                       payload
 *   type.googleapis.com/istio.workload.Address    pod uid                                    Workload
 *                                                 namespace/hostname                         Service
 *   type.googleapis.com/weir.mesh.v1.KIND         namespace/name, or                         the model's kind as JSON (json.ts)
 *                                                 VirtualService/namespace/name (see keyOf)
 *
 * weir's own kinds with fields this version does not know are refused (an unknown condition that is dropped would make them match
 * more than they say); unknown fields of Istio's messages are skipped, as protobuf does.
 */
import { keyOf, type MeshKind, type MeshResource, type ResourceKey } from '../model.ts';
import { encodeService, encodeWorkload, modelServiceKey, readAddress, wireServiceKey } from './address.ts';
import { WireCheck, type WireProblem } from './check.ts';
import { encodeJson, type JsonKind, readJson } from './json.ts';

/** Raised when decoding of the same bytes yields more than before: agents then ask for everything again. */
export const WIRE_REVISION = 2;

export const ADDRESS_TYPE_URL = 'type.googleapis.com/istio.workload.Address';

const JSON_TYPE_URLS: Readonly<Record<JsonKind, string>> = {
  authorizationPolicy: 'type.googleapis.com/weir.mesh.v1.AuthorizationPolicy',
  peerAuthentication: 'type.googleapis.com/weir.mesh.v1.PeerAuthentication',
  requestAuthentication: 'type.googleapis.com/weir.mesh.v1.RequestAuthentication',
  networkPolicy: 'type.googleapis.com/weir.mesh.v1.NetworkPolicy',
  serviceEntry: 'type.googleapis.com/weir.mesh.v1.ServiceEntry',
  destinationRule: 'type.googleapis.com/weir.mesh.v1.DestinationRule',
  httpRoute: 'type.googleapis.com/weir.mesh.v1.HttpRoute',
  tlsRoute: 'type.googleapis.com/weir.mesh.v1.TlsRoute',
  tcpRoute: 'type.googleapis.com/weir.mesh.v1.TcpRoute',
  sidecarScope: 'type.googleapis.com/weir.mesh.v1.SidecarScope',
  meshSettings: 'type.googleapis.com/weir.mesh.v1.MeshSettings',
};

const JSON_KINDS: ReadonlyMap<string, JsonKind> = new Map(
  Object.entries(JSON_TYPE_URLS).map(([kind, typeUrl]) => [typeUrl, kind as JsonKind]),
);

/**
 * Everything an agent subscribes to, in the order in which additions are safe: nothing is open before its policy, no route leads to
 * what is not there yet. Scopes and settings come last, because they may say that less is looked at or let through.
 */
export const TYPE_URLS: readonly string[] = [
  JSON_TYPE_URLS.authorizationPolicy,
  JSON_TYPE_URLS.peerAuthentication,
  JSON_TYPE_URLS.requestAuthentication,
  JSON_TYPE_URLS.networkPolicy,
  ADDRESS_TYPE_URL,
  JSON_TYPE_URLS.serviceEntry,
  JSON_TYPE_URLS.destinationRule,
  JSON_TYPE_URLS.httpRoute,
  JSON_TYPE_URLS.tlsRoute,
  JSON_TYPE_URLS.tcpRoute,
  JSON_TYPE_URLS.sidecarScope,
  JSON_TYPE_URLS.meshSettings,
];

/** Octets of one encoded resource; a larger one is refused by both ends. */
export const RESOURCE_BYTES_MAX = 1_048_576;

/** The type URL under which resources of a kind travel. */
export function typeUrlOf(kind: MeshKind): string {
  return kind === 'workload' || kind === 'service' ? ADDRESS_TYPE_URL : JSON_TYPE_URLS[kind];
}

/** The xDS resource name of a resource. */
export function wireNameOf(key: ResourceKey): string {
  return key.kind === 'service' ? wireServiceKey(key.key) : key.key;
}

/** The resource a type URL and name stand for, without its content; null when they stand for none. */
export function keyFromWireName(typeUrl: string, name: string): ResourceKey | null {
  const kind = JSON_KINDS.get(typeUrl);
  if (kind !== undefined) return { kind, key: name };
  if (typeUrl !== ADDRESS_TYPE_URL) return null;
  if (!name.includes('/')) return { kind: 'workload', key: name };
  const key = modelServiceKey(name);
  return key === null ? null : { kind: 'service', key };
}

/** The payload bytes of a resource; equal content gives equal bytes. Throws on a model that is not valid: a bug. */
export function encodeResource(resource: MeshResource): Uint8Array {
  switch (resource.kind) {
    case 'workload':
      return encodeWorkload(resource);
    case 'service':
      return encodeService(resource);
    default:
      return encodeJson(resource);
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
  if (typeUrl === ADDRESS_TYPE_URL) return readAddress(bytes, check);
  const kind = JSON_KINDS.get(typeUrl);
  return kind === undefined ? null : readJson(kind, bytes, check);
}
