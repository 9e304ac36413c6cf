/** ServiceEntries as destinations: by address, block and host; who sees them; what Sidecars hide. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Destination } from '../../../mesh/destination.ts';
import { membersOfEntry } from '../../../mesh/external-services.ts';
import type { MeshResource, Workload } from '../../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import type { ServiceEntryPort } from '../../../mesh/traffic-model.ts';
import {
  applyAll,
  backend,
  clientIn,
  entryEndpoint,
  request,
  route,
  routeRule,
  service,
  serviceEntry,
  sidecarScope,
  streamBackend,
  tlsRoute,
  workload,
} from './resources.ts';

const VIP = '198.51.100.1';
const inShop = workload({ uid: 'shop-client', namespace: 'shop' });
const inBank = workload({ uid: 'bank-client', namespace: 'bank', labels: { app: 'teller' } });

function stateOf(...resources: MeshResource[]): MeshState {
  const state = new MeshState();
  applyAll(state, resources);
  return state;
}

function port(number: number, protocol: ServiceEntryPort['protocol'] = 'http'): ServiceEntryPort {
  return { port: number, name: `p${number}`, protocol, targetPort: number };
}

/** `host ns: endpoints` (or `dialled` where the address stays as it was), or the kind of another destination. */
function shown(destination: Destination | null): string {
  if (destination === null) return 'null';
  if (destination.kind === 'workload') return `workload ${destination.workload.uid}`;
  if (destination.kind === 'unknown')
    return destination.service === null ? 'unknown' : `no port of ${destination.service.name}`;
  const { service: to, target } = destination;
  const endpoints = target.cluster.endpoints.map(({ address, port: number }) => `${address}:${number}`).sort();
  return `${to.name} ${to.namespace}: ${target.cluster.passthrough ? 'dialled' : endpoints.join(' ')}`;
}

describe('a ServiceEntry by address', () => {
  it('without endpoints keeps the address that was dialled', () => {
    const state = stateOf(serviceEntry({ name: 'e', addresses: [VIP] }));
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: dialled');
    assert.equal(shown(state.resolve(VIP, 81)), 'no port of api.example.com');
    assert.equal(shown(state.resolve('198.51.100.2', 80)), 'unknown');
  });

  it('goes to static endpoints at their own ports', () => {
    const endpoints = [entryEndpoint('203.0.113.1'), entryEndpoint('203.0.113.2', { ports: { '80': 8080 } })];
    const entry = serviceEntry({ name: 'e', addresses: [VIP], resolution: 'STATIC', endpoints });
    const state = stateOf({ ...entry, ports: [{ ...port(80), targetPort: 9000 }] });
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: 203.0.113.1:9000 203.0.113.2:8080');
    assert.equal(shown(state.resolve('203.0.113.2', 8080)), 'workload serviceentry/shop/e/1');
    assert.deepEqual(state.list('workload'), []);
    assert.deepEqual(state.list('service'), []);
  });

  it('says once what endpoints without ports of their own back', () => {
    const endpoints = [entryEndpoint('203.0.113.1'), entryEndpoint('203.0.113.2', { ports: { '80': 8080 } })];
    const entry = serviceEntry({ name: 'e', endpoints: [...endpoints, entryEndpoint('203.0.113.3')] });
    const [first, second, third] = membersOfEntry(entry, () => []).map(({ workload: made }) => made?.services);
    assert.equal(first, third);
    assert.deepEqual(first, { 'shop/api.example.com': [{ servicePort: 80, targetPort: 80 }] });
    assert.deepEqual(second, { 'shop/api.example.com': [{ servicePort: 80, targetPort: 8080 }] });
  });

  it('goes to the pods that it selects, as long as it selects them and they are there', () => {
    const state = stateOf(serviceEntry({ name: 'e', addresses: [VIP], workloads: ['u1', 'u2'] }));
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: ');
    const pod = workload({ uid: 'u1', addresses: ['10.0.0.1'] });
    applyAll(state, [pod]);
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: 10.0.0.1:80');
    assert.deepEqual(state.list('workload'), [pod], 'the pod is listed as it came');
    applyAll(state, [serviceEntry({ name: 'e', addresses: [VIP], workloads: ['u2'] })]);
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: ');
    assert.deepEqual(state.workloadByUid('u1'), pod);
  });

  it('takes no address from a pod or a Service, on whatever port, but from endpoints of ServiceEntries', () => {
    const pod = workload({ uid: 'victim', namespace: 'bank', addresses: ['10.0.0.9'] });
    const pay = service({ name: 'pay', namespace: 'bank', addresses: ['10.96.0.7'] });
    const addresses = ['10.0.0.9', '10.96.0.7', '203.0.113.2'];
    for (const endpoints of [[], [entryEndpoint('203.0.113.6')]]) {
      const entry = serviceEntry({ name: 'evil', namespace: 'evil', addresses, resolution: 'STATIC', endpoints });
      const other = serviceEntry({ name: 'other', endpoints: [entryEndpoint('203.0.113.2')], resolution: 'STATIC' });
      const state = stateOf(pod, pay, entry, { ...other, hosts: ['other.test'] });
      for (const number of [80, 81]) {
        assert.equal(shown(state.resolve('10.0.0.9', number)), 'workload victim');
        assert.doesNotMatch(shown(state.resolve('10.96.0.7', number)), /example/);
      }
      const expected =
        endpoints.length === 0 ? 'workload serviceentry/shop/other/0' : 'api.example.com evil: 203.0.113.6:80';
      assert.equal(shown(state.resolve('203.0.113.2', 80)), expected);
    }
  });

  it('by block: the narrowest that has the port', () => {
    const state = stateOf(
      serviceEntry({ name: 'wide', hosts: ['wide.test'], addresses: ['198.51.0.0/16'], ports: [port(80), port(81)] }),
      serviceEntry({ name: 'narrow', hosts: ['narrow.test'], addresses: ['198.51.100.0/24', 'fd00::/8'] }),
      serviceEntry({ name: 'exact', hosts: ['exact.test'], addresses: [VIP] }),
    );
    assert.equal(shown(state.resolve('198.51.100.7', 80)), 'narrow.test shop: dialled');
    assert.equal(shown(state.resolve('198.51.100.7', 81)), 'wide.test shop: dialled');
    assert.equal(shown(state.resolve('198.51.7.7', 80)), 'wide.test shop: dialled');
    assert.equal(shown(state.resolve('fd12::1', 80)), 'narrow.test shop: dialled');
    assert.equal(shown(state.resolve('198.52.0.1', 80)), 'unknown');
    assert.equal(shown(state.resolve(VIP, 80)), 'exact.test shop: dialled');
  });

  it('two with the same block, and two that share an address', () => {
    const state = stateOf(
      serviceEntry({ name: 'b', hosts: ['b.test'], addresses: ['198.51.0.0/16', VIP], ports: [port(81)] }),
      serviceEntry({ name: 'a', hosts: ['a.test'], addresses: ['198.51.0.0/16', VIP], ports: [port(80)] }),
    );
    for (const ip of ['198.51.7.7', VIP]) {
      assert.equal(shown(state.resolve(ip, 80)), 'a.test shop: dialled');
      assert.equal(shown(state.resolve(ip, 81)), 'b.test shop: dialled');
    }
  });

  it('never takes an address from a pod or a Service', () => {
    const pod = workload({ uid: 'u1', addresses: ['10.0.0.1'] });
    const web = service({ name: 'web', addresses: ['10.96.0.1'] });
    const everything = serviceEntry({ name: 'e', addresses: ['10.0.0.0/8', '10.0.0.1', '10.96.0.1'] });
    for (const order of [
      [pod, web, everything],
      [everything, web, pod],
    ]) {
      const state = stateOf(...order);
      assert.equal(shown(state.resolve('10.0.0.1', 80)), 'workload u1');
      assert.equal(shown(state.resolve('10.96.0.1', 80)), 'web shop: ');
      assert.equal(shown(state.resolve('10.7.7.7', 80)), 'api.example.com shop: dialled');
    }
  });

  it('an endpoint at the address of a pod is not that pod, and no pod to whoever asks by address', () => {
    const endpoints = [entryEndpoint('10.0.0.1', { labels: { app: 'friend' } }), entryEndpoint('203.0.113.1')];
    const entry = serviceEntry({ name: 'e', addresses: [VIP], resolution: 'STATIC', endpoints });
    const state = stateOf(workload({ uid: 'u1', addresses: ['10.0.0.1'] }), entry);
    assert.equal(shown(state.resolve('10.0.0.1', 80)), 'workload u1');
    assert.equal(state.workloadByAddress('10.0.0.1')?.uid, 'u1');
    assert.equal(state.workloadByAddress('203.0.113.1'), null);
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: 10.0.0.1:80 203.0.113.1:80');
  });

  it('a host that two entries of a namespace name belongs to the first by name, backed by both', () => {
    const of = (name: string, address: string): MeshResource =>
      serviceEntry({ name, addresses: [VIP], resolution: 'STATIC', endpoints: [entryEndpoint(address)] });
    const state = stateOf(of('b', '203.0.113.2'), of('a', '203.0.113.1'));
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: 203.0.113.1:80 203.0.113.2:80');
    applyAll(state, [], [of('a', '')]);
    assert.equal(shown(state.resolve(VIP, 80)), 'api.example.com shop: 203.0.113.2:80');
    applyAll(state, [], [of('b', '')]);
    assert.equal(shown(state.resolve(VIP, 80)), 'unknown');
  });

  it('and has the ports and the visibility that the first by name says, whichever came first', () => {
    const first = serviceEntry({ name: 'a', addresses: [VIP], ports: [port(80)] });
    const second = serviceEntry({ name: 'b', addresses: [VIP], ports: [port(81)], exportTo: ['bank'] });
    for (const order of [
      [first, second],
      [second, first],
    ]) {
      const state = stateOf(...order);
      assert.equal(shown(state.resolveFor(inShop, VIP, 80)), 'api.example.com shop: dialled');
      assert.equal(shown(state.resolve(VIP, 81)), 'no port of api.example.com');
      applyAll(state, [], [first]);
      assert.equal(shown(state.resolveFor(inShop, VIP, 81)), 'unknown');
      assert.equal(shown(state.resolveFor(inBank, VIP, 81)), 'api.example.com shop: dialled');
    }
  });

  it('that is a backend may come after its route, and go', () => {
    const web = service({ name: 'web', addresses: ['10.96.0.1'] });
    const out = route({
      name: 'r',
      source: 'VirtualService',
      rules: [routeRule({ backends: [backend('api.example.com')] })],
    });
    const entry = serviceEntry({ name: 'e', resolution: 'STATIC', endpoints: [entryEndpoint('203.0.113.1')] });
    const state = stateOf(web, out);
    const cluster = (): string | null => {
      const destination = state.resolve('10.96.0.1', 80);
      const match =
        destination.kind === 'service' ? destination.target.routes?.match(request(), clientIn('shop')) : null;
      return match?.backends.entries[0]?.cluster?.endpoints.map(({ address }) => address).join() ?? null;
    };
    assert.equal(cluster(), null);
    applyAll(state, [entry]);
    assert.equal(cluster(), '203.0.113.1');
    applyAll(state, [], [entry]);
    assert.equal(cluster(), null);
  });

  it('keeps its destination when only its endpoints change', () => {
    const entry = serviceEntry({
      name: 'e',
      addresses: [VIP],
      resolution: 'STATIC',
      endpoints: [entryEndpoint('203.0.113.1')],
    });
    const state = stateOf(entry);
    const before = state.resolve(VIP, 80);
    applyAll(state, [{ ...entry, endpoints: [entryEndpoint('203.0.113.2')] }]);
    assert.equal(state.resolve(VIP, 80), before);
    assert.equal(shown(before), 'api.example.com shop: 203.0.113.2:80');
  });
});

describe('a ServiceEntry by host', () => {
  const state = stateOf(
    serviceEntry({ name: 'exact', hosts: ['a.example.com'], ports: [port(80)] }),
    serviceEntry({ name: 'narrow', hosts: ['*.b.example.com'], ports: [port(80), port(443, 'tls')] }),
    serviceEntry({ name: 'wide', hosts: ['*.example.com'], ports: [port(80), port(81), port(3306, 'tcp')] }),
    serviceEntry({ name: 'own', namespace: 'bank', hosts: ['a.example.com'] }),
  );
  const rows: [Workload | null, string, number, string][] = [
    [inShop, 'a.example.com', 80, 'a.example.com shop: dialled'],
    [inBank, 'a.example.com', 80, 'a.example.com bank: dialled'],
    [null, 'a.example.com', 80, 'a.example.com bank: dialled'],
    [inShop, 'a.example.com', 81, '*.example.com shop: dialled'],
    [inShop, 'x.b.example.com', 443, '*.b.example.com shop: dialled'],
    [inShop, 'x.y.b.example.com', 80, '*.b.example.com shop: dialled'],
    [inShop, 'b.example.com', 80, '*.example.com shop: dialled'],
    [inShop, 'x.b.example.com', 81, '*.example.com shop: dialled'],
    [inShop, 'example.com', 80, 'null'],
    [inShop, 'a.example.org', 80, 'null'],
    [inShop, 'a.example.com', 82, 'null'],
    [inShop, '', 80, 'null'],
    [inShop, '.', 80, 'null'],
    [inShop, '*.example.com', 80, '*.example.com shop: dialled'],
    [inShop, `${'x.'.repeat(120)}b.example.com`, 80, '*.b.example.com shop: dialled'],
    // Too long for a host: not looked up label by label.
    [inShop, `${'x.'.repeat(20_000)}b.example.com`, 80, 'null'],
  ];
  for (const [client, host, number, expected] of rows) {
    it(`${host.slice(-40)}:${number} is ${expected} to ${client?.namespace ?? 'nobody in particular'}`, () => {
      assert.equal(shown(state.resolveHost(client, host, number, 4)), expected);
    });
  }

  it('names are looked for only on ports that some host has, and where names are said', () => {
    assert.deepEqual(
      [80, 443, 3306, 8080].map((number) => state.knowsHostsAt(number)),
      [true, true, false, false],
    );
    const brief = stateOf(serviceEntry({ name: 'e' }));
    applyAll(brief, [], [serviceEntry({ name: 'e' })]);
    assert.equal(brief.knowsHostsAt(80), false);
  });

  it('takes the routes of the host', () => {
    const parents = [{ namespace: 'shop', name: 'api.example.com', port: null }];
    const web = service({ name: 'web', ports: [{ port: 80, name: '', protocol: 'http' }] });
    const toWeb = route({
      name: 'vs',
      source: 'VirtualService',
      parents,
      rules: [routeRule({ backends: [backend('web', { port: 0 }), backend('api.example.com', { port: 0 })] })],
    });
    const secure = tlsRoute({
      name: 't',
      source: 'VirtualService',
      parents,
      hostnames: ['api.example.com'],
      backends: [streamBackend('api.example.com', { port: 0 })],
    });
    const mesh = stateOf(web, serviceEntry({ name: 'e' }), toWeb, secure);
    const target = mesh.resolveHost(inShop, 'api.example.com', 80, 4)?.target;
    const found = target?.routes?.match(request(), clientIn('shop'));
    assert.deepEqual(
      found?.backends.entries.map(({ cluster }) => [cluster?.name, cluster?.passthrough]),
      [
        ['shop/web:80', false],
        ['shop/api.example.com:80', true],
      ],
    );
    const stream = target?.streams?.match('api.example.com', clientIn('shop'), '192.0.2.1');
    assert.equal(stream?.backends.entries[0]?.cluster, target?.cluster);
  });
});

describe('what a pod sees', () => {
  const web = service({ name: 'web', addresses: ['10.96.0.1'] });
  const api = service({
    name: 'api',
    namespace: 'bank',
    addresses: ['10.96.0.2'],
    hostname: 'api.bank.svc.cluster.local',
  });
  const to = (state: MeshState, client: Workload | null, ip: string, number = 80): string =>
    shown(state.resolveFor(client, ip, number));

  it('exportTo hides a ServiceEntry by address, block and host', () => {
    const entry = serviceEntry({ name: 'e', addresses: [VIP, '198.51.0.0/16'], exportTo: ['bank'] });
    const state = stateOf(entry);
    for (const ip of [VIP, '198.51.7.7']) {
      assert.equal(to(state, inBank, ip), 'api.example.com shop: dialled');
      assert.equal(to(state, inShop, ip), 'unknown');
      assert.equal(to(state, null, ip), 'api.example.com shop: dialled');
    }
    assert.notEqual(state.resolveHost(inBank, 'api.example.com', 80, 4), null);
    assert.equal(state.resolveHost(inShop, 'api.example.com', 80, 4), null);
    applyAll(state, [{ ...entry, exportTo: ['*'] }]);
    assert.equal(to(state, inShop, VIP), 'api.example.com shop: dialled');
  });

  it('of two entries with one address each pod gets the one it sees', () => {
    const of = (namespace: string): MeshResource =>
      serviceEntry({ name: 'e', namespace, hosts: [`${namespace}.test`], addresses: [VIP], exportTo: [namespace] });
    const state = stateOf(of('shop'), of('bank'));
    assert.equal(to(state, inShop, VIP), 'shop.test shop: dialled');
    assert.equal(to(state, inBank, VIP), 'bank.test bank: dialled');
  });

  it('endpoints of a hidden entry are hidden too', () => {
    const endpoints = [entryEndpoint('203.0.113.1')];
    const state = stateOf(serviceEntry({ name: 'e', resolution: 'STATIC', endpoints, exportTo: ['bank'] }));
    assert.equal(to(state, inBank, '203.0.113.1'), 'workload serviceentry/shop/e/0');
    assert.equal(to(state, inShop, '203.0.113.1'), 'unknown');
  });

  const egress = (host: string, namespace = '*', number: number | null = null) => ({
    port: number,
    hosts: [{ namespace, host }],
  });
  const rows: [string, Parameters<typeof sidecarScope>[0], string[]][] = [
    ['no egress: everything', { name: 's', namespace: 'bank' }, ['web', 'api']],
    ['everything', { name: 's', namespace: 'bank', egress: [egress('*')] }, ['web', 'api']],
    ['nothing at all', { name: 's', namespace: 'bank', egress: [] }, []],
    ['nothing of no namespace', { name: 's', namespace: 'bank', egress: [egress('*', '~')] }, []],
    ['of one namespace', { name: 's', namespace: 'bank', egress: [egress('*', 'shop')] }, ['web']],
    ['one host', { name: 's', namespace: 'bank', egress: [egress('api.bank.svc.cluster.local')] }, ['api']],
    [
      'a host of another namespace',
      { name: 's', namespace: 'bank', egress: [egress('api.bank.svc.cluster.local', 'shop')] },
      [],
    ],
    ['names below', { name: 's', namespace: 'bank', egress: [egress('*.svc.cluster.local', 'bank')] }, ['api']],
    [
      'a listener for that port',
      { name: 's', namespace: 'bank', egress: [egress('*', 'shop', 80), egress('*')] },
      ['web'],
    ],
    [
      'a listener for another port',
      { name: 's', namespace: 'bank', egress: [egress('*', 'shop', 81), egress('*')] },
      ['web', 'api'],
    ],
    ['another namespace', { name: 's', namespace: 'shop', egress: [] }, ['web', 'api']],
    ['the whole mesh', { name: 's', namespace: 'istio-system', meshWide: true, egress: [] }, []],
    ['a selector that holds', { name: 's', namespace: 'bank', selector: { app: 'teller' }, egress: [] }, []],
    ['a selector that does not', { name: 's', namespace: 'bank', selector: { app: 'x' }, egress: [] }, ['web', 'api']],
  ];
  for (const [name, scope, expected] of rows) {
    it(`Sidecar: ${name}`, () => {
      const state = stateOf(web, api, sidecarScope(scope));
      const seen = [
        ['web', '10.96.0.1'],
        ['api', '10.96.0.2'],
      ].flatMap(([which, ip]) => (to(state, inBank, ip as string) === 'unknown' ? [] : [which]));
      assert.deepEqual(seen, expected);
    });
  }

  it('of several Sidecars the one with a selector, then the namespace’s, then the mesh’s; of equal ones the oldest', () => {
    const hides = (name: string, fields: Partial<ReturnType<typeof sidecarScope>>): MeshResource =>
      sidecarScope({ name, namespace: 'bank', ...fields });
    const policy = (...scopes: MeshResource[]): string => stateOf(...scopes).outboundTrafficPolicy(inBank);
    const strict = { outboundTrafficPolicy: 'REGISTRY_ONLY' as const };
    const open = { outboundTrafficPolicy: 'ALLOW_ANY' as const };
    const mesh = hides('m', { namespace: 'istio-system', meshWide: true, ...strict });
    assert.equal(policy(), 'ALLOW_ANY');
    assert.equal(policy(mesh), 'REGISTRY_ONLY');
    assert.equal(policy(mesh, hides('n', open)), 'ALLOW_ANY');
    assert.equal(policy(hides('n', open), hides('z', { selector: { app: 'teller' }, ...strict })), 'REGISTRY_ONLY');
    assert.equal(
      policy(hides('a', { ...open, createdMs: 2 }), hides('b', { ...strict, createdMs: 1 })),
      'REGISTRY_ONLY',
    );
    assert.equal(policy(hides('b', open), hides('a', strict)), 'REGISTRY_ONLY');
    assert.equal(policy({ ...DEFAULT_SETTINGS, outboundTrafficPolicy: 'REGISTRY_ONLY' }), 'REGISTRY_ONLY');
  });

  it('asking as a pod is asking as nobody, object for object, where nothing is hidden', () => {
    const state = stateOf(web, api, serviceEntry({ name: 'e', addresses: [VIP] }));
    for (const ip of ['10.96.0.1', VIP, '192.0.2.1']) {
      assert.equal(state.resolveFor(inBank, ip, 80), state.resolve(ip, 80));
    }
  });
});
