/**
 * Step 4 of a request: which route, which endpoint, and whether the destination's policy lets it in. Pure decisions come
 * from mesh/; here they are put in order, and each way out has its status and reason.
 */
import { pickWeighted } from '../../mesh/balance.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { NamespacedName, PortProtocol } from '../../mesh/model.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { Choice, Flow } from './flow.ts';
import type { PeerFacts } from './peer-facts.ts';

/** `status` 0: forward to `peer`; else answer locally. One object per worker, overwritten by the next call. */
export interface RouteOutcome {
  status: number;
  reason: string;
  /** Envoy response flag for the metrics: NR no route, UH no healthy upstream, '-' none. */
  flags: string;
  peer: PeerFacts | null;
  /** What the endpoint is spoken to in: as its port declares, else as the client speaks. */
  speaks: 'http1' | 'http2' | 'same';
  routeName: string | null;
  policy: NamespacedName | null;
  requestEdits: HeaderEdits | null;
  responseEdits: HeaderEdits | null;
}

const outcome: RouteOutcome = {
  status: 0,
  reason: '',
  flags: '-',
  peer: null,
  speaks: 'same',
  routeName: null,
  policy: null,
  requestEdits: null,
  responseEdits: null,
};

/** Hot. The result is valid until the next call. */
export function routeRequest(flow: Flow, head: RequestView): RouteOutcome {
  outcome.status = 0;
  outcome.peer = null;
  outcome.policy = null;
  outcome.routeName = null;
  outcome.requestEdits = null;
  outcome.responseEdits = null;
  const routes = flow.routed?.routes ?? null;
  // The other node has translated already what comes from there.
  outcome.speaks = flow.direction === 'inbound' ? 'same' : spoken(flow.protocol, false);
  const choice = routes === null ? flow.choose() : chooseByRoute(flow, head, routes);
  if (choice === null) return outcome;
  if (!choice.ok) return answer(503, choice.reason, 'UH');
  outcome.peer = choice.peer;
  const authorization = flow.authorization(choice.peer);
  if (authorization === null) return outcome;
  const verdict = authorization.settled ?? authorization.request(head);
  if (verdict.allowed) return outcome;
  // What the log names: the policy that denied, or the ALLOW policies none of whose rules matched.
  outcome.policy = verdict.policy ?? verdict.allowPolicies.join(',');
  return answer(403, verdict.reason, '-');
}

type Routes = NonNullable<NonNullable<Flow['routed']>['routes']>;

/** null: `outcome` already has the answer. */
function chooseByRoute(flow: Flow, head: RequestView, routes: Routes): Choice | null {
  const match = routes.match(head);
  if (match === null) {
    answer(404, 'NO_ROUTE', 'NR');
    return null;
  }
  outcome.routeName = match.name;
  const backend = pickWeighted(match.backends, flow.context.random);
  if (backend === null || backend.cluster === null) {
    answer(500, 'NO_VALID_BACKEND', 'NC');
    return null;
  }
  outcome.speaks = spoken(backend.cluster.port.protocol, backend.cluster !== flow.routed?.cluster);
  outcome.requestEdits = backend.requestEdits;
  outcome.responseEdits = backend.responseEdits;
  return flow.chooseFrom(backend.cluster.endpoints);
}

/** @param elsewhere a route has chosen a port other than the one that was dialled, so the client's version says nothing about it */
function spoken(protocol: PortProtocol, elsewhere: boolean): RouteOutcome['speaks'] {
  if (protocol === 'http2' || protocol === 'grpc') return 'http2';
  return elsewhere && protocol === 'http' ? 'http1' : 'same';
}

function answer(status: number, reason: string, flags: string): RouteOutcome {
  outcome.status = status;
  outcome.reason = reason;
  outcome.flags = flags;
  return outcome;
}
