/**
 * An agent replaces another on a node with real pods: CNI requests all along, queued connections, connections that outlive the
 * drain's deadline, and what `weir status` says of it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { StatusDocument } from '../../agent/admin/api.ts';
import { switchSetting } from '../../agent/capture/pod-settings.ts';
import { acceptConnection, closeFd, openListener } from '../../agent/engine/socket.ts';
import { ask, Place } from '../integration/fixtures/agent-process.ts';
import { waitUntil } from '../integration/fixtures/wait-until.ts';
import { dial, Lab, type LabPod, openSocket, serve } from './capture-lab.ts';

const NODE = 'node-1';
const DEADLINE_SECONDS = 12;
const LATE_PODS = 6;

let lab: Lab;
let place: Place;
let client: LabPod;
let web: LabPod;
let first: ReturnType<Place['agent']>;
let application: Server;

function podObject(pod: LabPod): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${pod.name}, namespace: lab, uid: uid-${pod.name}, labels: { app: ${pod.name} } }
spec: { nodeName: ${NODE}, serviceAccountName: sa, containers: [{ name: app, image: app }] }
status:
  podIP: ${pod.v4}
  podIPs: [{ ip: "${pod.v4}" }, { ip: "${pod.v6}" }]
  conditions: [{ type: Ready, status: "True" }]
`;
}

function cni(path: string, pod: LabPod): ReturnType<typeof ask> {
  const args = { namespace: 'lab', name: pod.name, uid: `uid-${pod.name}` };
  const body = {
    containerId: `container-${pod.name}`,
    netns: pod.netnsPath,
    ifName: 'eth0',
    args,
    ips: [pod.v4, pod.v6],
  };
  return ask(place.cniSocketOf(NODE), 'POST', path, JSON.stringify(body));
}

function migrates(pod: LabPod): string {
  return pod.run('cat', '/proc/sys/net/ipv4/tcp_migrate_req').trim();
}

function held(): Socket {
  const socket = openSocket(client.netns, web.v4, 9_000);
  assert.ok(typeof socket !== 'string');
  return socket;
}

before(async () => {
  lab = new Lab();
  place = new Place();
  client = lab.addPod('client');
  web = lab.addPod('web');
  application = await serve(web.netns, '0.0.0.0', 9_000, (socket) => {
    socket.on('data', (chunk) => (chunk.toString() === 'ping' ? socket.end('pong') : socket.write(chunk)));
  });
  for (const pod of [client, web]) place.object(pod.name, podObject(pod));
  place.startController();
  first = place.agent(NODE, '--access-log', 'all', '--drain-deadline', String(DEADLINE_SECONDS));
  await place.until(NODE, ({ ready }) => ready);
  for (const pod of [client, web]) assert.equal((await cni('/add', pod)).status, 200);
});

after(async () => {
  await place.close();
  application.close();
  lab.close();
});

test('the kernel: of two listeners of a group one closes; without tcp_migrate_req its queue is lost, with it the other has all', async () => {
  const pod = lab.addPod('kernel');
  for (const family of [4, 6] as const) {
    const ip = family === 4 ? '0.0.0.0' : '::';
    for (const isOn of [false, true]) {
      assert.equal(switchSetting(pod.netns, 'ipv4/tcp_migrate_req', isOn), null);
      const open = (): number => pod.netns.run(() => openListener({ ip, port: 15_001, reusePort: true, backlog: 256 }));
      const [closing, staying] = [open(), open()];
      assert.ok(closing > 0 && staying > 0);
      const sockets = Array.from({ length: 40 }, () => openSocket(pod.netns, pod.address(family), 15_001));
      for (const socket of sockets) assert.ok(typeof socket !== 'string');
      closeFd(closing);
      let accepted = 0;
      for (let fd = acceptConnection(staying); fd >= 0; fd = acceptConnection(staying)) {
        accepted++;
        closeFd(fd);
      }
      closeFd(staying);
      for (const socket of sockets as Socket[]) socket.on('error', () => undefined).destroy();
      if (isOn) assert.equal(accepted, 40, `IPv${family}`);
      else assert.ok(accepted < 40, `IPv${family}: all of 40 hashed to one listener, or the kernel migrates unasked`);
    }
  }
});

test('enrolment switches migration on in the pod’s namespace, and nowhere else', () => {
  for (const pod of [client, web]) assert.equal(migrates(pod), '1', first.err);
  const other = lab.addPod('other');
  assert.equal(migrates(other), '0');
});

test('replaced: ADD and DEL never fail, connections go on, those that outlive the deadline are reset with a reason', async () => {
  const socket = held();
  socket.write('before ');
  await once(socket, 'data');
  const cut = new Promise<string | undefined>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  const late = Array.from({ length: LATE_PODS }, (_, i) => lab.addPod(`late${i}`));
  for (const pod of late) place.object(pod.name, podObject(pod));

  const second = place.agent(NODE, '--drain-deadline', String(DEADLINE_SECONDS));
  const answers: string[] = [];
  const errors: string[] = [];
  const take = async (path: string, pod: LabPod): Promise<void> => {
    const { status, body } = await cni(path, pod);
    answers.push(`${path} ${pod.name} ${status} ${status === 200 ? '' : body}`);
  };
  const requests = (async () => {
    for (let round = 0; second.running && !second.err.includes('agent is up'); round++) {
      for (const pod of late) await take(round % 2 === 0 ? '/add' : '/del', pod);
      const seen = await dial(client.netns, web.v4, 9_000, { say: 'ping' });
      if (seen.error !== null || seen.text !== 'pong') errors.push(seen.error ?? seen.text);
    }
    for (const pod of late) await take('/add', pod);
  })();
  const status = await place.until(NODE, ({ pid, ready }) => pid === second.child.pid && ready);
  socket.write('still there');
  assert.match(String(await once(socket, 'data')), /still there/);
  await showsDrain(status);
  await requests;
  assert.deepEqual(
    answers.filter((answer) => !/ 200 $/.test(answer)),
    [],
  );
  assert.ok(answers.length >= 2 * LATE_PODS);
  assert.deepEqual(errors, []);

  assert.equal(await cut, 'ECONNRESET');
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  assert.match(first.out, /"reason":"DRAIN_DEADLINE"/);

  const { pods } = await place.until(NODE, ({ pods: counted }) => counted.captured === counted.count);
  assert.equal(pods.count, 2 + LATE_PODS);
  for (const pod of late) assert.equal(migrates(pod), '1');
  const verified = await place.command(['capture', 'verify', '--all'], [place.socketOf(NODE)]);
  assert.equal(verified.code, 0, verified.out + verified.err);
});

async function showsDrain(status: StatusDocument): Promise<void> {
  const { predecessor } = status.predecessor === null ? await place.status(NODE) : status;
  assert.equal(predecessor?.pid, first.child.pid);
  assert.ok(predecessor);
  assert.ok((predecessor.draining?.connections ?? 0) >= 1);
  assert.ok((predecessor.draining?.leftMs ?? -1) > 0);
  const shown = await place.command(['status'], [place.socketOf(NODE)]);
  assert.match(shown.out, /the agent before \(pid \d+, .*\) drains: \d+ connection\(s\) left, .* to the deadline/);
}

test('the last agent ends: without a successor the pods stay captured and are refused', async () => {
  const { pid } = await place.status(NODE);
  process.kill(pid, 'SIGTERM');
  await waitUntil(async () => (await dial(client.netns, web.v4, 9_000)).error === 'ECONNREFUSED');
});
