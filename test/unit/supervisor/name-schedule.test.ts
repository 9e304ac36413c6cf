/** When names are looked up, and what they lead to meanwhile: no clock, no network. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type LookupResult, type NameBounds, NameSchedule } from '../../../agent/supervisor/name-schedule.ts';

const BOUNDS: NameBounds = {
  resolvedNamesMax: 3,
  resolvedAddressesMax: 4,
  nameRefreshMinMs: 5_000,
  nameRefreshMaxMs: 60_000,
  nameAbsentRefreshMs: 30_000,
  nameRetryMinMs: 1_000,
  nameRetryMaxMs: 8_000,
  nameStaleMaxMs: 100_000,
};
const NAME = 'a.test';
const A = '203.0.113.1';
const B = '203.0.113.2';
const SIX = '2001:db8::1';
const NONE: LookupResult = { kind: 'none' };
const FAILED: LookupResult = { kind: 'failed', reason: 'ETIMEOUT' };

function found(...addresses: string[]): LookupResult {
  return { kind: 'addresses', addresses, ttlMs: 20_000 };
}

/** `random` 0: nothing is early. */
function schedule(names: readonly string[] = [NAME], random = 0): NameSchedule {
  const made = new NameSchedule(BOUNDS, () => random);
  made.want(names, 0);
  return made;
}

/** Makes what is due, and ends it: A with the first result, AAAA with the second. */
function round(names: NameSchedule, nowMs: number, v4: LookupResult, v6: LookupResult): number {
  const due = names.due(nowMs, 100);
  for (const query of due) names.conclude(query, query.family === 4 ? v4 : v6, nowMs);
  return due.length;
}

describe('a name', () => {
  it('is two queries, made once each until they have ended', () => {
    const names = schedule();
    assert.deepEqual(
      names.due(0, 100).map(({ name, family }) => `${name} ${family}`),
      [`${NAME} 4`, `${NAME} 6`],
    );
    assert.deepEqual([names.due(1e9, 100), names.nextDueMs], [[], Infinity]);
  });

  it('no more at once than may be, the longest due first', () => {
    const names = schedule(['a.test', 'b.test']);
    const first = names.due(0, 3);
    assert.equal(first.length, 3);
    for (const query of first) names.conclude(query, FAILED, 0);
    assert.deepEqual(
      names.due(1_000, 2).map(({ name, family }) => `${name} ${family}`),
      ['b.test 6', 'a.test 4'],
    );
  });

  const rows: [string, LookupResult, LookupResult, readonly string[] | null][] = [
    ['both', found(A, B), found(SIX), [A, B, SIX]],
    ['only A', found(A), NONE, [A]],
    ['only AAAA', NONE, found(SIX), [SIX]],
    ['A, and AAAA fails', found(A), FAILED, [A]],
    ['neither exists', NONE, NONE, []],
    ['A does not exist, and AAAA fails', NONE, FAILED, []],
    ['both fail', FAILED, FAILED, null],
  ];
  for (const [what, v4, v6, expected] of rows) {
    it(`leads to what is known: ${what}`, () => {
      const names = schedule();
      assert.equal(names.answerOf(NAME), null);
      round(names, 0, v4, v6);
      assert.deepEqual(names.answerOf(NAME), expected);
      assert.equal(names.settled, true);
    });
  }

  it('leads to A as soon as that is there; that there is none is said when both queries have ended', () => {
    const names = schedule();
    const [a, aaaa] = names.due(0, 2);
    assert.ok(a !== undefined && aaaa !== undefined);
    names.conclude(a, NONE, 0);
    assert.equal(names.answerOf(NAME), null);
    assert.equal(names.settled, false);
    names.conclude(aaaa, NONE, 0);
    assert.deepEqual(names.answerOf(NAME), []);
    const other = schedule();
    other.conclude(other.due(0, 1)[0] ?? a, found(A), 0);
    assert.deepEqual(other.answerOf(NAME), [A]);
  });

  const unfit: [string, string[], string[]][] = [
    ['this network', ['0.0.0.0', A, '0.1.2.3'], [A]],
    ['loopback', ['127.0.0.1', '127.8.8.8'], []],
    ['multicast and reserved', ['224.0.0.1', '255.255.255.255', A], [A]],
    ['what is no address', ['', 'a.test', '203.0.113.1x', A], [A]],
    ['of the other family', [SIX, A], [A]],
    ['more than may be', [A, B, '203.0.113.3', '203.0.113.4', '203.0.113.5'], [A, B, '203.0.113.3', '203.0.113.4']],
    ['twice', [A, B, A], [A, B]],
  ];
  for (const [what, addresses, expected] of unfit) {
    it(`addresses are left out: ${what}`, () => {
      const names = schedule();
      round(names, 0, found(...addresses), NONE);
      assert.deepEqual(names.answerOf(NAME), expected);
      assert.equal(names.counters.addressesLeftOut, what === 'twice' ? 0 : addresses.length - expected.length);
    });
  }

  it('of AAAA: unspecified, loopback, multicast and IPv4 in IPv6', () => {
    const names = schedule();
    round(names, 0, NONE, found('::', '::1', 'ff02::1', '::ffff:127.0.0.1', '::ffff:203.0.113.9', '2001:DB8::1'));
    assert.deepEqual(names.answerOf(NAME), [SIX]);
  });

  it('link-local is somewhere: clouds have services there', () => {
    const names = schedule();
    round(names, 0, found('169.254.169.254'), NONE);
    assert.deepEqual(names.answerOf(NAME), ['169.254.169.254']);
  });
});

describe('when a name is looked up again', () => {
  const rows: [string, LookupResult, number][] = [
    ['after its TTL', { kind: 'addresses', addresses: [A], ttlMs: 20_000 }, 20_000],
    ['not before the shortest time', { kind: 'addresses', addresses: [A], ttlMs: 0 }, 5_000],
    ['not after the longest', { kind: 'addresses', addresses: [A], ttlMs: 86_400_000 }, 60_000],
    ['when it does not exist', NONE, 30_000],
    ['when the lookup failed', FAILED, 1_000],
  ];
  for (const [what, result, expectedMs] of rows) {
    it(what, () => {
      const names = schedule();
      round(names, 7, result, result);
      assert.equal(names.nextDueMs, 7 + expectedMs);
    });
  }

  it('a tenth earlier, by chance, so that agents do not ask together', () => {
    const names = schedule([NAME], 0.5);
    round(names, 0, found(A), found(SIX));
    assert.equal(names.nextDueMs, 19_000);
  });

  it('after failures less and less often, and as before once it works', () => {
    const names = schedule();
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 6; i++) {
      round(names, nowMs, FAILED, FAILED);
      waits.push(names.nextDueMs - nowMs);
      nowMs = names.nextDueMs;
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    round(names, nowMs, found(A), found(SIX));
    assert.equal(names.nextDueMs - nowMs, 20_000);
    nowMs = names.nextDueMs;
    round(names, nowMs, FAILED, FAILED);
    assert.equal(names.nextDueMs - nowMs, 1_000);
  });
});

describe('the last good answer', () => {
  it('is kept while lookups fail, for as long as it may be', () => {
    const names = schedule();
    round(names, 0, found(A), NONE);
    let nowMs = names.nextDueMs;
    for (; nowMs <= BOUNDS.nameStaleMaxMs; nowMs = names.nextDueMs) {
      round(names, nowMs, FAILED, NONE);
      assert.deepEqual(names.answerOf(NAME), [A], `at ${nowMs}`);
      assert.deepEqual(names.states(), [{ name: NAME, addresses: [A], problem: 'A: ETIMEOUT', answered: true }]);
    }
    round(names, nowMs, FAILED, NONE);
    assert.deepEqual(names.answerOf(NAME), []);
    assert.equal(names.counters.expired, 1);
    round(names, names.nextDueMs, found(B), NONE);
    assert.deepEqual(names.answerOf(NAME), [B]);
    assert.equal(names.states()[0]?.problem, null);
  });

  it('ends when DNS says that the name is gone', () => {
    const names = schedule();
    round(names, 0, found(A), found(SIX));
    round(names, 20_000, NONE, FAILED);
    assert.deepEqual(names.answerOf(NAME), [SIX]);
    round(names, 1e6, NONE, NONE);
    assert.deepEqual(names.answerOf(NAME), []);
  });
});

describe('answers of an agent before', () => {
  const kept = (ageMs: number, name = NAME) => ({ name, family: 4 as const, addresses: [A, '127.0.0.1'], ageMs });

  it('are used at once, looked up again at once, and grow old as one’s own', () => {
    const names = new NameSchedule(BOUNDS, () => 0);
    names.recall([kept(90_000), kept(0, 'other.test')], 1_000);
    assert.deepEqual(names.want([NAME, 'b.test'], 2_000), [NAME]);
    assert.deepEqual(names.answerOf(NAME), [A]);
    assert.equal(names.settled, false, 'nothing is known of the other name');
    round(names, 2_000, FAILED, FAILED);
    assert.equal(names.settled, true);
    assert.deepEqual(names.answerOf(NAME), [A]);
    assert.deepEqual(names.kept(2_000), [{ name: NAME, family: 4, addresses: [A], ageMs: 91_000 }]);
    round(names, 12_000, FAILED, FAILED);
    assert.deepEqual([names.answerOf(NAME), names.counters.expired], [[], 1]);
  });

  it('that are too old are not used', () => {
    const names = new NameSchedule(BOUNDS, () => 0);
    names.recall([kept(BOUNDS.nameStaleMaxMs + 1)], 0);
    assert.deepEqual(names.want([NAME], 0), []);
    const later = new NameSchedule(BOUNDS, () => 0);
    later.recall([kept(0)], 0);
    assert.deepEqual(later.want([NAME], BOUNDS.nameStaleMaxMs + 1), []);
  });

  it('are used once: a name that goes and comes back is looked up anew', () => {
    const names = new NameSchedule(BOUNDS, () => 0);
    names.recall([kept(0)], 0);
    names.want([NAME], 0);
    names.want([], 1);
    assert.deepEqual(names.want([NAME], 2), []);
  });
});

describe('names that are needed', () => {
  it('beyond the bound are not looked up, and the next one moves up when one goes', () => {
    const names = schedule(['a.test', 'b.test', 'c.test', 'd.test']);
    assert.equal(names.omitted, 1);
    assert.equal(names.due(0, 100).length, 6);
    names.want(['b.test', 'c.test', 'd.test'], 5);
    assert.equal(names.omitted, 0);
    assert.deepEqual(
      names.due(5, 100).map(({ name }) => name),
      ['d.test', 'd.test'],
    );
  });

  it('keep what is known of them when others come and go', () => {
    const names = schedule();
    round(names, 0, found(A), NONE);
    names.want([NAME, 'b.test'], 1);
    assert.deepEqual(names.answerOf(NAME), [A]);
    names.want(['b.test'], 2);
    assert.equal(names.answerOf(NAME), null);
  });

  it('the end of a query of a name that went meanwhile says nothing, not even of one that came back', () => {
    const names = schedule();
    const [query] = names.due(0, 1);
    assert.ok(query !== undefined);
    names.want([], 1);
    names.want([NAME], 2);
    assert.equal(names.asks(query), false);
    assert.equal(names.conclude(query, found(A), 3), null);
    assert.equal(names.answerOf(NAME), null);
    assert.equal(names.due(3, 100).length, 2);
  });
});

describe('whatever comes', () => {
  const anyAddress = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 8 }), fc.constantFrom(A, B, SIX));
  const anyResult: fc.Arbitrary<LookupResult> = fc.oneof(
    fc.record({
      kind: fc.constant('addresses' as const),
      addresses: fc.array(anyAddress, { maxLength: 8 }),
      ttlMs: fc.nat(1e9),
    }),
    fc.constant(NONE),
    fc.constant(FAILED),
  );
  const anyStep = fc.record({
    waitMs: fc.nat(200_000),
    result: anyResult,
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });

  it('every query is due again within the bounds, and no answer is larger than it may be', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 1, maxLength: 20 }), (steps) => {
        let random = 0;
        const names = new NameSchedule(BOUNDS, () => random);
        names.want([NAME], 0);
        let nowMs = 0;
        for (const step of steps) {
          random = step.random;
          nowMs += step.waitMs;
          for (const query of names.due(nowMs, 100)) names.conclude(query, step.result, nowMs);
          const waitMs = names.nextDueMs - nowMs;
          assert.ok(waitMs <= BOUNDS.nameRefreshMaxMs && names.nextDueMs > nowMs - BOUNDS.nameRefreshMaxMs);
          const answer = names.answerOf(NAME) ?? [];
          assert.ok(answer.length <= 2 * BOUNDS.resolvedAddressesMax);
          assert.equal(new Set(answer).size, answer.length);
        }
      }),
    );
  });
});
