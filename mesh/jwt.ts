/**
 * What a verified JSON Web Token says (RFC 7519), as policy reads it: Istio's `request.auth` attributes. Nothing here verifies a
 * token, and nothing here looks at `exp` or `nbf`: whoever hands out claims has done both.
 */

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** The payload of a verified token. */
export type JwtClaims = { readonly [claim: string]: JsonValue };

/** Claims that are lists written as one text, with spaces between (RFC 8693 section 4.2; Istio splits these two). */
const SPACE_DELIMITED: ReadonlySet<string> = new Set(['scope', 'permission']);

/** `issuer/subject`; '' unless the token has both. */
export function requestPrincipal(claims: JwtClaims | null): string {
  const issuer = claims === null ? undefined : own(claims, 'iss');
  const subject = claims === null ? undefined : own(claims, 'sub');
  if (typeof issuer !== 'string' || typeof subject !== 'string' || issuer === '' || subject === '') return '';
  return `${issuer}/${subject}`;
}

/**
 * The texts of a claim by its path: a string is one text, a list of strings several; whatever else (numbers, objects, lists of
 * other things) has none, as in Istio.
 */
export function claimTexts(claims: JwtClaims | null, path: readonly string[]): readonly string[] {
  let at: JsonValue | undefined = claims ?? undefined;
  for (const name of path) {
    if (at === undefined || at === null || typeof at !== 'object' || Array.isArray(at)) return [];
    at = own(at as JwtClaims, name);
  }
  if (typeof at === 'string') {
    return path.length === 1 && SPACE_DELIMITED.has(path[0] as string) ? at.split(' ').filter(Boolean) : [at];
  }
  return Array.isArray(at) ? at.filter((item) => typeof item === 'string') : [];
}

/** A claim's own value, never what every object inherits. */
function own(claims: JwtClaims, name: string): JsonValue | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}
