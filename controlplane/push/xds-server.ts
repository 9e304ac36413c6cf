/** The gRPC end towards agents: envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources. */
import {
  type handleBidiStreamingCall,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';
import {
  DELTA_METHOD,
  type DeltaRequest,
  decodeDeltaRequest,
  type EncodedDeltaResponse,
  encodeDeltaResponse,
} from '../../mesh/wire/discovery.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import type { AgentRegistry, TrackedStream } from '../status/agent-registry.ts';
import { AgentStream, type Rejected } from './agent-stream.ts';
import type { CacheChange, ResourceCache } from './resource-cache.ts';

type Call = ServerDuplexStream<DeltaRequest, EncodedDeltaResponse>;

const definition: ServiceDefinition = {
  deltaAggregatedResources: {
    path: DELTA_METHOD,
    requestStream: true,
    responseStream: true,
    requestSerialize: unused,
    requestDeserialize: decodeDeltaRequest,
    responseSerialize: (response: EncodedDeltaResponse) => Buffer.from(encodeDeltaResponse(response)),
    responseDeserialize: unused,
  },
};

/** The client's half of the definition, which a server never calls. */
function unused(): never {
  throw new Error('not used by a server');
}

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** null: agents need no certificate. */
  readonly clientCa: Buffer | null;
}

export class XdsServer {
  readonly #server: Server;
  readonly #streams = new Set<ConnectedAgent>();
  readonly #credentials: ServerCredentials;
  readonly #stopListening: () => void;

  constructor(cache: ResourceCache, registry: AgentRegistry, tls: TlsFiles | null, log: Logger) {
    this.#credentials = credentialsOf(tls);
    this.#server = new Server({
      'grpc.keepalive_time_ms': limits.keepaliveTimeMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      'grpc.keepalive_permit_without_calls': 1,
      'grpc.max_receive_message_length': limits.requestBytesMax,
      'grpc.max_send_message_length': -1,
    });
    const handler: handleBidiStreamingCall<DeltaRequest, EncodedDeltaResponse> = (call) => {
      if (this.#streams.size >= limits.agentStreamsMax) {
        endWith(call, status.RESOURCE_EXHAUSTED, `more than ${limits.agentStreamsMax} agent streams`);
        return;
      }
      const agent = new ConnectedAgent(call, cache, registry, log, () => this.#streams.delete(agent));
      this.#streams.add(agent);
    };
    this.#server.addService(definition, { deltaAggregatedResources: handler });
    this.#stopListening = cache.onChange((changes, holdChanged) => {
      for (const agent of this.#streams) agent.changed(changes, holdChanged);
      registry.progressed();
    });
  }

  /** Listens on `unix:PATH` or `host:port`; answers the port (0 for a unix socket). Rejects when it cannot. */
  listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(new Error(`cannot listen on ${address}: ${error.message}`));
      });
    });
  }

  /** Ends every stream with UNAVAILABLE (agents reconnect), then the server; cut after the grace period. */
  async close(): Promise<void> {
    this.#stopListening();
    for (const agent of this.#streams) agent.end(status.UNAVAILABLE, 'the controller is shutting down');
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, limits.shutdownGraceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function credentialsOf(tls: TlsFiles | null): ServerCredentials {
  if (tls === null) return ServerCredentials.createInsecure();
  const pair = { cert_chain: tls.cert, private_key: tls.key };
  return ServerCredentials.createSsl(tls.clientCa, [pair], tls.clientCa !== null);
}

function endWith(call: Call, code: status, details: string): void {
  call.emit('error', { code, details });
}

/** A stream with its call. The node's name comes with the first request. */
class ConnectedAgent implements TrackedStream {
  node = '';
  readonly #stream: AgentStream;
  readonly #call: Call;
  readonly #registry: AgentRegistry;
  readonly #log: Logger;
  readonly #forget: () => void;
  #open = true;

  constructor(call: Call, cache: ResourceCache, registry: AgentRegistry, log: Logger, forget: () => void) {
    this.#call = call;
    this.#registry = registry;
    this.#log = log;
    this.#forget = forget;
    this.#stream = new AgentStream(cache, 'weir', (response) => {
      if (this.#open) call.write(response);
    });
    call.on('data', (request: DeltaRequest) => this.#receive(request));
    call.on('end', () => {
      call.end();
      this.#closed('the agent ended the stream');
    });
    call.on('cancelled', () => this.#closed('the stream broke off'));
    call.on('error', (error) => this.#closed(error.message));
  }

  get settledVersion(): number {
    return this.#stream.settledVersion;
  }

  rejected(): readonly Rejected[] {
    return this.#stream.rejected();
  }

  changed(changes: readonly CacheChange[], holdChanged: boolean): void {
    this.#stream.changed(changes, holdChanged);
  }

  end(code: status, details: string): void {
    if (!this.#open) return;
    endWith(this.#call, code, details);
    this.#closed(details);
  }

  #receive(request: DeltaRequest): void {
    if (!this.#open) return;
    if (this.node === '') {
      if (request.node === '') return this.end(status.INVALID_ARGUMENT, 'the first request must carry node.id');
      this.node = request.node;
      this.#registry.connected(this);
      this.#log.info({ node: this.node, peer: this.#call.getPeer() }, 'agent connected');
    }
    const { nack } = request;
    if (nack !== null) {
      this.#log.warn({ node: this.node, typeUrl: request.typeUrl, error: nack.message }, 'agent refused resources');
    }
    const violation = this.#stream.receive(request);
    if (violation !== null) this.end(status.INVALID_ARGUMENT, violation);
    this.#registry.progressed();
  }

  #closed(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forget();
    if (this.node === '') return;
    this.#registry.disconnected(this);
    this.#log.info({ node: this.node, reason }, 'agent disconnected');
  }
}
