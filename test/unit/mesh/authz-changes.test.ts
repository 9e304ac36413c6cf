/** Policies that come and go: the order of their rules, and what one change costs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { insertInOrder, itemsOf, type PlacedRule, removeInOrder, RuleOrder } from '../../../mesh/authz-order.ts';
import { CompiledPolicy } from '../../../mesh/authz-rule.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { AuthorizationPolicy } from '../../../mesh/policy-model.ts';
import { policy, policyRule, request, workload } from './resources.ts';

const WEB = workload({ uid: 'web-1', labels: { app: 'web' } });
const CONNECTION = {
  identity: null,
  sourceIp: '10.0.0.2',
  remoteIp: '10.0.0.2',
  serverName: '',
  destinationIp: '10.0.0.1',
  destinationPort: 8080,
};

function scoped(
  name: string,
  action: AuthorizationPolicy['action'],
  rules: number,
): { policy: CompiledPolicy; ports: null } {
  const written = policy({ name, action, rules: Array.from({ length: rules }, () => policyRule()) });
  return { policy: new CompiledPolicy(written), ports: null };
}

/** Names of policies and indexes of their rules, in the order that their ordinals say. */
function told(rules: readonly PlacedRule[]): string[] {
  return [...rules].sort((a, b) => a.ordinal - b.ordinal).map(({ rule }) => `${rule.policy} ${rule.index}`);
}

describe('RuleOrder', () => {
  const one = fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    action: fc.constantFrom('CUSTOM' as const, 'DENY' as const, 'ALLOW' as const),
    rules: fc.nat(4),
  });

  it('keeps the order that it would have been made with, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(one, { maxLength: 30 }), (steps) => {
        const order = new RuleOrder([]);
        const present = new Map<string, ReturnType<typeof scoped>>();
        for (const { name, action, rules } of steps) {
          const known = present.get(name);
          if (known !== undefined) order.remove(known);
          const next = scoped(name, action, rules);
          order.add(next);
          present.set(name, next);
        }
        assert.deepEqual(told(order.rules()), told(new RuleOrder([...present.values()]).rules()));
        assert.deepEqual(
          order.rules().map(({ rule }) => `${rule.policy} ${rule.index}`),
          told(order.rules()),
        );
      }),
    );
  });

  it('has room for a thousand policies one after the other at the same place', () => {
    const order = new RuleOrder([scoped('a', 'DENY', 3), scoped('z', 'DENY', 3)]);
    const names = ['shop/a', 'shop/z'];
    for (let i = 0; i < 1_000; i++) {
      const name = `n${String(i).padStart(4, '0')}`;
      order.add(scoped(name, 'DENY', 3));
      names.splice(-1, 0, `shop/${name}`);
    }
    const expected = names.flatMap((name) => [`${name} 0`, `${name} 1`, `${name} 2`]);
    assert.deepEqual(told(order.rules()), expected);
    const { ordinal } = order.rules()[3_005] as PlacedRule;
    assert.ok(Number.isSafeInteger(ordinal));
    assert.equal(new Set(order.rules().map((placed) => placed.ordinal)).size, expected.length);
  });
});

describe('a list in order', () => {
  it('takes items in and out at their rule', () => {
    const order = new RuleOrder([scoped('a', 'DENY', 3)]);
    const items = order.rules().flatMap((placed) => [{ placed }, { placed }]);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.boolean()), { maxLength: 40 }), (steps) => {
        const list: (typeof items)[number][] = [];
        const present = new Set<(typeof items)[number]>();
        for (const [at, add] of steps) {
          const item = items[at] as (typeof items)[number];
          const changes = add ? insertInOrder(list, item) : removeInOrder(list, item);
          assert.equal(changes, present.has(item) !== add);
          if (add) present.add(item);
          else present.delete(item);
        }
        assert.deepEqual(new Set(list), present);
        for (const placed of order.rules()) {
          assert.deepEqual(
            new Set(itemsOf(list, placed)),
            new Set([...present].filter((item) => item.placed === placed)),
          );
        }
        assert.deepEqual(
          list.map(({ placed }) => placed.ordinal),
          list.map(({ placed }) => placed.ordinal).sort((a, b) => a - b),
        );
      }),
    );
  });
});

describe('a rule with more sources times operations than are listed each with each', () => {
  const ips = Array.from({ length: 9 }, (_, i) => `10.0.0.${i}`);
  const rows: [string, Parameters<typeof policyRule>[0]][] = [
    ['listed sources', { from: ips.map((ip) => ({ ipBlocks: [ip] })) }],
    ['sources that nothing lists', { from: ips.map((ip) => ({ notIpBlocks: [`1${ip}`] })) }],
  ];
  for (const [what, sources] of rows) {
    it(`${what}: counts while it is there`, () => {
      const index = new PolicyIndex();
      index.add(policy({ name: 'always', action: 'DENY', rules: [policyRule({ to: [{ paths: ['/never'] }] })] }));
      const to = Array.from({ length: 9 }, (_, i) => ({ paths: [`/p${i}`] }));
      const wide = policy({ name: 'wide', action: 'DENY', rules: [policyRule({ ...sources, to })] });
      const other = policy({
        name: 'other',
        action: 'DENY',
        rules: [policyRule({ ...sources, to: [{ paths: ['/p7'] }] })],
      });
      const ask = (path: string): string | null =>
        index.for(WEB).forPort(8080).bind(CONNECTION).request(request({ path })).policy;
      const seen: (string | null)[] = [ask('/p7')];
      for (const change of [
        () => index.add(wide),
        () => index.add(other),
        () => index.remove(other),
        () => index.remove(wide),
      ]) {
        change();
        seen.push(ask('/p7'), ask('/p8'));
      }
      assert.deepEqual(seen, [
        null,
        'shop/wide',
        'shop/wide',
        'shop/other',
        'shop/wide',
        'shop/wide',
        'shop/wide',
        null,
        null,
      ]);
    });
  }
});

describe('one policy of many that changes', () => {
  const COUNT = 2_000;
  const RULES = 10;
  const written = (i: number, action: 'ALLOW' | 'DENY'): AuthorizationPolicy =>
    policy({
      name: `p-${String(i).padStart(5, '0')}`,
      action,
      rules: Array.from({ length: RULES }, (_, r) =>
        policyRule({
          from: r % 2 === 0 ? [] : [{ ipBlocks: [`10.${i >> 8}.${i & 255}.0/24`] }],
          to: [{ paths: [`/p${i}/r${r}`], ports: r % 3 === 0 ? [8080] : [] }],
        }),
      ),
    });

  it('costs a small part of what all of them do, and counts at once', () => {
    const index = new PolicyIndex();
    const all = Array.from({ length: COUNT }, (_, i) => written(i, 'ALLOW'));
    for (const one of all) index.add(one);
    const asked = request({ path: '/p777/r6' });
    const ask = (): boolean => index.for(WEB).forPort(8080).bind(CONNECTION).request(asked).allowed;
    const timed = (work: () => void): number => {
      const start = performance.now();
      work();
      return performance.now() - start;
    };
    const whole = timed(() => assert.equal(ask(), true));
    const changed = written(777, 'DENY');
    const original = all[777] as AuthorizationPolicy;
    const parts: number[] = [];
    for (let i = 0; i < 20; i++) {
      const [from, to] = i % 2 === 0 ? [original, changed] : [changed, original];
      parts.push(
        timed(() => {
          index.remove(from);
          index.add(to);
          assert.equal(ask(), i % 2 === 1);
        }),
      );
    }
    const median = parts.sort((a, b) => a - b)[10] as number;
    assert.ok(median * 10 < whole, `a change costs ${median.toFixed(2)} ms, all policies ${whole.toFixed(2)} ms`);
  });
});
