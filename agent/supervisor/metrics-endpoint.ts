/** --metrics-listen: Prometheus over TCP. During a hand-over the old agent still has the port, so it is asked for again and again. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { limits } from '../limits.ts';
import { type Log, messageOf } from './log.ts';

/** A server that is to listen on one address. */
export class MetricsEndpoint {
  readonly #server: Server;
  readonly #host: string;
  readonly #port: number;
  readonly #log: Log;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(server: Server, host: string, port: number, log: Log) {
    this.#server = server;
    this.#host = host;
    this.#port = port;
    this.#log = log;
  }

  /** Listens, or throws Error with the cause. */
  async open(): Promise<void> {
    const error = await this.#listen();
    if (error !== null) throw new Error(`--metrics-listen ${this.#host}:${this.#port}: ${error.message}`);
    const { port } = this.#server.address() as AddressInfo;
    this.#log.info({ host: this.#host, port }, 'metrics are served');
  }

  /** Listens as soon as the one who has the port now lets go of it. */
  async openWhenFree(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.open();
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'metrics wait for their port');
      this.#timer = setTimeout(() => void this.openWhenFree(), limits.takeoverRetryMs);
    }
  }

  /** Gives the port up. Idempotent. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #listen(): Promise<Error | null> {
    return new Promise((resolve) => {
      const onError = (error: Error): void => resolve(error);
      this.#server.once('error', onError);
      this.#server.listen(this.#port, this.#host, () => {
        this.#server.off('error', onError);
        this.#server.on('error', (error) => this.#log.error({ error: error.message }, 'metrics: accept failed'));
        resolve(null);
      });
    });
  }
}
