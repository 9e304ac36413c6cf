/**
 * Rules of VirtualServices in order, GRPCRoutes beside HTTPRoutes, and whose routes decide for whom: each beside a naive reading of
 * the specification that looks at every rule.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import type { HeaderMatch, HttpRoute, HttpRouteMatch, PathMatch, StringMatch } from '../../../mesh/route-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { type RouteClient, RouteTable } from '../../../mesh/route-table.ts';
import { clientIn, request, route, routeMatch, routeRule, type WrittenMatch } from './resources.ts';

const noCluster = (): null => null;
const PORT = 80;

function tableOf(routes: readonly HttpRoute[], port = PORT): RouteTable {
  return new RouteTable(routes, port, noCluster);
}

function virtualService(name: string, rules: readonly WrittenMatch[][], fields: Partial<HttpRoute> = {}): HttpRoute {
  return route({ name, source: 'VirtualService', rules: rules.map((matches) => routeRule({ matches })), ...fields });
}

/** One rule per match. */
function winner(matches: readonly WrittenMatch[], view: RequestView, client = clientIn('shop')): number | null {
  const table = tableOf([
    virtualService(
      'vs',
      matches.map((match) => [match]),
    ),
  ]);
  return table.match(view, client)?.ruleIndex ?? null;
}

const path = (type: PathMatch['type'], value: string, ignoreCase = false): PathMatch => ({ type, value, ignoreCase });
const text = (type: StringMatch['type'], value: string): StringMatch => ({ type, value });
const header = (type: HeaderMatch['type'], value: string, invert = false): HeaderMatch => ({
  name: 'x',
  type,
  value,
  invert,
});

describe('a match of a VirtualService', () => {
  const asked = request({ path: '/Api/v1', query: 'x=1&y', host: 'web.shop', headers: [['x', 'abc']] });
  const rows: [string, WrittenMatch, boolean][] = [
    ['exact path', { path: path('exact', '/Api/v1') }, true],
    ['exact path in another case', { path: path('exact', '/api/V1') }, false],
    ['exact path, case ignored', { path: path('exact', '/api/V1', true) }, true],
    ['beginning within a segment', { path: path('stringPrefix', '/Ap') }, true],
    ['beginning in another case', { path: path('stringPrefix', '/ap') }, false],
    ['beginning, case ignored', { path: path('stringPrefix', '/ap', true) }, true],
    ['beginning that is longer', { path: path('stringPrefix', '/Api/v12') }, false],
    ['segments, case ignored', { path: path('prefix', '/api', true) }, true],
    ['half a segment, case ignored', { path: path('prefix', '/ap', true) }, false],
    ['every path', { path: path('stringPrefix', '/') }, true],
    ['regex of the whole path', { path: path('regex', '/[A-Z]pi/.*') }, true],
    ['regex of its beginning', { path: path('regex', '/Api') }, false],
    ['method by prefix', { method: text('prefix', 'G') }, true],
    ['method by regex', { method: text('regex', 'GET|HEAD') }, true],
    ['method by another regex', { method: text('regex', 'GE') }, false],
    ['header by prefix', { headers: [header('prefix', 'ab')] }, true],
    ['header by regex', { headers: [header('regex', 'a.c')] }, true],
    ['header that is there', { headers: [header('present', '')] }, true],
    ['header that is not there', { headers: [{ ...header('present', ''), name: 'y' }] }, false],
    ['without a header that is there', { headers: [header('present', '', true)] }, false],
    ['without a header that is not there', { headers: [{ ...header('exact', 'a', true), name: 'y' }] }, true],
    ['without a value that it has', { headers: [header('exact', 'abc', true)] }, false],
    ['without a value that it has not', { headers: [header('exact', 'abd', true)] }, true],
    ['with one value and without another', { headers: [header('prefix', 'a'), header('exact', 'b', true)] }, true],
    ['parameter by value', { queryParams: [header('exact', '1')] }, true],
    ['parameter by regex', { queryParams: [header('regex', '\\d')] }, true],
    ['parameter without value', { queryParams: [{ ...header('exact', ''), name: 'y' }] }, true],
    ['parameter that is there', { queryParams: [{ ...header('present', ''), name: 'y' }] }, true],
    ['parameter that is not there', { queryParams: [{ ...header('present', ''), name: 'z' }] }, false],
    ['scheme http', { scheme: text('exact', 'http') }, true],
    ['scheme https', { scheme: text('exact', 'https') }, false],
    ['authority', { authority: text('exact', 'web.shop') }, true],
    ['authority by prefix', { authority: text('prefix', 'web') }, true],
    ['authority by regex', { authority: text('regex', 'web\\..*') }, true],
    ['another authority', { authority: text('exact', 'shop') }, false],
    ['port', { port: PORT }, true],
    ['another port', { port: 81 }, false],
    ['namespace of the client', { client: { namespace: 'bank', labels: {} } }, true],
    ['another namespace', { client: { namespace: 'shop', labels: {} } }, false],
    ['labels of the client', { client: { namespace: null, labels: { app: 'a', v: '1' } } }, true],
    ['a label that it has not', { client: { namespace: null, labels: { app: 'a', w: '1' } } }, false],
    ['a label named as what every object has', { client: { namespace: null, labels: { constructor: 'a' } } }, false],
    ['all of it', { path: path('stringPrefix', '/A'), method: text('exact', 'GET'), port: PORT }, true],
    ['all of it but one', { path: path('stringPrefix', '/A'), method: text('exact', 'PUT'), port: PORT }, false],
  ];
  for (const [name, match, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      const found = winner([match], asked, clientIn('bank', { app: 'a', v: '1' }));
      assert.equal(found !== null, expected);
    });
  }

  it('compares text beyond ASCII by its octets', () => {
    const octets = request({ path: '/\xc3\xbc/x', headers: [['x', '\xc3\xbc']] });
    assert.equal(winner([{ path: path('exact', '/ü/x'), headers: [header('exact', 'ü')] }], octets), 0);
    assert.equal(winner([{ path: path('stringPrefix', '/ü'), headers: [header('prefix', 'ü')] }], octets), 0);
  });
});

describe('rules of VirtualServices', () => {
  it('the first that matches wins, however specific a later one is', () => {
    const matches = [{ path: path('stringPrefix', '/a') }, { path: path('exact', '/a/b') }, {}];
    assert.equal(winner(matches, request({ path: '/a/b' })), 0);
    assert.equal(winner([...matches].reverse(), request({ path: '/a/b' })), 0);
    assert.equal(winner(matches, request({ path: '/b' })), 2);
  });

  it('the first match of a rule that holds says which path was matched', () => {
    const long = { path: path('stringPrefix', '/a/b') };
    const short = { path: path('stringPrefix', '/a') };
    for (const [matches, expected] of [
      [[short, long], '/a'],
      [[long, short], '/a/b'],
      [[{ path: path('exact', '/a/b/c') }, short], '/a/b/c'],
      [[short, { path: path('exact', '/a/b/c') }], '/a'],
      [[{ path: path('regex', '/a.*') }, long], '/a.*'],
    ] as const) {
      const found = tableOf([virtualService('vs', [[...matches]])]).match(
        request({ path: '/a/b/c' }),
        clientIn('shop'),
      );
      assert.equal(found?.matched?.value, expected);
    }
  });

  it('the oldest VirtualService decides alone, then the first by name', () => {
    const named = (name: string, createdMs: number): HttpRoute => virtualService(name, [[{}]], { createdMs });
    const first = (...routes: HttpRoute[]): string | undefined =>
      tableOf(routes).match(request(), clientIn('shop'))?.name;
    assert.equal(first(named('a', 2), named('z', 1)), 'shop/z/0');
    assert.equal(first(named('b', 1), named('a', 1)), 'shop/a/0');
    const narrow = virtualService('old', [[{ path: path('exact', '/x') }]], { createdMs: 1 });
    assert.equal(first(named('a', 2), narrow), undefined);
  });
});

describe('whose routes decide', () => {
  const to = (name: string, clients: string[], fields: Partial<HttpRoute> = {}): HttpRoute =>
    route({ name, clients, rules: [routeRule({ matches: [{ path: path('prefix', '/') }] })], ...fields });
  const producer = to('producer', ['*']);
  const consumer = to('consumer', ['bank'], { namespace: 'bank' });
  const everybody = virtualService('vs', [[{}]], { clients: ['*'] });
  const mine = virtualService('mine', [[{}]], { clients: ['bank', 'shop'] });
  const rows: [string, HttpRoute[], string, string | null][] = [
    ['a producer route for all', [producer], 'other', 'shop/producer/0'],
    ['a consumer route for its own', [producer, consumer], 'bank', 'bank/consumer/0'],
    ['but for nobody else', [producer, consumer], 'shop', 'shop/producer/0'],
    ['a consumer route alone leaves others alone', [consumer], 'shop', null],
    ['Gateway API before VirtualService', [everybody, producer], 'shop', 'shop/producer/0'],
    ['VirtualService where the Gateway API says nothing to that client', [everybody, consumer], 'shop', 'shop/vs/0'],
    ['and not where it does', [everybody, consumer], 'bank', 'bank/consumer/0'],
    ['a VirtualService is seen where it is exported', [mine], 'bank', 'shop/mine/0'],
    ['and nowhere else', [mine], 'other', null],
  ];
  for (const [name, routes, namespace, expected] of rows) {
    it(`${name}: ${namespace} gets ${expected}`, () => {
      const table = tableOf(routes);
      assert.equal(table.match(request(), clientIn(namespace))?.name ?? null, expected);
      assert.equal(table.concerns(clientIn(namespace)), expected !== null);
    });
  }

  it('a consumer route decides alone: what it does not match is not found', () => {
    const narrow = route({ ...consumer, rules: [routeRule({ matches: [{ path: path('exact', '/a') }] })] });
    const table = tableOf([producer, narrow]);
    assert.equal(table.match(request({ path: '/b' }), clientIn('bank')), null);
    assert.equal(table.concerns(clientIn('bank')), true);
  });

  it('namespaces that see the same routes share what is compiled, so asking from many costs nothing', () => {
    const table = tableOf([producer, consumer]);
    const first = table.match(request(), clientIn('ns0'));
    for (let i = 1; i < 1_000; i++) assert.equal(table.match(request(), clientIn(`ns${i}`)), first);
    const shared = tableOf([mine]);
    assert.equal(shared.match(request(), clientIn('bank')), shared.match(request(), clientIn('shop')));
  });
});

// --- the same answers as a naive reading, for any table and request

const anyText = fc.constantFrom('', 'a', 'ab', 'b', 'A');
const anyString = fc.record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: anyText });
const anyPath = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'A', ''), { minLength: 1, maxLength: 3 })
  .map((segments) => `/${segments.join('/')}`);
const anyPathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('exact' as const, 'prefix' as const, 'stringPrefix' as const),
      value: anyPath,
      ignoreCase: fc.boolean(),
    }),
  },
  fc.constantFrom('/a.*', '.*b', '/[ab]+', '.*').map((value) => path('regex', value)),
);
const anyFields = fc.array(
  fc.record({
    name: fc.constantFrom('x', 'y'),
    type: fc.constantFrom('exact' as const, 'prefix' as const, 'present' as const),
    value: anyText,
    invert: fc.boolean(),
  }),
  { maxLength: 2 },
);
const anyMatch: fc.Arbitrary<HttpRouteMatch> = fc
  .record({
    path: fc.option(anyPathMatch, { nil: null }),
    method: fc.option(fc.constantFrom(text('exact', 'GET'), text('prefix', 'P'), text('regex', '.*T')), {
      nil: null,
      freq: 2,
    }),
    headers: anyFields,
    queryParams: anyFields,
    scheme: fc.option(fc.constantFrom(text('exact', 'http'), text('exact', 'https')), { nil: null, freq: 1 }),
    authority: fc.option(anyString, { nil: null, freq: 2 }),
    port: fc.option(fc.constantFrom(80, 81), { nil: null, freq: 2 }),
    client: fc.option(
      fc.record({
        namespace: fc.option(fc.constantFrom('shop', 'bank'), { nil: null }),
        labels: fc.constantFrom<Record<string, string>[]>({}, { app: 'a' }),
      }),
      { nil: null, freq: 2 },
    ),
  })
  .map(routeMatch);
const anyRules = fc.array(fc.array(anyMatch, { maxLength: 3 }), { maxLength: 6 });
const anyVirtualServices = fc.uniqueArray(
  fc.record({ name: fc.constantFrom('v1', 'v2', 'v3'), createdMs: fc.nat(1), rules: anyRules }),
  { selector: ({ name }) => name, maxLength: 3 },
);
const anyRequest = fc.record({
  path: fc.oneof({ weight: 9, arbitrary: anyPath }, fc.constant('*')),
  method: fc.constantFrom('GET', 'PUT', 'HEAD'),
  host: fc.constantFrom('a', 'b', 'ab'),
  query: fc.constantFrom('', 'x=a', 'x=ab&y=b', 'y'),
  headers: fc.array(fc.tuple(fc.constantFrom('x', 'y'), anyText), { maxLength: 3 }),
});
const anyClient: fc.Arbitrary<RouteClient> = fc.record({
  namespace: fc.constantFrom('shop', 'bank'),
  labels: fc.constantFrom<Record<string, string>[]>({}, { app: 'a' }),
});

function stringHolds({ type, value }: { type: string; value: string }, actual: string): boolean {
  if (type === 'exact') return actual === value;
  return type === 'prefix' ? actual.startsWith(value) : RE2JS.matches(value, actual);
}

function pathHolds({ type, value, ignoreCase }: PathMatch, actual: string): boolean {
  if (type === 'regex') return RE2JS.matches(value, actual);
  const [wanted, asked] = ignoreCase ? [value.toLowerCase(), actual.toLowerCase()] : [value, actual];
  if (type === 'exact') return asked === wanted;
  if (value === '/') return true; // `*` too
  if (type === 'stringPrefix') return asked.startsWith(wanted);
  const whole = wanted.replace(/\/+$/, '');
  return whole === '' || asked === whole || asked.startsWith(`${whole}/`);
}

/** `values`: those of the first parameter, or of every field of the header, joined too. */
function fieldsHold(matches: readonly HeaderMatch[], values: (name: string) => readonly string[]): boolean {
  return matches.every((match, i) => {
    const isFirst = matches.findIndex(({ name, invert }) => name === match.name && invert === match.invert) === i;
    const holds = values(match.name).some((value) => match.type === 'present' || stringHolds(match, value));
    return !isFirst || holds !== match.invert;
  });
}

function naiveHolds(match: HttpRouteMatch, view: RequestView, client: RouteClient): boolean {
  const params = new URLSearchParams(view.query);
  return (
    (match.path === null || pathHolds(match.path, view.path)) &&
    (match.method === null || stringHolds(match.method, view.method)) &&
    (match.scheme === null || stringHolds(match.scheme, 'http')) &&
    (match.authority === null || stringHolds(match.authority, view.host)) &&
    (match.port === null || match.port === PORT) &&
    (match.client === null || match.client.namespace === null || match.client.namespace === client.namespace) &&
    Object.entries(match.client?.labels ?? {}).every(([name, value]) => client.labels[name] === value) &&
    fieldsHold(match.headers, (name) => {
      const all = view.headerValues(name);
      return all.length === 0 ? [] : [...all, all.join(', ')];
    }) &&
    fieldsHold(match.queryParams, (name) => params.getAll(name).slice(0, 1))
  );
}

function naiveFirst(routes: readonly HttpRoute[], view: RequestView, client: RouteClient): unknown {
  const byAge = [...routes].sort((a, b) => a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1));
  for (const one of byAge.slice(0, 1)) {
    for (const [index, rule] of one.rules.entries()) {
      const matches = rule.matches.length === 0 ? [routeMatch()] : rule.matches;
      const held = matches.find((match) => naiveHolds(match, view, client));
      if (held !== undefined) return [`shop/${one.name}/${index}`, held.path];
    }
  }
  return null;
}

describe('RouteTable of VirtualServices', () => {
  it('answers as a search through all rules in order does', () => {
    let matched = 0;
    fc.assert(
      fc.property(
        anyVirtualServices,
        fc.array(anyRequest, { minLength: 4, maxLength: 4 }),
        anyClient,
        (written, asked, client) => {
          const routes = written.map(({ name, createdMs, rules }) => virtualService(name, rules, { createdMs }));
          const table = tableOf(routes);
          for (const fields of asked) {
            const view = request(fields);
            const expected = naiveFirst(routes, view, client);
            if (expected !== null) matched++;
            const found = table.match(view, client);
            assert.deepEqual(found && [found.name, found.matched], expected);
          }
        },
      ),
      { numRuns: 4_000 },
    );
    assert.ok(matched > 3_000, `only ${matched} requests matched: the property proves little`);
  });

  it('the order of matches within a rule never changes which rule decides', () => {
    fc.assert(
      fc.property(
        anyRules,
        fc.array(anyRequest, { minLength: 4, maxLength: 4 }),
        anyClient,
        fc.boolean(),
        (rules, asked, client, inOrder) => {
          const source = inOrder ? 'VirtualService' : 'HTTPRoute';
          const table = tableOf([virtualService('r', rules, { source })]);
          const turned = tableOf([
            virtualService(
              'r',
              rules.map((matches) => [...matches].reverse()),
              { source },
            ),
          ]);
          for (const fields of asked) {
            const view = request(fields);
            assert.equal(turned.match(view, client)?.name, table.match(view, client)?.name);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

const anySource = fc.constantFrom('HTTPRoute' as const, 'GRPCRoute' as const);
const grpcMatch = fc.record({
  path: fc.option(
    fc
      .record({ type: fc.constantFrom('exact' as const, 'prefix' as const), value: anyPath })
      .filter(({ value }) => value !== '/'),
    { nil: null },
  ),
  headers: fc
    .array(fc.constantFrom<WrittenMatch['headers'] & object>([{ name: 'x', type: 'exact', value: 'a' }]), {
      maxLength: 1,
    })
    .map((lists) => lists.flat()),
});

describe('RouteTable of HTTPRoutes and GRPCRoutes', () => {
  it('a GRPCRoute goes before an HTTPRoute that matches equally well, and only then', () => {
    const found = (grpc: WrittenMatch, http: WrittenMatch): string | undefined => {
      const routes = [
        virtualService('http', [[http]], { source: 'HTTPRoute', createdMs: 1 }),
        virtualService('grpc', [[grpc]], { source: 'GRPCRoute', createdMs: 2 }),
      ];
      const view = request({ path: '/svc/method', method: 'POST', headers: [['x', 'a']] });
      return tableOf(routes).match(view, clientIn('shop'))?.route.name;
    };
    const x = [header('exact', 'a')];
    assert.equal(found({ path: path('exact', '/svc/method') }, { path: path('exact', '/svc/method') }), 'grpc');
    assert.equal(found({ path: path('prefix', '/svc') }, { path: path('exact', '/svc/method') }), 'http');
    assert.equal(found({ path: path('prefix', '/svc') }, { path: path('prefix', '/svc'), headers: x }), 'http');
    assert.equal(found({}, { path: path('prefix', '/') }), 'grpc');
    assert.equal(found({ path: path('regex', '/[^/]+/method') }, { path: path('prefix', '/svc') }), 'http');
    assert.equal(found({ path: path('regex', '/[^/]+/method') }, { path: path('prefix', '/') }), 'grpc');
  });

  it('answers as sorting all matches by precedence does', () => {
    const anyRoutes = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('r1', 'r2', 'r3'),
        source: anySource,
        createdMs: fc.nat(1),
        rules: fc.array(fc.array(grpcMatch, { minLength: 1, maxLength: 2 }), { maxLength: 3 }),
      }),
      { selector: ({ name, source }) => name + source, maxLength: 4 },
    );
    fc.assert(
      fc.property(anyRoutes, fc.array(anyRequest, { minLength: 4, maxLength: 4 }), (written, asked) => {
        const routes = written.map(({ name, rules, ...fields }) => virtualService(name, rules, fields));
        const table = tableOf(routes);
        for (const fields of asked) {
          const view = request(fields);
          const found = table.match(view, clientIn('shop'));
          assert.deepEqual(found && [found.route.source, found.name], naiveBest(routes, view));
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

function naiveBest(routes: readonly HttpRoute[], view: RequestView): unknown {
  const ranked = routes.flatMap((one) =>
    one.rules.flatMap((rule, ruleIndex) =>
      rule.matches
        .filter((match) => naiveHolds(match, view, clientIn('shop')))
        .map((match) => ({
          answer: [one.source, `shop/${one.name}/${ruleIndex}`],
          rank: [
            match.path?.type === 'exact' ? 0 : 1,
            -(match.path?.value.replace(/\/*$/, '').length ?? 0),
            -match.headers.length,
            one.source === 'GRPCRoute' ? 0 : 1,
            one.createdMs,
            one.name,
            ruleIndex,
          ],
        })),
    ),
  );
  ranked.sort((a, b) => {
    const i = a.rank.findIndex((value, at) => value !== b.rank[at]);
    return i < 0 ? 0 : (a.rank[i] as number) < (b.rank[i] as number) ? -1 : 1;
  });
  return ranked[0]?.answer ?? null;
}
