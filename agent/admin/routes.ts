/** The admin API: which request does what. What the agent is, it asks through AdminView. */
import type { AccessLogMode, LogLevel } from '../ipc/messages.ts';
import type { Decision } from '../../mesh/explain.ts';
import { limits } from '../limits.ts';
import type {
  AccessLogDocument,
  AccessLogTailDocument,
  ConnectionsDocument,
  LogLevelDocument,
  PodDocument,
  PolicyDocument,
  RequestsDocument,
  RouteDocument,
  ServiceDocument,
  StatsDocument,
  StatusDocument,
  VerifyDocument,
} from './api.ts';
import { ACCESS_LOG_MODES, LOG_LEVELS } from './choices.ts';
import type { TakeoverAnswer } from './takeover-api.ts';
import { AdminError, type AdminReply, type AdminRequest, type AdminRoutes } from './http-router.ts';

/** What the API shows and changes; the supervisor implements it. */
export interface AdminView {
  /** Empty: ready. */
  notReady(): readonly string[];
  /** @param own leave out what other agents would have to be asked. */
  status(own: boolean): Promise<StatusDocument>;
  pods(): Promise<readonly PodDocument[]>;
  services(): readonly ServiceDocument[];
  routes(): readonly RouteDocument[];
  policies(): readonly PolicyDocument[];
  connections(): Promise<ConnectionsDocument>;
  /** The last requests that were logged or refused, newest first; with an id that one, if it is still known. */
  requests(id: string | null): Promise<RequestsDocument>;
  /** Decides what is asked in the body; throws AdminError for a body that asks nothing. */
  explain(body: unknown): readonly Decision[];
  stats(): Promise<StatsDocument>;
  metrics(): Promise<string>;
  accessLogTail(lines: number): readonly string[];
  logLevel: LogLevel;
  accessLog: AccessLogMode;
  /** Null: no such pod is enrolled here. */
  verify(pod: string): Promise<VerifyDocument | null>;
}

function ok(body: unknown): AdminReply {
  return { status: 200, body };
}

/** What --metrics-listen serves too: nothing that tells of single pods' connections, nothing that changes the agent. */
export function metricsRoutes(view: AdminView): AdminRoutes {
  return {
    'GET /healthz': () => ok({ status: 'ok' }),
    'GET /metrics': async () => ok(await view.metrics()),
  };
}

/** What another agent of this node may ask (takeover-api.ts); bodies are input, refusals are AdminErrors. */
export interface TakeoverApi {
  announce(body: unknown): Promise<TakeoverAnswer>;
  yield(body: unknown): Promise<TakeoverAnswer>;
  leave(body: unknown): TakeoverAnswer;
  abandon(body: unknown): TakeoverAnswer;
}

export function adminRoutes(view: AdminView, takeover: TakeoverApi): AdminRoutes {
  return {
    ...metricsRoutes(view),
    'GET /ready': () => {
      const reasons = view.notReady();
      return { status: reasons.length === 0 ? 200 : 503, body: { ready: reasons.length === 0, notReady: reasons } };
    },
    'GET /status': async (request) => ok(await view.status(request.query.has('own'))),
    'GET /pods': async () => ok(await view.pods()),
    'GET /services': () => ok(view.services()),
    'GET /routes': () => ok(view.routes()),
    'GET /policies': () => ok(view.policies()),
    'GET /connections': async (request) => ok(await connections(view, request)),
    'GET /requests': async (request) => ok(await requests(view, request)),
    'GET /stats': async () => ok(await view.stats()),
    'GET /log-level': () => ok({ level: view.logLevel } satisfies LogLevelDocument),
    'PUT /log-level': (request) => {
      view.logLevel = choice(request, 'level', LOG_LEVELS);
      return ok({ level: view.logLevel } satisfies LogLevelDocument);
    },
    'GET /access-log': () => ok({ mode: view.accessLog } satisfies AccessLogDocument),
    'PUT /access-log': (request) => {
      view.accessLog = choice(request, 'mode', ACCESS_LOG_MODES);
      return ok({ mode: view.accessLog } satisfies AccessLogDocument);
    },
    'GET /access-log/tail': (request) => {
      return ok({ lines: view.accessLogTail(lineCount(request)) } satisfies AccessLogTailDocument);
    },
    'POST /explain': ({ body }) => ok({ decisions: view.explain(body) }),
    'POST /takeover/announce': async ({ body }) => ok(await takeover.announce(body)),
    'POST /takeover/yield': async ({ body }) => ok(await takeover.yield(body)),
    'POST /takeover/leave': ({ body }) => ok(takeover.leave(body)),
    'POST /takeover/abandon': ({ body }) => ok(takeover.abandon(body)),
    'POST /capture/verify': async (request) => ok(await verify(view, request)),
  };
}

/** `?pod=namespace/name` keeps the connections that were captured for this pod. */
async function connections(view: AdminView, request: AdminRequest): Promise<ConnectionsDocument> {
  const pod = request.query.get('pod');
  const all = await view.connections();
  if (pod === null) return all;
  return { ...all, connections: all.connections.filter((connection) => connection.pod === pod) };
}

/** `?id=ID` (access log, x-weir-request) is one request; without it, the last ones that were logged or refused. */
async function requests(view: AdminView, request: AdminRequest): Promise<RequestsDocument> {
  const id = request.query.get('id');
  const document = await view.requests(id);
  if (id === null || document.requests.length > 0) return document;
  throw new AdminError(
    404,
    'UNKNOWN_REQUEST',
    `request ${JSON.stringify(id.slice(0, 64))} is not (any more) among the last of this node that were logged or refused; GET /requests lists those`,
  );
}

async function verify(view: AdminView, request: AdminRequest): Promise<VerifyDocument> {
  const pod = request.query.get('pod');
  if (pod === null || pod === '') throw new AdminError(400, 'POD_MISSING', 'add ?pod=NAMESPACE/NAME to the request');
  const document = await view.verify(pod);
  if (document === null) {
    throw new AdminError(404, 'UNKNOWN_POD', `pod ${pod} is not enrolled on this node; GET /pods lists those that are`);
  }
  return document;
}

function choice<T extends string>(request: AdminRequest, field: string, allowed: readonly T[]): T {
  const body = request.body;
  const given = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[field] : undefined;
  const found = allowed.find((value) => value === given);
  if (found !== undefined) return found;
  const shown = JSON.stringify(given) ?? 'nothing';
  throw new AdminError(400, 'INVALID_VALUE', `field ${field} is ${shown}; send one of ${allowed.join(', ')}`);
}

function lineCount(request: AdminRequest): number {
  const text = request.query.get('lines') ?? '100';
  const lines = Number(text);
  if (Number.isInteger(lines) && lines >= 1 && lines <= limits.accessLogTailLinesMax) return lines;
  throw new AdminError(400, 'INVALID_VALUE', `lines=${text}: write a number from 1 to ${limits.accessLogTailLinesMax}`);
}
