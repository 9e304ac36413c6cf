/** Interception mode TPROXY beyond what capture-rules.test.ts asks of both modes: no NAT, what still is redirected, what falls back, what it costs. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { BACKENDS, type Backend } from '../../agent/capture/iptables-backend.ts';
import { prepareAddress } from '../../agent/engine/address.ts';
import { errnoName } from '../../agent/engine/errno.ts';
import { readErrno } from '../../agent/engine/ffi.ts';
import * as libc from '../../agent/engine/libc.ts';
import { closeFd, openListener } from '../../agent/engine/socket.ts';
import type { EnrolledPod } from '../../agent/ipc/messages.ts';
import { dial, Lab, LabAgent, type LabPod, openSocket, serveWhoami } from './capture-lab.ts';

const TPROXY = { 'weir.dev/interception-mode': 'TPROXY' };
const FAMILIES = [4, 6] as const;
const NFT = BACKENDS[0] as Backend;

const lab = new Lab();
const servers: Server[] = [];
const agent = new LabAgent('report');
const other = lab.addPod('other');
after(() => {
  agent.close();
  for (const server of servers) server.close();
  lab.close();
});
before(async () => {
  servers.push(...(await serveWhoami(other, 7000)));
});

async function captured(name: string, rules: PodRules, addresses?: (pod: LabPod) => string[]): Promise<LabPod> {
  const pod = lab.addPod(name);
  await agent.listen(pod);
  const enrolled = addresses === undefined ? pod.enrolled : { ...pod.enrolled, addresses: addresses(pod) };
  await apply(rules, pod, enrolled);
  return pod;
}

async function apply(rules: PodRules, pod: LabPod, enrolled: EnrolledPod): Promise<string | undefined> {
  const applied = await rules.apply(pod.netnsPath, enrolled, TPROXY, true);
  assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
  return applied.value.redirectedBecause;
}

/** Packets that the rule whose comment contains `comment` has seen. */
function packets(pod: LabPod, family: 4 | 6, table: string, comment: string): number {
  const listed = pod.run(NFT.program[family], '-t', table, '-nvxL');
  const line = listed.split('\n').find((each) => each.includes(comment));
  assert.ok(line !== undefined, `${table}: no rule ${comment}`);
  return Number(/^\s*(\d+)/.exec(line)?.[1]);
}

function shown(pod: LabPod): string {
  const saved = FAMILIES.map((family) => pod.run(`${NFT.program[family]}-save`)).join('');
  const routed = ['-4 rule', '-6 rule', '-4 route show table all', '-6 route show table all'].map((args) =>
    pod.ip(args),
  );
  return `${saved}${routed.join('')}`;
}

function withoutCounters(all: string): string {
  return all.replaceAll(/\[\d+:\d+\]|^#.*\n/gm, '').replaceAll(/ pref medium/g, '');
}

/** The real programs, which refuse the one target that some kernels lack. */
function withoutTproxy(folder: string): Backend {
  for (const name of ['iptables-nft', 'ip6tables-nft']) {
    const refusal = `echo "$input" | grep -q TPROXY && { echo "${name}: RULE_APPEND failed (No such file or directory): TPROXY" >&2; exit 4; }`;
    const restore = `input=$(cat)\n${refusal}\necho "$input" | exec ${name}-restore "$@"`;
    for (const [kind, body] of [
      ['save', `exec ${name}-save "$@"`],
      ['restore', restore],
    ] as const) {
      const path = join(folder, `${name}-${kind}`);
      writeFileSync(path, `#!/bin/sh\n${body}\n`);
      chmodSync(path, 0o755);
    }
  }
  return { name: 'without-tproxy', program: { 4: join(folder, 'iptables-nft'), 6: join(folder, 'ip6tables-nft') } };
}

describe('a pod whose connections are routed to the agent', () => {
  const rules = new PodRules();
  let pod: LabPod;
  before(async () => {
    pod = await captured('routed', rules);
  });

  for (const family of FAMILIES) {
    test(`IPv${family}: neither NAT nor connection tracking sees its connections`, async () => {
      const seen = await dial(pod.netns, other.address(family), 7000);
      assert.equal(seen.text, `outbound ${other.address(family)} 7000 from ${pod.address(family)}`);
      assert.ok(packets(pod, family, 'mangle', 'outbound to the agent') > 0);
      assert.ok(packets(pod, family, 'raw', 'what stays in the pod is not tracked') > 0);
      assert.equal(packets(pod, family, 'nat', 'outbound to the agent'), 0);
    });

    test(`IPv${family}: with SYN cookies, too`, async () => {
      pod.sysctl('ipv4/tcp_syncookies', '2');
      const seen = await dial(pod.netns, other.address(family), 7000);
      assert.equal(seen.text, `outbound ${other.address(family)} 7000 from ${pod.address(family)}`);
      pod.sysctl('ipv4/tcp_syncookies', '1');
    });

    test(`IPv${family}: a socket bound to the device is redirected as in the other mode, where no answer reaches it: it does not get around capture`, async () => {
      const before_ = packets(pod, family, 'nat', 'outbound to the agent');
      const seen = await dial(pod.netns, other.address(family), 7000, { device: 'eth0' });
      assert.deepEqual(seen, { text: '', error: 'timeout' });
      assert.equal(packets(pod, family, 'nat', 'outbound to the agent'), before_ + 1);
    });

    test(`IPv${family}: strict validation of sources (rp_filter) takes nothing away`, async () => {
      for (const device of ['all', 'eth0']) pod.sysctl(`ipv4/conf/${device}/rp_filter`, '1');
      const inbound = await dial(other.netns, pod.address(family), 8080);
      assert.equal(inbound.text, `inbound ${pod.address(family)} 8080 from ${other.address(family)}`);
      const marked = await dial(pod.netns, other.address(family), 7000, { mark: 0x539 });
      assert.equal(marked.text, `app saw ${pod.address(family)}`);
      for (const device of ['all', 'eth0']) pod.sysctl(`ipv4/conf/${device}/rp_filter`, '0');
    });
  }

  test('what it costs: a port that is dialled can be listened on with SO_REUSEADDR, without it not until the connection is gone', async () => {
    const hanging = await holdOpen(pod, other.v4, 7000);
    const listen = (): number => openListener({ ip: '0.0.0.0', port: 7000, reusePort: false, backlog: 8 });
    const fd = pod.netns.run(listen);
    assert.ok(fd > 0, `with SO_REUSEADDR: ${fd}`);
    closeFd(fd);
    const bare = pod.netns.run(() => bindWithoutReuse(7000));
    assert.equal(errnoName(bare), 'EADDRINUSE');
    hanging.destroy();
  });

  test('rules, and each kind of routing, are named when they are missing, and apply repairs them', async () => {
    const complete = shown(pod);
    pod.run(NFT.program[4], '-t', 'mangle', '-F', 'WEIR_TPROXY');
    pod.ip('-4 rule del priority 103');
    pod.ip('-6 rule del priority 102 to fe80::/10');
    pod.ip('-6 route flush table 101');
    pod.sysctl('ipv4/conf/all/src_valid_mark', '0');
    const missing = await rules.missing(pod.netnsPath, pod.enrolled, TPROXY);
    assert.ok(missing.ok);
    const text = missing.value.join('\n');
    assert.match(text, /IPv4: mangle WEIR_TPROXY: missing rule: -p tcp .* -j TPROXY --on-port 15001/);
    assert.match(text, /IPv4: ip rule missing: priority 103 from all iif lo ipproto tcp lookup 101/);
    assert.match(text, /IPv6: ip rule missing: priority 102 from all to fe80::\/10 ipproto tcp goto 110/);
    assert.match(text, /IPv6: ip route missing: local default dev lo table 101 src /);
    assert.match(text, /IPv4: net\.ipv4\.conf\.all\.src_valid_mark is off/);
    await apply(rules, pod, pod.enrolled);
    const complaints = await rules.missing(pod.netnsPath, pod.enrolled, TPROXY);
    assert.deepEqual(complaints.ok && complaints.value, []);
    const counters = (all: string): string =>
      all.replaceAll(/\[\d+:\d+\]|^#.*\n/gm, '').replaceAll(/ pref medium/g, '');
    assert.equal(counters(shown(pod)), counters(complete));
    assert.equal(rules.formOf(pod.netnsPath), 'tproxy');
  });

  test('teardown leaves nothing', async () => {
    assert.ok((await rules.remove(pod.netnsPath)).ok);
    assert.doesNotMatch(shown(pod), /WEIR|weir|goto|nop|fwmark|table 10[01]|iif lo/);
    assert.equal((await dial(pod.netns, other.v4, 7000)).text, `app saw ${pod.v4}`);
  });
});

describe('where routing cannot be had', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-iptables-'));
  after(() => rmSync(folder, { recursive: true }));

  test('a family with two addresses is redirected, the other one is routed', async () => {
    const rules = new PodRules();
    const pod = await captured('twofold', rules, ({ v4, v6 }) => [v4, '10.77.0.200', v6]);
    for (const family of FAMILIES) {
      const seen = await dial(pod.netns, other.address(family), 7000);
      assert.equal(seen.text, `outbound ${other.address(family)} 7000 from ${pod.address(family)}`);
    }
    assert.equal(packets(pod, 4, 'nat', 'outbound to the agent'), 1);
    assert.equal(packets(pod, 6, 'nat', 'outbound to the agent'), 0);
    const missing = await rules.missing(
      pod.netnsPath,
      { ...pod.enrolled, addresses: [pod.v4, '10.77.0.200', pod.v6] },
      TPROXY,
    );
    assert.ok(missing.ok);
    assert.deepEqual(missing.value, []);
  });

  test('a pod that runs keeps its rules when they cannot be applied again: it is neither uncaptured nor redirected', async () => {
    const pod = await captured('live', new PodRules());
    const before_ = withoutCounters(shown(pod));
    const applied = await new PodRules([withoutTproxy(folder)]).apply(pod.netnsPath, pod.enrolled, TPROXY);
    assert.ok(!applied.ok && applied.error.retryable);
    assert.match(applied.error.message, /RULE_APPEND failed .* TPROXY/);
    assert.equal(withoutCounters(shown(pod)), before_);
    for (const family of FAMILIES)
      assert.match((await dial(pod.netns, other.address(family), 7000)).text, /^outbound /);
  });

  test('a kernel without xt_TPROXY: redirected, the reason is told, and nothing of the attempt stays', async () => {
    const rules = new PodRules([withoutTproxy(folder)]);
    const pod = lab.addPod('bare');
    await agent.listen(pod);
    assert.match((await apply(rules, pod, pod.enrolled)) ?? '', /RULE_APPEND failed .* TPROXY/);
    for (const family of FAMILIES) {
      assert.match((await dial(pod.netns, other.address(family), 7000)).text, /^outbound /);
      assert.equal(packets(pod, family, 'nat', 'outbound to the agent'), 1);
    }
    assert.doesNotMatch(shown(pod), /WEIR_TPROXY|WEIR_ARRIVED|goto 110|iif lo ipproto/);
    const missing = await new PodRules([NFT]).missing(pod.netnsPath, pod.enrolled, {});
    assert.ok(missing.ok);
    assert.deepEqual(missing.value, []);
  });
});

/** A connection that the agent holds: LabAgent answers and closes, so the client leaves its side open. */
async function holdOpen(pod: LabPod, ip: string, port: number): Promise<Socket> {
  const socket = openSocket(pod.netns, ip, port);
  assert.ok(typeof socket !== 'string');
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

/** 0 or −errno. */
function bindWithoutReuse(port: number): number {
  const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM | libc.SOCK_CLOEXEC, 0);
  const address = prepareAddress({ ip: '0.0.0.0', port });
  const result = libc.bind(fd, address.pinned.address, address.length) < 0 ? -readErrno() : 0;
  closeFd(fd);
  return result;
}
