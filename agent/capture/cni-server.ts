/**
 * RUN_DIR/cni.sock: what the plugin asks. HTTP/1.1, POST, JSON both ways; mode 0600, so only root of the node can ask.
 *
 *   /add /del /check /status /gc → 200 {} | 4xx, 5xx {code, msg, details}   (code: CNI spec 1.1 error codes, own ones from 100)
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { LocalSocket } from '../ipc/local-socket.ts';
import { limits } from '../limits.ts';
import { parseAdd, parseCheck, parseDel, parseGc } from './cni-request.ts';
import type { Enrolment } from './enrolment.ts';
import { type CaptureError, type CaptureErrorCode, failure, type Result, success } from './result.ts';

/** CNI error code and HTTP status of each failure. 11: try again later; 50: not available; from 100 on: weir's own. */
const ANSWERS: Readonly<Record<CaptureErrorCode, { readonly code: number; readonly status: number }>> = {
  INVALID_REQUEST: { code: 7, status: 400 },
  INVALID_ANNOTATION: { code: 100, status: 422 },
  IDENTITY_UNKNOWN: { code: 101, status: 409 },
  NETNS_UNUSABLE: { code: 102, status: 422 },
  LISTENERS_FAILED: { code: 103, status: 500 },
  RULES_FAILED: { code: 104, status: 500 },
  NOT_CAPTURED: { code: 105, status: 409 },
  LIMIT_REACHED: { code: 106, status: 503 },
  STATE_UNWRITABLE: { code: 5, status: 500 },
  NOT_READY: { code: 11, status: 503 },
  UNKNOWN_POD: { code: 107, status: 404 },
};

/** How long connections that are queued on a socket about to close may take to be accepted, ms. */
const ACCEPT_QUEUE_MS = 20;

type Handler = (body: unknown) => Promise<Result<object>>;

/** What of Enrolment the server uses. */
export type CniBackend = Pick<Enrolment, 'add' | 'remove' | 'check' | 'status' | 'gc'>;

/** The CNI socket. */
export class CniServer {
  readonly #path: string;
  readonly #handlers: ReadonlyMap<string, Handler>;
  #server: Server | null = null;
  #socket: LocalSocket | null = null;
  #inWork = 0;
  /** Requests wait for this: resolved at once, unless the socket was taken over before its pods were. */
  #gate: Promise<void> = Promise.resolve();
  #openGate: () => void = () => undefined;

  /** `path`: of the unix socket. */
  constructor(enrolment: CniBackend, path: string) {
    this.#path = path;
    this.#handlers = new Map<string, Handler>([
      ['/add', (body) => whenValid(parseAdd(body), async (request) => outcomeOf(await enrolment.add(request)))],
      ['/del', (body) => whenValid(parseDel(body), async (request) => empty(await enrolment.remove(request)))],
      ['/check', (body) => whenValid(parseCheck(body), async (request) => empty(await enrolment.check(request)))],
      ['/gc', (body) => whenValid(parseGc(body), async (valid) => empty(await enrolment.gc(valid)))],
      ['/status', () => Promise.resolve(empty(enrolment.status()))],
    ]);
  }

  /** Opens the socket, mode 0600; throws when another agent answers on it. A socket nobody answers on is replaced. */
  async listen(): Promise<void> {
    const socket = await this.#open();
    if (await socket.publish()) return;
    await this.close();
    throw new Error(
      `${this.#path}: another agent serves this socket; stop it first, or give this one another --run-dir`,
    );
  }

  /**
   * Opens the socket in place of whoever serves there. Requests are accepted and wait until release(), so that none is refused
   * between the old agent's last answer and this one's first.
   */
  async listenInstead(): Promise<void> {
    this.#gate = new Promise((resolve) => {
      this.#openGate = resolve;
    });
    (await this.#open()).replace();
  }

  /** Answers the requests that wait, and all later ones. Idempotent. */
  release(): void {
    this.#openGate();
  }

  /** No new connections; requests in work are answered first. The socket file is removed if it is this one's. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    this.#socket?.withdraw();
    // Connections that came before the name led elsewhere are still in the queue: a turn of the loop accepts them.
    await new Promise((resolve) => setTimeout(resolve, ACCEPT_QUEUE_MS));
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    await closed;
  }

  async #open(): Promise<LocalSocket> {
    const server = createServer(
      { maxHeaderSize: 8_192, requestTimeout: limits.cniRequestTimeoutMs },
      (request, response) => this.#answer(request, response),
    );
    server.headersTimeout = limits.cniRequestTimeoutMs;
    server.keepAliveTimeout = 1_000;
    const socket = new LocalSocket(server, this.#path);
    await socket.listen();
    this.#server = server;
    this.#socket = socket;
    return socket;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const handler = this.#handlers.get(request.url ?? '');
    // The plugin went away; what it asked for goes on, and the runtime's DEL comes after it.
    response.on('error', () => undefined);
    if (handler === undefined || request.method !== 'POST') {
      request.resume();
      reply(
        response,
        handler === undefined ? 404 : 405,
        body(7, 'CNI request: use POST /add, /del, /check, /status or /gc'),
      );
      return;
    }
    if (this.#inWork >= limits.cniRequestsAtOnce) {
      request.resume();
      reply(
        response,
        503,
        body(11, `the agent has ${this.#inWork} CNI requests in work (limit cniRequestsAtOnce); try again`),
      );
      return;
    }
    this.#inWork++;
    void this.#serve(request, response, handler).finally(() => this.#inWork--);
  }

  async #serve(request: IncomingMessage, response: ServerResponse, handler: Handler): Promise<void> {
    try {
      const parsed = await readJson(request);
      await this.#gate;
      const result = parsed.ok ? await handler(parsed.value) : parsed;
      if (result.ok) reply(response, 200, result.value);
      else reply(response, statusOf(result.error), bodyOf(result.error));
    } catch (error) {
      // A bug of ours; the runtime must still get an answer, and it must not be success.
      const cause = error instanceof Error ? error.message : String(error);
      reply(response, 500, body(5, `the agent failed on this request: ${cause}; see the agent's log`));
    }
  }
}

async function whenValid<T>(
  parsed: Result<T>,
  operation: (value: T) => Promise<Result<object>>,
): Promise<Result<object>> {
  return parsed.ok ? operation(parsed.value) : parsed;
}

function empty(result: Result<unknown>): Result<object> {
  return result.ok ? success({}) : result;
}

function outcomeOf(result: Awaited<ReturnType<Enrolment['add']>>): Result<object> {
  return result.ok ? success({ outcome: result.value.outcome }) : result;
}

function statusOf(error: CaptureError): number {
  return ANSWERS[error.code].status;
}

function bodyOf(error: CaptureError): object {
  return body(ANSWERS[error.code].code, error.message, `${error.code}${error.retryable ? ', may succeed later' : ''}`);
}

function body(code: number, msg: string, details = ''): object {
  return { code, msg, details };
}

function reply(response: ServerResponse, status: number, content: object): void {
  const text = JSON.stringify(content);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** The whole body as JSON; longer than limits.localRequestBytesMax, cut off or malformed: INVALID_REQUEST. */
async function readJson(request: IncomingMessage): Promise<Result<unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      // The rest is still read, so that the answer arrives; it is not kept.
      if (length <= limits.localRequestBytesMax) chunks.push(chunk);
    }
  } catch (error) {
    return failure(
      'INVALID_REQUEST',
      `CNI request: ended early: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (length > limits.localRequestBytesMax) {
    return failure('INVALID_REQUEST', `CNI request: longer than ${limits.localRequestBytesMax} octets`);
  }
  try {
    return success(JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown);
  } catch (error) {
    return failure(
      'INVALID_REQUEST',
      `CNI request: not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
