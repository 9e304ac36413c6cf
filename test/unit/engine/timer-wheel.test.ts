import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Timer, TimerWheel } from '../../../agent/engine/timer-wheel.ts';

const TICK_MS = 4;
const SLOTS = 32; // one revolution: 128 ms, so that delays of many revolutions are cheap to try

type Step =
  | { readonly do: 'arm'; readonly timer: number; readonly delayMs: number }
  | { readonly do: 'disarm'; readonly timer: number }
  | { readonly do: 'advance'; readonly byMs: number };

const TIMERS = 6;
const timerIndex = fc.nat({ max: TIMERS - 1 });
const delay = fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 2_000 }), fc.double({ min: 0, max: 50, noNaN: true }));
const armStep = fc.record({ do: fc.constant('arm' as const), timer: timerIndex, delayMs: delay });
const disarmStep = fc.record({ do: fc.constant('disarm' as const), timer: timerIndex });
const reaction = fc.oneof(armStep, disarmStep);
const step: fc.Arbitrary<Step> = fc.oneof(
  armStep,
  disarmStep,
  fc.record({
    do: fc.constant('advance' as const),
    byMs: fc.oneof(fc.nat({ max: 30 }), fc.double({ min: 0, max: 1_000, noNaN: true })),
  }),
);

/** A naive model beside the wheel: a list of deadlines. Each firing runs the next prepared reaction, on both. */
class Bench {
  readonly deadlines = new Map<number, number>();
  readonly fired: number[] = [];
  readonly timers: Timer[] = [];
  readonly wheel: TimerWheel;
  nowMs: number;
  private readonly reactions: (Step & { do: 'arm' | 'disarm' })[];

  constructor(startMs: number, reactions: readonly (Step & { do: 'arm' | 'disarm' })[]) {
    this.nowMs = startMs;
    this.wheel = new TimerWheel(startMs, TICK_MS, SLOTS);
    this.reactions = [...reactions];
    for (let index = 0; index < TIMERS; index++) {
      this.timers.push(new Timer({ onTimer: (nowMs) => this.onTimer(index, nowMs) }));
    }
  }

  apply(action: Step): void {
    if (action.do === 'arm') {
      this.wheel.arm(this.timer(action.timer), action.delayMs);
      this.deadlines.set(action.timer, this.nowMs + action.delayMs);
    } else if (action.do === 'disarm') {
      this.wheel.disarm(this.timer(action.timer));
      this.deadlines.delete(action.timer);
    } else {
      this.nowMs += action.byMs;
      this.wheel.advance(this.nowMs);
      for (const [index, deadline] of this.deadlines) {
        assert.ok(deadline > this.nowMs - TICK_MS, `timer ${index} is overdue by ${this.nowMs - deadline} ms`);
      }
    }
    assert.equal(this.wheel.armed, this.deadlines.size);
    for (let index = 0; index < TIMERS; index++) assert.equal(this.timer(index).armed, this.deadlines.has(index));
  }

  private timer(index: number): Timer {
    const timer = this.timers[index];
    assert.ok(timer);
    return timer;
  }

  private onTimer(index: number, nowMs: number): void {
    const deadline = this.deadlines.get(index);
    assert.ok(deadline !== undefined, `timer ${index} fired though it was not armed`);
    assert.ok(nowMs >= deadline, `timer ${index} fired ${deadline - nowMs} ms early`);
    this.deadlines.delete(index);
    this.fired.push(index);
    const next = this.reactions.shift();
    if (next !== undefined) this.apply(next);
  }
}

test('property: against a list of deadlines, no timer is early, lost, doubled or more than a tick late', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e7, noNaN: true }),
      fc.array(step, { maxLength: 60 }),
      fc.array(reaction, { maxLength: 30 }),
      (startMs, steps, reactions) => {
        const bench = new Bench(startMs, reactions);
        for (const action of steps) bench.apply(action);
      },
    ),
    { numRuns: 2000 },
  );
});

test('property: sleeping for nextDelayMs each time fires every timer within a tick of its deadline', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(timerIndex, fc.nat({ max: 1_000 })), { minLength: 1, maxLength: 12 }), (arms) => {
      const bench = new Bench(10, []);
      for (const [timer, delayMs] of arms) bench.apply({ do: 'arm', timer, delayMs });
      let wakeUps = 0;
      while (bench.wheel.armed > 0) {
        const sleepMs = bench.wheel.nextDelayMs(5_000);
        assert.ok(Number.isInteger(sleepMs) && sleepMs <= 1_000 + TICK_MS, `would sleep ${sleepMs} ms`);
        bench.apply({ do: 'advance', byMs: sleepMs });
        assert.ok(++wakeUps < 200, 'the wheel asks to be woken for nothing');
      }
    }),
  );
});

test('pushing a timer back again and again costs one wake-up, not one per push', () => {
  let fired = 0;
  const wheel = new TimerWheel(0, TICK_MS, SLOTS);
  const timer = new Timer({ onTimer: () => fired++ });
  wheel.arm(timer, 20);
  for (let nowMs = 1; nowMs <= 16; nowMs++) {
    wheel.advance(nowMs);
    wheel.arm(timer, 20);
  }
  wheel.advance(35);
  assert.equal(fired, 0);
  wheel.advance(40);
  assert.equal(fired, 1);
  assert.equal(wheel.armed, 0);
});

test('a timer that re-arms itself with no delay fires once per advance', () => {
  let fired = 0;
  const wheel = new TimerWheel(0, TICK_MS, SLOTS);
  const timer: Timer = new Timer({
    onTimer: () => {
      fired++;
      wheel.arm(timer, 0);
    },
  });
  wheel.arm(timer, 0);
  wheel.advance(100);
  assert.equal(fired, 1);
  wheel.advance(104);
  assert.equal(fired, 2);
});

test('of two timers in one slot, the first may disarm the second', () => {
  const wheel = new TimerWheel(0, TICK_MS, SLOTS);
  let fired = 0;
  const pair: Timer[] = [];
  for (const other of [1, 0]) {
    pair.push(
      new Timer({
        onTimer: () => {
          fired++;
          const victim = pair[other];
          assert.ok(victim);
          wheel.disarm(victim);
        },
      }),
    );
  }
  for (const timer of pair) wheel.arm(timer, 8);
  wheel.advance(8);
  assert.equal(fired, 1);
  assert.equal(wheel.armed, 0);
});

test('a pause of many revolutions fires what is due, in order, and leaves the rest on time', () => {
  const order: string[] = [];
  const wheel = new TimerWheel(0, TICK_MS, SLOTS);
  const timers = ['c:900', 'a:10', 'later:5000', 'b:300'].map((name) => {
    const timer = new Timer({ onTimer: () => order.push(name) });
    wheel.arm(timer, Number(name.split(':')[1]));
    return timer;
  });
  wheel.advance(4_000);
  assert.deepEqual(order, ['a:10', 'b:300', 'c:900']);
  wheel.advance(4_999);
  assert.equal(timers[2]?.armed, true);
  wheel.advance(5_000);
  assert.equal(order.at(-1), 'later:5000');
});

test('delays far beyond 2^31 ticks stay exact', () => {
  const startMs = 2 ** 31 * TICK_MS - 10;
  const wheel = new TimerWheel(startMs, TICK_MS, SLOTS);
  let fired = 0;
  wheel.arm(new Timer({ onTimer: () => fired++ }), 100);
  wheel.advance(startMs + 99);
  assert.equal(fired, 0);
  wheel.advance(startMs + 104);
  assert.equal(fired, 1);
});

test('a bulk of timers fires a few per call, in order, and later ones are not overtaken', () => {
  const wheel = new TimerWheel(0, TICK_MS, SLOTS);
  const fired: number[] = [];
  const timers = Array.from({ length: 10 }, (_, index) => new Timer({ onTimer: () => fired.push(index) }));
  timers.forEach((timer, index) => {
    wheel.arm(timer, index < 7 ? 10 : 20);
  });
  wheel.advance(1_000, 3);
  assert.equal(fired.length, 3);
  assert.equal(wheel.nextDelayMs(500), 0);
  const late = new Timer({ onTimer: () => fired.push(99) });
  wheel.arm(late, 0);
  wheel.advance(1_004, 3);
  assert.equal(fired.length, 6);
  wheel.disarm(timers.find((timer) => timer.armed) as Timer);
  wheel.advance(1_008, 100);
  assert.deepEqual(fired.slice(-1), [99]);
  assert.equal(fired.length, 10);
  assert.deepEqual(
    fired.slice(0, 6).filter((index) => index >= 7),
    [],
  );
  assert.equal(wheel.armed, 0);
  assert.equal(wheel.nextDelayMs(500), 500);
});

test('timers that fire a few per call are each fired once, never early, whatever is armed and disarmed meanwhile', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (steps, most) => {
      let nowMs = 0;
      const wheel = new TimerWheel(nowMs, TICK_MS, SLOTS);
      const deadlines = new Map<number, number>();
      const timers = Array.from({ length: TIMERS }, (_, index) => {
        return new Timer({
          onTimer: (firedMs) => {
            const deadline = deadlines.get(index);
            assert.ok(deadline !== undefined && deadline <= firedMs, `timer ${index}: ${deadline} at ${firedMs}`);
            deadlines.delete(index);
          },
        });
      });
      for (const action of steps) {
        if (action.do === 'advance') {
          nowMs += action.byMs;
          wheel.advance(nowMs, most);
        } else if (action.do === 'arm') {
          wheel.arm(timers[action.timer] as Timer, action.delayMs);
          deadlines.set(action.timer, nowMs + action.delayMs);
        } else {
          wheel.disarm(timers[action.timer] as Timer);
          deadlines.delete(action.timer);
        }
      }
      nowMs += 10_000;
      for (let call = 0; call < TIMERS + 1; call++) wheel.advance(nowMs, most);
      assert.deepEqual([...deadlines], []);
    }),
  );
});
