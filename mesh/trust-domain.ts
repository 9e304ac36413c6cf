/**
 * Trust domains of the mesh's own identities (MeshConfig `trustDomain`, `trustDomainAliases`). As in Istio a mesh that was renamed
 * goes on: peers of an alias count as the mesh's own, and principals written with an alias, or with `cluster.local`, mean
 * the mesh's own. Whoever has another trust domain is nobody's alias, be it called `cluster.local`.
 */
import type { Identity, MeshSettings } from './model.ts';

/** Istio's pointer to the mesh's own trust domain, whatever that is called. */
const OWN = 'cluster.local';

export interface TrustDomains {
  readonly own: string;
  readonly aliases: readonly string[];
}

/** Of a mesh that says nothing about it. */
export const DEFAULT_TRUST: TrustDomains = { own: OWN, aliases: [] };

export function trustOf(settings: Pick<MeshSettings, 'trustDomain' | 'trustDomainAliases'>): TrustDomains {
  return { own: settings.trustDomain, aliases: settings.trustDomainAliases };
}

export function sameTrust(left: TrustDomains, right: TrustDomains): boolean {
  return (
    left.own === right.own &&
    left.aliases.length === right.aliases.length &&
    left.aliases.every((alias, i) => alias === right.aliases[i])
  );
}

/** A peer's trust domain as comparablePrincipals() writes it: that of an alias becomes the mesh's own. */
export function comparableTrustDomain(identity: Identity, trust: TrustDomains): string {
  return trust.aliases.includes(identity.trustDomain) ? trust.own : identity.trustDomain;
}

/**
 * `principals` as a policy has them (exact, `prefix*`, `*suffix`, `*`), made so that they compare with a peer whose trust domain
 * comparableTrustDomain() has made comparable. A pattern that matches an alias matches the mesh's own trust domain too.
 */
export function comparablePrincipals(principals: readonly string[], trust: TrustDomains): readonly string[] {
  if (trust.aliases.length === 0 && trust.own === OWN) return principals;
  return [...new Set(principals.flatMap((principal) => spellings(principal, trust)))];
}

function spellings(principal: string, trust: TrustDomains): string[] {
  const slash = principal.indexOf('/');
  const domain = slash < 0 ? principal : principal.slice(0, slash);
  const rest = slash < 0 ? '' : principal.slice(slash);
  if (domain === '*') return [principal];
  const names = [OWN, ...trust.aliases];
  if (!domain.includes('*')) {
    return slash >= 0 && names.includes(domain) ? [`${trust.own}${rest}`] : [principal];
  }
  // `*.old/ns/a/sa/b` or `old*`: the trust domain is only in part said. What the pattern says otherwise stays.
  const isSuffix = domain.startsWith('*');
  if ((isSuffix && slash < 0) || rest.includes('*')) return [principal];
  const matched = names.some((name) =>
    isSuffix ? name.endsWith(domain.slice(1)) : name.startsWith(domain.slice(0, -1)),
  );
  if (!matched) return [principal];
  return [principal, slash < 0 ? `${trust.own}/*` : `${trust.own}${rest}`];
}
