/**
 * The agent's end of the control stream: incremental xDS over gRPC.
 *
 *   const client = new ControlClient({
 *     target: 'unix:/run/weir/xds.sock' | 'host:port', node: 'node-1',
 *     tls: { ca, cert, key } | null,                        // Buffers; cert and key may be null
 *     store,                                                 // SnapshotStore, loaded
 *     apply: (delta) => Promise<ApplyResult>,                // supervisor: MeshState.apply + every worker; whole or not at all
 *     random: Math.random,
 *     log: (level, message, fields) => void,
 *   });
 *   client.start();            // returns at once, reconnects for ever
 *   client.status();           // ControlStatus, for `weir status`
 *   await client.stop();       // idempotent; does not close the store
 *
 * A response is applied whole or not at all: decode every resource, hand one MeshDelta to `apply`, record it in the store,
 * ACK. Anything wrong on the way is a NACK that names the resource, and what was there before stays.
 */
import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  credentials as grpcCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MeshDelta, MeshKind, ResourceKey } from '../../mesh/model.ts';
import {
  DELTA_METHOD,
  type DeltaRequest,
  type DeltaResponse,
  decodeDeltaResponse,
  encodeDeltaRequest,
  type Nack,
} from '../../mesh/wire/discovery.ts';
import { keyFromWireName, TYPE_URLS } from '../../mesh/wire/resource.ts';
import { limits } from '../limits.ts';
import { Backoff } from './backoff.ts';
import { assembleDelta, nackForRefusal } from './delta-assembler.ts';
import type { ControlLog, SnapshotStore } from './snapshot-store.ts';

export type ApplyResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string; readonly resource: ResourceKey | null };

export type ApplyDelta = (delta: MeshDelta) => Promise<ApplyResult>;

export interface ControlNack {
  /** `httpRoute default/echo` */
  readonly resource: string;
  readonly error: string;
  /** The controller's configuration version that carried it. */
  readonly version: string;
  /** ms since the epoch. */
  readonly atMs: number;
}

export interface ControlStatus {
  readonly target: string;
  readonly connected: boolean;
  /** Every kind was answered on this connection: what is held is not older than its beginning. */
  readonly caughtUp: boolean;
  /** ms since the epoch when `connected` last changed; null before the first attempt ended. */
  readonly sinceMs: number | null;
  readonly lastError: string | null;
  /** The controller's configuration version of the last applied response; '' before the first (this process). */
  readonly systemVersion: string;
  /** Resources held, per kind. */
  readonly resources: Readonly<Record<MeshKind, number>>;
  /** ms since the epoch of the last applied change; null: none in this process. */
  readonly lastChangeMs: number | null;
  /** Newest last, bounded (limits.controlNacksMax). */
  readonly nacks: readonly ControlNack[];
}

export interface ControlTls {
  readonly ca: Buffer;
  /** Both or neither. */
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
}

export interface ControlClientOptions {
  /** gRPC target: `unix:PATH` or `host:port`. */
  readonly target: string;
  readonly node: string;
  readonly tls: ControlTls | null;
  readonly store: SnapshotStore;
  readonly apply: ApplyDelta;
  /** 0 ≤ x < 1, for the jitter of reconnects. */
  readonly random: () => number;
  readonly log: ControlLog;
}

type Stream = ClientDuplexStream<DeltaRequest, DeltaResponse>;

export class ControlClient {
  readonly #options: ControlClientOptions;
  readonly #backoff: Backoff;
  readonly #nacks: ControlNack[] = [];
  #connection: { readonly client: Client; readonly stream: Stream } | null = null;
  #retryTimer: NodeJS.Timeout | null = null;
  /** Responses are applied one after the other, in the order they came. */
  #applying: Promise<void> = Promise.resolve();
  #stopped = true;
  #connected = false;
  /** Type URLs that were answered, and applied, on this connection. */
  readonly #answered = new Set<string>();
  #sinceMs: number | null = null;
  #lastError: string | null = null;
  #systemVersion = '';
  #lastChangeMs: number | null = null;

  constructor(options: ControlClientOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    const connection = this.#connection;
    this.#connection = null;
    connection?.stream.cancel();
    connection?.client.close();
    this.#setConnected(false);
    await this.#applying;
  }

  status(): ControlStatus {
    return {
      target: this.#options.target,
      connected: this.#connected,
      caughtUp: this.#connected && TYPE_URLS.every((typeUrl) => this.#answered.has(typeUrl)),
      sinceMs: this.#sinceMs,
      lastError: this.#lastError,
      systemVersion: this.#systemVersion,
      resources: this.#options.store.counts(),
      lastChangeMs: this.#lastChangeMs,
      nacks: [...this.#nacks],
    };
  }

  #connect(): void {
    const { target, tls, node, store } = this.#options;
    let client: Client;
    try {
      client = new Client(target, credentialsOf(tls), channelOptions());
    } catch (error) {
      // A target or certificate that cannot be used; it may be repaired while the agent runs on its snapshot.
      this.#failed(`cannot use the controller ${target}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    const stream: Stream = client.makeBidiStreamRequest(DELTA_METHOD, serialize, deserialize);
    this.#connection = { client, stream };
    const current = (): boolean => this.#connection?.stream === stream;
    stream.on('data', (response: DeltaResponse) => this.#enqueue(stream, response));
    stream.on('error', (error: ServiceError) => {
      if (current()) this.#ended(`${target}: ${error.details === '' ? error.message : error.details}`);
    });
    stream.on('end', () => {
      if (current()) this.#ended(`${target}: the controller ended the stream`);
    });
    for (const typeUrl of TYPE_URLS) {
      const initialVersions = store.versions(typeUrl);
      stream.write({ node, typeUrl, subscribe: ['*'], unsubscribe: [], initialVersions, nonce: '', nack: null });
    }
  }

  #ended(error: string): void {
    const connection = this.#connection;
    this.#connection = null;
    connection?.stream.cancel();
    connection?.client.close();
    this.#failed(error);
  }

  #failed(error: string): void {
    if (this.#stopped) return;
    const wasConnected = this.#connected;
    // A stream that breaks again and again right after it was opened must not be reopened without a pause.
    const livedMs = wasConnected ? Date.now() - (this.#sinceMs ?? 0) : 0;
    if (livedMs >= limits.controlBackoffMaxMs) this.#backoff.reset();
    this.#setConnected(false);
    this.#sinceMs ??= Date.now();
    const delayMs = this.#backoff.nextMs();
    const again = error === this.#lastError && !wasConnected;
    this.#lastError = error;
    this.#options.log(again ? 'debug' : 'warn', `controller not reachable: ${error}; going on with what is known`, {
      retryMs: delayMs,
    });
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      this.#connect();
    }, delayMs);
  }

  #setConnected(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.#answered.clear();
    this.#sinceMs = Date.now();
  }

  #enqueue(stream: Stream, response: DeltaResponse): void {
    if (this.#connection?.stream !== stream) return;
    if (!this.#connected) {
      this.#setConnected(true);
      this.#lastError = null;
      this.#options.log('info', 'connected to the controller', { target: this.#options.target });
    }
    // The controller waits for each answer, so at most one response queues here; reading stops if one does not.
    stream.pause();
    this.#applying = this.#applying.then(async () => {
      if (this.#connection?.stream !== stream) return;
      const nack = await this.#take(response);
      if (this.#connection?.stream !== stream) return;
      this.#answered.add(response.typeUrl);
      this.#answer(stream, response, nack);
      stream.resume();
    });
  }

  /** Applies a response; answers why it was refused, or null. */
  async #take(response: DeltaResponse): Promise<Nack | null> {
    const { store, apply, log } = this.#options;
    const assembled = assembleDelta(response, store);
    if (!assembled.ok) return assembled.nack;
    const { delta, upserts } = assembled;
    if (delta.upserts.length > 0 || delta.removals.length > 0) {
      let result: ApplyResult;
      try {
        result = await apply(delta);
      } catch (error) {
        // A bug of the callback; the state is unknown to us, so nothing is recorded and the controller sends it again.
        log('error', 'applying a change failed unexpectedly', { error: String(error) });
        result = { ok: false, error: `the agent failed: ${String(error)}`, resource: null };
      }
      if (!result.ok) return nackForRefusal(response, result.error, result.resource);
      store.record(upserts, delta.removals);
      this.#lastChangeMs = Date.now();
    }
    this.#systemVersion = response.systemVersion;
    return null;
  }

  #answer(stream: Stream, response: DeltaResponse, nack: Nack | null): void {
    const { node, log } = this.#options;
    const { typeUrl, nonce } = response;
    if (nack !== null) {
      log('error', `refused what the controller sent: ${nack.message}`, { typeUrl, version: response.systemVersion });
      this.#remember(response, nack);
    }
    stream.write({ node, typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, nonce, nack });
  }

  #remember(response: DeltaResponse, nack: Nack): void {
    const [version, atMs] = [response.systemVersion, Date.now()];
    const rejections = nack.rejections.length > 0 ? nack.rejections : [{ name: '*', error: nack.message }];
    for (const { name, error } of rejections) {
      const key = keyFromWireName(response.typeUrl, name);
      this.#nacks.push({ resource: key === null ? name : `${key.kind} ${key.key}`, error, version, atMs });
    }
    this.#nacks.splice(0, Math.max(0, this.#nacks.length - limits.controlNacksMax));
  }
}

function serialize(request: DeltaRequest): Buffer {
  return Buffer.from(encodeDeltaRequest(request));
}

function deserialize(bytes: Buffer): DeltaResponse {
  return decodeDeltaResponse(bytes);
}

function credentialsOf(tls: ControlTls | null): ReturnType<typeof grpcCredentials.createInsecure> {
  return tls === null ? grpcCredentials.createInsecure() : grpcCredentials.createSsl(tls.ca, tls.key, tls.cert);
}

function channelOptions(): ChannelOptions {
  return {
    'grpc.keepalive_time_ms': limits.controlKeepaliveTimeMs,
    'grpc.keepalive_timeout_ms': limits.controlKeepaliveTimeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_receive_message_length': limits.controlResponseBytesMax,
    'grpc.max_send_message_length': -1,
    // Reconnecting is done here, with one connection per attempt; a unix socket has no name to check against.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
  };
}
