/** Which endpoints clients of a node use: internalTrafficPolicy, trafficDistribution, subsets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshResource, Service } from '../../../mesh/model.ts';
import { rewrittenPath } from '../../../mesh/path-rewrite.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import { applyAll, backend, clientIn, request, route, routeRule, service, workload } from './resources.ts';

const services = { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] };

function pod(uid: string, node: string, locality: string, labels: Record<string, string> = {}): MeshResource {
  return workload({ uid, node, locality, labels, services, addresses: [`10.0.0.${uid.slice(1)}`] });
}

/** uids behind the Service for clients of node n1. */
function seen(web: Partial<Service>, pods: readonly MeshResource[], node = 'n1'): string {
  const state = new MeshState({ node });
  applyAll(state, [service({ name: 'web', addresses: ['10.96.0.1'], ...web }), ...pods]);
  return uids(state);
}

function uids(state: MeshState): string {
  const endpoints = state.servicePort('shop/web', 80)?.cluster.endpoints ?? [];
  return endpoints.map((endpoint) => endpoint.workload.uid).join(' ');
}

describe('endpoints that are near', () => {
  const here = pod('p1', 'n1', 'r1/z1');
  const sameZone = pod('p2', 'n2', 'r1/z1/s');
  const otherZone = pod('p3', 'n3', 'r1/z2');
  const sameZoneName = pod('p4', 'n4', 'r2/z1');
  const all = [here, sameZone, otherZone, sameZoneName];
  const neighbour = workload({ uid: 'neighbour', node: 'n1', locality: 'r1/z1' });
  const rows: [string, Partial<Service>, MeshResource[], string][] = [
    ['all by default', {}, all, 'p1 p2 p3 p4'],
    ['Local: of the node', { internalTrafficPolicy: 'Local' }, all, 'p1'],
    ['Local: none where the node has none', { internalTrafficPolicy: 'Local' }, [sameZone, otherZone], ''],
    ['PreferSameNode: of the node', { trafficDistribution: 'PreferSameNode' }, all, 'p1'],
    [
      'PreferSameNode: else of the zone',
      { trafficDistribution: 'PreferSameNode' },
      [sameZone, otherZone, neighbour],
      'p2',
    ],
    [
      'PreferSameNode: else all',
      { trafficDistribution: 'PreferSameNode' },
      [otherZone, sameZoneName, neighbour],
      'p3 p4',
    ],
    ['PreferSameZone: of the zone in that region', { trafficDistribution: 'PreferSameZone' }, all, 'p1 p2'],
    [
      'PreferSameZone: else all',
      { trafficDistribution: 'PreferSameZone' },
      [otherZone, sameZoneName, neighbour],
      'p3 p4',
    ],
    [
      'PreferSameZone: all where the zone is not known',
      { trafficDistribution: 'PreferSameZone' },
      [sameZone, otherZone],
      'p2 p3',
    ],
    [
      'Local before a preference',
      { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferSameZone' },
      [sameZone, neighbour],
      '',
    ],
  ];
  for (const [name, web, pods, expected] of rows) {
    it(name, () => assert.equal(seen(web, pods), expected));
  }

  it('to nobody in particular nothing is near', () => {
    assert.equal(seen({ internalTrafficPolicy: 'Local' }, all, ''), 'p1 p2 p3 p4');
  });

  it('follow the node when it becomes known where it is, and when that changes', () => {
    const state = new MeshState({ node: 'n1' });
    applyAll(state, [service({ name: 'web', trafficDistribution: 'PreferSameZone' }), sameZone, otherZone]);
    assert.equal(uids(state), 'p2 p3');
    applyAll(state, [neighbour]);
    assert.equal(uids(state), 'p2');
    applyAll(state, [{ ...neighbour, locality: 'r1/z2' }]);
    assert.equal(uids(state), 'p3');
    applyAll(state, [], [neighbour]);
    assert.equal(uids(state), 'p2 p3');
  });
});

describe('subsets', () => {
  const v1 = { name: 'v1', labels: { version: 'v1' } };
  const toV1 = route({
    name: 'r',
    source: 'VirtualService',
    rules: [routeRule({ backends: [backend('web', { subset: v1 })] })],
  });
  const members = (state: MeshState): string[] | undefined => {
    const destination = state.resolve('10.96.0.1', 80);
    assert.equal(destination.kind, 'service');
    const found = destination.kind === 'service' && destination.target.routes?.match(request(), clientIn('shop'));
    return found ? found.backends.entries[0]?.cluster?.endpoints.map((each) => each.workload.uid) : undefined;
  };

  it('are the pods with the labels, as they come, change and go', () => {
    const state = new MeshState();
    const web = service({ name: 'web', addresses: ['10.96.0.1'] });
    applyAll(state, [web, toV1, pod('p1', 'n1', '', { version: 'v1' }), pod('p2', 'n1', '', { version: 'v2' })]);
    assert.deepEqual(members(state), ['p1']);
    const destination = state.resolve('10.96.0.1', 80);
    applyAll(state, [pod('p2', 'n1', '', { version: 'v1', other: 'x' }), pod('p1', 'n1', '', {})]);
    assert.deepEqual(members(state), ['p2']);
    assert.equal(state.resolve('10.96.0.1', 80), destination, 'a pod’s labels are no reason to route anew');
    applyAll(state, [], [pod('p2', 'n1', '')]);
    assert.deepEqual(members(state), []);
  });

  it('near is who is near among the members', () => {
    const state = new MeshState({ node: 'n1' });
    const web = service({ name: 'web', addresses: ['10.96.0.1'], trafficDistribution: 'PreferSameNode' });
    applyAll(state, [web, toV1, pod('p1', 'n1', '', {}), pod('p2', 'n2', '', { version: 'v1' })]);
    assert.deepEqual(members(state), ['p2']);
  });

  it('share one endpoint, and one slot, with the Service', () => {
    const state = new MeshState();
    const web = service({ name: 'web', addresses: ['10.96.0.1'] });
    applyAll(state, [web, toV1, pod('p1', 'n1', '', { version: 'v1' })]);
    const destination = state.resolve('10.96.0.1', 80);
    const all = destination.kind === 'service' ? destination.target.cluster.endpoints : [];
    const match = destination.kind === 'service' ? destination.target.routes?.match(request(), clientIn('shop')) : null;
    assert.equal(match?.backends.entries[0]?.cluster?.endpoints[0], all[0]);
  });
});

describe('the mesh’s path normalisation', () => {
  it('is what rewrites are normalised with, also after it has changed', () => {
    const state = new MeshState();
    const rewrite = {
      type: 'urlRewrite' as const,
      hostname: null,
      path: { type: 'full' as const, value: '/a//b/%2e' },
    };
    const web = service({ name: 'web', addresses: ['10.96.0.1'] });
    applyAll(state, [
      web,
      route({ name: 'r', rules: [routeRule({ filters: [rewrite], backends: [backend('web')] })] }),
    ]);
    const path = (): string | null => {
      const destination = state.resolve('10.96.0.1', 80);
      const match =
        destination.kind === 'service' ? destination.target.routes?.match(request(), clientIn('shop')) : null;
      const compiled = match?.backends.entries[0]?.rewrite;
      return match && compiled ? rewrittenPath(compiled, match.matched, '/') : null;
    };
    assert.equal(path(), '/a//b/');
    applyAll(state, [{ ...DEFAULT_SETTINGS, pathNormalization: 'MERGE_SLASHES' }]);
    assert.equal(path(), '/a/b/');
    applyAll(state, [{ ...DEFAULT_SETTINGS, pathNormalization: 'NONE' }]);
    assert.equal(path(), '/a//b/%2e');
    applyAll(state, [], [DEFAULT_SETTINGS]);
    assert.equal(path(), '/a//b/');
  });
});
