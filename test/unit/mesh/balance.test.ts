import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pickEndpoint, pickWeighted } from '../../../mesh/balance.ts';
import type { Endpoint } from '../../../mesh/cluster.ts';
import type { WeightedCluster } from '../../../mesh/route-table.ts';
import { backend, seededRandom, workload } from './resources.ts';

function endpoints(count: number): Endpoint[] {
  return Array.from({ length: count }, (_, i) => ({
    slot: i + 1,
    workload: workload({ uid: `p${i}` }),
    address: `10.0.0.${i + 1}`,
    port: 80,
  }));
}

describe('pickEndpoint', () => {
  it('answers null without endpoints, and the only endpoint without asking for randomness', () => {
    const noRandom = (): number => assert.fail('randomness was asked for');
    assert.equal(pickEndpoint([], new Uint32Array(4), noRandom), null);
    const [only] = endpoints(1) as [Endpoint];
    assert.equal(pickEndpoint([only], new Uint32Array(4), noRandom, only), only);
  });

  it('of two it takes the less loaded, whatever the randomness', () => {
    const pair = endpoints(2);
    const inFlight = Uint32Array.of(0, 5, 2);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (a, b) => {
        const draws = [a, b];
        assert.equal(
          pickEndpoint(pair, inFlight, () => draws.shift() as number),
          pair[1],
        );
      }),
    );
  });

  it('always picks a member, even with a broken source of randomness or counters that are too short', () => {
    const random = fc.constantFrom(0, 0.5, 0.999999, 1, Number.NaN, -1, 2);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(random, { minLength: 2, maxLength: 2 }),
        fc.nat(9),
        (count, draws, length) => {
          const list = endpoints(count);
          const picked = pickEndpoint(list, new Uint32Array(length).fill(7), () => draws.shift() as number);
          assert.ok(picked !== null && list.includes(picked));
        },
      ),
    );
  });

  it('never picks the endpoint to avoid while there is another', () => {
    const random = seededRandom(3);
    for (let count = 2; count <= 5; count++) {
      const list = endpoints(count);
      const inFlight = new Uint32Array(count + 1).fill(9);
      inFlight[1] = 0; // the one to avoid looks the most attractive
      for (let i = 0; i < 500; i++) assert.notEqual(pickEndpoint(list, inFlight, random, list[0]), list[0]);
    }
  });

  it('is fair: with requests that stay open, loads differ by little and nobody is left out', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.integer(), (count, seed) => {
        const random = seededRandom(seed);
        const list = endpoints(count);
        const inFlight = new Uint32Array(count + 1);
        const rounds = count * 100;
        for (let i = 0; i < rounds; i++) {
          const picked = pickEndpoint(list, inFlight, random) as Endpoint;
          inFlight[picked.slot] = (inFlight[picked.slot] ?? 0) + 1;
        }
        const loads = [...inFlight.subarray(1)];
        // Power of two choices keeps the gap at O(log log n); plain random choice would spread by tens here.
        assert.ok(Math.max(...loads) - Math.min(...loads) <= 12, loads.join(' '));
      }),
      { numRuns: 200 },
    );
  });

  it('without load every endpoint is picked about equally often', () => {
    const random = seededRandom(1);
    const list = endpoints(7);
    const counts = new Map<Endpoint, number>();
    for (let i = 0; i < 70_000; i++) {
      const picked = pickEndpoint(list, new Uint32Array(8), random) as Endpoint;
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    for (const endpoint of list) assert.ok(Math.abs((counts.get(endpoint) ?? 0) - 10_000) < 500);
  });
});

function weighted(...weights: number[]): { entries: WeightedCluster[]; totalWeight: number } {
  const entries = weights.map((weight, i) => ({
    cluster: null,
    weight,
    backend: backend(`b${i}`),
    requestEdits: null,
    responseEdits: null,
    rewrite: null,
  }));
  return { entries, totalWeight: weights.reduce((sum, weight) => sum + weight, 0) };
}

describe('pickWeighted', () => {
  it('answers null when there is nothing to pick', () => {
    assert.equal(
      pickWeighted(weighted(), () => 0),
      null,
    );
  });

  it('gives every backend its share', () => {
    const random = seededRandom(7);
    const backends = weighted(90, 9, 1);
    const counts = [0, 0, 0];
    for (let i = 0; i < 100_000; i++) {
      const index = backends.entries.indexOf(pickWeighted(backends, random) as WeightedCluster);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    // Three standard deviations of a binomial count, 100,000 draws.
    const shares: [number, number][] = [
      [0.9, 285],
      [0.09, 272],
      [0.01, 95],
    ];
    shares.forEach(([share, slack], i) => {
      assert.ok(Math.abs((counts[i] as number) - share * 100_000) < slack, counts.join(' '));
    });
  });

  it('maps the draw onto the weights exactly', () => {
    const backends = weighted(2, 1, 1);
    const picks = [0, 0.49, 0.5, 0.74, 0.75, 0.99, 1].map((draw) => pickWeighted(backends, () => draw)?.backend.name);
    assert.deepEqual(picks, ['b0', 'b0', 'b1', 'b1', 'b2', 'b2', 'b2']);
  });
});
