/** TLSRoutes and TCPRoutes of a Service port: which one decides, and what a change of the mesh does to it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { StreamRouteMatch, TcpRoute, TlsRoute } from '../../../mesh/route-model.ts';
import { MeshState } from '../../../mesh/state.ts';
import { StreamRoutes } from '../../../mesh/stream-routes.ts';
import { applyAll, clientIn, service, streamBackend, tcpRoute, tlsRoute, workload } from './resources.ts';

const noCluster = (): null => null;
const CLIENT = { namespace: 'shop', labels: {} };

function winner(serverName: string | null, tls: TlsRoute[], tcp: TcpRoute[] = []): string | null {
  return new StreamRoutes(tls, tcp, 80, noCluster).match(serverName, CLIENT, '10.0.0.1')?.name ?? null;
}

describe('StreamRoutes', () => {
  const routes = [
    tlsRoute({ name: 'exact', hostnames: ['a.b.example'] }),
    tlsRoute({ name: 'narrow', hostnames: ['*.b.example'] }),
    tlsRoute({ name: 'wide', hostnames: ['*.example', 'other.test'] }),
  ];
  const rows: readonly [string, string | null][] = [
    ['a.b.example', 'shop/exact'],
    ['x.b.example', 'shop/narrow'],
    ['x.y.b.example', 'shop/narrow'],
    ['b.example', 'shop/wide'],
    ['x.example', 'shop/wide'],
    ['example', null],
    ['notexample', null],
    ['other.test', 'shop/wide'],
    ['x.other.test', null],
    ['', null],
  ];
  for (const [serverName, expected] of rows) {
    it(`${JSON.stringify(serverName)} is decided by ${expected}`, () => {
      assert.equal(winner(serverName, routes), expected);
      assert.equal(winner(serverName, [...routes].reverse()), expected);
    });
  }

  it('a route without hostnames takes what no name matches, no server name included', () => {
    const any = [...routes, tlsRoute({ name: 'any' })];
    assert.equal(winner('', any), 'shop/any');
    assert.equal(winner('nowhere.test', any), 'shop/any');
    assert.equal(winner('a.b.example', any), 'shop/exact');
  });

  it('of equal ones the oldest decides, then the first by name', () => {
    const young = tlsRoute({ name: 'a', hostnames: ['x.test'], createdMs: 5 });
    const old = tlsRoute({ name: 'z', hostnames: ['x.test'], createdMs: 4 });
    assert.equal(winner('x.test', [young, old]), 'shop/z');
    assert.equal(winner('x.test', [young, tlsRoute({ ...old, createdMs: 5 })]), 'shop/a');
  });

  it('TCPRoute: for what is not TLS, and for all where there is no TLSRoute', () => {
    const tcp = [tcpRoute({ name: 'later', createdMs: 2 }), tcpRoute({ name: 'first', createdMs: 1 })];
    assert.equal(winner(null, routes, tcp), 'shop/first');
    assert.equal(winner('nowhere.test', routes, tcp), null);
    assert.equal(winner('nowhere.test', [], tcp), 'shop/first');
    assert.equal(winner(null, routes), null);
    assert.equal(winner(null, [tlsRoute({ name: 'any' })]), 'shop/any');
  });

  it('only TLSRoutes ask for a server name', () => {
    assert.equal(new StreamRoutes(routes, [], 80, noCluster).needsServerName, true);
    assert.equal(new StreamRoutes([], [tcpRoute({ name: 't' })], 80, noCluster).needsServerName, false);
  });

  it('decides as a search through all hostnames does', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
    const hostname = fc.tuple(fc.constantFrom('', '*.'), name).map((parts) => parts.join(''));
    const anyRoute = fc
      .tuple(fc.nat(3), fc.uniqueArray(hostname, { maxLength: 3 }))
      .map(([createdMs, hostnames]) => ({ createdMs, hostnames }));
    fc.assert(
      fc.property(fc.array(anyRoute, { maxLength: 6 }), fc.option(name, { nil: '' }), (specs, serverName) => {
        const tls = specs.map((spec, i) => tlsRoute({ name: `r${i}`, ...spec }));
        assert.equal(winner(serverName, tls), naive(tls, serverName));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('StreamRoutes of VirtualServices', () => {
  const match = (fields: Partial<StreamRouteMatch> = {}): StreamRouteMatch => ({
    hostnames: [],
    destinationBlocks: [],
    port: null,
    client: null,
    ...fields,
  });
  const tls = (name: string, rules: Partial<StreamRouteMatch>[][], fields: Partial<TlsRoute> = {}): TlsRoute => ({
    ...tlsRoute({ name, source: 'VirtualService', ...fields }),
    rules: rules.map((matches) => ({ matches: matches.map(match), backends: [] })),
  });
  const tcp = (name: string, rules: Partial<StreamRouteMatch>[][], fields: Partial<TcpRoute> = {}): TcpRoute => ({
    ...tcpRoute({ name, source: 'VirtualService', ...fields }),
    rules: rules.map((matches) => ({ matches: matches.map(match), backends: [] })),
  });
  const asked = (
    routes: readonly (TlsRoute | TcpRoute)[],
    serverName: string | null,
    ip = '10.0.0.1',
    client = clientIn('shop'),
  ): string | null => {
    const table = new StreamRoutes(
      routes.filter((each): each is TlsRoute => each.kind === 'tlsRoute'),
      routes.filter((each): each is TcpRoute => each.kind === 'tcpRoute'),
      443,
      noCluster,
    );
    const found = table.match(serverName, client, ip);
    return found === null ? null : `${found.route.name}/${found.ruleIndex}`;
  };

  const rows: [string, Partial<StreamRouteMatch>, string | null, boolean][] = [
    ['every name', { hostnames: ['*'] }, 'a.test', true],
    ['a name', { hostnames: ['a.test'] }, 'a.test', true],
    ['one of its names', { hostnames: ['b.test', 'a.test'] }, 'a.test', true],
    ['another name', { hostnames: ['b.test'] }, 'a.test', false],
    ['names below', { hostnames: ['*.test'] }, 'x.a.test', true],
    ['not the name itself', { hostnames: ['*.test'] }, 'test', false],
    ['no name', { hostnames: ['*.test'] }, '', false],
    ['the port', { port: 443 }, 'a.test', true],
    ['another port', { port: 80 }, 'a.test', false],
    ['a block', { destinationBlocks: ['10.1.0.0/16', '10.0.0.0/24'] }, 'a.test', true],
    ['another block', { destinationBlocks: ['10.1.0.0/16'] }, 'a.test', false],
    ['a block of the other family', { destinationBlocks: ['::/0'] }, 'a.test', false],
    ['the client', { client: { namespace: 'shop', labels: {} } }, 'a.test', true],
    ['another client', { client: { namespace: 'shop', labels: { app: 'x' } } }, 'a.test', false],
    ['all but one', { hostnames: ['a.test'], port: 80 }, 'a.test', false],
  ];
  for (const [name, fields, serverName, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      assert.equal(asked([tls('vs', [[fields]])], serverName), expected ? 'vs/0' : null);
    });
  }

  it('the first rule that matches decides; its matches are alternatives', () => {
    const routes = [tls('vs', [[{ hostnames: ['a.test'] }, { hostnames: ['b.test'] }], [{ hostnames: ['*.test'] }]])];
    assert.equal(asked(routes, 'b.test'), 'vs/0');
    assert.equal(asked(routes, 'c.test'), 'vs/1');
    assert.equal(asked(routes, 'c.other'), null);
  });

  it('tls before tcp for TLS, tcp alone for the rest', () => {
    const routes = [tcp('vs', [[{}]]), tls('vs', [[{ hostnames: ['a.test'] }]], { createdMs: 9 })];
    assert.equal(asked(routes, 'a.test'), 'vs/0');
    assert.equal(asked([...routes, tls('t', [[{ hostnames: ['a.test'] }]])], 'a.test'), 't/0');
    assert.equal(asked([tcp('c', [[{ port: 80 }], []]), tls('t', [[{ hostnames: ['a.test'] }]])], null), 'c/1');
  });

  it('the oldest first, then the first by name; the Gateway API before all', () => {
    assert.equal(asked([tls('b', [[]]), tls('a', [[]])], 'x'), 'a/0');
    assert.equal(asked([tls('a', [[]], { createdMs: 2 }), tls('b', [[]], { createdMs: 1 })], 'x'), 'b/0');
    assert.equal(asked([tls('a', [[]]), tlsRoute({ name: 'z', createdMs: 9 })], 'x'), 'z/0');
    assert.equal(asked([tls('a', [[]]), tlsRoute({ name: 'z', hostnames: ['y'] })], 'x'), null);
  });

  it('where it is not exported it does not decide', () => {
    const routes = [tls('vs', [[]], { clients: ['bank'] })];
    assert.equal(asked(routes, 'x', '10.0.0.1', clientIn('bank')), 'vs/0');
    assert.equal(asked(routes, 'x'), null);
    const table = new StreamRoutes(routes, [], 443, noCluster);
    assert.deepEqual(
      ['bank', 'shop'].map((namespace) => table.concerns(clientIn(namespace))),
      [true, false],
    );
  });
});

/** The best of all (route, hostname) pairs that match: exact, then longest, then oldest, then by name. */
function naive(routes: readonly TlsRoute[], serverName: string): string | null {
  const score = (hostname: string): number => (hostname.startsWith('*') ? hostname.length - 1 : 1000);
  const found = routes.flatMap((route) => {
    const hostnames = route.rules.flatMap((rule) => rule.matches.flatMap((match) => match.hostnames));
    const matching = hostnames.filter((hostname) =>
      hostname.startsWith('*.')
        ? serverName.endsWith(hostname.slice(1)) && serverName.length > hostname.length - 1
        : hostname === serverName,
    );
    const best = Math.max(-1, ...matching.map(score), hostnames.length === 0 ? 0 : -1);
    return best < 0 ? [] : [{ route, best }];
  });
  found.sort(
    (a, b) => b.best - a.best || a.route.createdMs - b.route.createdMs || (a.route.name < b.route.name ? -1 : 1),
  );
  return found[0] === undefined ? null : `shop/${found[0].route.name}`;
}

describe('MeshState with TLSRoutes and TCPRoutes', () => {
  const web = service({ name: 'web', addresses: ['10.96.0.1'], ports: [{ port: 443, name: '', protocol: 'tls' }] });
  const other = service({ name: 'other', ports: [{ port: 1, name: '', protocol: 'tcp' }] });
  const pod = workload({
    uid: 'o',
    addresses: ['10.0.0.9'],
    services: { 'shop/other': [{ servicePort: 1, targetPort: 7 }] },
  });
  const parents = [{ namespace: 'shop', name: 'web', port: 443 }];
  const secure = tlsRoute({
    name: 't',
    parents,
    hostnames: ['x.test'],
    backends: [streamBackend('other', { port: 1 })],
  });
  const target = (state: MeshState) => {
    const destination = state.resolve('10.96.0.1', 443);
    return destination.kind === 'service' ? destination.target : null;
  };

  it('a route comes, changes, and goes; its backend may come later', () => {
    const state = new MeshState();
    applyAll(state, [web]);
    assert.equal(target(state)?.streams, null);
    applyAll(state, [secure]);
    assert.equal(target(state)?.streams?.match('x.test', CLIENT, '10.0.0.1')?.backends.entries[0]?.cluster, null);
    applyAll(state, [other, pod]);
    const cluster = target(state)?.streams?.match('x.test', CLIENT, '10.0.0.1')?.backends.entries[0]?.cluster;
    assert.deepEqual(
      cluster?.endpoints.map(({ address, port }) => `${address}:${port}`),
      ['10.0.0.9:7'],
    );
    applyAll(state, [tlsRoute({ name: 't', parents, hostnames: ['y.test'] })]);
    assert.equal(target(state)?.streams?.match('x.test', CLIENT, '10.0.0.1'), null);
    applyAll(state, [tcpRoute({ name: 't', parents, backends: [streamBackend('other', { port: 1, weight: 0 })] })]);
    assert.deepEqual(target(state)?.streams?.match(null, CLIENT, '10.0.0.1')?.backends, {
      entries: [],
      totalWeight: 0,
    });
    applyAll(state, [], [secure]);
    assert.equal(target(state)?.streams?.needsServerName, false);
    assert.deepEqual(state.list('tcpRoute').length, 1);
  });

  it('a route for another port, or for another namespace’s clients, does not concern it', () => {
    const state = new MeshState();
    const elsewhere = [{ namespace: 'shop', name: 'web', port: 80 }];
    applyAll(state, [web, { ...secure, parents: elsewhere }, { ...secure, namespace: 'bank' }]);
    assert.equal(target(state)?.streams, null);
  });
});
