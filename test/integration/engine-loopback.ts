/** Connected TCP pairs on loopback and waiting for a condition, for the engine's tests. */
import assert from 'node:assert/strict';
import { EAGAIN, EINPROGRESS, errnoName } from '../../agent/engine/errno.ts';
import { prepareAddress } from '../../agent/engine/address.ts';
import type { PinnedBuffer } from '../../agent/engine/memory.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import type { ReadyHandler } from '../../agent/engine/reactor.ts';
import { Reactor } from '../../agent/engine/reactor.ts';
import * as socket from '../../agent/engine/socket.ts';

export const LOOPBACK = { v4: '127.0.0.1', v6: '::1' } as const;
const DEADLINE_MS = 20_000;

/** The value of a call that must not have failed. */
export function ok(result: number): number {
  assert.ok(result >= 0, errnoName(result));
  return result;
}

/** A reactor with the real clock. */
export function newReactor(quantum = 32_768): Reactor {
  return new Reactor(() => performance.now(), quantum);
}

/** Turns until the condition holds; fails after the deadline. Sleeps in epoll_wait, never by itself. */
export function turnUntil(reactor: Reactor, condition: () => boolean, what: string): void {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `timed out waiting until ${what}`);
    reactor.turn(5);
  }
}

/** A handler from a function. */
export function handler(tenant: number, onReady: (events: number) => number): ReadyHandler {
  return { tenant, onReady };
}

/** Waits until a descriptor reports one of the events asked for. */
export function waitFor(fd: number, interest: number): number {
  const reactor = newReactor();
  let seen = 0;
  ok(
    reactor.add(
      fd,
      interest,
      handler(1, (events) => {
        seen |= events;
        return 0;
      }),
    ),
  );
  turnUntil(reactor, () => seen !== 0, `descriptor ${fd} is ready for ${interest}`);
  reactor.remove(fd);
  reactor.close();
  return seen;
}

/** A connected pair of TCP sockets: [client, server]. */
export function tcpPair(ip: string = LOOPBACK.v4): readonly [number, number] {
  const listener = ok(socket.openListener({ ip, port: 0, reusePort: false, backlog: 8 }));
  const local = socket.localAddress(listener);
  assert.ok(local);
  const to = prepareAddress(local);
  const client = ok(socket.openStream({ family: to.family, mark: 0, transparent: false, source: null }));
  const started = socket.connectTo(client, to);
  assert.ok(started === 0 || started === -EINPROGRESS, errnoName(started));
  waitFor(listener, 1);
  const server = ok(socket.acceptConnection(listener));
  waitFor(client, 4);
  assert.equal(socket.takeSocketError(client), 0);
  socket.closeFd(listener);
  return [client, server];
}

/** Writes until the socket is full; octets written. */
export function fillSocket(fd: number, from: PinnedBuffer = allocatePinned(65_536)): number {
  let total = 0;
  for (;;) {
    const count = socket.send(fd, from, 0, from.length);
    if (count === -EAGAIN) return total;
    total += ok(count);
  }
}

/** Sends a text in one piece. */
export function sendText(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  assert.equal(socket.sendBuffer(fd, bytes, 0, bytes.length), bytes.length);
}

/** Reads until the end of the stream. */
export function readToEnd(fd: number): Buffer {
  const buffer = allocatePinned(65_536);
  const chunks: Buffer[] = [];
  for (;;) {
    waitFor(fd, 1);
    const count = ok(socket.receive(fd, buffer, 0, buffer.length));
    if (count === 0) return Buffer.concat(chunks);
    chunks.push(Buffer.from(buffer.bytes.subarray(0, count)));
  }
}
