/**
 * `weir explain`: what would become of a request, and why. The same tables that agents ask (route-table, authz, network-policy)
 * answer here; only the words are added. Pure, and not for the hot path.
 *
 *   request ─► path, host ─► route of the dialled Service ─► as it would be forwarded ─► policy of the workload reached ─► Decision
 */
import { pickWeighted } from './balance.ts';
import type { CompiledPort } from './destination.ts';
import type { ExplainRequest } from './explain-request.ts';
import { destinationWorkload, dialledPort } from './explain-target.ts';
import { explainPolicy } from './explain-policy.ts';
import { type Forwarded, forwardedRequest } from './explain-forward.ts';
import type { NamespacedName, Workload } from './model.ts';
import { type PlainRequest, plainRequest } from './plain-request.ts';
import { targetName } from './route-model.ts';
import type { RouteClient, RouteMatch } from './route-table.ts';
import type { MeshState } from './state.ts';

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
  const workload = destinationWorkload(mesh, question.destination);
  const target = dialledPort(mesh, question.destination, workload);
  const { http } = question;
  if (http === null) return explainConnection(mesh, question, workload, target);
  const claims = http.jwt !== null && 'claims' in http.jwt ? http.jwt.claims : null;
  const parsed = plainRequest({ ...http, claims }, mesh.settings.pathNormalization);
  if (!parsed.ok) {
    return decision(question.id, 'deny', 400, `refused before anything was decided: ${parsed.reason}`);
  }
  return explainHttp(mesh, question, parsed.request, workload, target);
}

function explainHttp(
  mesh: MeshState,
  question: ExplainRequest,
  request: PlainRequest,
  workload: Workload,
  target: CompiledPort | null,
): Decision {
  const routes = target?.routes ?? null;
  if (routes === null) return judged(mesh, question, workload, { request, changes: NO_CHANGES }, {}, null);
  const match = routes.match(request, clientOf(mesh, question));
  if (match === null) {
    const why = `404: no rule of ${routes.routes.map((route) => `${route.source} ${targetName(route)}`).join(', ')} matches ${request.method} ${request.path}`;
    return { ...decision(question.id, 'deny', 404, why), path: withQuery(request), host: request.host };
  }
  const routed = { route: targetName(match.route), routeRule: match.rule.name ?? match.ruleIndex };
  const answered = localAnswer(match, request, question);
  if (answered !== null) {
    return { ...decision(question.id, 'allow', answered.status, `${answered.why} by ${ruleText(match)}`), ...routed };
  }
  const backend = heaviest(match);
  if (backend === null || backend.cluster === null) {
    const named = backend === null ? 'has no backend' : `names ${backendText(backend.backend)}, which cannot be used`;
    return { ...decision(question.id, 'deny', 500, `500: ${ruleText(match)} ${named}`), ...routed };
  }
  const forwarded = forwardedRequest(request, backend, match, mesh.settings.pathNormalization);
  const { cluster } = backend;
  const name = `${cluster.service.namespace}/${cluster.service.name}:${cluster.port.port}`;
  return judged(mesh, question, workload, forwarded, { ...routed, backend: name }, match);
}

/** Policy of the workload that is reached, on the request as it would arrive there. */
function judged(
  mesh: MeshState,
  question: ExplainRequest,
  workload: Workload,
  forwarded: Forwarded,
  routed: Partial<Decision>,
  match: RouteMatch | null,
): Decision {
  const { request, changes } = forwarded;
  const judgement = explainPolicy(mesh, question, workload, request);
  const way = match === null ? '' : `; routed by ${ruleText(match)}`;
  return {
    ...decision(question.id, judgement.allowed ? 'allow' : 'deny', judgement.status, `${judgement.because}${way}`),
    ...routed,
    policy: judgement.policy,
    rule: judgement.rule,
    path: withQuery(request),
    host: request.host,
    headers: changes,
    hints: judgement.hints,
  };
}

function explainConnection(
  mesh: MeshState,
  question: ExplainRequest,
  workload: Workload,
  target: CompiledPort | null,
): Decision {
  const serverName = question.connection.sni;
  const match = target?.streams?.match(serverName, clientOf(mesh, question), question.destination.ip) ?? null;
  const routed = match === null ? {} : { route: targetName(match.route) };
  if (target?.streams !== undefined && target.streams !== null && match === null) {
    return decision(question.id, 'deny', null, 'reset: no TLSRoute or TCPRoute of the Service takes this connection');
  }
  const picked = match === null ? null : pickWeighted(match.backends, () => 0);
  const backend = picked === null || picked.cluster === null ? null : `${picked.cluster.name}`;
  const judgement = explainPolicy(mesh, question, workload, null);
  return {
    ...decision(question.id, judgement.allowed ? 'allow' : 'deny', null, judgement.because),
    ...routed,
    policy: judgement.policy,
    rule: judgement.rule,
    backend,
    hints: judgement.hints,
  };
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
