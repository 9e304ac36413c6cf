/** A route's clock: what fires when, and that nothing of one request is left for the next. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { TimerWheel } from '../../../agent/engine/timer-wheel.ts';
import { limits } from '../../../agent/limits.ts';
import type { WorkerContext } from '../../../agent/proxy/context.ts';
import { RequestDeadlines } from '../../../agent/proxy/request-deadlines.ts';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';

interface Clock {
  nowMs: number;
  readonly timers: TimerWheel;
}

let clock: Clock;
let context: { delayedRequests: number; readonly bounds: BoundCounters; readonly reactor: Clock };
let heard: string[];

beforeEach(() => {
  clock = { nowMs: 1_000, timers: new TimerWheel(1_000) };
  context = { delayedRequests: 0, bounds: new BoundCounters(), reactor: clock };
  heard = [];
});

function deadlines(): RequestDeadlines {
  const owner = {
    onDelayOver: () => heard.push('delay over'),
    onDeadline: (reason: string) => heard.push(reason),
  };
  return new RequestDeadlines(context as unknown as WorkerContext, 0, owner);
}

function pass(ms: number): void {
  clock.nowMs += ms;
  clock.timers.advance(clock.nowMs);
}

describe('a delay', () => {
  test('is over when its time has passed, once', () => {
    const held = deadlines();
    assert.ok(held.delay(100));
    pass(96);
    assert.deepEqual([heard, held.delayed, context.delayedRequests], [[], true, 1]);
    pass(8);
    pass(1_000);
    assert.deepEqual([heard, held.delayed, context.delayedRequests], [['delay over'], false, 0]);
  });

  test('is forgotten with its request', () => {
    const held = deadlines();
    held.delay(100);
    held.stop();
    pass(1_000);
    assert.deepEqual([heard, context.delayedRequests], [[], 0]);
  });

  test('is not for more requests than the bound allows', () => {
    context.delayedRequests = limits.delayedRequestsMax;
    assert.equal(deadlines().delay(100), false);
    assert.equal(context.bounds.hits()['delayedRequestsMax'], 1);
    assert.equal(context.delayedRequests, limits.delayedRequestsMax);
  });
});

describe('deadlines', () => {
  const cases: readonly (readonly [
    string,
    (held: RequestDeadlines) => void,
    readonly (readonly [number, string | null])[],
  ])[] = [
    ['no limit', (held) => held.attemptBegins(null), [[1_000_000, null]]],
    [
      'one attempt',
      (held) => held.attemptBegins(50),
      [
        [48, null],
        [8, 'UPSTREAM_TIMEOUT'],
      ],
    ],
    [
      'the request, from its last octet',
      (held) => held.requestComplete(50),
      [
        [48, null],
        [8, 'REQUEST_TIMEOUT'],
      ],
    ],
    [
      'whichever is first',
      (held) => (held.attemptBegins(80), held.requestComplete(40)),
      [
        [36, null],
        [8, 'REQUEST_TIMEOUT'],
      ],
    ],
    [
      'the other first',
      (held) => (held.attemptBegins(40), held.requestComplete(80)),
      [
        [36, null],
        [8, 'UPSTREAM_TIMEOUT'],
      ],
    ],
    [
      'the last octet is told once',
      (held) => (held.requestComplete(40), pass(20), held.requestComplete(40)),
      [[24, 'REQUEST_TIMEOUT']],
    ],
    [
      'a further attempt',
      (held) => (held.attemptBegins(40), pass(20), held.attemptBegins(40)),
      [
        [36, null],
        [8, 'UPSTREAM_TIMEOUT'],
      ],
    ],
  ];
  for (const [name, start, steps] of cases) {
    test(name, () => {
      const held = deadlines();
      start(held);
      for (const [ms, expected] of steps) {
        pass(ms);
        assert.deepEqual(heard, expected === null ? [] : [expected]);
      }
      if (heard.length === 0) return;
      pass(1_000_000);
      assert.equal(heard.length, 1, 'once');
    });
  }

  test('are nobody else’s: a stopped clock starts from nothing', () => {
    const held = deadlines();
    held.attemptBegins(40);
    held.requestComplete(20);
    held.stop();
    held.attemptBegins(100);
    pass(96);
    assert.deepEqual(heard, []);
    pass(8);
    assert.deepEqual(heard, ['UPSTREAM_TIMEOUT']);
  });
});
