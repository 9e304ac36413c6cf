/** Host names of ServiceEntries: a real DNS server, Node's resolver, the agent's schedule and its mesh; then the whole agent. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { limits } from '../../agent/limits.ts';
import { MeshHub } from '../../agent/supervisor/mesh-hub.ts';
import { DnsLookup } from '../../agent/supervisor/name-lookup.ts';
import { NameResolver } from '../../agent/supervisor/name-resolver.ts';
import type { LookupResult } from '../../agent/supervisor/name-schedule.ts';
import { parseDnsServers } from '../../agent/cli/agent-command.ts';
import { DnsServer } from '../harness/dns-server.ts';
import { serviceEntry } from '../unit/mesh/resources.ts';
import { ask, Place } from './fixtures/agent-process.ts';
import { waitUntil } from './fixtures/wait-until.ts';

const [A, B, SIX] = ['203.0.113.1', '203.0.113.2', '2001:db8::1'];

/** An agent that is the first on its node, and keeps nothing. */
const NO_STORE = { load: () => [], save: () => undefined };

async function server(t: TestContext): Promise<DnsServer> {
  const made = await DnsServer.start();
  t.after(() => made.close());
  return made;
}

function lookupAt(t: TestContext, dns: DnsServer): DnsLookup {
  const made = new DnsLookup({ servers: [dns.address], timeoutMs: 100, tries: 1 });
  t.after(() => made.close());
  return made;
}

test('lookups: addresses with the shortest TTL, aliases, absence, and every kind of failure', async (t) => {
  const dns = await server(t);
  const lookup = lookupAt(t, dns);
  const many = Array.from({ length: 60 }, (_, i) => `198.51.100.${i}`);
  dns.says('both.test', { addresses: [A, B, SIX], ttl: 7 });
  dns.says('alias.test', { addresses: [A], ttl: 9, cname: 'real.test' });
  dns.says('v4.test', { addresses: [A] });
  dns.says('many.test', { addresses: many, ttl: 5 });
  for (const code of ['SERVFAIL', 'REFUSED'] as const) dns.says(`${code.toLowerCase()}.test`, { code });
  dns.says('silent.test', 'silent');
  dns.says('garbage.test', 'garbage');
  const rows: [string, 4 | 6, LookupResult][] = [
    ['both.test', 4, { kind: 'addresses', addresses: [A, B], ttlMs: 7_000 }],
    ['both.test', 6, { kind: 'addresses', addresses: [SIX], ttlMs: 7_000 }],
    ['alias.test', 4, { kind: 'addresses', addresses: [A], ttlMs: 9_000 }],
    ['v4.test', 6, { kind: 'none' }],
    ['absent.test', 4, { kind: 'none' }],
    ['many.test', 4, { kind: 'addresses', addresses: many, ttlMs: 5_000 }],
    ['servfail.test', 4, { kind: 'failed', reason: 'ESERVFAIL' }],
    ['refused.test', 4, { kind: 'failed', reason: 'EREFUSED' }],
    ['silent.test', 6, { kind: 'failed', reason: 'ETIMEOUT' }],
  ];
  for (const [name, family, expected] of rows) {
    assert.deepEqual(await lookup.lookup({ name, family }), expected, `${name} ${family}`);
  }
  assert.equal((await lookup.lookup({ name: 'garbage.test', family: 4 })).kind, 'failed');
  assert.equal(dns.tcpQueries, 1, 'what does not fit into UDP is asked for again');
  assert.deepEqual(
    dns.asked.filter((asked) => !/ \w+\.test$/.test(asked)),
    [],
    'names are whole: no search list',
  );
});

test('the resolver of Node takes every server that --dns-servers takes', () => {
  const servers = parseDnsServers('10.96.0.10,10.96.0.10:5353,fd00::a,[fd00::a]:5353');
  new DnsLookup({ servers }).close();
});

test('the mesh of supervisor and workers learns what names lead to, and what changes', async (t) => {
  const dns = await server(t);
  const lookup = lookupAt(t, dns);
  const hub = new MeshHub();
  const said: string[] = [];
  const say = (fields: object, message: string): void => void said.push(`${message} ${JSON.stringify(fields)}`);
  const resolver = new NameResolver({
    hub,
    lookup: (query) => lookup.lookup(query),
    store: NO_STORE,
    log: { info: say, warn: say, error: say },
    random: () => 0,
    bounds: {
      ...limits,
      nameRefreshMinMs: 30,
      nameRefreshMaxMs: 30,
      nameAbsentRefreshMs: 30,
      nameRetryMinMs: 20,
      nameRetryMaxMs: 40,
    },
  });
  t.after(() => resolver.close());
  const leads = (): string =>
    (hub.state.resolveHost(null, 'api.example.com', 80, 4)?.target.cluster.endpoints ?? [])
      .map(({ address }) => address)
      .sort()
      .join(' ');
  const until = (expected: string): Promise<void> => waitUntil(() => leads() === expected, `leads to ${expected}`);

  dns.says('api.example.com', { addresses: [A], ttl: 0 });
  await hub.apply({ upserts: [serviceEntry({ name: 'e', resolution: 'DNS' })], removals: [] });
  await resolver.settled(10_000);
  assert.equal(leads(), A);
  dns.says('api.example.com', { addresses: [A, B], ttl: 0 });
  await until(`${A} ${B}`);
  // Failure keeps what is known; it is said once for each query.
  dns.says('api.example.com', { code: 'SERVFAIL' });
  const { lookups } = resolver.document().counters;
  await waitUntil(() => resolver.document().counters.failures > 6);
  assert.ok(resolver.document().counters.lookups > lookups);
  assert.equal(leads(), `${A} ${B}`);
  assert.deepEqual(resolver.document().problems, [{ name: 'api.example.com', addresses: 2, problem: 'A: ESERVFAIL' }]);
  assert.equal(said.filter((line) => line.startsWith('host name of a ServiceEntry cannot be looked up')).length, 2);
  dns.says('api.example.com', 'silent');
  await waitUntil(() => resolver.document().problems[0]?.problem === 'A: ETIMEOUT');
  assert.equal(leads(), `${A} ${B}`);
  dns.says('api.example.com', { addresses: [B], ttl: 0 });
  await until(B);
  await waitUntil(() => said.filter((line) => line.includes('can be looked up again')).length === 2);
  dns.says('api.example.com', { code: 'NXDOMAIN' });
  await until('');
  // Another name for the same host: the old one is asked for no more.
  dns.says('real.test', { addresses: [A], ttl: 0 });
  const endpoints = [{ address: 'real.test', ports: {}, labels: {}, serviceAccount: '', weight: 1, locality: '' }];
  await hub.apply({ upserts: [serviceEntry({ name: 'e', resolution: 'DNS', endpoints })], removals: [] });
  await until(A);
  const asked = dns.count('api.example.com', 'A');
  const again = dns.count('real.test', 'A');
  await waitUntil(() => dns.count('real.test', 'A') > again + 2);
  assert.ok(dns.count('api.example.com', 'A') <= asked + 1);
  await hub.apply({ upserts: [], removals: [{ kind: 'serviceEntry', key: 'shop/e' }] });
  assert.equal(resolver.document().count, 0);
});

test('an unanswered AAAA does not hold A up', async (t) => {
  const dns = await server(t);
  const lookup = new DnsLookup({ servers: [dns.address], timeoutMs: 60_000, tries: 1 });
  t.after(() => lookup.close());
  const hub = new MeshHub();
  const nothing = (): void => undefined;
  const log = { info: nothing, warn: nothing, error: nothing };
  const resolver = new NameResolver({
    hub,
    lookup: (query) => lookup.lookup(query),
    store: NO_STORE,
    log,
    random: () => 0,
  });
  t.after(() => resolver.close());
  dns.says('api.example.com', { addresses: [A] }, 'A');
  dns.says('api.example.com', 'silent', 'AAAA');
  await hub.apply({ upserts: [serviceEntry({ name: 'e', resolution: 'DNS' })], removals: [] });
  await waitUntil(() => hub.state.nameAnswers().length === 1);
  assert.deepEqual(hub.state.nameAnswers(), [{ name: 'api.example.com', addresses: [A] }]);
});

test('thousands of names: no more lookups at once than the bound, and every one of them is made', async (t) => {
  const dns = await server(t);
  const lookup = lookupAt(t, dns);
  const hub = new MeshHub();
  let running = 0;
  let most = 0;
  const nothing = (): void => undefined;
  const resolver = new NameResolver({
    hub,
    lookup: async (query) => {
      most = Math.max(most, ++running);
      const result = await lookup.lookup(query);
      running--;
      return result;
    },
    store: NO_STORE,
    log: { info: nothing, warn: nothing, error: nothing },
    random: () => 0,
  });
  t.after(() => resolver.close());
  const hosts = Array.from({ length: limits.resolvedNamesMax + 10 }, (_, i) => `h${i}.example`);
  for (const host of hosts) dns.says(host, { addresses: [A] });
  await hub.apply({ upserts: [serviceEntry({ name: 'e', resolution: 'DNS', hosts })], removals: [] });
  await resolver.settled(60_000);
  assert.equal(most, limits.nameLookupsAtOnce);
  const { count, resolved, omitted } = resolver.document();
  assert.deepEqual({ count, resolved, omitted }, { count: 1_024, resolved: 1_024, omitted: 10 });
});

const ENTRY = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: DNS
`;

test('an agent looks names up, tells its status, and explains by what it has found; after a restart at once', async (t) => {
  const dns = await server(t);
  const lab = new Place();
  t.after(() => lab.close());
  lab.object('api', ENTRY);
  dns.says('api.example.com', { addresses: [A] });
  lab.startController();
  const first = lab.agent('node-1', '--dns-servers', dns.address);
  await lab.until('node-1', ({ names, ready }) => ready && names.resolved === 1);
  const asked = {
    from: '',
    to: 'api.example.com:80',
    method: 'GET',
    path: '/',
    host: '',
    sni: '',
    headers: [],
    tcp: false,
  };
  const explained = async (): Promise<string> =>
    (await ask(lab.socketOf('node-1'), 'POST', '/explain', JSON.stringify({ asked }))).body;
  await waitUntil(async () =>
    /outside the mesh, at 203\.0\.113\.1:80, which its name leads to now/.test(await explained()),
  );
  const stats = await ask(lab.socketOf('node-1'), 'GET', '/stats');
  assert.match(stats.body, /"name_lookups":[1-9]/);
  await lab.stopController();
  assert.equal(await first.end('SIGTERM'), 0);
  const second = lab.agent('node-1', '--dns-servers', dns.address);
  const again = await lab.until('node-1', ({ ready }) => ready);
  assert.equal(again.names.resolved, 1, 'before it takes connections');
  assert.equal(await second.end('SIGTERM'), 0);
  // What the agent before has found is used while DNS is away.
  dns.says('api.example.com', { code: 'SERVFAIL' });
  lab.agent('node-1', '--dns-servers', dns.address);
  const { names } = await lab.until('node-1', ({ ready, names }) => ready && names.counters.failures > 1);
  assert.deepEqual(names.problems, [{ name: 'api.example.com', addresses: 1, problem: 'A: ESERVFAIL' }]);
  assert.match(await explained(), /outside the mesh, at 203\.0\.113\.1:80/);
});
