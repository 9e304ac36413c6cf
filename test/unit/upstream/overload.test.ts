/** Who is refused when a resource runs short, as properties over random histories of pods that take and give back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FITS, fits, OVERLOADED, POD_LIMIT, Share } from '../../../agent/upstream/overload.ts';

interface Step {
  readonly pod: number;
  readonly amount: number;
  readonly takes: boolean;
}

const PODS_MAX = 8;
const step = (amountMax: number): fc.Arbitrary<Step> =>
  fc.record({
    pod: fc.nat({ max: PODS_MAX - 1 }),
    amount: fc.integer({ min: 1, max: amountMax }),
    takes: fc.boolean().chain((coin) => (coin ? fc.constant(true) : fc.boolean())), // three of four take
  });
const world = fc.record({
  max: fc.integer({ min: 8, max: 100_000 }),
  podPart: fc.double({ min: 0.05, max: 1, noNaN: true }),
  pods: fc.integer({ min: 1, max: PODS_MAX }),
  steps: fc.array(step(5_000), { maxLength: 400 }),
});

/** Plays the steps; `check` sees each attempt to take before it is booked. */
function play(
  given: { max: number; podPart: number; pods: number; steps: readonly Step[] },
  check: (share: Share, used: readonly number[], pod: number, amount: number) => void,
): { share: Share; used: number[] } {
  const share = new Share(given.max, Math.ceil(given.max * given.podPart));
  share.divide(given.pods);
  const used = new Array<number>(given.pods).fill(0);
  for (const { pod: number, amount, takes } of given.steps) {
    const pod = number % given.pods;
    const has = used[pod] ?? 0;
    if (takes) {
      check(share, used, pod, amount);
      if (fits(share, has, amount) !== FITS) continue;
      used[pod] = has + amount;
      share.total += amount;
    } else {
      const given = Math.min(has, amount);
      used[pod] = has - given;
      share.total -= given;
    }
  }
  return { share, used };
}

test('the total never exceeds what there is, nor a pod its cap', () => {
  fc.assert(
    fc.property(world, (given) => {
      const { share, used } = play(given, () => undefined);
      assert.equal(
        used.reduce((sum, one) => sum + one, 0),
        share.total,
      );
      assert.ok(share.total <= share.max, `${share.total} of ${share.max}`);
      for (const one of used) assert.ok(one <= share.podMax);
    }),
  );
});

test('a pod below its fair share is never refused, whatever the others do', () => {
  fc.assert(
    fc.property(world, (given) => {
      play(given, (share, used, pod, amount) => {
        const then = (used[pod] ?? 0) + amount;
        if (then <= share.fairShare && then <= share.podMax) assert.equal(fits(share, used[pod] ?? 0, amount), FITS);
      });
    }),
  );
});

test('the heaviest first: while a pod is refused, nobody who uses as much or more may have it', () => {
  fc.assert(
    fc.property(world, (given) => {
      play(given, (share, used, pod, amount) => {
        if (fits(share, used[pod] ?? 0, amount) === FITS) return;
        for (const other of used) {
          if (other >= (used[pod] ?? 0)) assert.notEqual(fits(share, other, amount), FITS);
        }
      });
    }),
  );
});

test('a pod alone gets most of it, and leaves enough for a hundred that come after it', () => {
  const share = new Share(65_536, 65_536);
  share.divide(101);
  let greedy = 0;
  while (fits(share, greedy, 1) === FITS) {
    greedy++;
    share.total++;
  }
  assert.ok(greedy > 38_000 && greedy < 40_000, `${greedy}`);
  for (let pod = 0; pod < 100; pod++) {
    let used = 0;
    while (used < 100 && fits(share, used, 1) === FITS) {
      used++;
      share.total++;
    }
    assert.equal(used, 100);
  }
  assert.equal(fits(share, greedy, 1), OVERLOADED);
  assert.equal(fits(share, 65_536, 1), POD_LIMIT);
});
