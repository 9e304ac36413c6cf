/** The reactor's deficit round robin, against real epoll; costs are what handlers say, so nothing here depends on time. */
import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../agent/limits.ts';
import * as libc from '../../agent/engine/libc.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { READABLE, Reactor } from '../../agent/engine/reactor.ts';
import * as socket from '../../agent/engine/socket.ts';
import { Timer } from '../../agent/engine/timer-wheel.ts';
import { handler, ok } from './engine-loopback.ts';

const F_DUPFD_CLOEXEC = 1030;
const QUANTUM = 1_000;

function pipe(): readonly [number, number] {
  const ends = allocatePinned(8);
  ok(libc.pipe2(ends.address, libc.O_NONBLOCK | libc.O_CLOEXEC));
  return [ends.bytes.readInt32LE(0), ends.bytes.readInt32LE(4)];
}

/** A pod that has `sockets` descriptors ready all the time, each costing `cost` when served. */
interface Flood {
  readonly sockets: number;
  readonly cost: number;
}

const flood = (costMax: number): fc.Arbitrary<Flood> =>
  fc.record({ sockets: fc.integer({ min: 1, max: 40 }), cost: fc.integer({ min: limits.eventCostMin, max: costMax }) });

/** A reactor under floods; tenants count from 1. Closes everything when `use` returns. */
class World {
  readonly reactor = new Reactor(() => performance.now(), QUANTUM);
  /** Cost served per tenant. */
  readonly served: number[] = [];
  /** Calls, all tenants. */
  calls = 0;
  onServed: (tenant: number, cost: number) => void = () => undefined;
  private readonly fds: number[] = [];

  constructor(floods: readonly Flood[]) {
    const [readEnd, writeEnd] = pipe();
    writeSync(writeEnd, 'x');
    this.fds.push(readEnd, writeEnd);
    // Duplicates of one pipe are separate members of an epoll set, and all of them are ready.
    for (const [index, { sockets, cost }] of floods.entries()) {
      const tenant = index + 1;
      this.served[tenant] = 0;
      for (let count = 0; count < sockets; count++) {
        const fd = ok(libc.fcntl(readEnd, F_DUPFD_CLOEXEC, 0));
        this.fds.push(fd);
        ok(
          this.reactor.add(
            fd,
            READABLE,
            handler(tenant, () => this.serve(tenant, cost)),
          ),
        );
      }
    }
  }

  /** A descriptor that is ready once, from the call of the returned function on. */
  addQuiet(tenant: number, onServed: () => void): () => void {
    const [readEnd, writeEnd] = pipe();
    this.fds.push(readEnd, writeEnd);
    const onReady = (): number => {
      this.reactor.remove(readEnd);
      onServed();
      return 1;
    };
    ok(this.reactor.add(readEnd, READABLE, handler(tenant, onReady)));
    return () => {
      writeSync(writeEnd, 'x');
    };
  }

  close(): void {
    this.reactor.close();
    for (const fd of this.fds) socket.closeFd(fd);
  }

  private serve(tenant: number, cost: number): number {
    this.calls++;
    this.served[tenant] = (this.served[tenant] ?? 0) + cost;
    this.onServed(tenant, cost);
    return cost;
  }
}

test('property: floods share in equal parts whatever their sockets and costs, within a quantum and an event', () => {
  const costMax = 4_000;
  fc.assert(
    fc.property(fc.array(flood(costMax), { minLength: 2, maxLength: 5 }), (floods) => {
      // Backlogged: enough ready sockets to spend a quantum per turn, or one event that is larger.
      const backlogged = floods.map(({ sockets, cost }) => ({
        cost,
        sockets: Math.max(sockets, Math.ceil(QUANTUM / cost)),
      }));
      const world = new World(backlogged);
      try {
        for (let turn = 0; turn < 60; turn++) world.reactor.turn(0);
        const services = world.served.slice(1);
        const most = Math.max(...services);
        const least = Math.min(...services);
        assert.ok(most - least <= QUANTUM + 2 * costMax, `served ${services.join(', ')}`);
        assert.ok(least >= (world.reactor.counters.rounds - 1) * QUANTUM - costMax, `served ${services.join(', ')}`);
      } finally {
        world.close();
      }
    }),
    { numRuns: 60 },
  );
});

test('property: a quiet tenant waits for the turn in progress at most, however others flood', () => {
  const costMax = 4_000;
  fc.assert(
    fc.property(
      fc.array(flood(costMax), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 150 }),
      (floods, callNumber) => {
        const world = new World(floods);
        try {
          let spent = -1; // cost served to others since the quiet tenant became ready
          let isServed = false;
          const wake = world.addQuiet(100, () => {
            isServed = true;
          });
          world.onServed = (_tenant, cost) => {
            if (world.calls === callNumber) {
              wake();
              spent = 0;
            } else if (spent >= 0 && !isServed) spent += cost;
          };
          for (let turn = 0; turn < 2_000 && !isServed; turn++) world.reactor.turn(0);
          assert.ok(isServed);
          const quanta = floods.length === 1 ? limits.soloQuanta : floods.length;
          assert.ok(spent <= quanta * QUANTUM + floods.length * costMax, `waited for ${spent} units of others' work`);
        } finally {
          world.close();
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('whoever becomes active is served before those that have been waiting, and takes no more than its quantum', () => {
  const world = new World([
    { sockets: 10, cost: QUANTUM },
    { sockets: 10, cost: QUANTUM },
  ]);
  world.reactor.turn(0);
  const newcomers: number[] = [];
  for (let count = 0; count < 3; count++) {
    world.addQuiet(3, () => {
      newcomers.push(world.calls);
    })();
  }
  const callsBefore = world.calls;
  world.reactor.turn(0);
  assert.deepEqual(newcomers, [callsBefore, callsBefore, callsBefore]);
  assert.equal(world.calls, callsBefore + 2, 'the others had their quantum in the same round');
  world.close();
});

test('a tenant with more ready sockets than one epoll_wait reports hides nobody for more than a turn or two', () => {
  const sockets = limits.eventsPerWait * 4 + 100;
  const world = new World([{ sockets, cost: 500 }]);
  let isServed = false;
  const wake = world.addQuiet(2, () => {
    isServed = true;
  });
  for (let turn = 0; turn < 10; turn++) world.reactor.turn(0);
  wake();
  let turns = 0;
  while (!isServed) {
    world.reactor.turn(0);
    turns++;
    assert.ok(turns <= 2, `not served after ${turns} turns`);
  }
  world.close();
});

test('within one tenant every socket gets its turn', () => {
  const world = new World([{ sockets: 30, cost: 900 }]);
  const own = new Map<number, number>();
  const [readEnd, writeEnd] = pipe();
  writeSync(writeEnd, 'x');
  for (let index = 0; index < 30; index++) {
    const fd = ok(libc.fcntl(readEnd, F_DUPFD_CLOEXEC, 0));
    const onReady = (): number => {
      own.set(index, (own.get(index) ?? 0) + 1);
      return 900;
    };
    ok(world.reactor.add(fd, READABLE, handler(2, onReady)));
  }
  for (let turn = 0; turn < 300; turn++) world.reactor.turn(0);
  const counts = [...own.values()];
  assert.equal(counts.length, 30);
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, counts.join(' '));
  world.close();
});

test('a single tenant is served in the plain loop, without rounds', () => {
  const world = new World([{ sockets: 20, cost: limits.eventCostMin }]);
  for (let turn = 0; turn < 10; turn++) world.reactor.turn(0);
  assert.equal(world.calls, 200);
  assert.equal(world.reactor.counters.rounds, 0);
  assert.equal(world.reactor.counters.waits, 10);
  world.close();
});

test('events that wait are counted, and keep their place across turns without being doubled', () => {
  const world = new World([
    { sockets: 10, cost: QUANTUM },
    { sockets: 10, cost: QUANTUM },
  ]);
  world.reactor.turn(0);
  assert.equal(world.calls, 2);
  assert.equal(world.reactor.counters.deferred, 18);
  world.reactor.turn(0);
  assert.equal(world.calls, 4);
  assert.equal(world.reactor.counters.deferred, 18 + 18); // the two that were served are ready again, and queued again
  world.close();
});

test('an expensive event is paid back while others work, and forgiven at a quantum per turn while its tenant rests', () => {
  const world = new World([{ sockets: 10, cost: QUANTUM }]);
  const [readEnd, writeEnd] = pipe();
  let calls = 0;
  const onReady = (): number => {
    calls++;
    ok(world.reactor.change(readEnd, 0));
    return 50 * QUANTUM;
  };
  writeSync(writeEnd, 'x');
  ok(world.reactor.add(readEnd, READABLE, handler(2, onReady)));
  world.reactor.turn(0);
  assert.equal(calls, 1);

  ok(world.reactor.change(readEnd, READABLE));
  for (let turn = 0; turn < 45; turn++) world.reactor.turn(0);
  assert.equal(calls, 1, 'in debt');
  for (let turn = 0; turn < 10; turn++) world.reactor.turn(0);
  assert.equal(calls, 2, 'served again when the debt is paid');

  for (let turn = 0; turn < 55; turn++) world.reactor.turn(0); // the flood is alone now
  ok(world.reactor.change(readEnd, READABLE));
  world.reactor.turn(0);
  assert.equal(calls, 3, 'no debt is left after a rest');
  world.close();
});

test('work billed outside a tenant’s events is a debt: others are served meanwhile, and the debt has a bound', () => {
  const world = new World([
    { sockets: 10, cost: QUANTUM },
    { sockets: 10, cost: QUANTUM },
  ]);
  world.reactor.turn(0);
  const [, , before] = world.served;
  world.reactor.bill(2, 10 * QUANTUM, world.reactor.readClock());
  for (let turn = 0; turn < 9; turn++) world.reactor.turn(0);
  assert.equal(world.served[2], before, 'it owes ten quanta');
  for (let turn = 0; turn < 5; turn++) world.reactor.turn(0);
  assert.ok((world.served[2] ?? 0) > (before ?? 0));

  const owed = world.served[2] ?? 0;
  world.reactor.bill(2, 1e9, world.reactor.readClock());
  for (let turn = 0; turn < limits.debtQuantaMax + 2; turn++) world.reactor.turn(0);
  assert.ok((world.served[2] ?? 0) > owed, 'forgiven beyond debtQuantaMax');
  world.close();
});

test('what a handler charges while it runs counts like the cost it returns', () => {
  const world = new World([{ sockets: 10, cost: QUANTUM }]);
  const [readEnd, writeEnd] = pipe();
  writeSync(writeEnd, 'x');
  let calls = 0;
  const onReady = (): number => {
    calls++;
    world.reactor.charge(4 * QUANTUM);
    return 1;
  };
  ok(world.reactor.add(readEnd, READABLE, handler(2, onReady)));
  for (let turn = 0; turn < 50; turn++) world.reactor.turn(0);
  assert.ok(calls >= 9 && calls <= 14, `served ${calls} times in 50 rounds at four quanta each`);
  world.close();
});

test('a timer is metered and charged to the tenant of its target', () => {
  let nowMs = 0;
  const reactor = new Reactor(() => nowMs, QUANTUM);
  const target = {
    tenant: 3,
    onTimer: () => {
      nowMs += 7;
    },
  };
  reactor.timers.arm(new Timer(target), 4);
  nowMs = 100;
  reactor.turn(0);
  assert.equal(reactor.cpuMs(3), 7);
  assert.equal(reactor.turnMs, 7);
  reactor.close();
});

test('timers that fall due in bulk fire a few per turn, and sockets are served in between', () => {
  let nowMs = 0;
  const reactor = new Reactor(() => nowMs, QUANTUM);
  let fired = 0;
  const target = { tenant: 1, onTimer: () => fired++ };
  for (let index = 0; index < limits.timersPerTurn * 3; index++) reactor.timers.arm(new Timer(target), 4);
  const [readEnd, writeEnd] = pipe();
  writeSync(writeEnd, 'x');
  const firedBefore: number[] = [];
  ok(
    reactor.add(
      readEnd,
      READABLE,
      handler(2, () => {
        firedBefore.push(fired);
        return 1;
      }),
    ),
  );
  nowMs = 100;
  for (let turn = 0; turn < 4; turn++) reactor.turn(1_000);
  assert.deepEqual(
    firedBefore,
    [0, 1, 2, 3].map((turns) => turns * limits.timersPerTurn),
  );
  reactor.close();
});
