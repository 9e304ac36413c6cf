/**
 * The side of the agent that replaces another: what it asks of the one before it, and what it concludes from silence.
 *
 * The old agent is heard (it answers), silent (stopped, or its machine overloaded: its socket accepts, nothing comes back within
 * the bound), or gone. A silent one is not waited for longer than the bound: the node's pods must not depend on it.
 */
import { request } from 'node:http';
import type { ApiError, StatusDocument } from '../admin/api.ts';
import {
  parseTakeoverAnswer,
  TAKEOVER_PROTOCOL,
  type TakeoverAnswer,
  type TakeoverRefusal,
  type TakeoverRequest,
} from '../admin/takeover-api.ts';
import { privateNameOf } from '../ipc/local-socket.ts';
import { limits } from '../limits.ts';

/** How a question to the old agent ended. */
export type Reply =
  | { readonly kind: 'answer'; readonly answer: TakeoverAnswer }
  | { readonly kind: 'refused'; readonly code: TakeoverRefusal | string; readonly message: string }
  /** It has no such API: a version from before hand-overs. */
  | { readonly kind: 'unable' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'gone' };

export type Step = 'announce' | 'yield' | 'leave' | 'abandon';

/** Longest wait per step: announcing and leaving are answered at once, yielding when the ADDs in work are done. */
const WAIT_MS: Readonly<Record<Step, number>> = {
  announce: limits.takeoverAnswerMs,
  yield: limits.takeoverYieldMs,
  leave: limits.takeoverAnswerMs,
  abandon: limits.takeoverAnswerMs,
};

/** `weir status` waits for it; a worker that hangs costs the old agent limits.ipcQueryTimeoutMs of it. */
const STATUS_WAIT_MS = limits.ipcQueryTimeoutMs + 1_000;

export class Predecessor {
  /** Its private name: the public one will lead elsewhere. */
  #socket: string;
  #last: TakeoverAnswer | null = null;
  readonly #self: Omit<TakeoverRequest, 'protocol'>;

  constructor(publicPath: string, self: Omit<TakeoverRequest, 'protocol'>) {
    this.#socket = privateNameOf(publicPath);
    this.#self = self;
  }

  /** What it said last of itself; null: nothing yet. */
  get last(): TakeoverAnswer | null {
    return this.#last;
  }

  /** Never rejects. */
  async ask(step: Step): Promise<Reply> {
    const body: TakeoverRequest = { protocol: TAKEOVER_PROTOCOL, ...this.#self };
    const outcome = await exchange(this.#socket, 'POST', `/takeover/${step}`, JSON.stringify(body), WAIT_MS[step]);
    if (outcome.kind !== 'heard') return outcome;
    if (outcome.status === 404) return { kind: 'unable' };
    const answer = outcome.status === 200 ? parseTakeoverAnswer(outcome.document) : null;
    if (answer === null) {
      const { code, message } = (outcome.document as Partial<ApiError> | null)?.error ?? {
        code: 'MALFORMED',
        message: `it answered with status ${outcome.status}`,
      };
      return { kind: 'refused', code, message };
    }
    this.#last = answer;
    this.#socket = answer.socket;
    return { kind: 'answer', answer };
  }

  /** Its own status: how far its drain is. Never rejects. */
  async status(): Promise<StatusDocument | 'silent' | 'gone'> {
    const outcome = await exchange(this.#socket, 'GET', '/status?own', '', STATUS_WAIT_MS);
    if (outcome.kind !== 'heard') return outcome.kind;
    return outcome.status === 200 && outcome.document !== null ? (outcome.document as StatusDocument) : 'silent';
  }
}

type Exchange =
  | { readonly kind: 'heard'; readonly status: number; readonly document: unknown }
  | { readonly kind: 'silent' }
  | { readonly kind: 'gone' };

function exchange(socketPath: string, method: string, path: string, body: string, waitMs: number): Promise<Exchange> {
  return new Promise((resolve) => {
    const headers = { host: 'agent', 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const call = request({ socketPath, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (text.length <= limits.localRequestBytesMax) text += chunk;
      });
      response.on('end', () => settle({ kind: 'heard', status: response.statusCode ?? 0, document: parse(text) }));
      response.on('error', () => settle({ kind: 'gone' }));
    });
    const timer = setTimeout(() => {
      settle({ kind: 'silent' });
      call.destroy();
    }, waitMs);
    const settle = (outcome: Exchange): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    // Refused, absent or cut off: a process that ended. Only a time-out means that it is there and says nothing.
    call.on('error', () => settle({ kind: 'gone' }));
    call.end(body);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not of an agent; the status says enough
  }
}
