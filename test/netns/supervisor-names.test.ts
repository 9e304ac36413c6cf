/**
 * Host names of ServiceEntries on a node with real pods, the whole agent and a DNS server: a name leads a pod to what the agent has
 * found, also after the workers have died, after the answer has changed, and when another agent takes over while DNS is away.
 */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import { DnsServer } from '../harness/dns-server.ts';
import { ask, Place } from '../integration/fixtures/agent-process.ts';
import { waitUntil } from '../integration/fixtures/wait-until.ts';
import { dial, Lab, type LabPod, serve, sh } from './capture-lab.ts';

const NODE = 'node-1';
const HOST = 'api.example.com';
/** Outside the mesh: the node's own namespace. */
const DIALLED = '10.77.0.1';
const FIRST = '10.77.0.201';
const SECOND = '10.77.0.202';

const OBJECTS = `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    outboundTrafficPolicy: { mode: REGISTRY_ONLY }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: lab }
spec:
  hosts: [${HOST}]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: DNS
`;

let lab: Lab;
let place: Place;
let dns: DnsServer;
let client: LabPod;
const servers: Server[] = [];

/** Who answers a request to that host, sent to an address that the mesh does not know. */
async function whoAnswers(host: string, ip = DIALLED): Promise<string> {
  const say = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  const { text, error } = await dial(client.netns, ip, 80, { say });
  return error ?? /x-weir-reason: (\S+)/.exec(text)?.[1] ?? text.slice(text.lastIndexOf('\n') + 1);
}

before(async () => {
  lab = new Lab();
  place = new Place();
  client = lab.addPod('client');
  for (const ip of [FIRST, SECOND]) sh('ip', 'addr', 'add', `${ip}/24`, 'dev', 'br-lab');
  for (const ip of [DIALLED, FIRST, SECOND]) {
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${ip.length}\r\nConnection: close\r\n\r\n${ip}`;
    servers.push(await serve(null, ip, 80, (socket) => socket.once('data', () => socket.end(answer))));
  }
  dns = await DnsServer.start();
  dns.says(HOST, { addresses: [FIRST], ttl: 0 });
  place.object('objects', OBJECTS);
  place.object(
    'client',
    `
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: lab, uid: uid-client, labels: { app: client } }
spec: { nodeName: ${NODE}, serviceAccountName: sa, containers: [{ name: app, image: app }] }
status: { podIP: ${client.v4}, podIPs: [{ ip: "${client.v4}" }], conditions: [{ type: Ready, status: "True" }] }
`,
  );
  place.startController();
  place.agent(NODE, '--dns-servers', dns.address, '--drain-deadline', '2');
  await place.until(NODE, ({ ready, names }) => ready && names.resolved === 1);
  const args = { namespace: 'lab', name: 'client', uid: 'uid-client' };
  const added = await ask(
    place.cniSocketOf(NODE),
    'POST',
    '/add',
    JSON.stringify({ containerId: 'c', netns: client.netnsPath, ifName: 'eth0', args, ips: [client.v4, client.v6] }),
  );
  assert.equal(added.status, 200, added.body);
});

after(async () => {
  await place.close();
  dns.close();
  for (const server of servers) server.close();
  lab.close();
});

test('REGISTRY_ONLY: a name leads to what the agent has found, and opens no other address', async () => {
  await waitUntil(async () => (await whoAnswers(HOST)) === FIRST);
  assert.equal(await whoAnswers(HOST, SECOND), FIRST);
  assert.equal(await whoAnswers('other.example'), 'NOT_IN_REGISTRY');
});

test('workers that died know it again', async () => {
  const before = await place.until(NODE, ({ workers }) => workers.every(({ state }) => state === 'serving'));
  for (const { pid } of before.workers) process.kill(pid, 'SIGKILL');
  await place.until(NODE, ({ workers }) => workers.every(({ state, restarts }) => state === 'serving' && restarts > 0));
  for (let i = 0; i < 8; i++) assert.equal(await whoAnswers(HOST), FIRST);
});

test('an answer that changes is followed, and the last good one is kept when DNS fails', async () => {
  dns.says(HOST, { addresses: [SECOND], ttl: 0 });
  await waitUntil(async () => (await whoAnswers(HOST)) === SECOND);
  dns.says(HOST, { code: 'SERVFAIL' });
  await place.until(NODE, ({ names }) => names.problems[0]?.problem === 'A: ESERVFAIL');
  assert.equal(await whoAnswers(HOST), SECOND);
  const { out } = await place.command(['status'], [place.socketOf(NODE)]);
  assert.match(out, /host name api\.example\.com: A: ESERVFAIL; 1 address\(es\) of its last answer are used/);
});

test('an agent that takes over while DNS is away goes on where the one before it was', async () => {
  const { pid } = await place.status(NODE);
  let asking = true;
  const answers = new Set<string>();
  const asked = (async () => {
    while (asking) answers.add(await whoAnswers(HOST));
  })();
  place.agent(NODE, '--dns-servers', dns.address);
  await place.until(NODE, (status) => status.ready && status.pid !== pid && status.predecessor === null);
  for (let i = 0; i < 8; i++) answers.add(await whoAnswers(HOST));
  asking = false;
  await asked;
  assert.deepEqual([...answers], [SECOND]);
});
