/** The side that is replaced: what it grants, what it refuses, and that it goes on when the successor does not come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminError } from '../../../agent/admin/http-router.ts';
import { parseTakeover, parseTakeoverAnswer, TAKEOVER_PROTOCOL } from '../../../agent/admin/takeover-api.ts';
import { HandOver } from '../../../agent/supervisor/hand-over.ts';

const SELF = { instance: 'old', version: '0.1.0', pid: 10, socket: '/run/agent-1.sock' };
const NEXT = { protocol: TAKEOVER_PROTOCOL, instance: 'new', node: 'n', version: '0.2.0', pid: 20, addedLater: true };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A supervisor that notes what it is told. */
class FakeAgent {
  readonly calls: string[] = [];
  busy: string | null = null;
  /** Resolved by the test when yielding is to be over. */
  yielded: Promise<void> = Promise.resolve();
  resumed: Promise<void>;
  readonly handOver: HandOver;
  #onResumed: () => void = () => {};

  constructor(leaseMs = 60_000) {
    this.resumed = new Promise((resolve) => {
      this.#onResumed = resolve;
    });
    const note = (call: string): Promise<void> => {
      this.calls.push(call);
      return Promise.resolve();
    };
    this.handOver = new HandOver(
      {
        node: 'n',
        busy: () => this.busy,
        self: () => SELF,
        flushConfiguration: () => note('flush'),
        yieldCapture: async () => {
          await note('yield');
          await this.yielded;
        },
        resumeCapture: async () => {
          await note('resume');
          this.#onResumed();
        },
        leave: ({ pid }) => void note(`leave to ${pid}`),
      },
      silent,
      leaseMs,
    );
  }
}

function refusal(code: string, status: number): (error: unknown) => boolean {
  return (error) => error instanceof AdminError && error.code === code && error.status === status;
}

test('announce, yield, leave: each once, in order, and the answers say where the agent is', async () => {
  const { handOver, calls } = new FakeAgent();
  const answer = await handOver.announce(NEXT);
  assert.deepEqual(answer, { protocol: TAKEOVER_PROTOCOL, ...SELF, leaseMs: 60_000 });
  assert.deepEqual(parseTakeoverAnswer({ ...answer, addedLater: 1 }), answer);
  await handOver.announce(NEXT);
  await handOver.yield(NEXT);
  await handOver.yield(NEXT);
  handOver.leave(NEXT);
  handOver.leave(NEXT);
  assert.deepEqual(calls, ['flush', 'flush', 'yield', 'leave to 20']);
});

test('leaving before yielding, or unannounced, is refused and changes nothing', async () => {
  const { handOver, calls } = new FakeAgent();
  assert.throws(() => handOver.leave(NEXT), refusal('NOT_ANNOUNCED', 409));
  await assert.rejects(handOver.yield(NEXT), refusal('NOT_ANNOUNCED', 409));
  await handOver.announce(NEXT);
  assert.throws(() => handOver.leave(NEXT), refusal('NOT_ANNOUNCED', 409));
  assert.deepEqual(calls, ['flush']);
  handOver.close();
});

test('a second successor, another node, another protocol and malformed bodies are refused', async () => {
  const { handOver } = new FakeAgent();
  await handOver.announce(NEXT);
  await assert.rejects(handOver.announce({ ...NEXT, instance: 'third' }), refusal('SUCCESSOR_EXISTS', 409));
  await assert.rejects(handOver.announce({ ...NEXT, node: 'm' }), refusal('OTHER_NODE', 409));
  await assert.rejects(handOver.announce({ ...NEXT, protocol: 99 }), refusal('PROTOCOL', 409));
  for (const field of ['protocol', 'instance', 'node', 'version', 'pid']) {
    await assert.rejects(handOver.announce({ ...NEXT, [field]: null }), refusal('MALFORMED', 400), field);
  }
  for (const body of [null, 1, 'x', []]) assert.equal(parseTakeover(body), null);
  for (const body of [null, 1, 'x', [], SELF]) assert.equal(parseTakeoverAnswer(body), null);
  handOver.close();
});

test('an agent that starts or stops asks to be asked again; one that drains may be displaced', async () => {
  const agent = new FakeAgent();
  agent.busy = 'the agent starts';
  await assert.rejects(agent.handOver.announce(NEXT), refusal('NOT_READY', 503));
  agent.handOver.close();
  await assert.rejects(agent.handOver.announce(NEXT), refusal('NOT_READY', 503));
  agent.busy = null;
  await assert.rejects(agent.handOver.announce(NEXT), refusal('LEAVING', 409));
});

test('an instance that was replaced does not get the node back', async () => {
  const { handOver } = new FakeAgent();
  handOver.hasReplaced('new');
  await assert.rejects(handOver.announce(NEXT), refusal('SUPERSEDED', 409));
  await handOver.announce({ ...NEXT, instance: 'newer' });
  handOver.close();
});

test('a successor that is heard no more after yielding: capture is resumed, and its leave is refused', async () => {
  const agent = new FakeAgent(20);
  await agent.handOver.announce(NEXT);
  await agent.handOver.yield(NEXT);
  await agent.resumed;
  assert.throws(() => agent.handOver.leave(NEXT), refusal('NOT_ANNOUNCED', 409));
  assert.deepEqual(agent.calls, ['flush', 'yield', 'resume']);
  assert.equal(agent.handOver.successor, null);
});

test('a lease that ends while it yields: the yield is refused, and capture resumed', async () => {
  const agent = new FakeAgent(20);
  agent.yielded = agent.resumed;
  await agent.handOver.announce(NEXT);
  await assert.rejects(agent.handOver.yield(NEXT), refusal('NOT_ANNOUNCED', 409));
  assert.deepEqual(agent.calls, ['flush', 'yield', 'resume']);
});

test('a successor that gives up: capture is resumed at once', async () => {
  const agent = new FakeAgent();
  await agent.handOver.announce(NEXT);
  await agent.handOver.yield(NEXT);
  agent.handOver.abandon(NEXT);
  await agent.resumed;
  assert.throws(() => agent.handOver.leave(NEXT), refusal('NOT_ANNOUNCED', 409));
});

test('settled: at once without a successor, else when it has come or was given up', async () => {
  const agent = new FakeAgent();
  await agent.handOver.settled(60_000);
  await agent.handOver.announce(NEXT);
  const settled = agent.handOver.settled(60_000);
  await agent.handOver.yield(NEXT);
  agent.handOver.leave(NEXT);
  await settled;
  const other = new FakeAgent(10);
  await other.handOver.announce(NEXT);
  await other.handOver.settled(60_000);
  const third = new FakeAgent();
  await third.handOver.announce(NEXT);
  await third.handOver.settled(10);
  third.handOver.close();
});
