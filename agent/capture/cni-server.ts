/**
 * RUN_DIR/cni.sock: what the plugin asks. HTTP/1.1, POST, JSON both ways; mode 0600, so only root of the node can ask.
 *
 *   /add /del /check /status /gc → 200 {} | 4xx, 5xx {code, msg, details}   (code: CNI spec 1.1 error codes, own ones from 100)
 */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
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

type Handler = (body: unknown) => Promise<Result<object>>;

/** What of Enrolment the server uses. */
export type CniBackend = Pick<Enrolment, 'add' | 'remove' | 'check' | 'status' | 'gc'>;

/** The CNI socket. */
export class CniServer {
  readonly #path: string;
  readonly #server: Server;
  readonly #handlers: ReadonlyMap<string, Handler>;
  #inWork = 0;

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
    this.#server = createServer(
      { maxHeaderSize: 8_192, requestTimeout: limits.cniRequestTimeoutMs },
      (request, response) => this.#answer(request, response),
    );
    this.#server.headersTimeout = limits.cniRequestTimeoutMs;
    this.#server.keepAliveTimeout = 1_000;
  }

  /** Opens the socket, mode 0600; throws when another agent answers on it. A socket nobody answers on is replaced. */
  async listen(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o755 });
    if (await answers(this.#path)) {
      throw new Error(
        `${this.#path}: another agent serves this socket; stop it first, or give this one another --run-dir`,
      );
    }
    await rm(this.#path, { force: true });
    // Created 0600 at once: between listen and chmod anybody could have connected.
    const before = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        // bind(2) happens inside this call, so the umask need not outlast it.
        this.#server.listen(this.#path, () => {
          this.#server.off('error', reject);
          resolve();
        });
        process.umask(before);
      });
    } finally {
      process.umask(before);
    }
    await chmod(this.#path, 0o600);
  }

  /** No new connections; requests in work are answered first. The socket file is removed. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await closed;
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

/** Whether somebody accepts connections on a unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
