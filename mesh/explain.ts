/**
 * `weir explain`: what would become of a request, and why. The same tables that agents ask (route-table, authz, network-policy)
 * answer here; only the words are added. Pure, and not for the hot path.
 *
 *   request ─► path, host ─► route of the dialled Service ─► as it would be forwarded ─► policy of the workload reached ─► Decision
 */
import type { Cluster } from './cluster.ts';
import { corsPreflight } from './cors.ts';
import { expressionsExceeded } from './expression-budget.ts';
import { type Forwarded, forwardedRequest } from './explain-forward.ts';
import { explainPolicy } from './explain-policy.ts';
import type { ExplainRequest } from './explain-request.ts';
import { clientOf, destinationWorkload, dialledPort, unknownTarget } from './explain-target.ts';
import { keyOf, type NamespacedName, type Workload } from './model.ts';
import { type PlainRequest, plainRequest } from './plain-request.ts';
import { redirectLocation } from './redirect.ts';
import { targetName } from './route-model.ts';
import type { RouteMatch, WeightedCluster } from './route-table.ts';
import type { MeshState } from './state.ts';
import { octetText } from './string-match.ts';

/** What `headers` of a decision say about the request as it is forwarded: names in lower case. */
export interface HeaderChanges {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** One answer of `weir explain`. Field names are an interface. */
export interface Decision {
  readonly id: string;
  /** `deny`: the workload does not get the request, because of policy or because weir answers with an error. */
  readonly verdict: 'allow' | 'deny';
  /** What the client sees: weir's own answer (redirect, direct response, refusal), 200 where the workload answers; null: plain TCP. */
  readonly status: number | null;
  /** The policy that decided; null: none did (no policy applies, or no ALLOW rule matched). */
  readonly policy: NamespacedName | null;
  /** Index of the deciding rule in that policy. */
  readonly rule: number | null;
  readonly route: NamespacedName | null;
  /** The rule's name, or its index. */
  readonly routeRule: string | number | null;
  /** As it would be forwarded, with query. */
  readonly path: string | null;
  readonly host: string | null;
  /** `namespace/name:port`, of several the one with the largest weight. */
  readonly backend: string | null;
  readonly headers: HeaderChanges;
  /** One line for people. */
  readonly because: string;
  /** What would have had to differ, most telling first; empty when nothing was denied. */
  readonly hints: readonly string[];
  /** What is wrong with the question; null: nothing. */
  readonly error: string | null;
}

const NO_CHANGES: HeaderChanges = { set: {}, remove: [] };

/** The decision for a question that could not be read. */
export function refusedQuestion(id: string, error: string): Decision {
  return { ...decision(id, 'deny', null, 'the request could not be read'), error };
}

/** What the mesh would do with a request, and why. */
export function explain(mesh: MeshState, question: ExplainRequest): Decision {
  const unknown = unknownTarget(mesh, question);
  if (unknown !== null && !unknown.allowed) return notInRegistry(question);
  if (unknown !== null && unknown.named !== null) {
    const destination = { ...question.destination, routed: true };
    return explainTarget(mesh, { ...question, destination }, null, {
      port: unknown.named,
      number: question.destination.port,
    });
  }
  const workload = destinationWorkload(mesh, question.destination);
  const target = dialledPort(mesh, question.destination, workload);
  const reached: Reached | null =
    workload === null ? null : { workload, ip: question.destination.ip, port: question.destination.port };
  return explainTarget(mesh, question, reached, target);
}

/** REGISTRY_ONLY: as agents answer it. */
function notInRegistry({ id, http }: ExplainRequest): Decision {
  const why = 'the mesh knows neither the address nor a host of that name that the client may see (REGISTRY_ONLY)';
  return decision(id, 'deny', http === null ? null : 502, `${http === null ? 'reset' : '502'}: ${why}`);
}

function explainTarget(mesh: MeshState, question: ExplainRequest, reached: Reached | null, target: Target): Decision {
  const { http } = question;
  if (http === null) return explainConnection(mesh, question, reached, target);
  const headers = http.headers.map(({ name, value }) => ({ name, value: octetText(value) }));
  const parts = { method: http.method, target: http.target, host: http.host, headers, claims: null };
  const parsed = plainRequest(parts, mesh.settings.pathNormalization);
  if (!parsed.ok) {
    return decision(question.id, 'deny', 400, `400: refused before anything was decided: ${parsed.reason}`);
  }
  return explainHttp(mesh, question, parsed.request, reached, target);
}

/** The workload that gets the request, and where. */
interface Reached {
  readonly workload: Workload;
  readonly ip: string;
  readonly port: number;
}

type Target = ReturnType<typeof dialledPort>;

function explainHttp(
  mesh: MeshState,
  question: ExplainRequest,
  request: PlainRequest,
  reached: Reached | null,
  target: Target,
): Decision {
  const routes = target?.port.routes ?? null;
  const client = clientOf(mesh, question.source);
  if (target === null || routes === null || !routes.concerns(client)) {
    const cluster = target?.port.cluster ?? null;
    const at = reached ?? endpointOf(cluster);
    const forwarded = { request, changes: NO_CHANGES };
    return judged(mesh, question, at, forwarded, { backend: cluster?.name ?? null }, { cluster, match: null });
  }
  const match = routes.match(request, client);
  const seen = { path: withQuery(request), host: request.host };
  if (expressionsExceeded()) return { ...decision(question.id, 'deny', 431, TOO_COSTLY), ...seen };
  if (match === null) {
    const names = routes.routes.map((route) => `${route.source} ${targetName(route)}`).join(', ');
    const why = `404: no rule of ${names} matches ${request.method} ${request.path}`;
    return { ...decision(question.id, 'deny', 404, why), ...seen };
  }
  const routed = { ...seen, route: targetName(match.route), routeRule: match.rule.name ?? match.ruleIndex };
  const answered = localAnswer(match, request, target.number);
  if (answered !== null) {
    const verdict = answered.refuses ? 'deny' : 'allow';
    return { ...decision(question.id, verdict, answered.status, `${answered.why} by ${ruleText(match)}`), ...routed };
  }
  const backend = heaviest(match);
  if (backend === null || backend.cluster === null) {
    const named = backend === null ? 'has no backend' : `names ${targetName(backend.backend)}, which cannot be used`;
    return { ...decision(question.id, 'deny', 500, `500: ${ruleText(match)} ${named}`), ...routed };
  }
  const forwarded = forwardedRequest(request, backend, match);
  if (expressionsExceeded()) return { ...decision(question.id, 'deny', 431, TOO_COSTLY), ...routed };
  const way = { ...routed, backend: backend.cluster.name };
  const { cluster } = backend;
  return judged(mesh, question, reached ?? endpointOf(cluster), forwarded, way, { cluster, match });
}

/** Policy of the workload that is reached, on the request as it would arrive there. */
function judged(
  mesh: MeshState,
  question: ExplainRequest,
  reached: Reached | null,
  forwarded: Forwarded,
  routed: Partial<Decision>,
  { cluster, match }: { readonly cluster: Cluster | null; readonly match: RouteMatch | null },
): Decision {
  const { request, changes } = forwarded;
  const way = match === null ? '' : `; routed by ${ruleText(match)}`;
  const seen = { path: withQuery(request), host: request.host, headers: changes };
  if (reached === null) {
    const none = withoutWorkload(mesh, question, cluster);
    return { ...decision(question.id, none.verdict, none.status, `${none.because}${way}`), ...routed, ...seen };
  }
  const judgement = explainPolicy(mesh, question, reached, request);
  return {
    ...decision(question.id, judgement.allowed ? 'allow' : 'deny', judgement.status, `${judgement.because}${way}`),
    ...routed,
    ...seen,
    policy: judgement.policy,
    rule: judgement.rule,
    hints: judgement.hints,
  };
}

const TOO_COSTLY = "431: the route's expressions would take too long on this request (EXPRESSION_LIMIT)";

interface Unreached {
  readonly verdict: Decision['verdict'];
  readonly status: number;
  readonly because: string;
}

const NO_WORKLOAD: Unreached = { verdict: 'deny', status: 503, because: '503: no endpoint is ready' };
const OUTSIDE: Unreached = { verdict: 'allow', status: 200, because: 'allowed: the destination is outside the mesh' };

/** What becomes of a request for which no workload is known. */
function withoutWorkload(mesh: MeshState, { destination }: ExplainRequest, cluster: Cluster | null): Unreached {
  if (!destination.routed || cluster === null) return destination.routed ? NO_WORKLOAD : OUTSIDE;
  if (cluster.passthrough) {
    return { ...OUTSIDE, because: `${OUTSIDE.because}, at the address that the client dials (resolution NONE)` };
  }
  const names = mesh.namesBehind(keyOf(cluster.service).key);
  if (names.length === 0) return NO_WORKLOAD;
  const shown = names.slice(0, NAMES_SHOWN).join(', ');
  return mesh.resolvesNames
    ? { ...NO_WORKLOAD, because: `503: the agent has found no address for ${shown}` }
    : {
        ...OUTSIDE,
        because: `${OUTSIDE.because}, where the agent's resolver finds ${shown} (nowhere while it finds nothing)`,
      };
}

/** Names told in one line. */
const NAMES_SHOWN = 4;

function explainConnection(
  mesh: MeshState,
  question: ExplainRequest,
  reached: Reached | null,
  target: Target,
): Decision {
  const { connection, destination, id } = question;
  const client = clientOf(mesh, question.source);
  const streams = target?.port.streams ?? null;
  const decides = streams !== null && streams.concerns(client);
  const match = decides ? streams.match(connection.sni, client, destination.ip) : null;
  if (decides && match === null) {
    return decision(id, 'deny', null, 'reset: no route of the Service takes this connection');
  }
  const routed = match === null ? {} : { route: targetName(match.route), routeRule: match.ruleIndex };
  const largest = match === null ? null : largestOf(match.backends.entries);
  if (match !== null && (largest === null || largest.cluster === null)) {
    return { ...decision(id, 'deny', null, `reset: route ${match.name} has no backend that can be used`), ...routed };
  }
  const cluster = largest?.cluster ?? target?.port.cluster ?? null;
  const at = reached ?? endpointOf(cluster);
  const way = { ...routed, backend: cluster?.name ?? null };
  if (at === null) {
    const none = withoutWorkload(mesh, question, cluster);
    return { ...decision(id, none.verdict, null, none.because.replace(/^503:/, 'reset:')), ...way };
  }
  const judgement = explainPolicy(mesh, question, at, null);
  return {
    ...decision(id, judgement.allowed ? 'allow' : 'deny', null, judgement.because),
    ...way,
    policy: judgement.policy,
    rule: judgement.rule,
    hints: judgement.hints,
  };
}

interface LocalAnswer {
  readonly status: number;
  readonly why: string;
  readonly refuses: boolean;
}

/** What weir answers itself, by the rule; null: a backend answers. Faults count when they hit every request. */
function localAnswer({ actions, matched }: RouteMatch, request: PlainRequest, port: number): LocalAnswer | null {
  if (actions === null) return null;
  const abort = actions.fault?.abort ?? null;
  if (abort !== null && abort.perMillion >= 1_000_000) {
    const status = abort.status ?? 200;
    const told = abort.status === null ? `grpc-status ${abort.grpcStatus}` : String(status);
    return { status, why: `fault: aborted with ${told}`, refuses: true };
  }
  const { redirect, directResponse, cors } = actions;
  if (redirect !== null) {
    const { path, query, host } = request;
    const location = redirectLocation(redirect, { path, query, host, port, matched });
    return { status: redirect.statusCode, why: `redirected to ${location}`, refuses: false };
  }
  if (directResponse !== null) {
    return { status: directResponse.status, why: `answered with ${directResponse.status}`, refuses: false };
  }
  const origin = request.header('origin');
  if (cors === null || origin === undefined || corsPreflight(cors, origin, request) === null) return null;
  return { status: 200, why: 'CORS preflight answered', refuses: false };
}

function heaviest(match: RouteMatch): WeightedCluster | null {
  return largestOf(match.backends.entries);
}

/** The first of those with the largest weight. */
function largestOf<B extends { readonly weight: number }>(entries: readonly B[]): B | null {
  return entries.reduce<B | null>((best, entry) => (best === null || entry.weight > best.weight ? entry : best), null);
}

function endpointOf(cluster: Cluster | null): Reached | null {
  const endpoint = cluster?.endpoints[0];
  return endpoint === undefined ? null : { workload: endpoint.workload, ip: endpoint.address, port: endpoint.port };
}

function withQuery({ path, search }: PlainRequest): string {
  return path + search;
}

function ruleText({ route, rule, ruleIndex }: RouteMatch): string {
  return `${route.source} ${targetName(route)} rule ${rule.name ?? ruleIndex}`;
}

function decision(id: string, verdict: Decision['verdict'], status: number | null, because: string): Decision {
  return {
    id,
    verdict,
    status,
    policy: null,
    rule: null,
    route: null,
    routeRule: null,
    path: null,
    host: null,
    backend: null,
    headers: NO_CHANGES,
    because,
    hints: [],
    error: null,
  };
}
