/**
 * Texts that are to be key sets: whatever they are, an answer comes; what is accepted has a public key of an asymmetric algorithm,
 * and nothing secret in it. FUZZ_RUNS: cases per property.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { JWKS_LENGTH_MAX, jwksRefusal } from '../../mesh/jwks.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 500);
const CORPUS = new URL('./corpus/jwks/', import.meta.url);

function examine(text: string): void {
  const refusal = jwksRefusal(text);
  if (refusal !== null) {
    assert.ok(refusal.length > 0 && refusal.length < 200, refusal);
    return;
  }
  assert.ok(text.length <= JWKS_LENGTH_MAX);
  const { keys } = JSON.parse(text) as { readonly keys: readonly Readonly<Record<string, unknown>>[] };
  assert.ok(keys.some(({ kty, n, x }) => typeof kty === 'string' && typeof (n ?? x) === 'string'));
  for (const key of keys) {
    assert.notEqual(key['kty'], 'oct');
    assert.equal(key['d'], undefined);
  }
}

const part = fc.constantFrom<unknown>(
  'AQAB',
  'sig',
  'enc',
  'RSA',
  'EC',
  'OKP',
  'oct',
  'RS256',
  'HS256',
  'none',
  'P-256',
  'Ed25519',
  '',
  '=',
  1,
  null,
  {},
);
const key = fc.dictionary(fc.constantFrom('kty', 'use', 'alg', 'crv', 'n', 'e', 'x', 'y', 'd', 'k', '__proto__'), part);
const keySet = fc.oneof(
  fc.string(),
  fc.json(),
  fc.record({ keys: fc.array(fc.oneof(key, part), { maxLength: 70 }) }).map((set) => JSON.stringify(set)),
);

test('any text is refused or a set of public keys', () => {
  fc.assert(
    fc.property(keySet, (text) => examine(text)),
    { numRuns },
  );
});

test('deep and huge texts are refused', () => {
  for (const text of [
    '['.repeat(60_000),
    `{"keys":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
    '{"keys":'.repeat(8_000),
  ]) {
    assert.notEqual(jwksRefusal(text), null);
  }
  assert.match(jwksRefusal(`{"keys":[${'{"kty":"EC"},'.repeat(1_000_000)}{}]}`) ?? '', /longer than 65536/);
});

for (const file of readdirSync(CORPUS)) {
  test(`corpus: ${file}`, () => examine(readFileSync(new URL(file, CORPUS), 'utf8')));
}
