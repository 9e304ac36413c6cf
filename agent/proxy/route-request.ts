/**
 * Step 4 of a request: which route, what it does by itself, which endpoint, and whether the destination's policy lets in what will be
 * forwarded. Pure decisions come from mesh/; here they are put in order, and each way out has its status and reason.
 */
import { pickWeighted } from '../../mesh/balance.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { NamespacedName, PortProtocol } from '../../mesh/model.ts';
import type { RequestView } from '../../mesh/request.ts';
import { corsResponseHeaders } from '../../mesh/cors.ts';
import type { CompiledPort } from '../../mesh/destination.ts';
import { expressionsExceeded } from '../../mesh/expression-budget.ts';
import { normalisePath } from '../../mesh/path.ts';
import { rewrittenPath } from '../../mesh/path-rewrite.ts';
import type { RouteActions } from '../../mesh/route-actions.ts';
import type { NameValue } from '../../mesh/route-model.ts';
import type { RouteMatch, RouteTable, WeightedCluster } from '../../mesh/route-table.ts';
import type { Choice, Flow } from './flow.ts';
import { ForwardedView } from './forwarded-view.ts';
import { type ConfiguredAnswer, NO_HEADERS } from './local-response.ts';
import { NETWORK_POLICY_DENIED } from './network-policy.ts';
import type { PeerFacts } from './peer-facts.ts';
import { abortOf, answerOf, delayOf } from './route-answers.ts';

/** A request that has just come. */
export const FIRST = 0;
/** One that an injected delay has held back: it is not delayed again. */
export const DELAYED = 1;
/** One that is sent again: no fault is injected into it any more. */
export const AGAIN = 2;
export type Stage = typeof FIRST | typeof DELAYED | typeof AGAIN;

/**
 * `delayMs` > 0: nothing is decided; ask again after that. `status` 0: forward to `peer`; else answer locally. One object per worker,
 * overwritten by the next call.
 */
export interface RouteOutcome {
  delayMs: number;
  status: number;
  reason: string;
  /** Envoy response flag for the metrics: NR no route, UH no healthy upstream, FI fault injected, '-' none. */
  flags: string;
  /** With a status: what the route itself answers; null: a refusal. */
  answer: ConfiguredAnswer | null;
  peer: PeerFacts | null;
  /** What the endpoint is spoken to in: as its port declares, else as the client speaks. */
  speaks: 'http1' | 'http2' | 'same';
  routeName: string | null;
  policy: NamespacedName | null;
  /** The path to forward, in normal form and without query, when the route rewrites it; null: as it came, normalised. */
  path: string | null;
  requestEdits: HeaderEdits | null;
  responseEdits: HeaderEdits | null;
  /** null: plain forwarding. */
  actions: RouteActions | null;
  /** What CORS adds to whatever is answered. */
  corsHeaders: readonly NameValue[];
}

const outcome: RouteOutcome = {
  delayMs: 0,
  status: 0,
  reason: '',
  flags: '-',
  answer: null,
  peer: null,
  speaks: 'same',
  routeName: null,
  policy: null,
  path: null,
  requestEdits: null,
  responseEdits: null,
  actions: null,
  corsHeaders: NO_HEADERS,
};

const forwarded = new ForwardedView();

/** Why nobody was chosen. */
const STATUS: Readonly<Record<Extract<Choice, { ok: false }>['reason'], number>> = {
  NO_HEALTHY_UPSTREAM: 503,
  NO_ROUTE: 503,
  NO_VALID_BACKEND: 503,
  // As Istio's BlackHoleCluster answers.
  NOT_IN_REGISTRY: 502,
};

/** Hot. The result is valid until the next call. */
export function routeRequest(flow: Flow, head: RequestView, stage: Stage): RouteOutcome {
  outcome.delayMs = 0;
  outcome.status = 0;
  outcome.answer = null;
  outcome.peer = null;
  outcome.policy = null;
  outcome.routeName = null;
  outcome.path = null;
  outcome.requestEdits = null;
  outcome.responseEdits = null;
  outcome.actions = null;
  outcome.corsHeaders = NO_HEADERS;
  const target = flow.routed ?? (flow.isUnknown ? flow.routedByName(head.host) : null);
  // The other node has translated already what comes from there.
  outcome.speaks = flow.direction === 'inbound' ? 'same' : spoken(flow.protocol, false);
  const choice = target === null ? flow.choose() : chooseByRoute(flow, head, target, stage);
  if (choice === null) return outcome;
  if (!choice.ok) return refuse(STATUS[choice.reason], choice.reason, 'UH');
  const { peer } = choice;
  outcome.peer = peer;
  const authorization = flow.authorization(peer);
  if (authorization === null) return outcome;
  const isEdited = outcome.path !== null || outcome.requestEdits !== null;
  const request = isEdited ? forwarded.of(head, outcome.path, outcome.requestEdits) : head;
  const verdict = authorization.settled ?? authorization.request(request);
  if (verdict.allowed) return outcome;
  // What the log names: the policy that denied, or the ALLOW policies none of whose rules matched.
  outcome.policy = verdict.policy ?? verdict.allowPolicies.join(',');
  return verdict.reason === NETWORK_POLICY_DENIED
    ? refuse(503, NETWORK_POLICY_DENIED, 'UF')
    : refuse(403, verdict.reason, '-');
}

/** null: `outcome` already has the answer. */
function chooseByRoute(flow: Flow, head: RequestView, target: CompiledPort, stage: Stage): Choice | null {
  const { routes } = target;
  if (routes === null) return flow.chooseByPort(target);
  const choice = chooseAmong(routes, flow, head, target, stage);
  return expressionsExceeded() ? expressionLimit(flow) : choice;
}

function chooseAmong(
  routes: RouteTable,
  flow: Flow,
  head: RequestView,
  target: CompiledPort,
  stage: Stage,
): Choice | null {
  const match = routes.match(head, flow.routeClient);
  if (match === null) {
    if (!routes.concerns(flow.routeClient)) return flow.chooseByPort(target);
    refuse(404, 'NO_ROUTE', 'NR');
    return null;
  }
  outcome.routeName = match.name;
  if (match.actions !== null && !proceeds(flow, head, match, match.actions, stage)) return null;
  const backend = pickWeighted(match.backends, flow.context.random);
  if (backend === null || backend.cluster === null) {
    refuse(500, 'NO_VALID_BACKEND', 'NC');
    return null;
  }
  outcome.speaks = spoken(backend.cluster.port.protocol, backend.cluster !== target.cluster);
  outcome.requestEdits = backend.requestEdits;
  outcome.responseEdits = backend.responseEdits;
  if (backend.rewrite !== null) rewrite(flow, backend, match, head);
  return flow.chooseFrom(backend.cluster, target.cluster);
}

/** Whether the request goes on to a backend; else `outcome` says what becomes of it. */
function proceeds(flow: Flow, head: RequestView, match: RouteMatch, actions: RouteActions, stage: Stage): boolean {
  const { random } = flow.context;
  outcome.actions = actions;
  if (actions.cors !== null) {
    const origin = head.header('origin');
    if (origin !== undefined) outcome.corsHeaders = corsResponseHeaders(actions.cors, origin);
  }
  if (stage === FIRST) {
    outcome.delayMs = delayOf(actions, random);
    if (outcome.delayMs > 0) return false;
  }
  const abort = stage === AGAIN ? null : abortOf(actions, random);
  const answer = abort ?? answerOf(match, actions, head, flow.original.port);
  if (answer === null) return true;
  // A preflight's answer says it all by itself.
  if (answer.headers.some(({ name }) => name === 'access-control-allow-origin')) outcome.corsHeaders = NO_HEADERS;
  outcome.answer = answer;
  outcome.status = answer.status;
  outcome.reason = answer.reason ?? '';
  outcome.flags = abort === null ? '-' : 'FI';
  return false;
}

/** Edits of backends that rewrite the host, which is one of the edits to everybody else. */
const editsWithHost = new WeakMap<WeightedCluster, HeaderEdits>();

function rewrite(flow: Flow, backend: WeightedCluster, match: RouteMatch, head: RequestView): void {
  const { rewrite: wanted, requestEdits } = backend;
  if (wanted === null) return;
  if (wanted.host !== null) {
    let edits = editsWithHost.get(backend);
    if (edits === undefined) {
      edits = { ...(requestEdits ?? { set: [], add: [], remove: [] }), host: wanted.host };
      editsWithHost.set(backend, edits);
    }
    outcome.requestEdits = edits;
  }
  // OPTIONS * and CONNECT have no path to rewrite.
  if (wanted.path === null || head.path.charCodeAt(0) !== SLASH) return;
  const path = rewrittenPath(wanted, match.matched, head.path);
  if (path === head.path) return;
  // What is no path under the mesh's own mode is left as it is, and refused where it would be written.
  const normal = normalisePath(path, flow.context.pathNormalization);
  outcome.path = normal.ok ? normal.path : path;
}

const SLASH = 0x2f;

/** @param elsewhere a route has chosen a port other than the one that was dialled, so the client's version says nothing about it */
export function spoken(protocol: PortProtocol, elsewhere: boolean): RouteOutcome['speaks'] {
  if (protocol === 'http2' || protocol === 'grpc') return 'http2';
  return elsewhere && protocol === 'http' ? 'http1' : 'same';
}

/** Of what was looked for with expressions nothing is known: neither route nor answer nor path is good. */
function expressionLimit(flow: Flow): null {
  flow.context.bounds.event('expression_steps');
  outcome.delayMs = 0;
  outcome.answer = null;
  outcome.actions = null;
  outcome.corsHeaders = NO_HEADERS;
  refuse(431, 'EXPRESSION_LIMIT', '-');
  return null;
}

function refuse(status: number, reason: string, flags: string): RouteOutcome {
  outcome.status = status;
  outcome.reason = reason;
  outcome.flags = flags;
  return outcome;
}
