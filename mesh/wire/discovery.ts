/**
 * The messages of the incremental xDS protocol (Envoy's api-docs/xds_protocol, "Incremental xDS"): what an agent asks,
 * what a controller answers, in weir's own terms. Malformed bytes throw here; gRPC turns that into an error of the stream.
 */
import { WireCheck, type WireMessage } from './check.ts';
import { deltaRequestType, deltaResponseType, newWriter, rejectedResourceType, resourceType } from './schema-root.ts';

/** gRPC path of the one method weir uses. */
export const DELTA_METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

const REJECTED_TYPE_URL = 'type.googleapis.com/weir.mesh.v1.RejectedResource';
/** google.rpc.Code.INVALID_ARGUMENT: the code of every NACK. */
const INVALID_ARGUMENT = 3;
/** Rejected resources one NACK names; the rest is found out when they are sent again. */
const REJECTIONS_MAX = 1_000;

/** A resource of a response that was refused. */
export interface Rejection {
  readonly name: string;
  readonly error: string;
}

/** Why a response was refused. No rejections: all of its resources count as refused. */
export interface Nack {
  readonly message: string;
  readonly rejections: readonly Rejection[];
}

export interface DeltaRequest {
  /** Node id; only the first request of a stream needs it. */
  readonly node: string;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Only in the first request for a type URL: what the agent holds, name → version. */
  readonly initialVersions: Readonly<Record<string, string>>;
  /** '' unless this answers a response. */
  readonly nonce: string;
  /** null: an ACK (with a nonce), or a subscription. */
  readonly nack: Nack | null;
}

/** A resource of a response, still encoded. */
export interface DeltaResource {
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export interface DeltaResponse {
  readonly systemVersion: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly DeltaResource[];
  readonly removed: readonly string[];
}

/** Bytes of an envoy.service.discovery.v3.Resource: encoded once, put into the responses of every agent. */
export function encodeDeltaResource(resource: DeltaResource): Uint8Array {
  const { name, version, typeUrl, value } = resource;
  return resourceType.encode({ name, version, resource: { type_url: typeUrl, value } }).finish();
}

/** A response whose resources were encoded by encodeDeltaResource. */
export interface EncodedDeltaResponse {
  readonly systemVersion: string;
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly Uint8Array[];
  readonly removed: readonly string[];
  readonly controlPlane: string;
}

const LENGTH_DELIMITED = 2;
/** Field 2 (`resources`) of DeltaDiscoveryResponse, as a tag. */
const RESOURCES_TAG = (2 << 3) | LENGTH_DELIMITED;

/** Bytes of a DeltaDiscoveryResponse: the head is encoded, the resources are copied in as they are. */
export function encodeDeltaResponse(response: EncodedDeltaResponse): Uint8Array {
  const head = {
    systemVersionInfo: response.systemVersion,
    typeUrl: response.typeUrl,
    nonce: response.nonce,
    removedResources: response.removed,
    controlPlane: { identifier: response.controlPlane },
  };
  const writer = deltaResponseType.encode(head, newWriter());
  for (const resource of response.resources) writer.uint32(RESOURCES_TAG).bytes(resource);
  return writer.finish();
}

/** Decodes a response. Throws on malformed bytes, and on resources without a name or a payload. */
export function decodeDeltaResponse(bytes: Uint8Array): DeltaResponse {
  const wire = deltaResponseType.decode(bytes) as unknown as WireMessage;
  const check = new EnvelopeCheck();
  return check.finish({
    systemVersion: check.text(wire['systemVersionInfo'], 'system_version_info'),
    typeUrl: check.text(wire['typeUrl'], 'type_url'),
    nonce: check.text(wire['nonce'], 'nonce', /./),
    removed: check.texts(wire['removedResources'], 'removed_resources'),
    resources: check.items(wire['resources'], 'resources', (item, field) => {
      const resource = check.message(item, field);
      const any = check.message(resource['resource'], `${field}.resource`);
      return {
        name: check.text(resource['name'], `${field}.name`, /./),
        version: check.text(resource['version'], `${field}.version`),
        typeUrl: check.text(any['type_url'], `${field}.resource.type_url`),
        value: check.bytes(any['value'], `${field}.resource.value`),
      };
    }),
  });
}

/** Bytes of a DeltaDiscoveryRequest. */
export function encodeDeltaRequest(request: DeltaRequest): Uint8Array {
  return deltaRequestType
    .encode({
      node: { id: request.node, userAgentName: 'weir' },
      typeUrl: request.typeUrl,
      resourceNamesSubscribe: request.subscribe,
      resourceNamesUnsubscribe: request.unsubscribe,
      initialResourceVersions: request.initialVersions,
      responseNonce: request.nonce,
      ...(request.nack === null ? {} : { errorDetail: wireNack(request.nack) }),
    })
    .finish();
}

/** Decodes a request. Throws on malformed bytes. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const wire = deltaRequestType.decode(bytes) as unknown as WireMessage;
  const check = new EnvelopeCheck();
  const node = wire['node'];
  const detail = wire['errorDetail'];
  return check.finish({
    node: node === null || node === undefined ? '' : check.text(check.message(node, 'node')['id'], 'node.id'),
    typeUrl: check.text(wire['typeUrl'], 'type_url'),
    subscribe: check.texts(wire['resourceNamesSubscribe'], 'resource_names_subscribe'),
    unsubscribe: check.texts(wire['resourceNamesUnsubscribe'], 'resource_names_unsubscribe'),
    initialVersions: check.versions(wire['initialResourceVersions'], 'initial_resource_versions'),
    nonce: check.text(wire['responseNonce'], 'response_nonce'),
    nack: detail === null || detail === undefined ? null : readNack(check.message(detail, 'error_detail'), check),
  });
}

function wireNack(nack: Nack): WireMessage {
  return {
    code: INVALID_ARGUMENT,
    message: nack.message,
    details: nack.rejections.slice(0, REJECTIONS_MAX).map((rejection) => ({
      type_url: REJECTED_TYPE_URL,
      value: rejectedResourceType.encode({ ...rejection }).finish(),
    })),
  };
}

function readNack(status: WireMessage, check: EnvelopeCheck): Nack {
  const rejections: Rejection[] = [];
  check.items(status['details'], 'error_detail.details', (item, field) => {
    const any = check.message(item, field);
    if (any['type_url'] !== REJECTED_TYPE_URL) return;
    const value = check.bytes(any['value'], `${field}.value`);
    const rejected = rejectedResourceType.decode(value) as unknown as WireMessage;
    rejections.push({
      name: check.text(rejected['name'], `${field}.name`),
      error: check.text(rejected['error'], `${field}.error`),
    });
  });
  return { message: check.text(status['message'], 'error_detail.message'), rejections };
}

/** The envelope may hold as many entries as there are resources; gRPC bounds the message itself. */
class EnvelopeCheck extends WireCheck {
  items<T>(value: unknown, field: string, read: (item: unknown, field: string) => T): T[] {
    if (!Array.isArray(value)) {
      this.fail(field, 'is not a list');
      return [];
    }
    return value.map((item: unknown, index) => read(item, `${field}[${index}]`));
  }

  texts(value: unknown, field: string): string[] {
    return this.items(value, field, (item, at) => this.text(item, at));
  }

  versions(value: unknown, field: string): Record<string, string> {
    const versions: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [name, version] of Object.entries(this.message(value, field)))
      versions[name] = this.text(version, field);
    return versions;
  }

  bytes(value: unknown, field: string): Uint8Array {
    if (value instanceof Uint8Array) return value;
    this.fail(field, 'is not bytes');
    return new Uint8Array();
  }

  finish<T>(message: T): T {
    if (this.problem !== null) throw new TypeError(`xDS message: ${this.problem.field} ${this.problem.reason}`);
    return message;
  }
}
