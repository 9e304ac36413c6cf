/** The conformance runner's own judgement: what differs is found, whatever it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences, type PodAnswer, weightDifferences } from '../../../scripts/conformance/compare.ts';
import type { ConformanceCase, ExpectedRedirect } from '../../../scripts/conformance/corpus.ts';

const FORWARDED: ConformanceCase = {
  name: 'a rewrite',
  client: { version: 'v1', namespace: 'mesh' },
  request: { protocol: 'http', host: 'echo', method: 'GET', path: '/a', headers: {} },
  status: 200,
  responseHeaders: { 'X-Set': 'yes' },
  absentResponseHeaders: ['X-Gone'],
  backend: 'echo-v1',
  forwarded: { path: '/b', host: 'echo', headers: { 'X-Add': 'one,two' }, absentHeaders: ['X-Remove'] },
  redirect: null,
  weights: null,
};
const SEEN = { pod: 'echo-v1-7', address: '', path: '/b', host: 'echo', headers: { 'x-add': ['one', 'two'] } };
const GOOD = { status: 200, headers: { 'x-set': ['yes'] }, seen: SEEN };

test('an answer as expected has no difference; header lines and a list are the same', () => {
  assert.deepEqual(differences(FORWARDED, GOOD), []);
  assert.deepEqual(differences(FORWARDED, { ...GOOD, seen: { ...SEEN, headers: { 'x-add': ['one, two'] } } }), []);
});

test('each thing that can differ is named', () => {
  const rows: [PodAnswer, RegExp][] = [
    [{ error: 'ECONNRESET' }, /no answer: ECONNRESET/],
    [{ ...GOOD, status: 503 }, /status 503, expected 200/],
    [{ ...GOOD, headers: {} }, /response header X-Set is absent/],
    [{ ...GOOD, headers: { ...GOOD.headers, 'x-gone': ['here'] } }, /response header X-Gone is "here"/],
    [{ ...GOOD, seen: null }, /no backend answered/],
    [{ ...GOOD, seen: { ...SEEN, pod: 'echo-v2-7' } }, /answered by echo-v2-7/],
    [{ ...GOOD, seen: { ...SEEN, path: '/a' } }, /path "\/a", expected "\/b"/],
    [{ ...GOOD, seen: { ...SEEN, host: 'other' } }, /host "other", expected "echo"/],
    [{ ...GOOD, seen: { ...SEEN, headers: { 'x-add': ['two', 'one'] } } }, /X-Add: "two,one"/],
    [{ ...GOOD, seen: { ...SEEN, headers: { ...SEEN.headers, 'x-remove': ['1'] } } }, /X-Remove: "1", expected none/],
  ];
  for (const [answer, message] of rows) {
    const found = differences(FORWARDED, answer);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', message);
  }
});

test('a Location is compared whole: well-known ports are not written, a new scheme brings its own', () => {
  const none: ExpectedRedirect = { scheme: null, host: null, port: null, path: null };
  const rows: [string, Partial<ExpectedRedirect>, string][] = [
    ['echo', {}, 'http://echo/a'],
    ['echo:8080', {}, 'http://echo:8080/a'],
    ['echo', { scheme: 'https' }, 'https://echo/a'],
    ['echo', { port: '8083' }, 'http://echo:8083/a'],
    ['echo', { host: 'example.org', path: '/b' }, 'http://example.org/b'],
  ];
  for (const [host, redirect, location] of rows) {
    const expected = {
      ...FORWARDED,
      request: { ...FORWARDED.request, host },
      status: 302,
      responseHeaders: {},
      forwarded: null,
      redirect: { ...none, ...redirect },
    };
    const answer = (value: string): PodAnswer => ({ status: 302, headers: { location: [value] }, seen: null });
    assert.deepEqual(differences(expected, answer(location)), []);
    assert.match(differences(expected, answer(`${location}/`))[0] ?? '', /location is/);
  }
});

test('weights: within the tolerance or not, and no stray answers', () => {
  const answers = (v1: number, v2: number): PodAnswer[] => [
    ...Array.from({ length: v1 }, () => GOOD),
    ...Array.from({ length: v2 }, () => ({ ...GOOD, seen: { ...SEEN, pod: 'echo-v2-1' } })),
  ];
  const weights = { 'echo-v1': 0.7, 'echo-v2': 0.3 };
  assert.deepEqual(weightDifferences(weights, answers(340, 160)), []);
  assert.equal(weightDifferences(weights, answers(300, 200)).length, 2);
  assert.match(weightDifferences(weights, [...answers(350, 149), { error: 'reset' }])[0] ?? '', /answered by reset/);
});
