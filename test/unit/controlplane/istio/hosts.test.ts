/** Hosts as text: names made whole, wildcards, visibility. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  hostsOverlap,
  hostWithin,
  serviceOfHost,
  visibleTo,
  wholeHost,
} from '../../../../controlplane/config/istio/hosts.ts';

test('a name without a dot is a Service of the namespace, the rest stays in lower case', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['reviews', 'reviews.prod.svc.cluster.local'],
    ['Reviews', 'reviews.prod.svc.cluster.local'],
    ['reviews.test', 'reviews.test'],
    ['reviews.test.svc', 'reviews.test.svc.cluster.local'],
    ['reviews.test.svc.cluster.local', 'reviews.test.svc.cluster.local'],
    ['api.Example.com', 'api.example.com'],
    ['*.example.com', '*.example.com'],
    ['*', '*'],
    ['10.0.0.1', '10.0.0.1'],
    ['fd00::1', 'fd00::1'],
  ];
  for (const [written, whole] of rows) assert.equal(wholeHost(written, 'prod'), whole, written);
});

test('the Service of a host', () => {
  assert.deepEqual(serviceOfHost('a.b.svc.cluster.local'), { name: 'a', namespace: 'b' });
  assert.deepEqual(serviceOfHost('a.b'), { name: 'a', namespace: 'b' });
  for (const host of ['a', 'a.b.c', '*.b.svc.cluster.local', 'a.b.c.svc.cluster.local', '*']) {
    assert.equal(serviceOfHost(host), null, host);
  }
});

test('hosts within wildcards', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['a.example.com', '*.example.com', true],
    ['a.b.example.com', '*.example.com', true],
    ['*.b.example.com', '*.example.com', true],
    ['*.example.com', '*.example.com', true],
    ['example.com', '*.example.com', false],
    ['badexample.com', '*.example.com', false],
    ['*.example.com', 'a.example.com', false],
    ['a.example.com', '*', true],
    ['a', 'b', false],
  ];
  for (const [inner, outer, within] of rows) assert.equal(hostWithin(inner, outer), within, `${inner} ${outer}`);
  assert.ok(hostsOverlap('*.com', 'a.com'));
  assert.ok(!hostsOverlap('*.a.com', '*.b.com'));
});

test('being within is reflexive and transitive', () => {
  const label = fc.constantFrom('a', 'b', 'c');
  const host = fc
    .tuple(fc.boolean(), fc.array(label, { minLength: 1, maxLength: 3 }))
    .map(([wildcard, labels]) => `${wildcard ? '*.' : ''}${labels.join('.')}`);
  fc.assert(
    fc.property(host, host, host, (a, b, c) => {
      assert.ok(hostWithin(a, a));
      if (hostWithin(a, b) && hostWithin(b, c)) assert.ok(hostWithin(a, c));
    }),
  );
});

test('who sees what is exported', () => {
  const rows: readonly (readonly [readonly string[], readonly string[], boolean])[] = [
    [['*'], ['a'], true],
    [['a'], ['a', 'b'], true],
    [['a'], ['b'], false],
    [['a'], ['*'], true],
    [[], ['*'], false],
    [[], ['a'], false],
  ];
  for (const [exportTo, clients, seen] of rows) assert.equal(visibleTo(exportTo, clients), seen);
});
