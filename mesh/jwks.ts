/**
 * JSON Web Key Sets (RFC 7517) that are to verify tokens: public keys of asymmetric algorithms only. With a symmetric key
 * everybody who can verify a token can also make one, and a private key has no business in a configuration.
 */

/** UTF-16 units of a key set: 64 keys of 1,000 each. */
export const JWKS_LENGTH_MAX = 65_536;
/** Keys in one set; issuers publish the current one and a few before it. */
const KEYS_MAX = 64;

/** RFC 7518 section 6, RFC 8037 section 2: what a public key of that type must have. */
const PUBLIC_PARTS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['n', 'e'],
  EC: ['crv', 'x', 'y'],
  OKP: ['crv', 'x'],
};
const CURVES: Readonly<Record<string, readonly string[]>> = {
  EC: ['P-256', 'P-384', 'P-521'],
  OKP: ['Ed25519'],
};
/** RFC 7518 section 3.1, RFC 8037 section 3.1. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

type Json = Readonly<Record<string, unknown>>;

/** Why a text cannot be used as a key set, to stand behind its field, or null when it can. Never throws. */
export function jwksRefusal(text: string): string | null {
  if (text.length > JWKS_LENGTH_MAX) return `is longer than ${JWKS_LENGTH_MAX} characters`;
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    // The cause would quote the keys; where it stands is all that helps.
    return 'is not JSON: write {"keys": [...]} as your issuer publishes it';
  }
  const keys = isObject(set) ? set['keys'] : null;
  if (!Array.isArray(keys)) return 'has no list "keys": write {"keys": [...]} as your issuer publishes it';
  if (keys.length > KEYS_MAX) return `has ${keys.length} keys, at most ${KEYS_MAX} are allowed`;
  let usable = 0;
  for (const [index, key] of keys.entries()) {
    const refusal = isObject(key) ? keyRefusal(key) : 'is not an object';
    if (refusal !== null) return `keys[${index}] ${refusal}`;
    if (verifies(key as Json)) usable += 1;
  }
  return usable > 0 ? null : 'has no key that can verify a signature: add an RSA, EC or Ed25519 public key';
}

function keyRefusal(key: Json): string | null {
  const { alg } = key;
  if (key['kty'] === 'oct' || (typeof alg === 'string' && alg.startsWith('HS')))
    return 'is symmetric: use a key pair (RS256, ES256, EdDSA) and write its public key';
  if (key['d'] !== undefined) return 'is a private key: keep it secret and write its public key';
  return null;
}

/** Keys for encryption, and of types that are not known, are none of ours (RFC 7517 section 5). */
function verifies(key: Json): boolean {
  const { kty, use, alg, crv } = key;
  if (typeof kty !== 'string' || !Object.hasOwn(PUBLIC_PARTS, kty)) return false;
  if (use !== undefined && use !== 'sig') return false;
  if (alg !== undefined && !isOneOf(ALGORITHMS, alg)) return false;
  const curves = Object.hasOwn(CURVES, kty) ? CURVES[kty] : undefined;
  if (curves !== undefined && !isOneOf(curves, crv)) return false;
  return (PUBLIC_PARTS[kty] ?? []).every((part) => typeof key[part] === 'string' && /^[-\w]+$/.test(key[part]));
}

function isOneOf(values: readonly string[], value: unknown): boolean {
  return typeof value === 'string' && values.includes(value);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
