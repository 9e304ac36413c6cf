/**
 * The worker's access log: one JSON line per request or connection, gathered in one pinned buffer and handed to the
 * supervisor's socket once per turn with MSG_DONTWAIT. A slow reader costs lines (counted), never time.
 */
import { type PinnedBuffer, allocatePinned } from '../engine/memory.ts';
import { send } from '../engine/socket.ts';
import type { AccessLogMode } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { BoundCounters } from './bounds.ts';

export interface AccessRecord {
  /** Of a request: what `weir explain` can be asked about. */
  readonly id?: string;
  readonly direction: 'outbound' | 'inbound';
  readonly protocol: 'http' | 'http2' | 'grpc' | 'tcp' | 'tls';
  readonly sourcePod: string | null;
  readonly source: string;
  readonly destination: string;
  readonly destinationPod: string | null;
  readonly upstream: string | null;
  readonly service: string | null;
  readonly route: string | null;
  readonly method: string | null;
  /** HTTP: the request's host. TLS: the server name. */
  readonly host: string | null;
  readonly path: string | null;
  /** HTTP status; 0 for a TCP connection. */
  readonly status: number;
  /** `grpc-status` of a gRPC call; null: it ended without one, or it was none. */
  readonly grpcStatus: number | null;
  /** `x-weir-reason` when weir itself answered or cut, else null. */
  readonly reason: string | null;
  readonly policy: string | null;
  readonly durationMs: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
}

export class AccessLog {
  mode: AccessLogMode;
  /** False: the mesh wants no access log; `all` is somebody's explicit wish on this node and stands (mesh/settings.ts). */
  askedForByMesh = true;
  readonly #fd: number;
  readonly #bounds: BoundCounters;
  readonly #clock: () => number;
  readonly #buffer: PinnedBuffer = allocatePinned(limits.accessLogBufferBytes);
  #used = 0;

  /** @param clock wall-clock ms, for the `time` field. */
  constructor(fd: number, mode: AccessLogMode, bounds: BoundCounters, clock: () => number) {
    this.#fd = fd;
    this.mode = mode;
    this.#bounds = bounds;
    this.#clock = clock;
  }

  /** Whether this outcome is to be written: ask before building a record. */
  wants(failed: boolean): boolean {
    return this.mode === 'all' || (failed && this.mode === 'errors' && this.askedForByMesh);
  }

  /** Wall clock, ms since the epoch. */
  get nowMs(): number {
    return this.#clock();
  }

  write(record: AccessRecord): void {
    const line = `${JSON.stringify({ time: new Date(this.#clock()).toISOString(), ...record })}\n`;
    const length = Buffer.byteLength(line);
    if (this.#used + length > this.#buffer.length) this.flush();
    if (this.#used + length > this.#buffer.length) {
      this.#bounds.hit('accessLogBufferBytes');
      return;
    }
    this.#used += this.#buffer.bytes.write(line, this.#used);
  }

  /** Called once per turn. What the socket does not take stays for the next turn. */
  flush(): void {
    if (this.#used === 0) return;
    const sent = send(this.#fd, this.#buffer, 0, this.#used);
    if (sent <= 0) return;
    this.#buffer.bytes.copyWithin(0, sent, this.#used);
    this.#used -= sent;
  }
}
