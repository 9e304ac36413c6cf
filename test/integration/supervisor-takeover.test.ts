/** One agent replaces another, as processes, without pods: who answers, who ends, and what happens when one of them fails. */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { ask, isAlive, Place } from './fixtures/agent-process.ts';
import { waitUntil } from './fixtures/wait-until.ts';

const NODE = 'node-1';
const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  clusterIP: 10.96.0.10
  selector: { app: web }
  ports: [{ name: http, port: 80 }]
`;

type Agent = ReturnType<Place['agent']>;

async function place(t: TestContext): Promise<Place> {
  const made = new Place();
  t.after(() => made.close());
  made.object('web', SERVICE);
  made.startController();
  return made;
}

function inCharge(lab: Place, agent: Agent): ReturnType<Place['until']> {
  const { pid } = agent.child;
  return lab.until(NODE, (status) => status.pid === pid && status.ready);
}

async function started(lab: Place, ...flags: readonly string[]): Promise<Agent> {
  const agent = lab.agent(NODE, ...flags);
  await inCharge(lab, agent);
  return agent;
}

/** Connects to a unix socket over and over until stopped; resolves with every error there was. */
function knocking(path: string): { stop: () => Promise<readonly string[]> } {
  const errors: string[] = [];
  let stopped = false;
  let knocks = 0;
  const done = (async () => {
    while (!stopped) {
      knocks++;
      await new Promise<void>((resolve) => {
        const socket = connect(path, () => socket.end());
        socket.on('error', (error) => errors.push(error.message));
        socket.on('close', () => resolve());
        socket.resume();
      });
    }
    assert.ok(knocks > 10);
    return errors;
  })();
  return {
    stop: () => {
      stopped = true;
      return done;
    },
  };
}

test('a second agent takes over: both sockets always answer, the first exits 0, the configuration is there at once', async (t) => {
  const lab = await place(t);
  const first = await started(lab);
  const doors = [lab.socketOf(NODE), lab.cniSocketOf(NODE)].map(knocking);
  const second = lab.agent(NODE);
  await inCharge(lab, second);
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  for (const door of doors) assert.deepEqual(await door.stop(), []);
  const status = await lab.status(NODE);
  assert.deepEqual([status.pid, status.mesh.services, status.draining], [second.child.pid, 1, null]);
  assert.match(first.err, /another agent has taken over; this one drains/);
  assert.match(second.err, /took over from the agent before/);
  await lab.until(NODE, ({ predecessor }) => predecessor === null);
  assert.equal(await second.end(), 0);
});

test('a successor that is killed before it is ready: the first goes on, and the next one takes over', async (t) => {
  const lab = await place(t);
  const first = await started(lab);
  const second = lab.agent(NODE);
  await waitUntil(() => first.err.includes('a successor starts beside'));
  await second.end('SIGKILL');
  await waitUntil(() => first.err.includes('the successor is heard no more; this agent goes on'));
  assert.equal((await lab.status(NODE)).pid, first.child.pid);
  assert.equal((await ask(lab.cniSocketOf(NODE), 'POST', '/status', '{}')).status, 200);
  const third = lab.agent(NODE);
  await inCharge(lab, third);
  assert.equal((await first.ended).code, 0);
});

test('a first agent that hangs is not waited for for long, which is said; when it goes on it finds itself replaced and ends', async (t) => {
  const lab = await place(t);
  const first = await started(lab);
  first.child.kill('SIGSTOP');
  const second = lab.agent(NODE);
  // Whoever asks the stopped one meanwhile waits for it, so nothing is asked before.
  await waitUntil(() => second.err.includes('agent is up'));
  const status = await inCharge(lab, second);
  assert.match(second.err, /"level":"error".*the agent before does not answer and is not waited for/);
  assert.equal(status.predecessor?.answers, false);
  const shown = await lab.command(['status'], [lab.socketOf(NODE)]);
  assert.match(
    shown.out,
    /the agent before hangs: it does not answer, and its workers still serve their share; end it/,
  );
  assert.equal((await ask(lab.cniSocketOf(NODE), 'POST', '/status', '{}')).status, 200);
  first.child.kill('SIGCONT');
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  assert.equal((await lab.status(NODE)).pid, second.child.pid);
});

test('SIGTERM while a successor starts: the first waits for it', async (t) => {
  const lab = await place(t);
  const first = await started(lab);
  const second = lab.agent(NODE);
  await waitUntil(() => first.err.includes('a successor starts beside'));
  first.child.kill('SIGTERM');
  await inCharge(lab, second);
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  assert.doesNotMatch(first.err, /refuse connections until one is back/);
});

test('a replaced agent may wait to be ended, and does not take the node back when it is started again', async (t) => {
  const lab = await place(t);
  const first = await started(lab, '--instance', 'pod-1', '--when-superseded', 'wait');
  const workers = (await lab.status(NODE)).workers.map(({ pid }) => pid);
  const second = lab.agent(NODE, '--instance', 'pod-2');
  await inCharge(lab, second);
  await waitUntil(() => first.err.includes('drained; waiting to be ended'));
  assert.ok(first.running && workers.every((pid) => !isAlive(pid)));
  assert.equal(await first.end(), 0);
  const again = lab.agent(NODE, '--instance', 'pod-1');
  await waitUntil(() => again.err.includes('this agent was replaced; it waits to be ended'));
  const probe = (instance: string): ReturnType<Place['command']> =>
    lab.command(['status', '--ready', '--instance', instance], [lab.socketOf(NODE)]);
  assert.equal((await probe('pod-2')).code, 0);
  const other = await probe('pod-1');
  assert.deepEqual([other.code, /another agent is in charge \(pod-2\)/.test(other.err)], [1, true]);
  await second.end('SIGKILL');
  await inCharge(lab, again);
});

test('the metrics port goes from the one to the other', async (t) => {
  const lab = await place(t);
  const port = await freePort();
  const flags = ['--metrics-listen', `127.0.0.1:${port}`];
  const first = await started(lab, ...flags);
  assert.equal((await ask(port, 'GET', '/metrics')).status, 200);
  const second = lab.agent(NODE, ...flags);
  await inCharge(lab, second);
  assert.equal((await first.ended).code, 0);
  await waitUntil(async () => (await ask(port, 'GET', '/metrics').catch(() => null))?.status === 200);
});

test('an agent that drains for SIGTERM does not keep the next one waiting', async (t) => {
  const lab = await place(t);
  const first = await started(lab);
  // A worker that does not go on cannot end: the drain lasts until its deadline.
  const worker = (await lab.status(NODE)).workers[0]?.pid ?? 0;
  process.kill(worker, 'SIGSTOP');
  first.child.kill('SIGTERM');
  await waitUntil(async () => (await lab.status(NODE)).draining !== null);
  const draining = await lab.command(['status'], [lab.socketOf(NODE)]);
  assert.match(draining.out, /DRAINING/);
  assert.match(draining.out, /the agent drains: 0 connection\(s\) left, \d+ s to the deadline; none is known to serve/);
  const second = lab.agent(NODE);
  await inCharge(lab, second);
  assert.ok(first.running, 'it drains still');
  assert.notEqual((await lab.status(NODE)).predecessor?.draining ?? null, null);
  process.kill(worker, 'SIGCONT');
  assert.equal((await first.ended).code, 0);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
