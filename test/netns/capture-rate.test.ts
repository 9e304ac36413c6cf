/**
 * Many short connections to one destination, while clients hold connections whose local ports are among the few that the agent's own
 * sockets can get. An agent's connection then has the very addresses and ports of a client's, and only the conntrack zone keeps the two
 * apart (Istio issue 38982). Also under the strictest reverse path filter.
 */
import assert from 'node:assert/strict';
import type { Server, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import { canonical, dial, Lab, LabAgent, type LabPod, openSocket, serve } from './capture-lab.ts';

const CONNECTIONS = 2_000;
const AT_ONCE = 50;
const HELD = 100;
const FIRST_PORT = 40_000;

/** `go`: tells whom it sees and ends; `hold`: says so and stays. */
function answer(socket: Socket): void {
  socket.once('data', (line: Buffer) => {
    if (line.toString() === 'go') socket.end(`app saw ${canonical(socket.remoteAddress)}`);
    else socket.write('held');
  });
}

async function dialMany(from: LabPod, to: string, port: number): Promise<Map<string, number>> {
  const results = new Map<string, number>();
  let begun = 0;
  const one = async (): Promise<void> => {
    while (begun++ < CONNECTIONS) {
      const seen = await dial(from.netns, to, port, { say: 'go' });
      const result = seen.error ?? seen.text;
      results.set(result, (results.get(result) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return results;
}

/** Connections that stay, from ports the agent may choose too (the kernel gives connect(2) even ports first). */
async function hold(from: LabPod, family: 4 | 6, to: string, port: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  for (let number = 0; number < HELD; number++) {
    const source = { ip: from.address(family), port: FIRST_PORT + 2 * number };
    const socket = openSocket(from.netns, to, port, { source });
    if (typeof socket === 'string') throw new Error(`holding from port ${source.port}: ${socket}`);
    socket.write('hold');
    await new Promise<void>((resolve, reject) => {
      socket.once('data', () => resolve());
      socket.once('error', reject);
    });
    sockets.push(socket);
  }
  return sockets;
}

describe('short connections at a high rate to one destination', () => {
  const lab = new Lab();
  const pod = lab.addPod('pod');
  const client = lab.addPod('client');
  const agent = new LabAgent('relay');
  const servers: Server[] = [];
  before(async () => {
    for (const each of [pod, client]) {
      each.sysctl('ipv4/conf/all/rp_filter', '1');
      each.sysctl('ipv4/conf/eth0/rp_filter', '1');
    }
    // 150 even ports, and the clients hold 100 of them.
    pod.sysctl('ipv4/ip_local_port_range', `${FIRST_PORT} ${FIRST_PORT + 299}`);
    client.sysctl('ipv4/ip_local_port_range', '50000 50999');
    for (const ip of ['0.0.0.0', '::']) {
      servers.push(await serve(pod.netns, ip, 8080, answer), await serve(client.netns, ip, 7000, answer));
    }
    await agent.listen(pod);
    const applied = await new PodRules().apply(pod.netnsPath, pod.enrolled, {});
    assert.ok(applied.ok);
  });
  after(() => {
    agent.close();
    for (const server of servers) server.close();
    lab.close();
  });

  for (const family of [4, 6] as const) {
    test(`IPv${family}: inbound: ${CONNECTIONS} of ${CONNECTIONS} reach the application, which sees the client`, async () => {
      const held = await hold(client, family, pod.address(family), 8080);
      const results = await dialMany(client, pod.address(family), 8080);
      assert.deepEqual([...results], [[`app saw ${client.address(family)}`, CONNECTIONS]]);
      assert.deepEqual(agent.relayFailures, []);
      assert.ok(held.every((socket) => !socket.destroyed));
      for (const socket of held) socket.destroy();
    });

    test(`IPv${family}: outbound: ${CONNECTIONS} of ${CONNECTIONS} reach the server, which sees the pod`, async () => {
      const results = await dialMany(pod, client.address(family), 7000);
      assert.deepEqual([...results], [[`app saw ${pod.address(family)}`, CONNECTIONS]]);
      assert.deepEqual(agent.relayFailures, []);
    });
  }
});
