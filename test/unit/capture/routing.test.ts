/** The policy routing of a pod's namespace: what is set, what is found missing or stale, and that nothing of others is taken out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Exclusions, parseExclusions } from '../../../agent/capture/exclusions.ts';
import {
  missingRouting,
  planReplyRouting,
  planTproxyRouting,
  type RoutingPlan,
  routingSetup,
  routingTeardown,
  staleRouting,
} from '../../../agent/capture/routing.ts';

const NONE: Exclusions = { inboundPorts: [], outboundPorts: [], outboundCidrs: [] };
const REPLY = planReplyRouting();

function exclusions(): Exclusions {
  const parsed = parseExclusions(
    {
      'weir.dev/exclude-outbound-ports': '3306,4000-4010',
      'weir.dev/exclude-inbound-ports': '9090',
      'weir.dev/exclude-outbound-cidrs': '10.0.0.0/8,192.0.2.1/32,fd00:1::/64',
    },
    'default/web',
  );
  assert.ok(parsed.ok);
  return parsed.value;
}

/** What `ip rule show` prints when the plan is in place, beside the rules that every namespace has. */
function shown({ rules }: RoutingPlan): string {
  const all = [
    { priority: 0, text: 'from all lookup local' },
    ...rules,
    { priority: 32_766, text: 'from all lookup main' },
  ];
  return all.map(({ priority, text }) => `${priority}:\t${text} \n`).join('');
}

const ROUTES = `local default dev lo table 101 scope host src 10.0.0.1 congctl reno
local default dev lo table 100 scope host congctl reno
local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1
`;

describe('routing of replies', () => {
  test('the text', () => {
    assert.equal(
      routingSetup(REPLY),
      'link set dev lo up\nroute replace local default dev lo table 100 congctl reno\nrule add priority 100 from all fwmark 0x111/0xfff lookup 100\n',
    );
  });

  test('rule and route are looked for, other priorities and wording accepted', () => {
    assert.deepEqual(missingRouting(4, REPLY, shown(REPLY).replace('100:', '99:'), ROUTES), []);
    assert.deepEqual(missingRouting(4, REPLY, '', ''), [
      'IPv4: ip rule missing: priority 100 from all fwmark 0x111/0xfff lookup 100',
      'IPv4: ip route missing: local default dev lo table 100 congctl reno',
    ]);
  });
});

describe('routing of connections to the agent', () => {
  test('IPv4: the golden text; what captures comes last', () => {
    assert.equal(
      routingSetup(planTproxyRouting(4, exclusions(), '10.0.0.1')),
      `link set dev lo up
route replace local default dev lo table 100 congctl reno
route replace local default dev lo table 101 src 10.0.0.1 congctl reno
rule add priority 100 from all fwmark 0x111/0xfff lookup 100
rule add priority 110 from all nop
rule add priority 101 from all fwmark 0x539/0xfff goto 110
rule add priority 101 from all fwmark 0x333/0xfff goto 110
rule add priority 102 from all to 169.254.7.127 ipproto tcp goto 110
rule add priority 102 from all ipproto tcp sport 15001 goto 110
rule add priority 102 from all ipproto tcp sport 15006 goto 110
rule add priority 102 from all ipproto tcp sport 15008 goto 110
rule add priority 102 from all ipproto tcp sport 9090 goto 110
rule add priority 102 from all ipproto tcp dport 15001 goto 110
rule add priority 102 from all ipproto tcp dport 15006 goto 110
rule add priority 102 from all ipproto tcp dport 3306 goto 110
rule add priority 102 from all ipproto tcp dport 4000-4010 goto 110
rule add priority 102 from all to 10.0.0.0/8 ipproto tcp goto 110
rule add priority 102 from all to 192.0.2.1 ipproto tcp goto 110
rule add priority 103 from all iif lo ipproto tcp lookup 101
`,
    );
  });

  test('IPv6: its own addresses, and link-local', () => {
    const { rules, routes } = planTproxyRouting(6, exclusions(), 'fd00::1');
    const texts = rules.map(({ text }) => text);
    for (const to of ['fd16:9254:7127:1337:ffff:ffff:ffff:ffff', 'fe80::/10', 'fd00:1::/64']) {
      assert.ok(texts.includes(`from all to ${to} ipproto tcp goto 110`), to);
    }
    assert.ok(!texts.some((text) => text.includes('10.0.0.0')));
    assert.equal(routes[1], 'local default dev lo table 101 src fd00::1 congctl reno');
  });

  const plan = planTproxyRouting(4, exclusions(), '10.0.0.1');

  test('each rule, each route and a route with another source is found missing by itself', () => {
    assert.deepEqual(missingRouting(4, plan, shown(plan), ROUTES), []);
    for (const taken of plan.rules) {
      const rest = shown({ ...plan, rules: plan.rules.filter((rule) => rule !== taken) });
      assert.deepEqual(missingRouting(4, plan, rest, ROUTES), [
        `IPv4: ip rule missing: priority ${taken.priority} ${taken.text}`,
      ]);
    }
    assert.equal(missingRouting(4, plan, shown(plan), ROUTES.replace('src 10.0.0.1', 'src 10.0.0.11')).length, 1);
  });

  test('teardown takes out exactly ours, what captures first', () => {
    const others = '100:\tfrom 10.1.1.1 lookup 100 \n105:\tfrom all to 10.9.9.9 lookup 7 \n';
    const text = routingTeardown(`${others}${shown(plan)}`);
    assert.equal(text.match(/^rule del /gm)?.length, plan.rules.length);
    assert.match(text, /^rule del priority 103 from all iif lo/m);
    assert.doesNotMatch(text, /10\.1\.1\.1|10\.9\.9\.9|lookup (local|main)/);
    assert.ok(text.endsWith('route del local default dev lo table 101\nroute del local default dev lo table 100\n'));
    assert.equal(routingTeardown('0:\tfrom all lookup local\n').match(/rule del/g), null);
  });

  test('stale is what another plan left, and nothing else', () => {
    assert.equal(staleRouting(plan, shown(plan)), '');
    const without = planTproxyRouting(4, NONE, '10.0.0.1');
    assert.equal(staleRouting(without, shown(plan)).match(/^rule del priority 102 /gm)?.length, 5);
    assert.equal(staleRouting(REPLY, shown(plan)).match(/^rule del /gm)?.length, plan.rules.length - 1);
  });
});
