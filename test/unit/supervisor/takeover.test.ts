/** The order in which a successor takes over, and what it does when the agent in charge refuses, hangs or is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { done, failure } from '../../../agent/capture/result.ts';
import type { ControlStatus } from '../../../agent/control/client.ts';
import type { Reply, Step } from '../../../agent/supervisor/predecessor.ts';
import { Takeover } from '../../../agent/supervisor/takeover.ts';

const SELF = { protocol: 1, instance: 'old', version: '0.1.0', pid: 1, socket: '/s', leaseMs: 60_000 };
const ANSWER: Reply = { kind: 'answer', answer: SELF };
const REFUSED: Reply = { kind: 'refused', code: 'NOT_ANNOUNCED', message: 'forgotten' };

const STATUS: ControlStatus = {
  target: 'unix:x',
  connected: false,
  caughtUp: false,
  sinceMs: null,
  lastError: null,
  systemVersion: '',
  resources: {
    workload: 0,
    service: 0,
    serviceEntry: 0,
    httpRoute: 0,
    tlsRoute: 0,
    tcpRoute: 0,
    destinationRule: 0,
    sidecarScope: 0,
    authorizationPolicy: 0,
    peerAuthentication: 0,
    requestAuthentication: 0,
    networkPolicy: 0,
    meshSettings: 0,
  },
  lastChangeMs: null,
  nacks: [],
};

/** Both agents; everything that happens is noted in order. */
class Scene {
  readonly calls: string[] = [];
  readonly errors: string[] = [];
  control: ControlStatus = { ...STATUS, connected: true, caughtUp: true };
  replies: Partial<Record<Step, Reply>> = {};
  takeCharge = done;
  endsAt = 'never';

  run(silent = false): Promise<boolean> {
    const note = (call: string): Promise<void> => {
      this.calls.push(call);
      return Promise.resolve();
    };
    const takeover = new Takeover(
      {
        store: {
          hold: () => void note('hold'),
          reload: () => {
            this.calls.push('reload');
            return { resources: [], upserts: [], removals: [], error: null };
          },
        },
        control: { start: () => void note('stream'), stop: () => note('stream stopped'), status: () => this.control },
        hub: {
          apply: async () => {
            await note('apply');
            return { ok: true };
          },
        },
        enrolment: {
          follow: async () => {
            await note('follow');
            return done;
          },
          takeCharge: async () => {
            await note('takeCharge');
            return this.takeCharge;
          },
        },
        cni: { listenInstead: () => note('cni') },
        log: { debug: () => {}, info: () => {}, warn: () => {}, error: (_, message) => this.errors.push(message) },
        displace: () => void note('displace'),
        begin: () => {},
        ended: () => this.calls.includes(this.endsAt),
        loadConfiguration: () => note('configuration'),
        startWorkers: () => note('workers'),
      },
      {
        last: SELF,
        ask: async (step) => {
          await note(`ask ${step}`);
          return this.replies[step] ?? ANSWER;
        },
      },
    );
    return takeover.run(silent);
  }
}

test('configuration, workers, controller, listeners, CNI socket, yield, last pods, leave', async () => {
  const scene = new Scene();
  assert.equal(await scene.run(), true);
  const order = 'hold,configuration,workers,stream,follow,cni,ask yield,takeCharge,ask leave';
  assert.equal(scene.calls.join(), order);
  assert.deepEqual(scene.errors, []);
});

test('the listeners wait for the controller, unless it is away; then the last snapshot of the old agent is taken', async () => {
  const scene = new Scene();
  scene.control = STATUS;
  const running = scene.run();
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(scene.calls.includes('follow'), false);
  scene.control = { ...STATUS, lastError: 'refused' };
  assert.equal(await running, true);
  const order = 'ask yield,stream stopped,reload,apply,stream,takeCharge,ask leave';
  assert.ok(scene.calls.join().endsWith(order), scene.calls.join());
});

test('an agent in charge that refuses goes on: this one gives up and says so to it', async () => {
  for (const step of ['yield', 'leave'] as const) {
    const scene = new Scene();
    scene.replies = { [step]: REFUSED };
    await assert.rejects(scene.run(), /the agent in charge goes on: forgotten/);
    assert.equal(scene.calls.at(-1), 'ask abandon');
  }
});

test('pods that cannot be listened for: given up while there is somebody to go on', async () => {
  const scene = new Scene();
  scene.takeCharge = failure('LISTENERS_FAILED', 'port 15001 of a/b is taken');
  await assert.rejects(scene.run(), /port 15001 of a\/b is taken/);
  assert.deepEqual(scene.calls.slice(-2), ['takeCharge', 'ask abandon']);
  const alone = new Scene();
  alone.takeCharge = scene.takeCharge;
  alone.replies = { yield: { kind: 'gone' } };
  assert.equal(await alone.run(), true);
  assert.deepEqual(alone.errors, ['took over, but not every pod can be listened for']);
});

test('one that hangs is displaced before its files are read, so that it writes no more; it is asked nothing', async () => {
  const scene = new Scene();
  assert.equal(await scene.run(true), true);
  assert.ok(scene.calls.join().endsWith('cni,displace,takeCharge'), scene.calls.join());
  assert.match(scene.errors[0] ?? '', /does not answer and is not waited for/);
  const later = new Scene();
  later.replies = { yield: { kind: 'silent' } };
  assert.equal(await later.run(), true);
  assert.ok(later.calls.join().endsWith('ask yield,displace,takeCharge'), later.calls.join());
  assert.equal(later.errors.length, 1);
});

test('told to end meanwhile: the agent in charge is told to go on, up to the last moment', async () => {
  for (const at of ['workers', 'follow', 'takeCharge']) {
    const scene = new Scene();
    scene.endsAt = at;
    assert.equal(await scene.run(), false, at);
    assert.deepEqual(scene.calls.slice(-2), [at, 'ask abandon'], at);
    assert.equal(scene.calls.includes('ask leave'), false);
  }
});
