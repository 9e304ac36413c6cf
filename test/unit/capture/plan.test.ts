/** Golden texts of the capture plan, and what is done about what is there already. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changeSets, createSets, entryText, rewriteSets } from '../../../agent/capture/bypass-set.ts';
import { killFilter, parseFlows } from '../../../agent/capture/bypassed-flows.ts';
import { missingRules } from '../../../agent/capture/verify-rules.ts';
import { type Exclusions, parseExclusions } from '../../../agent/capture/exclusions.ts';
import { captureRestore, captureRestoreFresh, captureTeardown, planCapture } from '../../../agent/capture/plan.ts';

function exclusions(annotations: Record<string, string> = {}): Exclusions {
  const parsed = parseExclusions(annotations, 'default/web');
  assert.ok(parsed.ok);
  return parsed.value;
}

const GOLDEN_RAW_V4 = `*raw
:WEIR_ZONE - [0:0]
:WEIR_UNTRACKED - [0:0]
-A WEIR_ZONE -p tcp -m comment --comment "weir: agent connections in a zone of their own" -j CT --zone-orig 1337
-A WEIR_UNTRACKED -p tcp -m comment --comment "weir: what stays in the pod is not tracked" -j CT --notrack
-I OUTPUT 1 -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: capture" -j WEIR_ZONE
-I OUTPUT 1 -o lo -p tcp -m tcp ! --sport 15001 -m comment --comment "weir: capture" -j WEIR_UNTRACKED
COMMIT
`;

const GOLDEN_V4 = `${GOLDEN_RAW_V4}*mangle
:WEIR_MARK_IN - [0:0]
-A WEIR_MARK_IN -p tcp -m comment --comment "weir: no application inherits the mark of the agent" -j MARK --set-xmark 0x111/0xfff
-I PREROUTING 1 -i lo -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: capture" -j WEIR_MARK_IN
COMMIT
*filter
:WEIR_GUARD - [0:0]
-A WEIR_GUARD -p tcp -m tcp --dport 15001 -m conntrack ! --ctstate DNAT -m comment --comment "weir: outbound port is not for dialling" -j REJECT --reject-with tcp-reset
-A WEIR_GUARD -p tcp -m tcp --dport 15006 -m conntrack ! --ctstate DNAT -m comment --comment "weir: inbound port is not for dialling" -j REJECT --reject-with tcp-reset
-I INPUT 1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "weir: capture" -j WEIR_GUARD
COMMIT
*nat
:WEIR_OUTBOUND - [0:0]
:WEIR_INBOUND - [0:0]
-A WEIR_OUTBOUND -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: agent connections pass" -j RETURN
-A WEIR_OUTBOUND -o lo -p tcp -m comment --comment "weir: calls to itself pass" -j RETURN
-A WEIR_OUTBOUND -d 127.0.0.0/8 -p tcp -m comment --comment "weir: loopback passes" -j RETURN
-A WEIR_OUTBOUND -d 10.0.0.0/8 -p tcp -m comment --comment "weir: excluded outbound 10.0.0.0/8" -j RETURN
-A WEIR_OUTBOUND -p tcp -m tcp --dport 3306 -m comment --comment "weir: excluded outbound port 3306" -j RETURN
-A WEIR_OUTBOUND -p tcp -m comment --comment "weir: outbound to the agent" -j REDIRECT --to-ports 15001
-A WEIR_INBOUND -s 169.254.7.127/32 -p tcp -m comment --comment "weir: node probes pass" -j RETURN
-A WEIR_INBOUND -i lo -p tcp -m comment --comment "weir: calls to itself pass" -j RETURN
-A WEIR_INBOUND -p tcp -m tcp --dport 15008 -m comment --comment "weir: mesh port is not redirected" -j RETURN
-A WEIR_INBOUND -p tcp -m tcp --dport 15001 -m comment --comment "weir: outbound port is not redirected" -j RETURN
-A WEIR_INBOUND -p tcp -m tcp --dport 15006 -m comment --comment "weir: inbound port is not redirected" -j RETURN
-A WEIR_INBOUND -p tcp -m tcp --dport 9090:9099 -m comment --comment "weir: excluded inbound port 9090:9099" -j RETURN
-A WEIR_INBOUND -p tcp -m comment --comment "weir: inbound to the agent" -j REDIRECT --to-ports 15006
-I OUTPUT 1 -p tcp -m comment --comment "weir: capture" -j WEIR_OUTBOUND
-I PREROUTING 1 -p tcp -m comment --comment "weir: capture" -j WEIR_INBOUND
COMMIT
`;

/** Where an application's answers cannot be marked: the connection's mark brings them back, so it is tracked. */
const GOLDEN_BY_CONNECTION_V4 = `*raw
:WEIR_ZONE - [0:0]
-A WEIR_ZONE -p tcp -m comment --comment "weir: agent connections in a zone of their own" -j CT --zone-orig 1337
-I OUTPUT 1 -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: capture" -j WEIR_ZONE
COMMIT
*mangle
:WEIR_MARK_IN - [0:0]
:WEIR_MARK_OUT - [0:0]
-A WEIR_MARK_IN -p tcp -m conntrack --ctdir ORIGINAL -m comment --comment "weir: remember connections the agent opens to this pod" -j CONNMARK --set-xmark 0x111/0xfff
-A WEIR_MARK_IN -p tcp -m comment --comment "weir: no application inherits the mark of the agent" -j MARK --set-xmark 0x111/0xfff
-A WEIR_MARK_OUT -p tcp -m connmark --mark 0x111/0xfff -m comment --comment "weir: replies go back to the agent" -j CONNMARK --restore-mark --nfmask 0xfff --ctmask 0xfff
-I PREROUTING 1 -i lo -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: capture" -j WEIR_MARK_IN
-I OUTPUT 1 -p tcp -m mark ! --mark 0x539/0xfff -m mark ! --mark 0x111/0xfff -m comment --comment "weir: capture" -j WEIR_MARK_OUT
COMMIT
`;

/** What the form `tproxy` has in mangle; its other tables are those of the plain form. */
const GOLDEN_TPROXY_V6 = `*mangle
:WEIR_MARK_IN - [0:0]
:WEIR_TPROXY - [0:0]
:WEIR_ARRIVED - [0:0]
-A WEIR_MARK_IN -p tcp -m comment --comment "weir: no application inherits the mark of the agent" -j MARK --set-xmark 0x111/0xfff
-A WEIR_TPROXY -p tcp -m comment --comment "weir: outbound to the agent" -j TPROXY --on-port 15001 --on-ip :: --tproxy-mark 0x0/0x0
-A WEIR_ARRIVED -p tcp -m comment --comment "weir: came from elsewhere, and answers go there" -j MARK --set-xmark 0x333/0xfff
-I PREROUTING 1 -i lo -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: capture" -j WEIR_MARK_IN
-I PREROUTING 1 -i lo -p tcp -m mark --mark 0x0/0xfff -m addrtype ! --dst-type LOCAL -m comment --comment "weir: capture" -j WEIR_TPROXY
-I PREROUTING 1 ! -i lo -p tcp -m comment --comment "weir: capture" -j WEIR_ARRIVED
COMMIT
`;

/** What the form `bypass` has beside the plain one: two chains of filter, and two rules before each redirection. */
const GOLDEN_BYPASS_V4 = `*filter
:WEIR_GUARD - [0:0]
:WEIR_BYPASS_OUT - [0:0]
:WEIR_BYPASS_IN - [0:0]
-A WEIR_GUARD -p tcp -m tcp --dport 15001 -m conntrack ! --ctstate DNAT -m comment --comment "weir: outbound port is not for dialling" -j REJECT --reject-with tcp-reset
-A WEIR_GUARD -p tcp -m tcp --dport 15006 -m conntrack ! --ctstate DNAT -m comment --comment "weir: inbound port is not for dialling" -j REJECT --reject-with tcp-reset
-A WEIR_BYPASS_OUT -p tcp -m tcp --tcp-flags RST RST -m comment --comment "weir: resets pass" -j RETURN
-A WEIR_BYPASS_OUT -p tcp -m conntrack --ctdir ORIGINAL -m set --match-set WEIR-BYPASS4 dst,dst -m comment --comment "weir: may still bypass" -j RETURN
-A WEIR_BYPASS_OUT -p tcp -m conntrack --ctdir REPLY -m set --match-set WEIR-BYPASS4 src,src -m comment --comment "weir: may still bypass" -j RETURN
-A WEIR_BYPASS_OUT -p tcp -m comment --comment "weir: may not bypass any more" -j REJECT --reject-with tcp-reset
-A WEIR_BYPASS_IN -p tcp -m tcp --tcp-flags RST RST -m comment --comment "weir: resets pass" -j RETURN
-A WEIR_BYPASS_IN -p tcp -m conntrack --ctdir ORIGINAL -m set --match-set WEIR-BYPASS4 dst,dst -m comment --comment "weir: may still bypass" -j RETURN
-A WEIR_BYPASS_IN -p tcp -m conntrack --ctdir REPLY -m set --match-set WEIR-BYPASS4 src,src -m comment --comment "weir: may still bypass" -j RETURN
-A WEIR_BYPASS_IN -p tcp -m comment --comment "weir: may not bypass any more" -j REJECT --reject-with tcp-reset
-I INPUT 1 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m comment --comment "weir: capture" -j WEIR_GUARD
-I OUTPUT 1 -p tcp -m connmark --mark 0x222/0xfff -m comment --comment "weir: capture" -j WEIR_BYPASS_OUT
-I INPUT 1 -p tcp -m connmark --mark 0x222/0xfff -m comment --comment "weir: capture" -j WEIR_BYPASS_IN
COMMIT
`;

const GOLDEN_V6_NAT = `*nat
:WEIR_OUTBOUND - [0:0]
:WEIR_INBOUND - [0:0]
-A WEIR_OUTBOUND -p tcp -m mark --mark 0x539/0xfff -m comment --comment "weir: agent connections pass" -j RETURN
-A WEIR_OUTBOUND -o lo -p tcp -m comment --comment "weir: calls to itself pass" -j RETURN
-A WEIR_OUTBOUND -d ::1/128 -p tcp -m comment --comment "weir: loopback passes" -j RETURN
-A WEIR_OUTBOUND -d fe80::/10 -p tcp -m comment --comment "weir: link-local passes" -j RETURN
-A WEIR_OUTBOUND -d fd00:1::/64 -p tcp -m comment --comment "weir: excluded outbound fd00:1::/64" -j RETURN
-A WEIR_OUTBOUND -p tcp -m tcp --dport 3306 -m comment --comment "weir: excluded outbound port 3306" -j RETURN
-A WEIR_OUTBOUND -p tcp -m comment --comment "weir: outbound to the agent" -j REDIRECT --to-ports 15001
-A WEIR_INBOUND -s fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128 -p tcp -m comment --comment "weir: node probes pass" -j RETURN
`;

const ANNOTATIONS = {
  'weir.dev/exclude-outbound-ports': '3306',
  'weir.dev/exclude-inbound-ports': '9090-9095, 9096-9099',
  'weir.dev/exclude-outbound-cidrs': '10.0.0.0/8,fd00:1::/64',
};

/** What iptables-save says after `restore` was applied to an empty namespace. */
function savedAfter(restore: string): string {
  return restore
    .split('COMMIT\n')
    .map((table) => {
      const lines = table.split('\n');
      const jumps = lines
        .filter((line) => line.startsWith('-I '))
        .map((line) => line.replace(/^-I (\S+) 1 /, '-A $1 '));
      return [...lines.filter((line) => !line.startsWith('-I ') && line !== ''), ...jumps].join('\n');
    })
    .join('\nCOMMIT\n');
}

describe('capture plan', () => {
  test('IPv4: the golden text', () => {
    assert.equal(captureRestore(planCapture(4, exclusions(ANNOTATIONS)), ''), GOLDEN_V4);
  });

  test('IPv6: its own addresses, otherwise as IPv4', () => {
    const text = captureRestore(planCapture(6, exclusions(ANNOTATIONS)), '');
    assert.ok(text.includes(GOLDEN_V6_NAT), text);
    const shared = (family: 4 | 6): string =>
      captureRestore(planCapture(family, exclusions()), '')
        .split('\n')
        .filter((line) => !/ -[ds] |fe80/.test(line))
        .join('\n');
    assert.equal(shared(6), shared(4));
  });

  test('where answers cannot be marked: by connection mark', () => {
    const text = captureRestore(planCapture(4, exclusions(ANNOTATIONS), { repliesMarked: false }), '');
    assert.ok(text.startsWith(GOLDEN_BY_CONNECTION_V4), text);
    assert.equal(text.slice(GOLDEN_BY_CONNECTION_V4.length), GOLDEN_V4.slice(GOLDEN_V4.indexOf('*filter')));
  });

  test('interception mode TPROXY: its own mangle table; without a source of that family it is the plain form', () => {
    const tables = (text: string): string[] => text.split(/(?<=COMMIT\n)/);
    const plain = tables(captureRestore(planCapture(6, exclusions()), ''));
    for (const repliesMarked of [true, false]) {
      const routed = tables(
        captureRestore(planCapture(6, exclusions(), { form: 'tproxy', source: 'fd00::1', repliesMarked }), ''),
      );
      assert.deepEqual(routed, [plain[0], GOLDEN_TPROXY_V6, plain[2], plain[3]]);
    }
    assert.deepEqual(planCapture(6, exclusions(), { form: 'tproxy', source: null }), planCapture(6, exclusions()));
  });

  test('every rule has a comment that begins with weir:, and every chain its own jump', () => {
    for (const family of [4, 6] as const) {
      const plan = planCapture(family, exclusions(ANNOTATIONS));
      for (const chain of plan.chains) {
        assert.match(chain.name, /^WEIR_[A-Z_]{1,23}$/);
        assert.ok(chain.jump.endsWith(`-j ${chain.name}`));
        for (const rule of [chain.jump, ...chain.rules]) assert.match(rule, /-m comment --comment "weir: [^"]+"/);
      }
    }
  });

  test('for a fresh namespace, chains are made with -N, which fails where they are already', () => {
    const text = captureRestoreFresh(planCapture(4, exclusions(ANNOTATIONS)));
    assert.equal(text, GOLDEN_V4.replaceAll(/^:(WEIR_[A-Z_]+) .*$/gm, '-N $1'));
  });

  test('applied again, every jump that is there goes out once and comes back once', () => {
    const plan = planCapture(4, exclusions());
    const again = captureRestore(plan, savedAfter(captureRestore(plan, '')));
    assert.equal(again.match(/^-D /gm)?.length, 6);
    assert.equal(again.match(/^-I /gm)?.length, 6);
    assert.match(again, /^-D OUTPUT -p tcp -m comment --comment "weir: capture" -j WEIR_OUTBOUND$/m);
  });

  test('chains of an older version are emptied and taken out, with their jumps; others are not touched', () => {
    const saved =
      '*nat\n:OUTPUT ACCEPT [0:0]\n:WEIR_OLD - [3:180]\n:KUBE_X - [0:0]\n-A OUTPUT -j KUBE_X\n-A OUTPUT -p tcp -j WEIR_OLD\n-A WEIR_OLD -j WEIR_OUTBOUND\nCOMMIT\n';
    const text = captureRestore(planCapture(4, exclusions()), saved);
    assert.match(text, /^:WEIR_OLD - \[0:0\]$/m);
    assert.match(text, /^-D OUTPUT -p tcp -j WEIR_OLD$/m);
    assert.match(text, /^-X WEIR_OLD$/m);
    assert.doesNotMatch(text, /KUBE/);
    assert.equal(text.match(/^-D /gm)?.length, 1, 'a rule inside our own chain goes with the chain');
  });

  test('teardown: nothing to do is null; otherwise nat goes first and every chain goes', () => {
    assert.equal(captureTeardown('*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n'), null);
    const text = captureTeardown(savedAfter(captureRestore(planCapture(4, exclusions()), ''))) ?? '';
    assert.deepEqual(text.match(/^\*.*/gm), ['*nat', '*filter', '*mangle', '*raw']);
    assert.equal(text.match(/^-X WEIR_/gm)?.length, 6);
    assert.equal(text.match(/^-D /gm)?.length, 6);
  });
});

describe('the form bypass', () => {
  const plain = planCapture(4, exclusions());
  const bypass = planCapture(4, exclusions(), { form: 'bypass' });

  test('golden: the filter table', () => {
    assert.ok(captureRestore(bypass, '').includes(GOLDEN_BYPASS_V4), captureRestore(bypass, ''));
  });

  test('in nat it differs from the plain form by two rules before each redirection', () => {
    const nat = (plan: typeof plain, name: string): readonly string[] =>
      plan.chains.find((chain) => chain.name === name)?.rules ?? [];
    for (const name of ['WEIR_OUTBOUND', 'WEIR_INBOUND']) {
      const rules = nat(plain, name);
      assert.deepEqual(nat(bypass, name), [
        ...rules.slice(0, -1),
        '-p tcp -m set --match-set WEIR-BYPASS4 dst,dst -m comment --comment "weir: may bypass" -j CONNMARK --set-xmark 0x222/0xfff',
        '-p tcp -m connmark --mark 0x222/0xfff -m comment --comment "weir: bypasses the agent" -j RETURN',
        ...rules.slice(-1),
      ]);
    }
  });

  test('each form is missed where the other one stands, and each can be put in the other’s place', () => {
    const saved = (plan: typeof plain): string => captureRestore(plan, '').replaceAll(/^-I (\S+) 1 /gm, '-A $1 ');
    const declared = (text: string): string =>
      text
        .replace('*raw', '*raw\n:OUTPUT ACCEPT [0:0]')
        .replace('*mangle', '*mangle\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]')
        .replace('*filter', '*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]')
        .replace('*nat', '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]');
    assert.deepEqual(missingRules(bypass, declared(saved(bypass))), []);
    assert.deepEqual(missingRules(plain, declared(saved(plain))), []);
    assert.match(
      missingRules(plain, declared(saved(bypass))).join(),
      /WEIR_OUTBOUND: rule that is not weir's: .*WEIR-BYPASS4/,
    );
    assert.match(missingRules(bypass, declared(saved(plain))).join(), /filter WEIR_BYPASS_OUT: the chain is missing/);
    const back = captureRestore(plain, saved(bypass));
    assert.match(back, /-D OUTPUT .*-j WEIR_BYPASS_OUT\n[^]*-X WEIR_BYPASS_OUT\n-X WEIR_BYPASS_IN\nCOMMIT/);
    assert.match(captureTeardown(saved(bypass)) ?? '', /-X WEIR_BYPASS_OUT\n-X WEIR_BYPASS_IN\n/);
  });
});

describe('sets', () => {
  const entries = [
    { ip: '10.96.0.1', port: 80 },
    { ip: 'fd00::1', port: 443 },
  ].map(entryText);

  test('are made, changed and replaced, each family in its own', () => {
    assert.equal(
      createSets([4, 6]),
      'create WEIR-BYPASS4 hash:ip,port family inet maxelem 65536\ncreate WEIR-BYPASS6 hash:ip,port family inet6 maxelem 65536\n',
    );
    assert.equal(
      changeSets([4, 6], entries, ['10.96.0.2,tcp:81']),
      'del WEIR-BYPASS4 10.96.0.1,tcp:80\ndel WEIR-BYPASS6 fd00::1,tcp:443\nadd WEIR-BYPASS4 10.96.0.2,tcp:81\n',
    );
    assert.equal(changeSets([4], entries, []), 'del WEIR-BYPASS4 10.96.0.1,tcp:80\n');
    assert.equal(
      rewriteSets([4], entries),
      'create WEIR-BYPASS4-NEXT hash:ip,port family inet maxelem 65536\nflush WEIR-BYPASS4-NEXT\n' +
        'add WEIR-BYPASS4-NEXT 10.96.0.1,tcp:80\nswap WEIR-BYPASS4-NEXT WEIR-BYPASS4\ndestroy WEIR-BYPASS4-NEXT\n',
    );
  });
});

describe('live connections that bypass the agent', () => {
  // As Linux 6.18 writes them; the last is a captured one.
  const TABLE = [
    'ipv4     2 tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.96.0.1 sport=33834 dport=80 src=10.96.0.1 dst=10.1.0.2 sport=80 dport=33834 [ASSURED] mark=546 zone=0 use=2',
    'ipv6     10 tcp      6 300 SYN_SENT src=fd00:0000:0000:0000:0000:0000:0000:0009 dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=5000 dport=8080 [UNREPLIED] src=fd00::2 dst=fd00::9 sport=8080 dport=5000 mark=37410 zone=0 use=2',
    'ipv4     2 tcp      6 10 TIME_WAIT src=10.1.0.2 dst=10.96.0.1 sport=33835 dport=80 src=10.96.0.1 dst=10.1.0.2 sport=80 dport=33835 [ASSURED] mark=546 zone=0 use=2',
    'ipv4     2 udp      17 10 src=10.1.0.2 dst=10.96.0.1 sport=1 dport=80 src=10.96.0.1 dst=10.1.0.2 sport=80 dport=1 mark=546 zone=0 use=2',
    'ipv4     2 tcp      6 431999 ESTABLISHED src=10.1.0.2 dst=10.96.0.9 sport=1 dport=80 src=10.1.0.2 dst=10.1.0.2 sport=15001 dport=1 [ASSURED] mark=273 zone=0 use=2',
    'garbage mark=546',
  ].join('\n');

  test('are told from others by the mark’s own bits, and from those that have ended', () => {
    assert.deepEqual(parseFlows(TABLE), [
      {
        state: 'ESTABLISHED',
        source: { ip: '10.1.0.2', port: 33_834 },
        destination: { ip: '10.96.0.1', port: 80 },
      },
      { state: 'SYN_SENT', source: { ip: 'fd00::9', port: 5_000 }, destination: { ip: 'fd00::2', port: 8_080 } },
    ]);
  });

  test('are named to ss by the end that is in the pod', () => {
    assert.equal(
      killFilter(parseFlows(TABLE), ['10.1.0.2', 'fd00::2']),
      '( src 10.1.0.2:33834 and dst 10.96.0.1:80 ) or ( src [fd00::2]:8080 and dst [fd00::9]:5000 )',
    );
  });
});
