/**
 * The supervisor's end of one worker's IPC socket: typed messages both ways, every buffer bounded.
 *
 * A stream that cannot be understood is never resynchronised: the owner kills the worker and starts another.
 */
import type { Socket } from 'node:net';
import type { FromWorker, ToWorker } from '../ipc/messages.ts';
import { encodeFrame, FrameDecoder } from '../ipc/frame.ts';
import { parseWorkerMessage } from './worker-message.ts';

export interface IpcLimits {
  readonly ipcFrameBytesMax: number;
  readonly ipcQueueBytesMax: number;
}

export interface IpcHandlers {
  onMessage(message: FromWorker): void;
  /** The worker broke the protocol: a malformed or too long frame, or it does not read what it is sent. */
  onBroken(reason: string): void;
  /** EOF or a socket error: usually the worker is just dying, and its exit says more. */
  onLost(reason: string): void;
}

export class IpcChannel {
  readonly #socket: Socket;
  readonly #handlers: IpcHandlers;
  readonly #limits: IpcLimits;
  readonly #decoder: FrameDecoder;
  #open = true;

  constructor(socket: Socket, handlers: IpcHandlers, limits: IpcLimits) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#limits = limits;
    this.#decoder = new FrameDecoder(limits.ipcFrameBytesMax);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#lose(`IPC socket: ${error.message}`));
    socket.on('end', () => this.#lose('it closed its IPC socket'));
    socket.on('close', () => this.#lose('IPC socket closed'));
  }

  send(message: ToWorker): void {
    this.sendFrame(encodeFrame(JSON.stringify(message)));
  }

  /** For frames that every worker gets: encoded once by the caller (encodeFrame). */
  sendFrame(frame: Buffer): void {
    if (!this.#open) return;
    if (this.#socket.writableLength + frame.length > this.#limits.ipcQueueBytesMax) {
      this.#break(`the worker does not read: ${this.#socket.writableLength} bytes are waiting for it`);
      return;
    }
    this.#socket.write(frame);
  }

  /** Idempotent. The worker sees EOF and exits. */
  close(): void {
    this.#open = false;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (!this.#open) return;
    const broken = this.#decoder.push(chunk, (payload) => this.#deliver(payload));
    if (broken !== null) this.#break(`malformed frame: ${broken}`);
  }

  #deliver(payload: Buffer): void {
    if (!this.#open) return; // a frame before this one, in the same chunk, ended the channel
    const parsed = parseWorkerMessage(payload);
    if (parsed.ok) this.#handlers.onMessage(parsed.message);
    else this.#break(`malformed message: ${parsed.reason}`);
  }

  #lose(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#handlers.onLost(reason);
  }

  #break(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#handlers.onBroken(reason);
  }
}
