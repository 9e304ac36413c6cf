/** What authorization saw of a connection and a request, in the form in which explanations compare and show it. */
import type { ConnectionFacts } from './authz.ts';
import type { RequestView } from './request.ts';
import { comparableTrustDomain, type TrustDomains } from './trust-domain.ts';

/** The first clause of a rule's entry that does not hold. */
export interface ClauseFailure {
  /** Where it is written: `from[0].source.principals`, `to[0].operation.notPaths`, `when[1].values`. */
  readonly field: string;
  /** What was there, for people. */
  readonly saw: string;
  /** As the policy has them: one of these was wanted, or, when `negated`, none. */
  readonly wanted: readonly string[];
  readonly negated: boolean;
}

/** `from[0].source.principals: is cluster.local/ns/a/sa/b, wanted cluster.local/ns/b/*` */
export function describeFailure({ field, saw, wanted, negated }: ClauseFailure): string {
  return `${field}: is ${saw}, wanted ${negated ? 'anything but ' : ''}${wanted.join(' or ')}`;
}

export interface Seen {
  readonly connection: ConnectionFacts;
  /** null: no HTTP. */
  readonly view: RequestView | null;
  readonly trust: TrustDomains;
  /** '' each where there is no identity. */
  readonly principal: string;
  readonly namespace: string;
  /** `namespace/serviceAccount` */
  readonly serviceAccount: string;
}

/** Gathers what the clauses of all rules ask for. */
export function seenOf(connection: ConnectionFacts, view: RequestView | null, trust: TrustDomains): Seen {
  const { identity } = connection;
  if (identity === null) return { connection, view, trust, principal: '', namespace: '', serviceAccount: '' };
  const { namespace, serviceAccount } = identity;
  return {
    connection,
    view,
    trust,
    principal: `${comparableTrustDomain(identity, trust)}/ns/${namespace}/sa/${serviceAccount}`,
    namespace,
    serviceAccount: `${namespace}/${serviceAccount}`,
  };
}
