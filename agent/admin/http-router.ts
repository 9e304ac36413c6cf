/** The HTTP side of the admin API: finds the handler, reads a bounded body, writes JSON. Knows nothing of the agent. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { limits } from '../limits.ts';
import { NODE_HEADER } from './api.ts';

export interface AdminRequest {
  readonly query: URLSearchParams;
  /** Parsed JSON; null without a body. */
  readonly body: unknown;
}

/** A string is sent as Prometheus text, everything else as JSON. */
export interface AdminReply {
  readonly status: number;
  readonly body: unknown;
}

export type AdminHandler = (request: AdminRequest) => Promise<AdminReply> | AdminReply;

/** `GET /status` → handler. */
export type AdminRoutes = Readonly<Record<string, AdminHandler>>;

/** An answer that is not 200: `code` is stable, the message says what to do. */
export class AdminError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'AdminError';
    this.status = status;
    this.code = code;
  }
}

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

function errorReply(status: number, code: string, message: string): AdminReply {
  return { status, body: { error: { code, message } } };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limits.localRequestBytesMax) {
      throw new AdminError(413, 'BODY_TOO_LARGE', `request body above ${limits.localRequestBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  if (length === 0) return null;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new AdminError(400, 'BODY_NOT_JSON', `request body is not JSON: ${(error as Error).message}`);
  }
}

/** Null when the target is not a path of this server (`//`, `http://[`). */
function parseTarget(target: string): URL | null {
  return target.startsWith('/') && URL.canParse(target, 'http://agent') ? new URL(target, 'http://agent') : null;
}

async function dispatch(request: IncomingMessage, routes: AdminRoutes): Promise<AdminReply> {
  const url = parseTarget(request.url ?? '/');
  if (url === null) return errorReply(400, 'BAD_TARGET', `request target ${JSON.stringify(request.url)} is not a path`);
  const handler = routes[`${request.method} ${url.pathname}`];
  if (handler !== undefined && Object.hasOwn(routes, `${request.method} ${url.pathname}`)) {
    return handler({ query: url.searchParams, body: await readBody(request) });
  }
  const methods = Object.keys(routes).filter((route) => route.endsWith(` ${url.pathname}`));
  if (methods.length > 0) {
    return errorReply(405, 'METHOD_NOT_ALLOWED', `${request.method} ${url.pathname}: allowed: ${methods.join(', ')}`);
  }
  const known = Object.keys(routes).join(', ');
  return errorReply(404, 'NOT_FOUND', `${request.method} ${url.pathname} is not part of the API; it has ${known}`);
}

function send(response: ServerResponse, reply: AdminReply, node: string): void {
  const { body } = reply;
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  response.writeHead(reply.status, {
    'content-type': typeof body === 'string' ? PROMETHEUS_TEXT : 'application/json',
    'content-length': Buffer.byteLength(text),
    [NODE_HEADER]: node,
  });
  response.end(text);
}

/** An HTTP server for these routes; `onFailure` hears of handlers that threw something else than AdminError (a bug). */
export function createAdminServer(
  routes: AdminRoutes,
  node: string,
  onFailure: (route: string, error: unknown) => void,
): Server {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 });
  server.maxConnections = limits.adminConnectionsMax;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    dispatch(request, routes)
      .catch((error: unknown) => {
        if (error instanceof AdminError) return errorReply(error.status, error.code, error.message);
        onFailure(`${request.method} ${request.url}`, error);
        return errorReply(500, 'INTERNAL', 'the agent failed to answer; its log says why');
      })
      .then((reply) => send(response, reply, node))
      // The client hung up while the answer was being made: nobody is left to tell.
      .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  return server;
}
