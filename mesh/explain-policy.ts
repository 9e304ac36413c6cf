/**
 * What the policies of a workload say of one request or connection, for `weir explain`, in the order in which agents ask:
 * NetworkPolicy, PeerAuthentication, RequestAuthentication, AuthorizationPolicy. Pure.
 */
import { type AuthorizationExplanation, describeFailure, explainAuthorization } from './authz-explain.ts';
import type { ConnectionFacts } from './authz.ts';
import type { ExplainRequest } from './explain-request.ts';
import { isExternalWorkload, isResolvedWorkload } from './external-services.ts';
import { describeNetworkVerdict } from './network-policy.ts';
import type { NamespacedName, Workload } from './model.ts';
import { describePeerAuthentication } from './peer-authentication.ts';
import type { PlainRequest } from './plain-request.ts';
import { judgeToken, type PresentedToken, type TokenDecision } from './request-authentication.ts';
import type { MeshState } from './state.ts';
import { describeVerdict } from './verdict.ts';

/** What policy says, and why. */
export interface Judgement {
  readonly allowed: boolean;
  /** For HTTP: 200, 401 or 403; null for a connection, and where the connection is refused before HTTP. */
  readonly status: number | null;
  readonly policy: NamespacedName | null;
  readonly rule: number | null;
  readonly because: string;
  /** What would have had to differ; empty when allowed. */
  readonly hints: readonly string[];
}

/** Hints of one decision: the rules that came nearest say most. */
const HINTS_MAX = 8;

/** @param request as it arrives at the workload; null: a connection without HTTP */
export function explainPolicy(
  mesh: MeshState,
  question: ExplainRequest,
  { workload, ip, port }: { readonly workload: Workload; readonly ip: string; readonly port: number },
  request: PlainRequest | null,
): Judgement {
  const network = networkJudgement(mesh, question, workload, ip, port, request);
  if (isExternalWorkload(workload.uid)) return network ?? outside(workload, ip, port, request);
  return (
    network ??
    peerJudgement(mesh, question, workload, port) ??
    requestJudgement(mesh, question, workload, ip, port, request)
  );
}

/**
 * null: it has nothing against it. A request to a Service is answered with 503, as when no endpoint can be connected to; any other
 * connection is reset before it carries a request.
 */
function networkJudgement(
  mesh: MeshState,
  { source, destination }: ExplainRequest,
  workload: Workload,
  ip: string,
  port: number,
  request: PlainRequest | null,
): Judgement | null {
  const status = request === null || destination.serviceHost === '' ? null : 503;
  const client = mesh.workloadByAddress(source.ip);
  if (client !== null) {
    const egress = mesh.networkPolicy(client).egress(client, workload, ip, port);
    if (!egress.allowed) return refused(status, describeNetworkVerdict(egress), egress.isolatedBy[0] ?? null);
  }
  const ingress = mesh.networkPolicy(workload).ingress(workload, port, client, source.ip);
  return ingress.allowed ? null : refused(status, describeNetworkVerdict(ingress), ingress.isolatedBy[0] ?? null);
}

/** What is outside the mesh has no policy of its own: nobody would enforce it there. */
function outside({ uid }: Workload, ip: string, port: number, request: PlainRequest | null): Judgement {
  const resolved = isResolvedWorkload(uid) ? ', which its name leads to now' : '';
  return {
    allowed: true,
    status: request === null ? null : 200,
    policy: null,
    rule: null,
    because: `allowed: the destination is outside the mesh, at ${ip.includes(':') ? `[${ip}]` : ip}:${port}${resolved}`,
    hints: [],
  };
}

function peerJudgement(
  mesh: MeshState,
  { connection }: ExplainRequest,
  workload: Workload,
  port: number,
): Judgement | null {
  if (connection.tls === 'mtls') return null;
  const decision = mesh.peerAuthentication(workload).forPort(port);
  if (decision.mode !== 'STRICT') return null;
  const told = describePeerAuthentication(decision, workload, port);
  return {
    ...refused(null, `denied: plaintext, and ${told} (agents do not enforce this yet)`, decision.policy),
    hints: ['connection.tls: is none, wanted mtls'],
  };
}

function requestJudgement(
  mesh: MeshState,
  question: ExplainRequest,
  workload: Workload,
  ip: string,
  port: number,
  request: PlainRequest | null,
): Judgement {
  const token = request === null ? null : tokenOf(mesh, question, workload, port);
  if (token !== null && !token.ok) return refused(401, `denied: ${token.detail}`, null);
  const view = request === null ? null : request.withClaims(token?.ok === true ? token.claims : null);
  const facts: ConnectionFacts = {
    identity: question.source.identity,
    sourceIp: question.source.ip,
    remoteIp: question.source.remoteIp,
    serverName: question.connection.sni ?? '',
    destinationIp: ip,
    destinationPort: port,
  };
  const authorization = mesh.authorization(workload, port);
  const bound = authorization.bind(facts);
  const verdict = view === null ? bound.connection() : bound.request(view);
  const status = request === null ? null : verdict.allowed ? 200 : 403;
  return {
    allowed: verdict.allowed,
    status,
    policy: verdict.policy,
    rule: verdict.rule < 0 ? null : verdict.rule,
    because: describeVerdict(verdict),
    hints: verdict.allowed ? [] : hintsOf(explainAuthorization(authorization, facts, view)),
  };
}

function tokenOf(mesh: MeshState, { http }: ExplainRequest, workload: Workload, port: number): TokenDecision {
  const rules = mesh.requestAuthentication(workload).rulesFor(port);
  return judgeToken(rules, presented(http?.jwt ?? null));
}

function presented(jwt: NonNullable<ExplainRequest['http']>['jwt']): PresentedToken {
  if (jwt === null) return { kind: 'none' };
  if ('claims' in jwt) return { kind: 'verified', claims: jwt.claims };
  return {
    kind: 'unverifiable',
    detail: 'weir does not verify tokens yet; give {"claims": {…}} to ask what a good one would do',
  };
}

function refused(status: number | null, because: string, policy: NamespacedName | null): Judgement {
  return { allowed: false, status, policy, rule: null, because, hints: [] };
}

/** What the ALLOW rules wanted that was not there, or which DENY rule matched. */
function hintsOf({ policies, verdict }: AuthorizationExplanation): readonly string[] {
  if (verdict.cause !== 'no-allow-rule-matched') return [];
  const hints: string[] = [];
  for (const { policy, action, enforced, rules } of policies) {
    if (action !== 'ALLOW' || !enforced) continue;
    if (rules.length === 0) hints.push(`${policy} has no rules, so it allows nothing`);
    for (const rule of rules) {
      const told = rule.failures.map(describeFailure).join(', or ');
      hints.push(`${policy} rule ${rule.index}: ${told}`);
      if (hints.length >= HINTS_MAX) return hints;
    }
  }
  return hints;
}
