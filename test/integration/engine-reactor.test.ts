import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { test } from 'node:test';
import * as errno from '../../agent/engine/errno.ts';
import * as libc from '../../agent/engine/libc.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { ERROR, HANGUP, PEER_CLOSED, READABLE, Reactor, WRITABLE } from '../../agent/engine/reactor.ts';
import * as socket from '../../agent/engine/socket.ts';
import { Timer } from '../../agent/engine/timer-wheel.ts';
import { handler, newReactor, ok, sendText, tcpPair, turnUntil } from './engine-loopback.ts';

const F_DUPFD_CLOEXEC = 1030;

/** A pipe whose read end is readable: [read end, write end]. Level-triggered, so it stays ready as long as nobody reads. */
function readyPipe(): readonly [number, number] {
  const [readEnd, writeEnd] = quietPipe();
  makeReady(writeEnd);
  return [readEnd, writeEnd];
}

function quietPipe(): readonly [number, number] {
  const ends = allocatePinned(8);
  ok(libc.pipe2(ends.address, libc.O_NONBLOCK | libc.O_CLOEXEC));
  return [ends.bytes.readInt32LE(0), ends.bytes.readInt32LE(4)];
}

function makeReady(writeEnd: number): void {
  assert.equal(writeSync(writeEnd, 'x'), 1);
}

function closeAll(...fds: readonly number[]): void {
  for (const fd of fds) assert.equal(socket.closeFd(fd), 0);
}

for (const [path, victimTenant] of [
  ['plain loop', 1],
  ['queues', 2],
] as const) {
  test(`stale events (${path}): what was fetched for a closed descriptor never reaches the next owner of its number`, () => {
    const reactor = newReactor();
    const pipes = [readyPipe(), readyPipe()] as const;
    let calls = 0;
    let strangerCalls = 0;
    // Whichever is served first closes the other, whose event has been fetched in the same turn, and the number is used again at once.
    for (const [own, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const tenant = own === 0 ? 1 : victimTenant;
      const onReady = (): number => {
        calls++;
        const victim = pipes[other][0];
        reactor.remove(victim);
        closeAll(victim);
        const [reused] = quietPipe();
        assert.equal(reused, victim, 'the kernel hands out the lowest free number');
        ok(
          reactor.add(
            reused,
            READABLE,
            handler(victimTenant, () => ++strangerCalls),
          ),
        );
        reactor.remove(pipes[own][0]);
        return 1;
      };
      ok(reactor.add(pipes[own][0], READABLE, handler(tenant, onReady)));
    }
    reactor.turn(1000);
    assert.equal(calls, 1);
    reactor.turn(0);
    assert.equal(strangerCalls, 0);
    assert.equal(reactor.counters.events, 2);
    assert.equal(reactor.counters.staleEvents, 1);
    reactor.close();
  });
}

test('a handler may remove and close itself, and a descriptor closed without remove() may be added again', () => {
  const reactor = newReactor();
  const [readEnd, writeEnd] = readyPipe();
  let calls = 0;
  const onReady = (): number => {
    calls++;
    return reactor.removeAndClose(readEnd);
  };
  ok(reactor.add(readEnd, READABLE, handler(1, onReady)));
  reactor.turn(1000);
  reactor.turn(0);
  assert.equal(calls, 1);
  closeAll(writeEnd);

  const [first, firstWriter] = readyPipe();
  ok(
    reactor.add(
      first,
      READABLE,
      handler(1, () => assert.fail('the closed owner was called')),
    ),
  );
  closeAll(first, firstWriter);
  const [second, secondWriter] = readyPipe();
  assert.equal(second, first);
  ok(
    reactor.add(
      second,
      READABLE,
      handler(1, () => ++calls),
    ),
  );
  reactor.turn(1000);
  assert.equal(calls, 2);
  reactor.close();
  closeAll(second, secondWriter);
});

test('add answers the errno and keeps nothing: EBADF for a closed descriptor, EPERM for a file', () => {
  const reactor = newReactor();
  const [readEnd, writeEnd] = quietPipe();
  closeAll(readEnd, writeEnd);
  assert.equal(
    reactor.add(
      readEnd,
      READABLE,
      handler(1, () => 0),
    ),
    -errno.EBADF,
  );
  assert.equal(reactor.change(readEnd, WRITABLE), -errno.ENOENT);
  const [again, writer] = readyPipe();
  let calls = 0;
  ok(
    reactor.add(
      again,
      READABLE,
      handler(1, () => ++calls),
    ),
  );
  reactor.turn(1000);
  assert.equal(calls, 1);
  reactor.close();
  closeAll(again, writer);
});

test('change makes no system call when nothing changes, and one when something does', () => {
  const reactor = newReactor();
  const [readEnd, writeEnd] = quietPipe();
  ok(
    reactor.add(
      readEnd,
      READABLE,
      handler(1, () => 0),
    ),
  );
  closeAll(readEnd); // any system call on it would now answer EBADF
  assert.equal(reactor.change(readEnd, READABLE), 0);
  assert.equal(reactor.change(readEnd, WRITABLE), -errno.EBADF);
  reactor.remove(readEnd);
  reactor.remove(readEnd);
  reactor.close();
  closeAll(writeEnd);
});

test('interest 0 parks: a hung-up connection that waits for its other side does not spin', () => {
  const reactor = newReactor();
  const [client, server] = tcpPair();
  let seen = 0;
  ok(
    reactor.add(
      server,
      0,
      handler(1, (events) => {
        seen = events;
        return 0;
      }),
    ),
  );
  socket.shutdownWrite(client);
  socket.shutdownWrite(server);
  reactor.turn(20);
  reactor.turn(20);
  assert.equal(reactor.counters.events, 0);
  ok(reactor.change(server, READABLE | PEER_CLOSED));
  turnUntil(reactor, () => seen !== 0, 'the hang-up is reported');
  assert.equal(seen & (HANGUP | READABLE | PEER_CLOSED), HANGUP | READABLE | PEER_CLOSED);
  ok(reactor.change(server, 0));
  const before = reactor.counters.events;
  reactor.turn(20);
  assert.equal(reactor.counters.events, before);
  seen = 0;
  ok(reactor.change(server, ERROR));
  reactor.turn(1000);
  assert.equal(seen, HANGUP, 'interest ERROR reports only errors and hang-ups');
  reactor.close();
  closeAll(client, server);
});

test('an event that its descriptor no longer asks for is not delivered', () => {
  for (const otherTenant of [1, 2]) {
    const reactor = newReactor();
    const pipes = [readyPipe(), readyPipe()] as const;
    let calls = 0;
    for (const [own, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const onReady = (): number => {
        calls++;
        return reactor.change(pipes[other][0], 0);
      };
      ok(reactor.add(pipes[own][0], READABLE, handler(own === 0 ? 1 : otherTenant, onReady)));
    }
    reactor.turn(1000);
    assert.equal(calls, 1);
    assert.equal(reactor.counters.staleEvents, 1);
    reactor.close();
    closeAll(...pipes[0], ...pipes[1]);
  }
});

test('handlers may add descriptors and tenants beyond every table while events wait', () => {
  const reactor = newReactor();
  const pipes = [readyPipe(), readyPipe(), readyPipe()];
  const seen: string[] = [];
  let high = -1;
  for (const [index, [readEnd]] of pipes.entries()) {
    const onReady = (): number => {
      seen.push(`low ${index}`);
      if (high < 0) {
        const [quick] = readyPipe();
        high = ok(libc.fcntl(quick, F_DUPFD_CLOEXEC, 3000));
        ok(
          reactor.add(
            high,
            READABLE,
            handler(900, () => seen.push('high')),
          ),
        );
      }
      reactor.remove(readEnd);
      return 1;
    };
    ok(reactor.add(readEnd, READABLE, handler(index + 1, onReady)));
  }
  turnUntil(reactor, () => seen.includes('high'), 'the high descriptor is served');
  assert.deepEqual(seen.slice(0, 3).sort(), ['low 0', 'low 1', 'low 2']);
  assert.ok(reactor.cpuMs(900) > 0);
  reactor.close();
});

test('tenant 0 is served before all others', () => {
  const reactor = newReactor();
  const order: number[] = [];
  const fds: number[] = [];
  for (const tenant of [3, 0, 5, 0, 4]) {
    const [readEnd, writeEnd] = readyPipe();
    fds.push(readEnd, writeEnd);
    ok(
      reactor.add(
        readEnd,
        READABLE,
        handler(tenant, () => order.push(tenant)),
      ),
    );
  }
  reactor.turn(1000);
  assert.deepEqual(order.slice(0, 2), [0, 0]);
  assert.deepEqual(
    order.slice(2).sort((a, b) => a - b),
    [3, 4, 5],
  );
  reactor.close();
  closeAll(...fds);
});

test('a handler that throws loses its event only: the next turn goes on', () => {
  for (const tenants of [
    [1, 1],
    [1, 2],
  ] as const) {
    const reactor = newReactor();
    const [bad, badWriter] = readyPipe();
    const [good, goodWriter] = readyPipe();
    let calls = 0;
    const onBad = (): number => {
      reactor.remove(bad);
      throw new Error('a bug');
    };
    ok(reactor.add(bad, READABLE, handler(tenants[0], onBad)));
    ok(
      reactor.add(
        good,
        READABLE,
        handler(tenants[1], () => ++calls),
      ),
    );
    assert.throws(() => {
      for (let turn = 0; turn < 3; turn++) reactor.turn(1000);
    }, /a bug/);
    const before = calls;
    reactor.turn(1000);
    assert.equal(calls, before + 1);
    reactor.close();
    closeAll(bad, badWriter, good, goodWriter);
  }
});

test('wall time of handlers is charged to their tenant, alone or in company, and nobody pays for waiting', () => {
  let nowMs = 1_000;
  const reactor = new Reactor(() => nowMs, 1_000);
  const spend: Record<number, number> = { 0: 1, 1: 5, 2: 7 };
  const pipes = [0, 1, 2].map((tenant) => {
    const [readEnd, writeEnd] = readyPipe();
    const onReady = (): number => {
      nowMs += spend[tenant] ?? 0;
      return 1;
    };
    ok(reactor.add(readEnd, READABLE, handler(tenant, onReady)));
    return [readEnd, writeEnd] as const;
  });
  for (let turn = 0; turn < 3; turn++) {
    nowMs += 100; // between turns: nobody's
    reactor.turn(1000);
  }
  assert.deepEqual([reactor.cpuMs(0), reactor.cpuMs(1), reactor.cpuMs(2)], [3, 15, 21]);
  for (const tenant of [0, 2]) reactor.remove(pipes[tenant]?.[0] ?? -1);
  reactor.turn(1000);
  assert.deepEqual([reactor.cpuMs(0), reactor.cpuMs(1), reactor.cpuMs(2)], [3, 20, 21]);
  reactor.resetTenant(1);
  assert.equal(reactor.cpuMs(1), 0);
  assert.equal(reactor.cpuMs(50_000), 0);
  reactor.close();
  closeAll(...pipes.flat());
});

test('timers fire in turn(), which does not wait past the next one', () => {
  const reactor = newReactor();
  let firedMs = 0;
  const armedMs = performance.now();
  reactor.timers.arm(new Timer({ onTimer: () => (firedMs = performance.now()) }), 30);
  turnUntil(reactor, () => firedMs > 0, 'the timer fires');
  assert.ok(firedMs - reactor.timers.nowMs < 30_000 && firedMs >= armedMs + 30 - 4, `${firedMs - armedMs} ms`);
  let second = 0;
  reactor.timers.arm(new Timer({ onTimer: () => second++ }), 20);
  for (let turns = 0; second === 0; turns++) {
    assert.ok(turns < 10, 'turn() returned again and again without the timer firing');
    reactor.turn(60_000);
  }
  reactor.close();
});

test('a signal interrupts the wait and nothing else', async () => {
  const reactor = newReactor();
  const onSignal = (): void => undefined;
  process.on('SIGUSR2', onSignal);
  const script = 'while kill -USR2 "$1"; do sleep 0.05; done';
  const killer = spawn('sh', ['-c', script, 'sh', String(process.pid)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => killer.once('exit', resolve));
  const startedMs = performance.now();
  reactor.turn(30_000);
  assert.ok(performance.now() - startedMs < 30_000);
  assert.equal(reactor.counters.events, 0);
  killer.kill('SIGKILL');
  await ended;
  process.off('SIGUSR2', onSignal);
  reactor.close();
});

test('a connection over loopback: WRITABLE is reported when connected, READABLE with what was sent', () => {
  const reactor = newReactor();
  const [client, server] = tcpPair();
  const seen: number[] = [];
  const onReady = (events: number): number => {
    seen.push(events);
    ok(reactor.change(server, READABLE));
    return 0;
  };
  ok(reactor.add(server, READABLE | WRITABLE, handler(1, onReady)));
  reactor.turn(1000);
  assert.deepEqual(seen, [WRITABLE]);
  sendText(client, 'x');
  turnUntil(reactor, () => seen.length === 2, 'the octet arrives');
  assert.equal(seen[1], READABLE);
  reactor.close();
  closeAll(client, server);
});
