/**
 * The controller's own API: HTTP/1.1 with JSON on a unix socket that only its owner may open.
 *
 *   GET  /status                       version, refused objects, agents
 *   GET  /objects                      accepted objects as resources of the mesh model
 *   GET  /routes                       what became of every Gateway API route (mesh/route-status.ts)
 *   POST /sync                         reads all sources now, answers when translated
 *   GET  /wait?version=N&timeoutMs=T   200 when every connected agent has N, 409 when one refuses part of it, 504 else
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { MeshResource } from '../../mesh/model.ts';
import type { RouteStatus } from '../../mesh/route-status.ts';
import type { Finding } from '../finding.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import type { AgentStatus, WaitOutcome } from './agent-registry.ts';
import { claimSocketPath, restrictSocket } from './socket-path.ts';

export interface ControllerStatus {
  readonly version: number;
  readonly objects: {
    readonly accepted: number;
    readonly refused: readonly Finding[];
    readonly warnings: readonly Finding[];
    /** Findings beyond limits.findingsMax. */
    readonly findingsOmitted: number;
  };
  readonly agents: readonly AgentStatus[];
}

/** What the API answers with. */
export interface AdminBackend {
  status(): ControllerStatus;
  objects(): readonly MeshResource[];
  routes(): readonly RouteStatus[];
  sync(): Promise<{ readonly version: number; readonly findings: readonly Finding[] }>;
  wait(version: number, timeoutMs: number): Promise<WaitOutcome>;
}

const DEFAULT_WAIT_MS = 30_000;

/** Starts the API on `path`; the answer's close() ends it and removes the socket. */
export async function startAdminServer(
  path: string,
  backend: AdminBackend,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  await claimSocketPath(path);
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    answer(request, response, backend).catch((error: unknown) => {
      log.error({ error: String(error), url: request.url }, 'admin request failed');
      if (!response.headersSent) reply(response, 500, { error: 'internal error; see the log' });
    });
  });
  await listen(server, path);
  restrictSocket(path);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(new Error(`cannot listen on ${path}: ${error.message}`));
    server.once('error', fail);
    // The socket file is made within listen(): nobody else may open it, not even before chmod.
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', fail);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, backend: AdminBackend): Promise<void> {
  // Nothing is read from bodies; what a client sends is thrown away as it comes.
  request.resume();
  const url = new URL(request.url ?? '/', 'http://controller');
  switch (`${request.method ?? ''} ${url.pathname}`) {
    case 'GET /status':
      return reply(response, 200, backend.status());
    case 'GET /objects':
      return reply(response, 200, { objects: backend.objects() });
    case 'GET /routes':
      return reply(response, 200, { routes: backend.routes() });
    case 'POST /sync':
      return reply(response, 200, await backend.sync());
    case 'GET /wait':
      return await answerWait(url, response, backend);
    default:
      return reply(response, 404, { error: `no ${request.method ?? ''} ${url.pathname} here; see GET /status` });
  }
}

async function answerWait(url: URL, response: ServerResponse, backend: AdminBackend): Promise<void> {
  const version = Number(url.searchParams.get('version') ?? Number.NaN);
  const timeoutMs = Number(url.searchParams.get('timeoutMs') ?? DEFAULT_WAIT_MS);
  if (!Number.isSafeInteger(version) || version < 0) {
    return reply(response, 400, { error: 'version must be a configuration version, as POST /sync answers it' });
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > limits.waitTimeoutMsMax) {
    return reply(response, 400, { error: `timeoutMs must be an integer from 0 to ${limits.waitTimeoutMsMax}` });
  }
  const outcome = await backend.wait(version, timeoutMs);
  const status = backend.status();
  if (outcome === 'acked') return reply(response, 200, status);
  const nacks = status.agents.flatMap((agent) => agent.nacks.map((nack) => ({ node: agent.node, ...nack })));
  return reply(response, outcome === 'nacked' ? 409 : 504, { ...status, nacks });
}

function reply(response: ServerResponse, code: number, body: unknown): void {
  if (response.destroyed) return;
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
