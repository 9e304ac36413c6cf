import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Workload } from '../../../mesh/model.ts';
import { describeNetworkVerdict, NetworkPolicyIndex, type NetworkVerdict } from '../../../mesh/network-policy.ts';
import type {
  LabelSelector,
  NetworkPeer,
  NetworkPolicy,
  NetworkPort,
  NetworkRule,
} from '../../../mesh/policy-model.ts';
import { workload } from './resources.ts';

const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const labelled = (app: string): LabelSelector => ({ matchLabels: { app }, matchExpressions: [] });

const WEB = workload({ uid: 'web', labels: { app: 'web' }, namedPorts: { http: 8080 }, addresses: ['10.0.0.1'] });
const API = workload({ uid: 'api', labels: { app: 'api' }, namedPorts: { http: 9090 }, addresses: ['10.0.0.2'] });
const BANK = workload({ uid: 'bank', namespace: 'bank', labels: { app: 'api' }, addresses: ['10.1.0.3'] });
const HOST = workload({ uid: 'host', labels: { app: 'api' }, hostNetwork: true, addresses: ['192.168.0.1'] });

function networkPolicy(name: string, fields: Partial<NetworkPolicy>): NetworkPolicy {
  const base = { kind: 'networkPolicy' as const, namespace: 'shop', name, podSelector: EVERYTHING };
  return { ...base, ingress: null, egress: null, ...fields };
}

const rule = (peers: readonly NetworkPeer[], ports: readonly NetworkPort[] | null = []): NetworkRule => ({
  peers,
  ports,
});
const pods = (podSelector: LabelSelector, namespaces: readonly string[] | null = ['shop']): NetworkPeer => ({
  type: 'pods',
  namespaces,
  podSelector,
});
const block = (cidr: string, ...except: string[]): NetworkPeer => ({ type: 'ipBlock', cidr, except });
const port = (number: number | string | null, endPort: number | null = null): NetworkPort => ({
  port: number,
  endPort,
});

function indexOf(policies: readonly NetworkPolicy[]): NetworkPolicyIndex {
  const index = new NetworkPolicyIndex();
  for (const policy of policies) index.add(policy);
  return index;
}

function ingress(policies: readonly NetworkPolicy[], source: Workload | null, to = 8080, ip?: string): NetworkVerdict {
  return indexOf(policies)
    .for(WEB)
    .ingress(WEB, to, source, ip ?? source?.addresses[0] ?? '8.8.8.8');
}

describe('ingress', () => {
  // rules, from the api pod, from the bank's, from outside
  const rows: [string, NetworkRule[] | null, boolean, boolean, boolean][] = [
    ['a policy about egress only isolates nothing', null, true, true, true],
    ['no rule allows nothing', [], false, false, false],
    ['an empty rule allows everything', [rule([])], true, true, true],
    ['pods of the namespace', [rule([pods(EVERYTHING)])], true, false, false],
    ['pods by label', [rule([pods(labelled('api'))])], true, false, false],
    ['pods by label, of all namespaces', [rule([pods(labelled('api'), null)])], true, true, false],
    ['pods of a namespace by name', [rule([pods(EVERYTHING, ['bank'])])], false, true, false],
    ['no namespace at all', [rule([pods(EVERYTHING, [])])], false, false, false],
    ['addresses', [rule([block('10.0.0.0/16')])], true, false, false],
    ['addresses but some', [rule([block('0.0.0.0/0', '10.0.0.0/8')])], false, false, true],
    [
      'an exception of one block is none of another',
      [rule([block('0.0.0.0/0', '10.0.0.0/8'), block('10.1.0.0/16')])],
      false,
      true,
      true,
    ],
    ['peers are OR-ed', [rule([pods(labelled('none')), block('8.8.8.8/32')])], false, false, true],
    ['rules are OR-ed', [rule([pods(labelled('none'))]), rule([block('8.0.0.0/8')])], false, false, true],
    ['its port', [rule([], [port(8080)])], true, true, true],
    ['another port', [rule([], [port(80)])], false, false, false],
    ['a named port of the destination', [rule([], [port('http')])], true, true, true],
    ['a name that the destination has not', [rule([], [port('toString')])], false, false, false],
    ['a range that ends with it', [rule([], [port(8000, 8080)])], true, true, true],
    ['a range that begins with it', [rule([], [port(8080, 9000)])], true, true, true],
    ['a range beside it', [rule([], [port(8081, 9000)])], false, false, false],
    ['every port', [rule([], [port(null)])], true, true, true],
    ['only ports of other protocols', [rule([], null)], false, false, false],
    ['peers and ports are AND-ed', [rule([pods(EVERYTHING)], [port(80)])], false, false, false],
  ];
  for (const [name, rules, fromApi, fromBank, fromOutside] of rows) {
    it(name, () => {
      const policies = [networkPolicy('p', { ingress: rules, egress: [] })];
      const seen = [API, BANK, null].map((source) => ingress(policies, source).allowed);
      assert.deepEqual(seen, [fromApi, fromBank, fromOutside]);
    });
  }

  it('a pod that no policy selects is open', () => {
    for (const fields of [{ namespace: 'bank' }, { podSelector: labelled('db') }]) {
      const policies = [networkPolicy('p', { ingress: [], ...fields })];
      assert.equal(ingress(policies, null).allowed, true);
      assert.equal(indexOf(policies).for(WEB).isEmpty, true);
    }
  });

  it('the union of all policies that select it counts', () => {
    const policies = [
      networkPolicy('deny-all', { ingress: [] }),
      networkPolicy('from-api', { ingress: [rule([pods(labelled('api'))])], podSelector: labelled('web') }),
    ];
    const allowed = ingress(policies, API);
    assert.deepEqual([allowed.allowed, allowed.policy, allowed.rule], [true, 'shop/from-api', 0]);
    assert.equal(describeNetworkVerdict(allowed), 'allowed by NetworkPolicy shop/from-api ingress[0]');
    const denied = ingress(policies, BANK);
    assert.deepEqual([denied.allowed, denied.isolatedBy], [false, ['shop/deny-all', 'shop/from-api']]);
    assert.match(
      describeNetworkVerdict(denied),
      /no ingress rule of NetworkPolicy shop\/deny-all, shop\/from-api matches/,
    );
    assert.match(describeNetworkVerdict(ingress([], null)), /no NetworkPolicy isolates the pod for ingress/);
  });

  it('selectors with expressions', () => {
    const rows: [LabelSelector['matchExpressions'][number], boolean][] = [
      [{ key: 'app', operator: 'In', values: ['api', 'x'] }, true],
      [{ key: 'app', operator: 'NotIn', values: ['api'] }, false],
      [{ key: 'tier', operator: 'NotIn', values: ['api'] }, true],
      [{ key: 'tier', operator: 'In', values: ['api'] }, false],
      [{ key: 'app', operator: 'Exists', values: [] }, true],
      [{ key: 'toString', operator: 'Exists', values: [] }, false],
      [{ key: 'tier', operator: 'DoesNotExist', values: [] }, true],
      [{ key: 'app', operator: 'DoesNotExist', values: [] }, false],
    ];
    for (const [expression, matches] of rows) {
      const selector: LabelSelector = { matchLabels: {}, matchExpressions: [expression] };
      assert.equal(ingress([networkPolicy('p', { ingress: [rule([pods(selector)])] })], API).allowed, matches);
      const policies = [networkPolicy('p', { ingress: [], podSelector: selector })];
      assert.equal(indexOf(policies).for(API).isEmpty, !matches, JSON.stringify(expression));
    }
  });

  it('pods on the host network are neither selected nor matched by pod selectors, but by address', () => {
    const byLabel = [networkPolicy('p', { ingress: [rule([pods(EVERYTHING, null)])] })];
    assert.equal(ingress(byLabel, HOST).allowed, false);
    assert.equal(ingress([networkPolicy('p', { ingress: [rule([block('192.168.0.0/16')])] })], HOST).allowed, true);
    assert.equal(indexOf(byLabel).for(HOST).isEmpty, true);
  });

  it('a pod always reaches itself', () => {
    const policies = [networkPolicy('p', { ingress: [], egress: [] })];
    assert.equal(ingress(policies, WEB).allowed, true);
    assert.equal(indexOf(policies).for(WEB).egress(WEB, WEB, '10.0.0.1', 8080).allowed, true);
  });

  it('an address that cannot be read is in no block', () => {
    const policies = [networkPolicy('p', { ingress: [rule([block('0.0.0.0/0'), block('::/0')])] })];
    assert.equal(ingress(policies, null, 8080, '?').allowed, false);
  });
});

describe('egress', () => {
  const egress = (rules: NetworkRule[] | null, to: Workload | null, toPort: number, ip?: string): boolean =>
    indexOf([networkPolicy('p', { egress: rules })])
      .for(WEB)
      .egress(WEB, to, ip ?? to?.addresses[0] ?? '8.8.8.8', toPort).allowed;

  it('a named port is that of the destination', () => {
    assert.equal(egress([rule([], [port('http')])], API, 9090), true);
    assert.equal(egress([rule([], [port('http')])], API, 8080), false);
    assert.equal(egress([rule([], [port('http')])], null, 8080), false);
  });

  it('goes by the destination, not by the source', () => {
    assert.equal(egress([rule([pods(labelled('api'))])], API, 1), true);
    assert.equal(egress([rule([pods(labelled('web'))])], API, 1), false);
    assert.equal(egress([rule([block('8.8.8.0/24')])], null, 53), true);
    assert.equal(egress([], null, 53), false);
    assert.equal(egress(null, null, 53), true);
  });
});

describe('NetworkPolicy against looking at every policy', () => {
  const selector = fc.constantFrom(EVERYTHING, labelled('web'), labelled('api'));
  const anyPeer = fc.oneof(
    fc.record({
      type: fc.constant('pods' as const),
      namespaces: fc.constantFrom(null, ['shop'], ['bank'], []),
      podSelector: selector,
    }),
    fc.record({
      type: fc.constant('ipBlock' as const),
      cidr: fc.constantFrom('10.0.0.0/8', '0.0.0.0/0', '10.1.0.0/16'),
      except: fc.constantFrom([], ['10.1.0.0/16'], ['10.0.0.2/32']),
    }),
  );
  const anyPort = fc.constantFrom(port(8080), port('http'), port(9000, 9100), port(null));
  const anyRule = fc.record({
    peers: fc.array(anyPeer, { maxLength: 2 }),
    ports: fc.oneof(fc.constant(null), fc.array(anyPort, { maxLength: 2 }), fc.constant([])),
  });
  const rules = fc.option(fc.array(anyRule, { maxLength: 2 }));
  const anyPolicies = fc
    .array(
      fc.record({
        namespace: fc.constantFrom('shop', 'shop', 'bank'),
        podSelector: selector,
        ingress: rules,
        egress: rules,
      }),
      {
        maxLength: 4,
      },
    )
    .map((list) => list.map((fields, i) => networkPolicy(`p${i}`, fields)));

  const matches = ({ matchLabels }: LabelSelector, one: Workload): boolean =>
    Object.entries(matchLabels).every(([key, value]) => one.labels[key] === value);
  const inBlock = (cidr: string, ip: string): boolean => {
    const list = new BlockList();
    const [network, prefix] = cidr.split('/') as [string, string];
    list.addSubnet(network, Number(prefix));
    return list.check(ip);
  };
  function naive(
    policies: readonly NetworkPolicy[],
    direction: 'ingress' | 'egress',
    self: Workload,
    other: Workload | null,
    ip: string,
    to: number,
  ): boolean {
    const target = direction === 'ingress' ? self : other;
    const isolating = policies.filter(
      (one) => one.namespace === self.namespace && matches(one.podSelector, self) && one[direction] !== null,
    );
    if (isolating.length === 0 || other === self) return true;
    return isolating
      .flatMap((one) => one[direction] ?? [])
      .some(
        ({ peers, ports }) =>
          ports !== null &&
          (ports.length === 0 ||
            ports.some(({ port: wanted, endPort }) =>
              typeof wanted === 'string'
                ? target?.namedPorts[wanted] === to
                : wanted === null || (to >= wanted && to <= (endPort ?? wanted)),
            )) &&
          (peers.length === 0 ||
            peers.some((peer) =>
              peer.type === 'ipBlock'
                ? inBlock(peer.cidr, ip) && !peer.except.some((one) => inBlock(one, ip))
                : other !== null &&
                  (peer.namespaces === null || peer.namespaces.includes(other.namespace)) &&
                  matches(peer.podSelector, other),
            )),
      );
  }

  it('agrees', () => {
    const outcomes = { allowed: 0, denied: 0 };
    const peer = fc.constantFrom<Workload | null>(WEB, API, BANK, null);
    fc.assert(
      fc.property(anyPolicies, peer, fc.constantFrom(8080, 9090, 9050, 1), (policies, other, to) => {
        const ip = other?.addresses[0] ?? '8.8.8.8';
        const own = indexOf(policies).for(WEB);
        const seen = [own.ingress(WEB, to, other, ip), own.egress(WEB, other, ip, to)];
        const directions = ['ingress', 'egress'] as const;
        const expected = directions.map((direction) => naive(policies, direction, WEB, other, ip, to));
        assert.deepEqual(
          seen.map(({ allowed }) => allowed),
          expected,
        );
        for (const { allowed } of seen) outcomes[allowed ? 'allowed' : 'denied']++;
        if (own.isEmpty) assert.deepEqual(expected, [true, true]);
      }),
      { numRuns: 4000 },
    );
    assert.ok(outcomes.denied > 500 && outcomes.allowed > 500, JSON.stringify(outcomes));
  });
});
