/** When a worker counts as saturated, and who is shed then. Time and CPU are numbers here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../../agent/limits.ts';
import { Saturation } from '../../../agent/proxy/saturation.ts';

class World {
  readonly saturation = new Saturation();
  readonly pods: { index: number; usage: { shedForCpu: boolean } }[];
  readonly cpu: number[];
  nowMs = 0;

  constructor(count: number) {
    this.pods = Array.from({ length: count }, (_, index) => ({ index, usage: { shedForCpu: false } }));
    this.cpu = new Array<number>(count).fill(0);
  }

  /** One turn in which each pod used so much, ms. */
  turn(used: readonly number[], hasBacklog = true): void {
    const turnMs = used.reduce((sum, ms) => sum + ms, 0);
    this.nowMs += turnMs;
    used.forEach((ms, index) => {
      this.cpu[index] = (this.cpu[index] ?? 0) + ms;
    });
    this.saturation.turnEnded(
      this.nowMs,
      turnMs,
      hasBacklog,
      (index) => this.cpu[index] ?? 0,
      () => this.pods,
    );
  }

  get shed(): number[] {
    return this.pods.filter(({ usage }) => usage.shedForCpu).map(({ index }) => index);
  }
}

test('long turns with work left over shed the pods above the mean, after a second, until a turn is short', () => {
  const world = new World(4);
  for (let i = 0; i < 9; i++) world.turn([60, 30, 10, 0]);
  assert.deepEqual(world.shed, []);
  for (let i = 0; i < 3; i++) world.turn([60, 30, 10, 0]);
  assert.equal(world.saturation.shedding, true);
  assert.deepEqual(world.shed, [0]);
  world.turn([0, 1, 1, 0]);
  assert.deepEqual(world.shed, []);
});

test('a busy worker is not a saturated one: short turns, or nothing left over, shed nobody', () => {
  const world = new World(2);
  for (let i = 0; i < 1_000; i++) world.turn([limits.strainedTurnMs - 2, 1]);
  for (let i = 0; i < 100; i++) world.turn([200, 1], false);
  assert.deepEqual(world.shed, []);
});

test('a pod alone is never shed: there is nobody to protect from it', () => {
  const world = new World(2);
  for (let i = 0; i < 100; i++) world.turn([100, 0]);
  assert.deepEqual(world.shed, []);
});

test('never sheds a pod that used less than the mean, nor spares the one that used most', () => {
  const used = fc.array(fc.double({ min: 0, max: 40, noNaN: true }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(used, (perTurn) => {
      const busy = perTurn.map((ms, index) => (index === 0 ? ms + 60 : ms));
      const world = new World(busy.length);
      for (let i = 0; i < 40 && !world.saturation.shedding; i++) world.turn(busy);
      const most = Math.max(...busy);
      for (const index of world.shed)
        assert.ok((busy[index] ?? 0) * busy.length >= most, `pod ${index} of ${busy.join(', ')}`);
      const lightest = Math.min(...world.shed.map((index) => busy[index] ?? 0));
      busy.forEach((ms, index) => {
        if (ms > lightest) assert.ok(world.shed.includes(index), `pod ${index} used ${ms}, ${lightest} was shed`);
      });
    }),
  );
});
