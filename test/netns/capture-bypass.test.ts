/**
 * What bypasses the agent, in real namespaces: the kernel's sets, rules and connection tracking, with the application's own sockets.
 * No agent listens unless a test says so, so whatever is captured is refused.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { BypassSets } from '../../agent/capture/bypass.ts';
import type { Enrolled } from '../../agent/capture/enrolment-types.ts';
import { BACKENDS } from '../../agent/capture/iptables-backend.ts';
import type { AccessLogMode } from '../../agent/ipc/messages.ts';
import type { MeshDelta, MeshSettings, Workload } from '../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import { MeshState } from '../../mesh/state.ts';
import { waitUntil } from '../integration/fixtures/wait-until.ts';
import { policy, policyRule, service, workload } from '../unit/mesh/resources.ts';
import { dial, Lab, LabAgent, type LabPod, openSocket, serve, serveWhoami, sh } from './capture-lab.ts';

const QUIET: MeshSettings = { ...DEFAULT_SETTINGS, metrics: false, accessLog: false, bypass: true };
const VIP = '10.96.0.10';
const DENY = policy({ name: 'no', action: 'DENY', selector: { app: 'server' }, rules: [policyRule()] });
const DENY_KEY = { kind: 'authorizationPolicy', key: 'shop/no' } as const;

const lab = new Lab();
sh('sysctl', '-qw', 'net.ipv4.ip_forward=1');
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
  lab.close();
});

/** A node's agent as far as bypass goes. */
class Node {
  readonly mesh = new MeshState();
  readonly rules: PodRules;
  readonly pods: Enrolled[] = [];
  readonly logged: string[] = [];
  readonly sets: BypassSets;
  accessLog: AccessLogMode = 'errors';

  constructor(rules: PodRules) {
    this.rules = rules;
    this.sets = new BypassSets({
      mesh: this.mesh,
      podRules: rules,
      enrolled: () => this.pods,
      accessLog: () => this.accessLog,
      log: (level, message) => void this.logged.push(`${level} ${message}`),
    });
  }

  async enrol(pod: LabPod, annotations: Record<string, string> = {}): Promise<void> {
    const applied = await this.rules.apply(pod.netnsPath, pod.enrolled, annotations, true);
    assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
    this.pods.push({
      containerId: pod.name,
      ifName: 'eth0',
      index: this.pods.length + 1,
      pod: pod.enrolled,
      netnsPath: pod.netnsPath,
      annotations,
      enrolledAtMs: 1,
      problem: null,
    });
  }

  /** Applied and enforced: what the controller is told. */
  async change(delta: Partial<MeshDelta>): Promise<void> {
    const applied = this.mesh.apply({ upserts: [], removals: [], ...delta });
    assert.ok(applied.ok, applied.ok ? '' : applied.error);
    await this.sets.request();
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    await waitUntil(() => holds(), what);
  }
}

function describePod(pod: LabPod, app: string, services: Workload['services'] = {}): Workload {
  const { uid, name, addresses } = pod.enrolled;
  return workload({ uid, name, addresses, services, labels: { app } });
}

/** kube-proxy's part: the ClusterIP leads to the server, on the node. */
function serveClusterIp(program: string, server: LabPod): void {
  sh(program, '-t', 'nat', '-F');
  const match = ['-d', VIP, '-p', 'tcp', '--dport', '80'];
  sh(program, '-t', 'nat', '-A', 'PREROUTING', ...match, '-j', 'DNAT', '--to-destination', `${server.v4}:8080`);
  sh(program, '-t', 'nat', '-A', 'POSTROUTING', '-m', 'conntrack', '--ctstate', 'DNAT', '-j', 'MASQUERADE');
}

/** A connection whose server's end is known too. */
interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

for (const backend of BACKENDS.filter(({ name }) => name !== 'iptables')) {
  const short = backend.name.replace('iptables-', '');

  describe(`${backend.name}: what bypasses the agent`, () => {
    const client = lab.addPod(`${short}-client`);
    const server = lab.addPod(`${short}-server`);
    const routed = lab.addPod(`${short}-routed`);
    const node = new Node(new PodRules([backend]));
    const accepted: Socket[] = [];

    before(async () => {
      serveClusterIp(backend.program[4], server);
      servers.push(...(await serveWhoami(server, 8080)));
      for (const ip of ['0.0.0.0', '::']) {
        servers.push(await serve(server.netns, ip, 9000, (socket) => void accepted.push(socket.resume())));
      }
      await node.enrol(client);
      await node.enrol(server);
      await node.enrol(routed, { 'weir.dev/interception-mode': 'TPROXY' });
      await node.change({
        upserts: [
          service({ name: 'web', addresses: [VIP], ports: [{ port: 80, name: '', protocol: 'http' }] }),
          service({ name: 'db', addresses: [], ports: [{ port: 9000, name: '', protocol: 'tcp' }] }),
          describePod(client, 'client'),
          describePod(routed, 'routed'),
          describePod(server, 'server', {
            'shop/web': [{ servicePort: 80, targetPort: 8080 }],
            'shop/db': [{ servicePort: 9000, targetPort: 9000 }],
          }),
        ],
      });
    });
    after(() => node.sets.close());

    /** Opens a connection that bypasses the agent to the server's port 9000. */
    async function connect(family: 4 | 6): Promise<Pair> {
      const count = accepted.length;
      const socket = openSocket(client.netns, server.address(family), 9000);
      assert.ok(typeof socket !== 'string', 'the socket could not be opened');
      socket.resume();
      await node.until('the server accepts', () => accepted.length > count);
      return { client: socket, server: accepted.at(-1) as Socket };
    }

    const saved = (pod: LabPod): string =>
      pod.run(`${backend.program[4]}-save`) + pod.run(`${backend.program[6]}-save`);
    const bypassed = (of: Node = node): boolean =>
      of.pods.every((pod) => pod.containerId === routed.name || of.sets.entriesOf(pod).length > 2);
    const ended = (socket: Socket): Promise<unknown> => Promise.race([once(socket, 'error'), once(socket, 'close')]);

    test('by default nothing does, and the rules do not name sets', async () => {
      assert.equal((await dial(client.netns, VIP, 80)).error, 'ECONNREFUSED');
      assert.doesNotMatch(saved(client), /BYPASS/);
      assert.deepEqual(node.sets.status(), {
        state: 'off',
        reason: 'not asked for (bypass in the mesh configuration)',
        pods: 0,
        entries: 0,
        omitted: 0,
      });
    });

    test('when asked for: a ClusterIP through the node, and a pod by either family; everything else is captured', async () => {
      await node.change({ upserts: [QUIET] });
      await node.until('the sets are filled', bypassed);
      assert.match((await dial(client.netns, VIP, 80)).text, /^app saw 10\.77\.0\./);
      for (const family of [4, 6] as const) {
        const pair = await connect(family);
        pair.client.destroy();
      }
      // Not in a set: the server's other port, the node, and the Service on another port.
      assert.equal((await dial(client.netns, server.v4, 8080)).error, 'ECONNREFUSED');
      assert.equal((await dial(client.netns, lab.nodeAddress(4), 8080)).error, 'ECONNREFUSED');
      assert.equal((await dial(client.netns, VIP, 81)).error, 'ECONNREFUSED');
      // From the node the server is reached where it has no policy, and only there.
      assert.match((await dial(null, server.v4, 8080)).text, /^app saw/);
      assert.equal((await dial(null, server.v4, 8081)).error, 'ECONNREFUSED');
      // A pod of interception mode TPROXY keeps its rules, and is captured whole.
      assert.equal(node.rules.formOf(routed.netnsPath), 'tproxy');
      assert.match(saved(routed), /WEIR_TPROXY/);
      assert.doesNotMatch(saved(routed), /BYPASS/);
      assert.doesNotMatch((await dial(routed.netns, VIP, 80)).text, /app saw/);
      const missing = await node.rules.missing(client.netnsPath, client.enrolled, {});
      assert.ok(missing.ok);
      assert.deepEqual(
        missing.value.filter((line) => !line.includes('no listener')),
        [],
      );
    });

    test('live connections are listed, with the pod, the direction and the state', async () => {
      const { client: socket } = await connect(4);
      const rows = await node.sets.connections();
      const seen = rows
        .filter(({ destination }) => destination === `${server.v4}:9000`)
        .map(({ pod, direction, protocol, state }) => `${pod} ${direction} ${protocol} ${state}`)
        .sort((one, other) => (one < other ? -1 : 1));
      assert.deepEqual(seen, [
        `lab/${client.name} outbound bypassed established`,
        `lab/${server.name} inbound bypassed established`,
      ]);
      socket.destroy();
    });

    test('a policy that appears captures new connections when it counts as applied, and cuts live ones at both ends', async () => {
      const pairs = [await connect(4), await connect(6)];
      const ends = pairs.flatMap((pair) => [ended(pair.client), ended(pair.server)]);
      await node.change({ upserts: [DENY] });
      assert.equal((await dial(client.netns, VIP, 80)).error, 'ECONNREFUSED');
      assert.equal((await dial(client.netns, server.v4, 9000)).error, 'ECONNREFUSED');
      assert.equal((await dial(null, server.v4, 8080)).error, 'ECONNREFUSED');
      assert.match(client.run('ipset', 'list', 'WEIR-BYPASS4'), /Number of entries: 0/);
      await Promise.all(ends);
      const agent = new LabAgent('report');
      await agent.listen(client);
      assert.equal((await dial(client.netns, VIP, 80)).text, `outbound ${VIP} 80 from ${client.v4}`);
      agent.close();
    });

    test('and when it is gone they bypass the agent again', async () => {
      await node.change({ removals: [DENY_KEY] });
      await node.until('the sets are filled', bypassed);
      assert.match((await dial(client.netns, VIP, 80)).text, /^app saw/);
    });

    for (const speaker of ['client', 'server'] as const) {
      test(`where sockets cannot be destroyed, what the ${speaker} sends after that never arrives, and it is told`, async () => {
        const pair = await connect(4);
        const [from, to] = speaker === 'client' ? [pair.client, pair.server] : [pair.server, pair.client];
        let arrived = '';
        to.on('data', (chunk: Buffer) => {
          arrived += chunk.toString();
        });
        from.write('before');
        await node.until('the first words arrive', () => arrived === 'before');
        for (const pod of [client, server]) {
          for (const entry of pod.run('ipset', 'list', 'WEIR-BYPASS4', '-o', 'save').matchAll(/^add \S+ (\S+)$/gm)) {
            pod.run('ipset', 'del', 'WEIR-BYPASS4', entry[1] ?? '');
          }
        }
        const cut = ended(from);
        from.write('after');
        await cut;
        assert.equal(arrived, 'before');
        to.destroy();
        // What somebody took out comes back with the next round of repair, and what somebody put in goes.
        client.run('ipset', 'add', 'WEIR-BYPASS4', `${lab.nodeAddress(4)},tcp:22`);
        await node.sets.repair();
        assert.match((await dial(client.netns, VIP, 80)).text, /^app saw/);
        assert.doesNotMatch(client.run('ipset', 'list', 'WEIR-BYPASS4'), /tcp:22/);
      });
    }

    test('an access log asked for on this node captures everything; without it the bypass is back', async () => {
      node.accessLog = 'all';
      await node.sets.request();
      assert.equal((await dial(client.netns, VIP, 80)).error, 'ECONNREFUSED');
      assert.match(node.sets.status().reason ?? '', /an access log is asked for/);
      node.accessLog = 'errors';
      await node.sets.request();
      await node.until('the sets are filled', bypassed);
    });

    test('an agent that starts anew takes over the sets of the one before it', async () => {
      const heir = new Node(new PodRules([backend]));
      heir.pods.push(...node.pods);
      await heir.change({ upserts: [...node.mesh.list('service'), ...node.mesh.list('workload')] });
      for (const pod of [client, server]) await heir.rules.missing(pod.netnsPath, pod.enrolled, {});
      // It knows of no settings: nothing may bypass it.
      await heir.sets.request();
      assert.equal((await dial(client.netns, VIP, 80)).error, 'ECONNREFUSED');
      await heir.change({ upserts: [QUIET] });
      await heir.until('the sets are filled', () => bypassed(heir));
      assert.match((await dial(client.netns, VIP, 80)).text, /^app saw/);
      await heir.sets.close();
    });

    test('switched off: captured at once; the rules that cut stay while a connection may live, then sets and rules go', async () => {
      await node.change({ removals: [{ kind: 'meshSettings', key: 'istio-system/istio' }] });
      assert.equal((await dial(client.netns, VIP, 80)).error, 'ECONNREFUSED');
      await waitUntil(async () => {
        await node.sets.request();
        return !/BYPASS/.test(saved(client) + saved(server));
      }, 'the rules are plain again');
      await node.until('the sets are gone', () => client.run('ipset', 'list', '-n').trim() === '');
      assert.deepEqual(node.logged, []);
    });

    test('DEL takes rules and sets away', async () => {
      await node.change({ upserts: [QUIET] });
      await node.until('the sets are filled', bypassed);
      const removed = await node.rules.remove(client.netnsPath);
      assert.ok(removed.ok);
      assert.doesNotMatch(saved(client), /WEIR/);
      assert.equal(client.run('ipset', 'list', '-n'), '');
    });
  });
}

describe('where ipset does not work', () => {
  test('pods are captured as ever, and the status says why nothing bypasses the agent', async () => {
    const pod = lab.addPod('no-ipset');
    const node = new Node(new PodRules());
    await node.change({
      upserts: [QUIET, describePod(pod, 'x', { 'shop/web': [{ servicePort: 80, targetPort: 80 }] })],
    });
    const ipset = sh('sh', '-c', 'PATH="$PATH:/usr/sbin:/sbin" command -v ipset').trim();
    sh('mount', '--bind', '/dev/null', ipset);
    try {
      await node.enrol(pod);
      await node.sets.request();
      const status = node.sets.status();
      assert.equal(status.state, 'unavailable');
      assert.match(status.reason ?? '', /ipset: /);
      assert.match(pod.run('iptables-nft-save'), /REDIRECT --to-ports 15001/);
      assert.doesNotMatch(pod.run('iptables-nft-save'), /BYPASS/);
    } finally {
      sh('umount', ipset);
      await node.sets.close();
    }
  });
});
