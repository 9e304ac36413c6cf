import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Cluster } from '../../../mesh/cluster.ts';
import type { BackendTarget, HttpRoute, HttpRouteMatch, PathMatch } from '../../../mesh/route-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { type ClusterLookup, type RouteMatch, RouteTable } from '../../../mesh/route-table.ts';
import { backend, clusterNamed, request, route, routeMatch, routeRule, type WrittenMatch } from './resources.ts';

const noCluster = (): null => null;
const CLIENT = { namespace: 'shop', labels: {} };

/** As pods of the namespace shop see it, on port 80. */
function tableFor(
  routes: readonly HttpRoute[],
  clusterOf: ClusterLookup,
): { match(request: RequestView): RouteMatch | null } {
  const table = new RouteTable(routes, 80, clusterOf);
  return { match: (request) => table.match(request, CLIENT) };
}

/** One route per match, named by its index, so that the matched route tells which match won. */
function tableOf(...matches: WrittenMatch[]): ReturnType<typeof tableFor> {
  const rules = matches.map((match, i) => routeRule({ name: `m${i}`, matches: [routeMatch(match)] }));
  return tableFor([route({ name: 'r', rules })], noCluster);
}

const exact = (value: string): PathMatch => ({ type: 'exact', value, ignoreCase: false });
const prefix = (value: string): PathMatch => ({ type: 'prefix', value, ignoreCase: false });
const header = (name: string, value: string) => ({ name, type: 'exact' as const, value, invert: false });

describe('RouteTable paths', () => {
  const rows: [string, string, boolean][] = [
    ['/', '/', true],
    ['/', '/anything', true],
    ['/', '*', true],
    ['/foo', '/foo', true],
    ['/foo', '/foo/', true],
    ['/foo', '/foo/bar', true],
    ['/foo', '/foobar', false],
    ['/foo', '/fo', false],
    ['/foo', '/Foo', false],
    ['/foo', '/', false],
    ['/foo', '*', false],
    ['/foo/', '/foo', true],
    ['/foo/', '/foo/bar', true],
    ['/foo/', '/foobar', false],
    ['/foo/bar', '/foo/barbaz', false],
    ['/foo/bar', '/foo/bar/', true],
  ];
  for (const [value, path, expected] of rows) {
    it(`prefix ${value} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(tableOf({ path: prefix(value) }).match(request({ path })) !== null, expected);
    });
  }
  it('exact means exact', () => {
    const table = tableOf({ path: exact('/foo') });
    assert.ok(table.match(request({ path: '/foo' })));
    for (const path of ['/foo/', '/foo/bar', '/Foo', '/', '/foobar'])
      assert.equal(table.match(request({ path })), null);
  });
});

describe('RouteTable predicates', () => {
  it('methods are case-sensitive', () => {
    const table = tableOf({ method: 'GET' });
    assert.ok(table.match(request({ method: 'GET' })));
    assert.equal(table.match(request({ method: 'get' })), null);
  });

  it('header names ignore case, values do not', () => {
    const table = tableOf({ headers: [header('X-Version', 'two')] });
    assert.ok(table.match(request({ headers: [['x-version', 'two']] })));
    for (const value of ['Two', 'two ', 'twofold', '']) {
      assert.equal(table.match(request({ headers: [['x-version', value]] })), null);
    }
    assert.equal(table.match(request()), null);
  });

  it('a repeated header matches by the joined value and by each value', () => {
    const fields: [string, string][] = [
      ['x', 'a'],
      ['x', 'b'],
    ];
    for (const [value, expected] of [
      ['a', true],
      ['b', true],
      ['a, b', true],
      ['ab', false],
      ['', false],
    ] as const) {
      assert.equal(
        tableOf({ headers: [header('x', value)] }).match(request({ headers: fields })) !== null,
        expected,
        value,
      );
    }
  });

  it('of two matches on one header name the first counts', () => {
    const table = tableOf({ headers: [header('x', 'a'), header('X', 'b')] });
    assert.ok(table.match(request({ headers: [['x', 'a']] })));
    assert.equal(table.match(request({ headers: [['x', 'b']] })), null);
  });

  it('query parameters match by name and value', () => {
    const table = tableOf({ queryParams: [header('animal', 'whale'), header('n', '1')] });
    assert.ok(table.match(request({ query: 'n=1&animal=whale' })));
    assert.equal(table.match(request({ query: 'animal=whale' })), null);
    assert.equal(table.match(request({ query: 'animal=dolphin&n=1' })), null);
  });

  it('matches of a rule are OR-ed, fields of a match AND-ed, no match at all matches everything', () => {
    const rules = [
      routeRule({ matches: [routeMatch({ method: 'GET', path: exact('/a') }), routeMatch({ method: 'PUT' })] }),
    ];
    const table = tableFor([route({ name: 'r', rules })], noCluster);
    assert.ok(table.match(request({ path: '/a' })));
    assert.ok(table.match(request({ path: '/b', method: 'PUT' })));
    assert.equal(table.match(request({ path: '/b' })), null);
    assert.ok(
      tableFor([route({ name: 'r', rules: [routeRule()] })], noCluster).match(request({ path: '/x', method: 'BREW' })),
    );
  });

  it('no rule, no match', () => assert.equal(tableFor([route({ name: 'r' })], noCluster).match(request()), null));
});

describe('RouteTable precedence (HTTPRouteMatch)', () => {
  const steps: [string, WrittenMatch, WrittenMatch][] = [
    [
      'exact path beats everything else',
      { path: exact('/a/b') },
      { path: prefix('/a'), method: 'GET', headers: [header('x', '1')] },
    ],
    ['the longer prefix beats method', { path: prefix('/a/b') }, { path: prefix('/a'), method: 'GET' }],
    ['method beats headers', { method: 'GET' }, { headers: [header('x', '1'), header('y', '2')] }],
    [
      'more headers beat query parameters',
      { headers: [header('x', '1')] },
      { queryParams: [header('q', '1'), header('p', '2')] },
    ],
    ['more headers win', { headers: [header('x', '1'), header('y', '2')] }, { headers: [header('x', '1')] }],
    [
      'more query parameters win',
      { queryParams: [header('q', '1'), header('p', '2')] },
      { queryParams: [header('q', '1')] },
    ],
  ];
  const asked = request({
    path: '/a/b',
    query: 'q=1&p=2',
    headers: [
      ['x', '1'],
      ['y', '2'],
    ],
  });
  for (const [name, winner, loser] of steps) {
    it(`${name}, wherever it stands`, () => {
      assert.equal(tableOf(winner, loser).match(asked)?.rule.name, 'm0');
      assert.equal(tableOf(loser, winner).match(asked)?.rule.name, 'm1');
    });
  }

  it('a repeated header name does not add weight', () => {
    assert.equal(
      tableOf({ headers: [header('y', '2')] }, { headers: [header('x', '1'), header('X', '1')] }).match(asked)?.rule
        .name,
      'm0',
    );
  });

  it('falls back to the next best path when other predicates fail', () => {
    const table = tableOf(
      { path: prefix('/a') },
      { path: prefix('/a/b'), method: 'PUT' },
      { path: exact('/a/b'), method: 'POST' },
    );
    assert.equal(table.match(asked)?.rule.name, 'm0');
    assert.equal(table.match(request({ path: '/a/b', method: 'PUT' }))?.rule.name, 'm1');
    assert.equal(table.match(request({ path: '/a/b', method: 'POST' }))?.rule.name, 'm2');
  });

  it('then the oldest route, then the name, then the position', () => {
    const rules = [routeRule(), routeRule()];
    const winner = (...routes: HttpRoute[]): string | undefined => tableFor(routes, noCluster).match(asked)?.name;
    const old = route({ name: 'z', createdMs: 1, rules });
    const young = route({ name: 'a', createdMs: 2, rules });
    assert.equal(winner(young, old), 'shop/z/0');
    assert.equal(winner(route({ name: 'b', rules }), route({ name: 'a', rules })), 'shop/a/0');
    assert.equal(
      winner(route({ name: 'a', namespace: 'b', rules }), route({ name: 'b', namespace: 'a', rules })),
      'a/b/0',
    );
    assert.equal(winner(route({ name: 'Z', rules }), route({ name: 'a', rules })), 'shop/Z/0'); // by code unit
  });
});

describe('RouteTable results', () => {
  const clusters = new Map(['v1', 'v2'].map((name) => [name, clusterNamed(name)]));
  const clusterOf = ({ name, port }: BackendTarget): Cluster | null =>
    port === 80 ? (clusters.get(name) ?? null) : null;
  const set = (name: string, value: string) => ({
    type: 'requestHeaderModifier' as const,
    set: [{ name, value }],
    add: [],
    remove: [],
  });

  it('names the rule, weighs the backends and keeps broken ones for their share', () => {
    const backends = [
      backend('v1', { weight: 8 }),
      backend('v2', { weight: 0 }),
      backend('gone', { weight: 1 }),
      backend('v2', { weight: 1, valid: false }),
    ];
    const table = tableFor(
      [route({ name: 'r', rules: [routeRule({ name: 'main', backends }), routeRule()] })],
      clusterOf,
    );
    const match = table.match(request());
    assert.equal(match?.name, 'shop/r/main');
    assert.equal(match.ruleIndex, 0);
    assert.equal(match.backends.totalWeight, 10);
    assert.deepEqual(
      match.backends.entries.map((entry) => [entry.cluster?.name ?? null, entry.weight]),
      [
        ['v1', 8],
        [null, 1],
        [null, 1],
      ],
    );
  });

  it('weights that sum to 0 leave no backend', () => {
    const rules = [routeRule({ backends: [backend('v1', { weight: 0 })] })];
    assert.deepEqual(tableFor([route({ name: 'r', rules })], clusterOf).match(request())?.backends, {
      entries: [],
      totalWeight: 0,
    });
  });

  it('merges rule and backend filters once, per backend', () => {
    const rules = [
      routeRule({
        filters: [set('a', 'rule'), set('b', 'rule')],
        backends: [backend('v1', { filters: [set('b', 'v1')] }), backend('v2')],
      }),
    ];
    const table = tableFor([route({ name: 'r', rules })], clusterOf);
    const match = table.match(request());
    const values = (fields: readonly { name: string; value: string }[] | undefined): string[] =>
      (fields ?? []).map((f) => `${f.name}=${f.value}`);
    assert.deepEqual(values(match?.backends.entries[0]?.requestEdits?.set), ['a=rule', 'b=v1']);
    assert.deepEqual(values(match?.backends.entries[1]?.requestEdits?.set), ['a=rule', 'b=rule']);
    assert.deepEqual(values(match?.requestEdits?.set), ['a=rule', 'b=rule']);
    assert.equal(match?.responseEdits, null);
    assert.equal(table.match(request({ path: '/other' })), match); // shared, not made per request
  });
});

// --- the same answers as a reader of the specification would give, for any table and request

const SEGMENTS = ['a', 'b', 'ab', ''];
const anyValue = fc
  .array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 3 })
  .map((segments) => `/${segments.join('/')}`);
const anyHeaders = fc.array(
  fc.record({ name: fc.constantFrom('x', 'y'), type: fc.constant('exact' as const), value: fc.constantFrom('1', '2') }),
  {
    maxLength: 2,
  },
);
const anyMatch: fc.Arbitrary<HttpRouteMatch> = fc
  .record({
    path: fc.option(fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: anyValue })),
    method: fc.option(fc.constantFrom('GET', 'PUT'), { freq: 2 }),
    headers: anyHeaders,
    queryParams: anyHeaders,
  })
  .map(routeMatch);
const anyRoutes = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('r1', 'r2', 'r3', 'r4'),
    createdMs: fc.nat(2),
    rules: fc.array(fc.array(anyMatch, { maxLength: 3 }), { maxLength: 4 }),
  }),
  { selector: (r) => r.name, maxLength: 4 },
);
const anyRequest = fc.record({
  path: anyValue,
  method: fc.constantFrom('GET', 'PUT', 'HEAD'),
  query: fc.constantFrom('', 'x=1', 'x=2&y=1', 'y=2'),
  headers: fc.array(fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom('1', '2')), { maxLength: 3 }),
});

function unique<T extends { name: string }>(items: readonly T[]): T[] {
  return items.filter((item, i) => items.findIndex((other) => other.name === item.name) === i);
}

function naiveHolds(match: HttpRouteMatch, view: RequestView): boolean {
  const path = match.path ?? prefix('/');
  const trimmed = path.value.replace(/\/*$/, '');
  const pathHolds =
    path.type === 'exact' ? view.path === path.value : view.path === trimmed || view.path.startsWith(`${trimmed}/`);
  const params = new URLSearchParams(view.query);
  return (
    pathHolds &&
    (match.method === null || match.method.value === view.method) &&
    unique(match.headers).every((h) => view.headerValues(h.name).includes(h.value)) &&
    unique(match.queryParams).every((q) => params.get(q.name) === q.value)
  );
}

function naiveMatch(routes: readonly HttpRoute[], view: RequestView): string | null {
  const found: { rank: (number | string)[]; name: string }[] = [];
  for (const one of routes) {
    one.rules.forEach((rule, ruleIndex) => {
      const matches = rule.matches.length === 0 ? [routeMatch()] : rule.matches;
      matches.forEach((match, matchIndex) => {
        if (!naiveHolds(match, view)) return;
        const rank = [
          match.path?.type === 'exact' ? 0 : 1,
          -(match.path?.value.replace(/\/*$/, '').length ?? 0),
          match.method === null ? 1 : 0,
          -unique(match.headers).length,
          -unique(match.queryParams).length,
          one.createdMs,
          one.name,
          ruleIndex,
          matchIndex,
        ];
        found.push({ rank, name: `shop/${one.name}/${ruleIndex}` });
      });
    });
  }
  found.sort((a, b) => {
    for (let i = 0; i < a.rank.length; i++) {
      const [x, y] = [a.rank[i] as number, b.rank[i] as number];
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  });
  return found[0]?.name ?? null;
}

describe('RouteTable', () => {
  it('answers as a naive reading of the specification does', () => {
    let matched = 0;
    fc.assert(
      fc.property(anyRoutes, fc.array(anyRequest, { minLength: 5, maxLength: 5 }), (described, requests) => {
        const routes = described.map(({ name, createdMs, rules }) =>
          route({ name, createdMs, rules: rules.map((matches) => routeRule({ matches })) }),
        );
        const table = tableFor(routes, noCluster);
        for (const fields of requests) {
          const view = request(fields);
          const expected = naiveMatch(routes, view);
          if (expected !== null) matched++;
          assert.equal(table.match(view)?.name ?? null, expected);
        }
      }),
      { numRuns: 3000 },
    );
    assert.ok(matched > 2000, `only ${matched} requests matched: the property proves little`);
  });
});
