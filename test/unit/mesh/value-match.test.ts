/** Header and query values: exact, and RE2 over the whole value, with the literal shortcuts agreeing with the engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { queryParameter } from '../../../mesh/query.ts';
import { allowExpressions, EXPRESSION_STEPS_MAX, expressionsExceeded } from '../../../mesh/expression-budget.ts';
import { compileValueMatch, regexRefusal } from '../../../mesh/value-match.ts';

test('exact compares the whole value', () => {
  const match = compileValueMatch('exact', '.*');
  assert.equal(match.test('.*'), true);
  assert.equal(match.test('anything'), false);
});

for (const [pattern, value, expected] of [
  ['.*Firefox.*', 'Mozilla/5.0 Firefox/115.0', true],
  ['.*Firefox.*', 'Mozilla/5.0 Chrome', false],
  ['Firefox', 'Mozilla Firefox', false],
  ['Firefox.*', 'Mozilla Firefox', false],
  ['.*fox', 'Firefox', true],
  ['(?i).*firefox.*', 'FIREFOX', true],
  ['v[12]', 'v2', true],
  ['v[12]', 'v23', false],
  ['', '', true],
  ['', 'x', false],
  ['.*', '', true],
  ['a|b', 'b', true],
] as const) {
  test(`${JSON.stringify(pattern)} on ${JSON.stringify(value)} is ${expected}`, () => {
    assert.equal(compileValueMatch('regex', pattern).test(value), expected);
  });
}

test('the literal shortcuts agree with the engine', () => {
  const literal = fc.stringMatching(/^[ab,-]{0,4}$/);
  const value = fc.stringMatching(/^[ab,\n-]{0,8}$/);
  fc.assert(
    fc.property(
      fc.constantFrom('', '.*'),
      literal,
      fc.constantFrom('', '.*'),
      value,
      (before, text, after, candidate) => {
        const pattern = before + text + after;
        assert.equal(compileValueMatch('regex', pattern).test(candidate), RE2JS.compile(pattern).matches(candidate));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('what cannot be matched in linear time or is too large is refused with its reason', () => {
  assert.equal(regexRefusal('[a-z]+'), null);
  assert.match(regexRefusal('(a)\\1') ?? '', /not an RE2 expression/);
  assert.match(regexRefusal('(?=a)') ?? '', /not an RE2 expression/);
  assert.match(regexRefusal('(a{1,1000}b{1,1000}){1}') ?? '', /steps per character|not an RE2 expression/);
});

test('the first parameter of a name, decoded', () => {
  assert.equal(queryParameter('a=1&b=x%20y&b=2', 'b'), 'x y');
  assert.equal(queryParameter('a', 'a'), '');
  assert.equal(queryParameter('a=1', 'b'), undefined);
  assert.equal(queryParameter('', ''), undefined);
});

test('an expression of the largest size is not compared with what takes longer than a request may', () => {
  const costly = compileValueMatch('regex', `(?:a?){300}b(?:a|b){300}`);
  allowExpressions();
  assert.equal(costly.test('a'.repeat(100)), false);
  assert.equal(expressionsExceeded(), false);
  const start = performance.now();
  assert.equal(costly.test('a'.repeat(40_960)), false);
  assert.ok(performance.now() - start < 5);
  assert.equal(expressionsExceeded(), true);
  assert.equal(compileValueMatch('regex', 'v[12]').test('v1'), false, 'nothing is compared any more');
  allowExpressions();
  assert.equal(compileValueMatch('regex', 'v[12]').test('v1'), true);
});

test('many cheap expressions together are bounded as one costly one is', () => {
  const cheap = compileValueMatch('regex', 'v[12]+');
  allowExpressions();
  let compared = 0;
  for (; !expressionsExceeded(); compared++) cheap.test('v'.repeat(10_000));
  assert.ok(compared > 10 && compared < EXPRESSION_STEPS_MAX / 10_000);
});
