/** Where the settings of a pod's namespace cannot be written (/proc/sys is read-only): by connection mark, and without TPROXY. */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { BYPASS_MARK } from '../../mesh/ports.ts';
import { dial, Lab, LabAgent, type LabPod, serveWhoami, sh } from './capture-lab.ts';

const TPROXY = { 'weir.dev/interception-mode': 'TPROXY' };
const FAMILIES = [4, 6] as const;

const lab = new Lab();
const rules = new PodRules();
const agent = new LabAgent('report');
const servers: Server[] = [];
let pod: LabPod;
let client: LabPod;
let reason: string | undefined;

before(async () => {
  pod = lab.addPod('pod');
  client = lab.addPod('client');
  servers.push(...(await serveWhoami(pod, 8080)));
  await agent.listen(pod);
  // In this test's own mount namespace.
  sh('mount', '--bind', '/proc/sys', '/proc/sys');
  sh('mount', '-o', 'remount,bind,ro', '/proc/sys');
  const applied = await rules.apply(pod.netnsPath, pod.enrolled, TPROXY, true);
  assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
  reason = applied.value.redirectedBecause;
});
after(() => {
  agent.close();
  for (const server of servers) server.close();
  lab.close();
});

test('TPROXY cannot be had, and the reason is told', () => {
  assert.match(reason ?? '', /src_valid_mark: .*(EROFS|EACCES|read-only)/);
});

test('the rules are those by connection mark, and nothing of them is missing', async () => {
  assert.match(pod.run('iptables-nft-save', '-t', 'mangle'), /CONNMARK --restore-mark/);
  const missing = await rules.missing(pod.netnsPath, pod.enrolled, {});
  assert.deepEqual(missing.ok && missing.value, []);
});

for (const family of FAMILIES) {
  test(`IPv${family}: answers to a client that is elsewhere come back to the agent, from a closed port too`, async () => {
    const source = { ip: family === 4 ? '203.0.113.9' : '2001:db8:7::9', port: 0 };
    const options = { mark: BYPASS_MARK, transparent: true, source };
    const seen = await dial(pod.netns, pod.address(family), 8080, options);
    assert.deepEqual(seen, { text: `app saw ${source.ip}`, error: null });
    assert.equal((await dial(pod.netns, pod.address(family), 8099, options)).error, 'ECONNREFUSED');
  });

  test(`IPv${family}: captured both ways`, async () => {
    const [own, other] = [pod.address(family), client.address(family)];
    assert.equal((await dial(pod.netns, other, 7000)).text, `outbound ${other} 7000 from ${own}`);
    assert.equal((await dial(client.netns, own, 8080)).text, `inbound ${own} 8080 from ${other}`);
  });
}
