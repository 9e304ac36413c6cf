/** The plan, loaded into real namespaces: what is captured, what is not, what is refused, and that nothing stays behind. */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { BACKENDS, type Backend } from '../../agent/capture/iptables-backend.ts';
import { acceptConnection, closeFd, congestionControlOf, markOf, openListener } from '../../agent/engine/socket.ts';
import { BYPASS_MARK, INBOUND_PORT, OUTBOUND_PORT, REPLY_MARK } from '../../mesh/ports.ts';
import { dial, type DialOptions, Lab, LabAgent, type LabPod, openSocket, serveWhoami } from './capture-lab.ts';

const FAMILIES = [4, 6] as const;
const BOTH: readonly Backend[] = BACKENDS.filter(({ name }) => name !== 'iptables');
const NONE = {};
const MODES = [
  ['REDIRECT', '', NONE],
  ['TPROXY', 't', { 'weir.dev/interception-mode': 'TPROXY' }],
] as const;

async function apply(rules: PodRules, pod: LabPod, annotations: Record<string, string> = NONE): Promise<void> {
  const applied = await rules.apply(pod.netnsPath, pod.enrolled, annotations);
  assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
  assert.equal(applied.value.ipv6Skipped, null);
}

function saved(pod: LabPod, backend: Backend): string {
  return FAMILIES.map((family) => pod.run(`${backend.program[family]}-save`))
    .join('')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\[\d+:\d+\]/g, '');
}

function routing(pod: LabPod): string {
  return ['-4 rule', '-6 rule', '-4 route show table all', '-6 route show table all']
    .map((args) => pod.ip(args))
    .join('--\n');
}

/** What an application in the pod finds on a socket that it accepts from somebody in the same pod. */
async function acceptedFrom(
  pod: LabPod,
  family: 4 | 6,
  options: DialOptions,
): Promise<{ mark: number; congestion: string }> {
  const ip = family === 4 ? '0.0.0.0' : '::';
  const listener = pod.netns.run(() => openListener({ ip, port: 8_081, reusePort: false, backlog: 8 }));
  assert.ok(listener > 0);
  const client = openSocket(pod.netns, pod.address(family), 8_081, options);
  assert.ok(typeof client !== 'string');
  let fd = acceptConnection(listener);
  for (let tries = 0; fd < 0 && tries < 1_000; tries++) {
    await new Promise((resolve) => setImmediate(resolve));
    fd = acceptConnection(listener);
  }
  assert.ok(fd > 0, 'not connected');
  const found = { mark: markOf(fd), congestion: congestionControlOf(fd) };
  client.destroy();
  for (const each of [fd, listener]) closeFd(each);
  return found;
}

const lab = new Lab();
after(() => lab.close());

for (const backend of BOTH) {
  const short = backend.name.replace('iptables-', '');

  describe(`${backend.name}: rules of a pod`, () => {
    const pod = lab.addPod(`${short}-rules`);
    const rules = new PodRules([backend]);

    test('load on v4 and v6, are found complete, and applying twice equals applying once', async () => {
      await apply(rules, pod);
      const once = saved(pod, backend);
      const routedOnce = routing(pod);
      assert.match(once, /REDIRECT --to-ports 15001[\s\S]*REDIRECT --to-ports 15001/, 'both families redirect');
      await apply(rules, pod);
      assert.equal(saved(pod, backend), once);
      assert.equal(routing(pod), routedOnce);
      const missing = await rules.missing(pod.netnsPath, pod.enrolled, NONE);
      assert.ok(missing.ok);
      assert.deepEqual(
        missing.value.filter((line) => !line.includes('no listener')),
        [],
      );
    });

    test('a rule taken out, a jump taken out and the route taken out are each named, and apply repairs them', async () => {
      pod.run(backend.program[4], '-t', 'nat', '-D', 'WEIR_INBOUND', '6');
      pod.run(backend.program[6], '-t', 'mangle', '-F', 'PREROUTING');
      pod.ip('-4 route flush table 100');
      const missing = await rules.missing(pod.netnsPath, pod.enrolled, NONE);
      assert.ok(missing.ok);
      const text = missing.value.join('\n');
      assert.match(text, /IPv4: nat WEIR_INBOUND: missing rule: -p tcp .*REDIRECT --to-ports 15006/);
      assert.match(text, /IPv6: mangle PREROUTING: no jump to WEIR_MARK_IN/);
      assert.match(text, /IPv4: ip route missing: local default dev lo table 100/);
      await apply(rules, pod);
      const after = await rules.missing(pod.netnsPath, pod.enrolled, NONE);
      assert.ok(after.ok && after.value.every((line) => line.includes('no listener')));
    });

    test('rules of others stay where they are', async () => {
      pod.run(backend.program[4], '-t', 'nat', '-A', 'OUTPUT', '-d', '198.51.100.1', '-p', 'tcp', '-j', 'ACCEPT');
      await apply(rules, pod);
      assert.match(saved(pod, backend), /-A OUTPUT -d 198\.51\.100\.1\/32 -p tcp -j ACCEPT/);
      pod.run(backend.program[4], '-t', 'nat', '-F', 'OUTPUT');
      await apply(rules, pod);
    });

    test('teardown leaves nothing, twice', async () => {
      assert.ok((await rules.remove(pod.netnsPath)).ok);
      assert.doesNotMatch(saved(pod, backend), /WEIR|weir/);
      assert.doesNotMatch(routing(pod), /fwmark|table 100/);
      assert.ok((await rules.remove(pod.netnsPath)).ok);
      assert.ok((await rules.remove('/var/run/netns/gone')).ok);
    });
  });

  for (const [mode, suffix, annotations] of MODES) trafficTests(backend, mode, `${short}${suffix}`, annotations);
}

function trafficTests(backend: Backend, mode: string, short: string, base: Record<string, string>): void {
  describe(`${backend.name}, ${mode}: traffic of a pod`, () => {
    const pod = lab.addPod(`${short}-pod`);
    const client = lab.addPod(`${short}-client`);
    const rules = new PodRules([backend]);
    const agent = new LabAgent('report');
    const servers: Server[] = [];
    before(async () => {
      servers.push(
        ...(await serveWhoami(pod, 8080)),
        ...(await serveWhoami(pod, 9090)),
        ...(await serveWhoami(client, 7000)),
      );
      servers.push(...(await serveWhoami(client, 7001)), ...(await serveWhoami(pod, 15_008)));
      await agent.listen(pod);
      await apply(rules, pod, base);
    });
    after(() => {
      agent.close();
      for (const server of servers) server.close();
    });

    for (const family of FAMILIES) {
      test(`IPv${family}: outbound and inbound reach the agent with destination and source intact`, async () => {
        const own = pod.address(family);
        const other = client.address(family);
        assert.equal((await dial(pod.netns, other, 7000)).text, `outbound ${other} 7000 from ${own}`);
        assert.equal((await dial(client.netns, own, 8080)).text, `inbound ${own} 8080 from ${other}`);
      });

      test(`IPv${family}: the agent's own connections and self-calls pass`, async () => {
        const own = pod.address(family);
        const marked = await dial(pod.netns, client.address(family), 7000, { mark: BYPASS_MARK });
        assert.equal(marked.text, `app saw ${own}`);
        assert.equal((await dial(pod.netns, own, 8080)).text, `app saw ${own}`);
        const loopback = family === 4 ? '127.0.0.1' : '::1';
        assert.equal((await dial(pod.netns, loopback, 8080)).text, `app saw ${loopback}`);
      });

      test(`IPv${family}: a mark does not count from outside the pod`, async () => {
        const own = pod.address(family);
        const seen = await dial(client.netns, own, 8080, { mark: BYPASS_MARK });
        assert.equal(seen.text, `inbound ${own} 8080 from ${client.address(family)}`);
      });

      test(`IPv${family}: a connection opened in the pod with a foreign source reaches the application and its replies return`, async () => {
        const foreign = family === 4 ? '203.0.113.9' : '2001:db8:7::9';
        for (const source of [foreign, client.address(family)]) {
          const options = { mark: BYPASS_MARK, transparent: true, source: { ip: source, port: 0 } };
          const seen = await dial(pod.netns, pod.address(family), 8080, options);
          assert.deepEqual(seen, { text: `app saw ${source}`, error: null });
          const closed = await dial(pod.netns, pod.address(family), 8099, options);
          assert.equal(closed.error, 'ECONNREFUSED', 'a closed port answers at once');
        }
      });

      test(`IPv${family}: the application’s socket of such a connection has the mark of replies and does not pace, one of anybody else neither`, async () => {
        const usual = pod.run('cat', '/proc/sys/net/ipv4/tcp_congestion_control').trim();
        const foreign = family === 4 ? '203.0.113.9' : '2001:db8:7::9';
        const fromAgent = { mark: BYPASS_MARK, transparent: true, source: { ip: foreign, port: 0 } };
        // With cookies the socket is made of the client's ACK, not of its SYN.
        for (const cookies of ['1', '2']) {
          pod.run('sh', '-c', `echo ${cookies} > /proc/sys/net/ipv4/tcp_syncookies`);
          assert.deepEqual(await acceptedFrom(pod, family, fromAgent), { mark: REPLY_MARK, congestion: 'reno' });
          assert.deepEqual(await acceptedFrom(pod, family, {}), { mark: 0, congestion: usual });
        }
      });

      test(`IPv${family}: 15001 and 15006 are refused to everyone who dials them, 15008 is not redirected`, async () => {
        const own = pod.address(family);
        const loopback = family === 4 ? '127.0.0.1' : '::1';
        const before = agent.accepted;
        for (const port of [OUTBOUND_PORT, INBOUND_PORT]) {
          assert.equal((await dial(pod.netns, own, port)).error, 'ECONNREFUSED');
          assert.equal((await dial(pod.netns, loopback, port)).error, 'ECONNREFUSED');
          assert.equal((await dial(client.netns, own, port)).error, 'ECONNREFUSED');
          assert.equal((await dial(null, own, port)).error, 'ECONNREFUSED');
          assert.equal((await dial(pod.netns, own, port, { mark: BYPASS_MARK })).error, 'ECONNREFUSED');
        }
        assert.equal(agent.accepted, before);
        assert.match((await dial(client.netns, own, 15_008)).text, /^app saw/);
      });

      test(`IPv${family}: a reserved number as local port of an outgoing connection does no harm`, async () => {
        const bare = lab.addPod(`${short}-bare${family}`);
        await apply(rules, bare, base);
        const source = { ip: bare.address(family), port: OUTBOUND_PORT };
        const seen = await dial(bare.netns, client.address(family), 7001, { mark: BYPASS_MARK, source });
        assert.deepEqual(seen, { text: `app saw ${bare.address(family)}`, error: null });
      });
    }

    test('exclusions: ports in, ports out and CIDRs pass, the rest does not', async () => {
      const cidr = `${client.v4}/32, ${client.v6}/128`;
      const cases: [Record<string, string>, string, string][] = [
        [{ 'weir.dev/exclude-inbound-ports': '9000-9100' }, 'inbound', 'app saw'],
        [{ 'weir.dev/exclude-outbound-ports': '6999,7000' }, 'app saw', 'inbound'],
        [{ 'weir.dev/exclude-outbound-cidrs': cidr }, 'app saw', 'inbound'],
      ];
      for (const [annotations, toClient, to9090] of cases) {
        await apply(rules, pod, { ...base, ...annotations });
        for (const family of FAMILIES) {
          const out = (await dial(pod.netns, client.address(family), 7000)).text;
          assert.ok(
            out.startsWith(toClient === 'inbound' ? 'outbound' : toClient),
            `${JSON.stringify(annotations)}: ${out}`,
          );
          const inbound = (await dial(client.netns, pod.address(family), 9090)).text;
          assert.ok(inbound.startsWith(to9090), `${JSON.stringify(annotations)}: ${inbound}`);
          assert.match((await dial(client.netns, pod.address(family), 8080)).text, /^inbound/);
        }
      }
      await apply(rules, pod, base);
    });

    test('IPv6 link-local: inbound is captured, so that it is no way around policy; neighbour discovery works', async () => {
      const linkLocal = /inet6 (fe80::[0-9a-f:]+)/.exec(pod.ip('-6 -o addr show dev eth0 scope link'))?.[1] ?? '';
      const scopeId = Number(/^(\d+):/.exec(client.ip('-o link show dev eth0'))?.[1]);
      const seen = await dial(client.netns, linkLocal, 8080, { scopeId });
      assert.equal(seen.error, null);
      assert.match(seen.text, /^inbound fe80:/);
    });

    test('agent down: refused both ways, never uncaptured', async () => {
      agent.close();
      for (const family of FAMILIES) {
        // Without a socket to hand it to, TPROXY drops a SYN: the client asks again, and finds the agent if it is back.
        const outbound = mode === 'TPROXY' ? 'timeout' : 'ECONNREFUSED';
        assert.equal((await dial(pod.netns, client.address(family), 7000)).error, outbound);
        assert.equal((await dial(client.netns, pod.address(family), 8080)).error, 'ECONNREFUSED');
      }
    });
  });
}
