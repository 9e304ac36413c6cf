/** Probes: what the node's processes send to an enrolled pod passes; nothing else does. And IPv6 that is not there. */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { BACKENDS } from '../../agent/capture/iptables-backend.ts';
import { ProbeRules, probeChain } from '../../agent/capture/probe-rules.ts';
import { BYPASS_MARK, PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from '../../mesh/ports.ts';
import { dial, Lab, LabAgent, type LabPod, serveWhoami, sh } from './capture-lab.ts';

const HOST = '/proc/thread-self/ns/net';
const FAMILIES = [4, 6] as const;
const lab = new Lab();
const pod = lab.addPod('pod');
const other = lab.addPod('other');
const agent = new LabAgent('report');
const servers: Server[] = [];

before(async () => {
  servers.push(...(await serveWhoami(pod, 8080)));
  await agent.listen(pod);
  assert.ok((await new PodRules().apply(pod.netnsPath, pod.enrolled, {})).ok);
});
after(() => {
  agent.close();
  for (const server of servers) server.close();
  lab.close();
});

function hostRules(): string {
  return (sh('iptables-nft-save') + sh('ip6tables-nft-save') + sh('iptables-legacy-save')).replaceAll(
    /^[#:].*\n/gm,
    '',
  );
}

describe('probe rules of the node', () => {
  for (const backend of BACKENDS.filter(({ name }) => name !== 'iptables')) {
    test(`${backend.name}: probes pass the pod's rules from PROBE_SOURCE; pods, marked sockets and other nodes' pods do not`, async () => {
      const probes = new ProbeRules(HOST, 'node-1', [backend]);
      for (const family of FAMILIES) assert.match((await dial(null, pod.address(family), 8080)).text, /^inbound /);
      assert.ok((await probes.add(pod.enrolled.addresses)).ok);
      for (const family of FAMILIES) {
        const source = family === 4 ? PROBE_SOURCE_V4 : PROBE_SOURCE_V6;
        assert.equal((await dial(null, pod.address(family), 8080)).text, `app saw ${source}`);
        const marked = await dial(null, pod.address(family), 8080, { mark: BYPASS_MARK });
        assert.match(marked.text, /^inbound /, 'capture verify is not taken for a probe');
        assert.match((await dial(other.netns, pod.address(family), 8080)).text, /^inbound .* from .*77/);
      }
      assert.ok((await probes.remove(pod.enrolled.addresses)).ok);
      for (const family of FAMILIES) assert.match((await dial(null, pod.address(family), 8080)).text, /^inbound /);
      assert.ok((await probes.removeAll()).ok);
      assert.doesNotMatch(hostRules(), /WEIR/);
    });
  }

  test('many changes at once end in exactly what they say, with one jump per family; reconcile makes it exact', async () => {
    const probes = new ProbeRules(HOST, 'node-1');
    const ips = Array.from({ length: 40 }, (_, number) => `10.77.1.${number}`);
    const results = await Promise.all([
      ...ips.map((ip) => probes.add([ip])),
      ...ips.slice(5).map((ip) => probes.remove([ip])),
    ]);
    assert.ok(results.every((result) => result.ok));
    const chain = probeChain('node-1');
    const snat = (): string[] => hostRules().match(/-d [0-9a-f.:]+(?=\/)/g) ?? [];
    assert.deepEqual(
      snat().sort(),
      ips.slice(0, 5).map((ip) => `-d ${ip}`),
    );
    assert.equal(hostRules().match(new RegExp(`-A POSTROUTING .*-j ${chain}$`, 'gm'))?.length, 2);
    sh('iptables-nft', '-t', 'nat', '-F', 'POSTROUTING');
    assert.ok((await probes.reconcile(['10.77.2.1', 'fd77::99'])).ok);
    assert.equal(
      hostRules().match(new RegExp(`-A POSTROUTING .*-j ${chain}$`, 'gm'))?.length,
      2,
      'a flushed jump is back',
    );
    assert.deepEqual(snat().sort(), ['-d 10.77.2.1', '-d fd77::99']);
    sh('iptables-nft', '-t', 'nat', '-F', chain);
    assert.ok((await probes.remove(['10.77.2.1', 'fd77::99'])).ok, 'a chain that somebody flushed is written anew');
    assert.ok((await probes.add(['10.77.2.1', 'fd77::99'])).ok);
    const second = new ProbeRules(HOST, 'node-2');
    assert.ok((await second.add(['10.77.3.1'])).ok, 'another agent in the same namespace keeps its own chain');
    assert.deepEqual(snat().sort(), ['-d 10.77.2.1', '-d 10.77.3.1', '-d fd77::99']);
    assert.ok((await probes.removeAll()).ok && (await second.removeAll()).ok);
    assert.doesNotMatch(hostRules(), /WEIR/);
  });
});

describe('IPv6 that is not there', () => {
  function withoutV6(target: LabPod): void {
    for (const device of ['all', 'lo', 'eth0']) target.sysctl(`ipv6/conf/${device}/disable_ipv6`, '1');
  }

  test('disabled in the namespace: IPv4 is captured, and it is reported', async () => {
    const target = lab.addPod('nov6');
    withoutV6(target);
    const applied = await new PodRules().apply(target.netnsPath, { ...target.enrolled, addresses: [target.v4] }, {});
    assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
    assert.match(applied.value.ipv6Skipped ?? '', /disabled in this namespace/);
    assert.match(target.run('iptables-save'), /REDIRECT --to-ports 15001/);
  });

  test('no ip6tables: tolerated for a pod without IPv6 address, refused with the reason for one that has', async () => {
    const rules = new PodRules([{ name: 'half', program: { 4: 'iptables-nft', 6: 'no-such-ip6tables' } }]);
    const target = lab.addPod('half');
    const applied = await rules.apply(target.netnsPath, { ...target.enrolled, addresses: [target.v4] }, {});
    assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
    assert.match(applied.value.ipv6Skipped ?? '', /no-such-ip6tables-save: not installed/);
    const refused = await rules.apply(target.netnsPath, target.enrolled, {}, true);
    assert.equal(refused.ok, false);
    assert.match(refused.ok ? '' : refused.error.message, /no-such-ip6tables-save: not installed/);
    assert.doesNotMatch(target.run('iptables-nft-save'), /WEIR/, 'nothing is left');
  });

  test('the first backend missing: the next is used, and said so', async () => {
    const missing = { name: 'missing', program: { 4: 'no-such-iptables', 6: 'no-such-ip6tables' } };
    const rules = new PodRules([missing, ...BACKENDS.slice(1)]);
    const target = lab.addPod('legacy');
    const applied = await rules.apply(target.netnsPath, target.enrolled, {});
    assert.equal(applied.ok && applied.value.backend, 'iptables-legacy');
    assert.equal(rules.backend, 'iptables-legacy');
  });

  test('rules of an earlier agent through the other interface are taken out', async () => {
    const target = lab.addPod('switch');
    assert.ok((await new PodRules(BACKENDS.slice(1)).apply(target.netnsPath, target.enrolled, {})).ok);
    assert.match(target.run('iptables-legacy-save'), /WEIR/);
    assert.ok((await new PodRules().apply(target.netnsPath, target.enrolled, {})).ok);
    assert.doesNotMatch(target.run('iptables-legacy-save'), /WEIR/);
    assert.match(target.run('iptables-nft-save'), /WEIR/);
  });
});
