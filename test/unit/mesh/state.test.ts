import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Endpoint } from '../../../mesh/cluster.ts';
import type { Destination, ServiceDestination, WorkloadDestination } from '../../../mesh/destination.ts';
import { keyOf, type MeshResource } from '../../../mesh/model.ts';
import { MeshState } from '../../../mesh/state.ts';
import { applyAll, backend, policy, policyRule, request, route, routeRule, service, workload } from './resources.ts';

const WEB = service({
  name: 'web',
  addresses: ['10.96.0.1', 'fd00::1'],
  ports: [{ port: 80, name: 'http', protocol: 'http' }],
});
const PODS = [1, 2, 3].map((i) =>
  workload({
    uid: `web-${i}`,
    addresses: [`10.0.0.${i}`, `fd01::${i}`],
    labels: { app: 'web' },
    services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] },
  }),
);
const [POD1, POD2, POD3] = PODS as [(typeof PODS)[0], (typeof PODS)[0], (typeof PODS)[0]];

function stateWith(...resources: readonly MeshResource[]): MeshState {
  const state = new MeshState();
  applyAll(state, resources);
  return state;
}

function toService(destination: Destination): ServiceDestination {
  assert.equal(destination.kind, 'service');
  return destination;
}

function toWorkload(destination: Destination): WorkloadDestination {
  assert.equal(destination.kind, 'workload');
  return destination;
}

function addresses(endpoints: readonly Endpoint[]): string[] {
  return endpoints.map((endpoint) => `${endpoint.address} ${endpoint.port}`);
}

describe('resolve', () => {
  it('a ClusterIP port leads to the ready pods, in the family that was dialled', () => {
    const state = stateWith(WEB, POD1, { ...POD2, ready: false }, POD3);
    const v4 = toService(state.resolve('10.96.0.1', 80));
    assert.deepEqual(addresses(v4.target.cluster.endpoints), ['10.0.0.1 8080', '10.0.0.3 8080']);
    assert.equal(v4.target.cluster.name, 'shop/web:80');
    assert.equal(v4.target.routes, null);
    assert.equal(v4.target.protocol, 'http');
    assert.deepEqual(addresses(toService(state.resolve('fd00::1', 80)).target.cluster.endpoints), [
      'fd01::1 8080',
      'fd01::3 8080',
    ]);
  });

  it('a pod without an address of the family is reached by the one it has, a pod without any is left out', () => {
    const state = stateWith(WEB, { ...POD1, addresses: ['10.0.0.1'] }, { ...POD2, addresses: [] });
    assert.deepEqual(addresses(toService(state.resolve('fd00::1', 80)).target.cluster.endpoints), ['10.0.0.1 8080']);
  });

  it('a port the Service does not have is unknown, and names the Service', () => {
    assert.deepEqual(stateWith(WEB, POD1).resolve('10.96.0.1', 81), { kind: 'unknown', service: WEB });
  });

  it('an address nobody has is unknown', () => {
    assert.deepEqual(stateWith(WEB, POD1).resolve('192.0.2.1', 80), { kind: 'unknown', service: null });
  });

  it('a pod address behind a Service carries its protocol but never its routes', () => {
    const split = route({ name: 'split', rules: [routeRule({ backends: [backend('web')] })] });
    const state = stateWith(WEB, split, ...PODS);
    const direct = toWorkload(state.resolve('10.0.0.2', 8080));
    assert.equal(direct.workload, POD2);
    assert.equal(direct.protocol, 'http');
    assert.equal(direct.target?.cluster, toService(state.resolve('10.96.0.1', 80)).target.cluster);
    assert.equal(direct.target?.routes, null);
    assert.deepEqual([direct.endpoint.address, direct.endpoint.port], ['10.0.0.2', 8080]);
  });

  it('a pod port behind no Service is detected', () => {
    const direct = toWorkload(stateWith(WEB, ...PODS).resolve('10.0.0.2', 9999));
    assert.equal(direct.protocol, 'detect');
    assert.equal(direct.target, null);
    assert.equal(direct.endpoint.slot, 0);
  });

  const headless = service({ name: 'db', ports: [{ port: 5432, name: 'pg', protocol: 'tcp' }] });
  const declared: [string, MeshResource[], string][] = [
    ['one Service', [headless], 'tcp'],
    [
      'declared beats undeclared',
      [headless, service({ name: 'any', ports: [{ port: 1, name: '', protocol: 'detect' }] })],
      'tcp',
    ],
    [
      'two that disagree',
      [headless, service({ name: 'any', ports: [{ port: 1, name: '', protocol: 'http' }] })],
      'detect',
    ],
    ['a Service that is not there', [], 'detect'],
  ];
  for (const [name, services, protocol] of declared) {
    it(`headless pods are reached by address, protocol by ${name}`, () => {
      const pod = workload({
        uid: 'db-0',
        addresses: ['10.0.0.9'],
        services: {
          'shop/db': [{ servicePort: 5432, targetPort: 5432 }],
          'shop/any': [{ servicePort: 1, targetPort: 5432 }],
        },
      });
      assert.equal(toWorkload(stateWith(...services, pod).resolve('10.0.0.9', 5432)).protocol, protocol);
    });
  }

  it('pods on the host network answer for their own target ports and own no address', () => {
    const onHost = (uid: string, name: string, port: number) =>
      workload({
        uid,
        addresses: ['172.18.0.2'],
        hostNetwork: true,
        services: { [`shop/${name}`]: [{ servicePort: 80, targetPort: port }] },
      });
    const state = stateWith(onHost('a', 'a', 9100), onHost('b', 'b', 9200));
    assert.equal(toWorkload(state.resolve('172.18.0.2', 9100)).workload.uid, 'a');
    assert.equal(toWorkload(state.resolve('172.18.0.2', 9200)).workload.uid, 'b');
    assert.equal(state.resolve('172.18.0.2', 22).kind, 'unknown');
    assert.equal(state.workloadByAddress('172.18.0.2'), null);
  });

  it('a Service that takes over an address has it, whatever the order of removal', () => {
    const next = service({ name: 'next', addresses: ['10.96.0.1'] });
    const state = stateWith(WEB, next);
    assert.equal(toService(state.resolve('10.96.0.1', 80)).service, next);
    applyAll(state, [], [WEB]);
    assert.equal(toService(state.resolve('10.96.0.1', 80)).service, next);
    applyAll(state, [], [next]);
    assert.equal(state.resolve('10.96.0.1', 80).kind, 'unknown');
  });
});

describe('an address that passes from one pod to another', () => {
  const old = workload({ uid: 'old', serviceAccount: 'admin', addresses: ['10.0.0.1'], labels: { app: 'admin' } });
  const young = workload({ uid: 'young', serviceAccount: 'guest', addresses: ['10.0.0.1'], labels: { app: 'guest' } });
  const terminating = { ...old, ready: false };

  const rows: [string, MeshResource[], string][] = [
    ['the ready one has it, though older', [young, { ...old, ready: true }, { ...young, ready: false }], 'old'],
    ['the ready one has it, though it came first', [young, terminating], 'young'],
    ['of two that are not ready, the later', [terminating, { ...young, ready: false }], 'young'],
    ['of two that are ready, the later', [old, young], 'young'],
  ];
  for (const [name, resources, uid] of rows) {
    it(name, () => {
      const state = new MeshState();
      for (const resource of resources) applyAll(state, [resource]);
      assert.equal(state.workloadByAddress('10.0.0.1')?.uid, uid);
      assert.equal(toWorkload(state.resolve('10.0.0.1', 80)).workload.uid, uid);
    });
  }

  it('the new pod gets neither endpoint, slot owner nor policy of the old one', () => {
    const behind = { services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] } };
    const deny = policy({ name: 'admin-only', action: 'DENY', selector: { app: 'guest' }, rules: [policyRule()] });
    const state = stateWith(WEB, deny, { ...old, ...behind });
    const before = toWorkload(state.resolve('10.0.0.1', 8080));
    assert.equal(state.authorization(before.workload, 8080).isEmpty, true);
    applyAll(state, [{ ...young, ...behind }], [old]);
    const after = toWorkload(state.resolve('10.0.0.1', 8080));
    assert.equal(after.workload.uid, 'young');
    assert.notEqual(after.endpoint, before.endpoint);
    assert.equal(before.endpoint.workload.uid, 'old');
    assert.notEqual(state.endpointAt(before.endpoint.slot), before.endpoint);
    assert.equal(state.authorization(after.workload, 8080).isEmpty, false);
    assert.deepEqual(
      toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints.map((endpoint) => endpoint.workload.uid),
      ['young'],
    );
  });

  it('a pod that is gone is judged by itself, never by who has its address now', () => {
    const deny = policy({ name: 'd', action: 'DENY', selector: { app: 'admin' }, rules: [policyRule()] });
    const state = stateWith(deny, old);
    const before = state.authorization(old, 80);
    applyAll(state, [young], [old]);
    assert.notEqual(state.authorization(old, 80), before, 'nothing is kept for a pod that is gone');
    assert.equal(state.workloadByUid('old'), null);
    assert.equal(state.authorization(old, 80).isEmpty, false);
    assert.equal(state.authorization(young, 80).isEmpty, true);
  });

  it('a name that two pods share belongs to the ready one, else to the later', () => {
    const first = workload({ uid: 'u1', name: 'db-0' });
    const second = workload({ uid: 'u2', name: 'db-0' });
    const state = stateWith(first);
    applyAll(state, [{ ...second, ready: false }]);
    assert.equal(state.workloadByName('shop/db-0')?.uid, 'u1');
    applyAll(state, [second]);
    assert.equal(state.workloadByName('shop/db-0')?.uid, 'u2');
    applyAll(state, [], [second]);
    assert.equal(state.workloadByName('shop/db-0')?.uid, 'u1');
  });
});

describe('endpoint slots', () => {
  it('are stable while the endpoint lives and reused only after it has gone, with a new object and a call', () => {
    const assigned: Endpoint[] = [];
    const state = new MeshState({ onSlotAssigned: (endpoint) => assigned.push(endpoint) });
    applyAll(state, [WEB, POD1, POD2]);
    const endpoints = (): readonly Endpoint[] => toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints;
    const [first, second] = endpoints() as [Endpoint, Endpoint];
    assert.deepEqual(assigned, [first, second]);
    assert.ok(first.slot > 0 && first.slot !== second.slot);
    applyAll(state, [{ ...POD1, labels: { app: 'web', version: '2' } }]);
    assert.equal(endpoints()[0], first, 'new labels do not end an endpoint');
    assert.equal(first.workload.labels['version'], '2');
    applyAll(state, [], [POD1]);
    assert.deepEqual(endpoints(), [second]);
    assert.equal(state.endpointAt(first.slot), null);
    applyAll(state, [POD3]);
    const third = endpoints()[1] as Endpoint;
    assert.equal(third.slot, first.slot);
    assert.equal(state.endpointAt(first.slot), third);
    assert.equal(assigned.at(-1), third);
    assert.equal(state.slotLimit, 3);
  });

  it('a pod that loses its address or its target port loses the endpoint', () => {
    const state = stateWith(WEB, POD1);
    const [endpoint] = toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints as [Endpoint];
    applyAll(state, [{ ...POD1, addresses: ['10.0.0.77'] }]);
    const [moved] = toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints as [Endpoint];
    assert.notEqual(moved, endpoint);
    assert.equal(moved.address, '10.0.0.77');
    applyAll(state, [{ ...POD1, addresses: ['10.0.0.77'], services: {} }]);
    assert.equal(state.endpointAt(moved.slot), null);
    assert.equal(toWorkload(state.resolve('10.0.0.77', 8080)).endpoint.slot, 0);
  });

  it('a scan of a pod’s ports takes no slot and keeps the memory bounded', () => {
    const state = stateWith(WEB, POD1);
    const seen = new Set<Endpoint>();
    for (let port = 1; port <= 5000; port++)
      if (port !== 8080) seen.add(toWorkload(state.resolve('10.0.0.1', port)).endpoint);
    assert.equal(state.slotLimit, 1);
    let kept = 0;
    for (let port = 1; port <= 5000; port++) if (seen.has(toWorkload(state.resolve('10.0.0.1', port)).endpoint)) kept++;
    assert.ok(kept > 0 && kept < 200, String(kept));
  });
});

describe('identity of compiled objects', () => {
  const other = service({ name: 'other', addresses: ['10.96.0.2'] });
  const split = route({ name: 'split', rules: [routeRule({ backends: [backend('web'), backend('other')] })] });
  const all = [WEB, other, split, ...PODS];

  it('nothing changes when equal resources come again', () => {
    const state = stateWith(...all, policy({ name: 'p', rules: [policyRule()] }));
    const generation = state.generation;
    const before = toService(state.resolve('10.96.0.1', 80));
    const routes = before.target.routes;
    const authorization = state.authorization(POD1, 8080);
    applyAll(state, structuredClone([...all, policy({ name: 'p', rules: [policyRule()] })]));
    applyAll(state, [], [service({ name: 'absent' })]);
    assert.equal(state.generation, generation);
    assert.equal(state.resolve('10.96.0.1', 80), before);
    assert.equal(before.target.routes, routes);
    assert.equal(state.authorization(POD1, 8080), authorization);
  });

  it('endpoints change in place of the array, not of the port, its routes or the cluster', () => {
    const state = stateWith(...all);
    const before = toService(state.resolve('10.96.0.1', 80));
    const { routes, cluster } = before.target;
    const endpoints = cluster.endpoints;
    applyAll(state, [{ ...POD2, ready: false }]);
    assert.equal(state.resolve('10.96.0.1', 80), before);
    assert.equal(before.target.routes, routes);
    assert.notEqual(cluster.endpoints, endpoints);
    assert.equal(endpoints.length, 3, 'an array in use is never changed');
    assert.equal(cluster.endpoints.length, 2);
  });

  it('a pod change that does not concern the Service keeps its array', () => {
    const state = stateWith(...all);
    const { cluster } = toService(state.resolve('10.96.0.1', 80)).target;
    const endpoints = cluster.endpoints;
    applyAll(state, [
      { ...POD1, labels: { app: 'web', x: 'y' } },
      workload({ uid: 'stranger', addresses: ['10.0.0.200'] }),
    ]);
    assert.equal(cluster.endpoints, endpoints);
  });

  it('a route change replaces the port but not the cluster, and only where it is attached', () => {
    const state = stateWith(...all);
    const before = toService(state.resolve('10.96.0.1', 80));
    const untouched = state.resolve('10.96.0.2', 80);
    applyAll(state, [{ ...split, rules: [routeRule()] }]);
    const after = toService(state.resolve('10.96.0.1', 80));
    assert.notEqual(after.target, before.target);
    assert.equal(after.target.cluster, before.target.cluster);
    assert.equal(state.resolve('10.96.0.2', 80), untouched);
  });

  it('a backend Service that goes turns its share into a broken one, and comes back', () => {
    const state = stateWith(...all);
    const clusters = () =>
      toService(state.resolve('10.96.0.1', 80))
        .target.routes?.match(request(), { namespace: 'shop', labels: {} })
        ?.backends.entries.map((entry) => entry.cluster?.name ?? null);
    assert.deepEqual(clusters(), ['shop/web:80', 'shop/other:80']);
    applyAll(state, [], [other]);
    assert.deepEqual(clusters(), ['shop/web:80', null]);
    applyAll(state, [other]);
    assert.deepEqual(clusters(), ['shop/web:80', 'shop/other:80']);
  });

  it('a cluster whose Service is gone is empty for whoever still holds it', () => {
    const state = stateWith(...all);
    const held = toService(state.resolve('10.96.0.1', 80)).target.cluster;
    assert.equal(held.endpoints.length, 3);
    applyAll(state, [], [WEB]);
    assert.deepEqual(held.endpoints, []);
  });

  it('a policy elsewhere keeps a workload’s Authorization, one that selects it replaces it', () => {
    const state = stateWith(...all);
    const before = state.authorization(POD1, 8080);
    applyAll(state, [
      policy({ name: 'elsewhere', namespace: 'bank' }),
      policy({ name: 'db', selector: { app: 'db' } }),
    ]);
    assert.equal(state.authorization(POD1, 8080), before);
    applyAll(state, [policy({ name: 'web', selector: { app: 'web' } })]);
    const after = state.authorization(POD1, 8080);
    assert.notEqual(after, before);
    applyAll(state, [{ ...POD1, labels: { app: 'web', irrelevant: 'yes' } }]);
    assert.equal(state.authorization(POD1, 8080), after);
    applyAll(state, [{ ...POD1, labels: {} }]);
    assert.equal(state.authorization(POD1, 8080).isEmpty, true);
  });
});

describe('routes attached to a Service', () => {
  const two = service({
    name: 'web',
    addresses: ['10.96.0.1'],
    ports: [
      { port: 80, name: 'http', protocol: 'http' },
      { port: 81, name: 'alt', protocol: 'http' },
    ],
  });
  const attached = (state: MeshState, port: number): string[] =>
    (toService(state.resolve('10.96.0.1', port)).target.routes?.routes ?? []).map((one) => one.name);

  it('by port, or to every port', () => {
    const state = stateWith(
      two,
      route({ name: 'all' }),
      route({ name: 'p81', parents: [{ namespace: 'shop', name: 'web', port: 81 }] }),
      route({ name: 'none', parents: [{ namespace: 'shop', name: 'db', port: null }] }),
    );
    assert.deepEqual(attached(state, 80), ['all']);
    assert.deepEqual(attached(state, 81), ['all', 'p81']);
  });

  it('never a route from another namespace: it may only concern its own clients', () => {
    const hijack = route({
      name: 'hijack',
      namespace: 'evil',
      parents: [{ namespace: 'shop', name: 'web', port: null }],
    });
    assert.equal(toService(stateWith(two, hijack).resolve('10.96.0.1', 80)).target.routes, null);
  });

  it('follow a route that moves to another port', () => {
    const moving = (port: number) => route({ name: 'r', parents: [{ namespace: 'shop', name: 'web', port }] });
    const state = stateWith(two, moving(80));
    assert.deepEqual([attached(state, 80), attached(state, 81)], [['r'], []]);
    applyAll(state, [moving(81)]);
    assert.deepEqual([attached(state, 80), attached(state, 81)], [[], ['r']]);
    applyAll(state, [], [moving(81)]);
    assert.deepEqual([attached(state, 80), attached(state, 81)], [[], []]);
  });
});

describe('apply', () => {
  it('is atomic: one bad resource and nothing of the delta is applied', () => {
    const state = stateWith(WEB, POD1);
    const generation = state.generation;
    const bad = { ...route({ name: 'bad' }), rules: [{ nonsense: true }] } as unknown as MeshResource;
    const result = state.apply({ upserts: [POD2, bad, POD3], removals: [keyOf(WEB)] });
    assert.deepEqual(result.ok ? null : result.resource, { kind: 'httpRoute', key: 'shop/bad' });
    assert.match(result.ok ? '' : result.error, /^httpRoute shop\/bad: rules\[0\]\.nonsense: .*upgrade weir/);
    assert.equal(state.generation, generation);
    assert.equal(state.workloadByUid('web-2'), null);
    assert.equal(state.serviceByName('shop/web'), WEB);
  });

  it('removes before it adds, so that a key in both is a new object', () => {
    const state = stateWith(WEB, POD1);
    const [endpoint] = toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints as [Endpoint];
    applyAll(state, [POD1], [POD1]);
    const [again] = toService(state.resolve('10.96.0.1', 80)).target.cluster.endpoints as [Endpoint];
    assert.notEqual(again, endpoint);
    assert.deepEqual(state.list('workload'), [POD1]);
  });

  it('lists resources by kind', () => {
    const split = route({ name: 'r' });
    const rule = policy({ name: 'p' });
    const state = stateWith(WEB, ...PODS, split, rule);
    assert.deepEqual(state.list('workload'), PODS);
    assert.deepEqual(state.list('service'), [WEB]);
    assert.deepEqual(state.list('httpRoute'), [split]);
    assert.deepEqual(state.list('authorizationPolicy'), [rule]);
  });
});
