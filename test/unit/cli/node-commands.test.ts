import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyDocument, StatsDocument, StatusDocument } from '../../../agent/admin/api.ts';
import { Command } from 'commander';
import { agentOptions, parseDnsServers, parseListen } from '../../../agent/cli/agent-command.ts';
import { addCapFlags, type CapFlags, capsOf } from '../../../agent/cli/cap-flags.ts';
import { DEFAULT_CAPS } from '../../../agent/ipc/caps.ts';
import { describeBackends, describeMatch, describeScope, ruleRows } from '../../../agent/cli/mesh-commands.ts';
import { parsePodName } from '../../../agent/cli/pod-name.ts';
import { remarks } from '../../../agent/cli/status-command.ts';
import { statsText } from '../../../agent/cli/traffic-commands.ts';
import type { HttpRouteBackend, HttpRouteMatch } from '../../../mesh/route-model.ts';
import {
  backend as builtBackend,
  routeMatch,
  routeRule,
  streamBackend,
  tcpRoute,
  tlsRoute,
} from '../mesh/resources.ts';

const ANY: HttpRouteMatch = routeMatch();

test('a match is told in one line', () => {
  assert.equal(describeMatch(ANY), 'any');
  assert.equal(describeMatch(routeMatch({ path: { type: 'prefix', value: '/' } })), '/*');
  assert.equal(
    describeMatch(
      routeMatch({
        path: { type: 'exact', value: '/a' },
        method: 'GET',
        headers: [{ name: 'user-agent', type: 'regex', value: '.*Firefox.*' }],
        queryParams: [{ name: 'v', type: 'exact', value: '2' }],
      }),
    ),
    'GET /a header(user-agent~.*Firefox.*) query(v=2)',
  );
  assert.equal(
    describeMatch(
      routeMatch({
        path: { type: 'stringPrefix', value: '/a', ignoreCase: true },
        method: { type: 'prefix', value: 'P' },
        authority: { type: 'exact', value: 'web' },
        headers: [{ name: 'x', type: 'present', value: '', invert: true }],
        port: 80,
        client: { namespace: 'bank', labels: { app: 'teller' } },
      }),
    ),
    'P* /a* (any case) host(web) header(not x) port(80) from(bank,app=teller)',
  );
});

function backend(name: string, weight: number, change: Partial<HttpRouteBackend> = {}): HttpRouteBackend {
  return builtBackend(name, { weight, ...change });
}

test('backends are told with their share, and what is broken about them', () => {
  const told = (...backends: HttpRouteBackend[]): string => describeBackends(routeRule({ backends }), 'shop');
  assert.equal(told(backend('web', 1)), 'web:80');
  assert.equal(told(backend('a', 90), backend('b', 10)), 'a:80 90%, b:80 10%');
  assert.equal(told(backend('a', 2), backend('b', 1)), 'a:80 66.7%, b:80 33.3%');
  assert.equal(told(backend('a', 0), backend('b', 0)), 'a:80 0%, b:80 0%');
  assert.equal(told(backend('a', 1, { namespace: 'bank', valid: false })), 'a.bank:80 (invalid)');
  assert.equal(told(), 'none (500)');
});

test('routes of connections are told in one row: hostnames, and what becomes of the rest', () => {
  const parents = [{ namespace: 'shop', name: 'web', port: 443 }];
  const backends = [streamBackend('a', { port: 1 })];
  const tls = tlsRoute({ name: 'r', parents, hostnames: ['a.b', '*.c', 'd'] });
  const row = { node: 'n', namespace: 'shop', name: 'r', parents: 'web.shop:443' };
  assert.deepEqual(ruleRows({ node: 'n', ...tls }), [
    { ...row, kind: 'tls', match: 'a.b, *.c +1', backends: 'none (reset)' },
  ]);
  assert.deepEqual(ruleRows({ node: 'n', ...tlsRoute({ name: 'r', parents, backends }) })[0]?.match, 'any');
  assert.deepEqual(ruleRows({ node: 'n', ...tcpRoute({ name: 'r', parents, backends }) }), [
    { ...row, kind: 'tcp', match: 'any', backends: 'a:1' },
  ]);
});

test('the scope of a policy', () => {
  const policy: Extract<PolicyDocument, { kind: 'authorizationPolicy' }> = {
    kind: 'authorizationPolicy',
    namespace: 'shop',
    name: 'p',
    action: 'DENY',
    dryRun: false,
    meshWide: false,
    selector: null,
    targetServices: [],
    rules: [],
    appliesTo: [],
  };
  assert.equal(describeScope(policy), 'namespace');
  assert.equal(describeScope({ ...policy, meshWide: true }), 'mesh');
  assert.equal(describeScope({ ...policy, selector: { app: 'web', tier: 'x' } }), 'namespace: app=web,tier=x');
  assert.equal(
    describeScope({ ...policy, targetServices: ['shop/a', 'shop/b', 'shop/c'] }),
    'services shop/a, shop/b +1',
  );
});

test('a pod is named as people write it, dots in its name included', () => {
  assert.ok(parsePodName('web-0')('shop/web-0'));
  assert.ok(parsePodName('web-0.shop')('shop/web-0'));
  assert.ok(parsePodName('shop/web-0')('shop/web-0'));
  assert.ok(parsePodName('web.v1.shop')('shop/web.v1'));
  assert.ok(!parsePodName('web-0.bank')('shop/web-0'));
  assert.ok(!parsePodName('bank/web-0')('shop/web-0'));
  assert.throws(() => parsePodName(''), /write NAME, NAME\.NAMESPACE or NAMESPACE\/NAME/);
  assert.throws(() => parsePodName('/web'), /write NAME/);
});

const STATUS: StatusDocument = {
  node: 'node-1',
  version: '0.1.0',
  pid: 1,
  instance: 'i',
  draining: null,
  predecessor: null,
  startedAt: '2025-01-01T00:00:00.000Z',
  uptimeMs: 1_000,
  ready: true,
  notReady: [],
  trustDomain: 'cluster.local',
  controller: { address: 'c:15012', connected: true, since: null, lastError: null, version: '7', nacks: [] },
  workers: [{ worker: 0, pid: 2, state: 'serving', restarts: 0, cpuMs: 1, rssBytes: 1, pssBytes: 1, lastExit: null }],
  supervisor: { cpuMs: 1, rssBytes: 1, pssBytes: 1 },
  pods: { count: 1, captured: 1, unhealthy: 0 },
  mesh: { workloads: 1, services: 1, httpRoutes: 0, tlsRoutes: 0, tcpRoutes: 0, authorizationPolicies: 0 },
  snapshot: { path: '/s', savedAt: null, ageMs: 120_000 },
  iptables: { backend: 'iptables-nft' },
  bypass: { state: 'off', reason: 'not asked for (bypass in the mesh configuration)', pods: 0, entries: 0, omitted: 0 },
  names: {
    count: 1,
    resolved: 1,
    omitted: 0,
    counters: { lookups: 2, failures: 0, expired: 0, addressesLeftOut: 0 },
    problems: [],
  },
  bounds: {},
  logLevel: 'info',
  accessLog: 'errors',
  errors: [],
};

test('an agent that is well needs no remark', () => assert.deepEqual(remarks(STATUS), []));

test('host names that lead nowhere, or whose lookups fail, are told with what that means', () => {
  const problems = [
    { name: 'a.example', addresses: 0, problem: 'the name has no address' },
    { name: 'b.example', addresses: 2, problem: 'ETIMEOUT' },
  ];
  assert.deepEqual(remarks({ ...STATUS, names: { ...STATUS.names, problems } }), [
    'host name a.example: the name has no address; requests to it get 503',
    'host name b.example: ETIMEOUT; 2 address(es) of its last answer are used',
  ]);
});

test('--dns-servers takes addresses with or without port, and nothing else', () => {
  const good = ['10.96.0.10', '10.96.0.10:5353', 'fd00::a', '[fd00::a]:5353'];
  assert.deepEqual(parseDnsServers(good.join(',')), good);
  for (const bad of ['dns.example', '10.96.0.10:99999', '[fd00::a]', '10.96.0.300', ':53']) {
    assert.throws(() => parseDnsServers(bad), /write an address/, bad);
  }
});

test('bypass is spoken of when it is asked for, or still in use', () => {
  const told = (bypass: Partial<StatusDocument['bypass']>): readonly string[] =>
    remarks({ ...STATUS, bypass: { ...STATUS.bypass, ...bypass } });
  assert.deepEqual(told({ state: 'on', reason: null, pods: 2, entries: 5 }), ['bypass: 5 destination(s) in 2 pod(s)']);
  assert.match(
    told({ state: 'on', reason: 'no ipset', omitted: 3 }).join(),
    /3 more did not fit; not in every pod: no ipset/,
  );
  assert.match(
    told({ state: 'off', reason: 'metrics are asked for' }).join(),
    /^bypass is off: metrics are asked for$/,
  );
  assert.match(told({ pods: 1, entries: 0 }).join(), /off: not asked for.*1 pod\(s\) keep its rules, with 0 entries/);
  assert.match(
    told({ state: 'unavailable', reason: 'ipset: not installed' }).join(),
    /not possible here: ipset: not inst/,
  );
});

test('everything that needs attention is remarked on', () => {
  const lines = remarks({
    ...STATUS,
    notReady: ['no worker serves'],
    controller: {
      ...STATUS.controller,
      connected: false,
      lastError: 'refused',
      nacks: [{ resource: 'httpRoute shop/split', error: 'bad', version: '8' }],
    },
    workers: [
      {
        worker: 0,
        pid: 0,
        state: 'down',
        restarts: 2,
        cpuMs: null,
        rssBytes: null,
        pssBytes: null,
        lastExit: 'exit code 1',
      },
    ],
    pods: { count: 2, captured: 1, unhealthy: 1 },
    bounds: { headBytesMax: 3 },
    errors: [{ time: 'now', message: 'oops' }],
  });
  const text = lines.join('\n');
  for (const part of [
    /^no worker serves$/m,
    /controller c:15012 is away: refused \(stored configuration: 2m old\)/,
    /refused from the controller: httpRoute shop\/split: bad/,
    /1 pod\(s\) not captured as they should be: weir pods/,
    /worker 0 restarted 2 time\(s\); last: exit code 1/,
    /bound headBytesMax was reached 3 time\(s\)/,
    /now oops/,
  ]) {
    assert.match(text, part);
  }
});

test('statistics without anything to say, and with each part', () => {
  const empty: StatsDocument = { node: 'node-1', http: [], tcp: [], pods: [], bounds: {}, events: {} };
  assert.equal(statsText(empty), 'nothing was counted yet\n');
  const labels = {
    reporter: 'source',
    source_workload: 'client',
    source_workload_namespace: 'shop',
    destination_workload: 'unknown',
    destination_service_name: 'web',
    response_code: '503',
  };
  const text = statsText({
    ...empty,
    http: [{ labels, requests: 5, durationSumMs: 1, p50Ms: 0.4, p99Ms: null, requestBytes: 10, responseBytes: 2_048 }],
    bounds: { headBytesMax: 1 },
  });
  assert.match(text, /client\.shop +web +source +503 +5 +0\.4ms +- +10B +2\.0KiB/);
  assert.match(text, /Bounds that were reached\nNAME +COUNT\nheadBytesMax +1/);
  for (const line of text.split('\n')) assert.ok(line.length <= 120, line);
});

test('an address to listen on', () => {
  assert.deepEqual(parseListen('127.0.0.1:15020'), { host: '127.0.0.1', port: 15_020 });
  assert.deepEqual(parseListen('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseListen(':15020'), { host: '::', port: 15_020 });
  for (const bad of ['15020', 'host:', 'host:70000', '::1:80', 'a:b']) {
    assert.throws(() => parseListen(bad), /write HOST:PORT/, bad);
  }
});

const FLAGS = {
  node: 'n',
  runDir: '/r',
  stateDir: '/s',
  controller: 'c:1',
  workers: 1,
  trustDomain: 'cluster.local',
  accessLog: 'off',
  logLevel: 'info',
  hostNetns: '/proc/self/ns/net',
  excludeNamespaces: [],
  interceptionMode: 'REDIRECT',
  dnsServers: [],
  drainDeadline: 20_000,
  whenSuperseded: 'exit',
} as const;

test('agent flags that do not fit together are refused with the remedy', () => {
  assert.equal(agentOptions(FLAGS).controllerTls, null);
  assert.deepEqual(agentOptions({ ...FLAGS, controllerCa: 'ca' }).controllerTls, {
    caFile: 'ca',
    certFile: null,
    keyFile: null,
  });
  assert.throws(() => agentOptions({ ...FLAGS, node: '' }), /--node is missing: .* NODE_NAME/);
  assert.throws(() => agentOptions({ ...FLAGS, controller: '' }), /--controller is missing/);
  assert.throws(() => agentOptions({ ...FLAGS, controllerCert: 'c' }), /belong together/);
  assert.throws(() => agentOptions({ ...FLAGS, controllerCert: 'c', controllerKey: 'k' }), /needs --controller-ca/);
});

test('caps: the defaults, those given, and never more for a pod than for all', () => {
  assert.deepEqual(agentOptions(FLAGS).caps, DEFAULT_CAPS);
  const { pod, worker } = agentOptions({ ...FLAGS, podConnectionsMax: 100, workerBufferedMax: 2 ** 30 }).caps;
  assert.deepEqual(pod, { ...DEFAULT_CAPS.pod, connections: 100 });
  assert.deepEqual(worker, { ...DEFAULT_CAPS.worker, bufferedBytes: 2 ** 30 });
  assert.throws(
    () => agentOptions({ ...FLAGS, podRequestsMax: 70_000 }),
    /--pod-requests-max 70000 is more than --worker-requests-max 65536: lower the one or raise the other/,
  );
});

test('caps on the command line: counts, and octets with units', async () => {
  const parse = async (...args: string[]): Promise<CapFlags> => {
    const command = addCapFlags(new Command('agent'))
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    await command.parseAsync(args, { from: 'user' });
    return command.opts();
  };
  assert.deepEqual(capsOf(await parse()), DEFAULT_CAPS);
  const flags = await parse('--pod-pending-max', '7', '--pod-buffered-max', '32Mi', '--worker-buffered-max', '1Gi');
  assert.equal(flags.podPendingMax, 7);
  assert.equal(flags.podBufferedMax, 32 * 1024 * 1024);
  assert.equal(flags.workerBufferedMax, 1024 ** 3);
  for (const bad of ['0', '-1', '1e3', 'many']) await assert.rejects(parse('--pod-requests-max', bad), /from 1 to/);
  for (const bad of ['1', '64', '64M', '1MiB', '']) await assert.rejects(parse('--pod-buffered-max', bad), /at least/);
});
