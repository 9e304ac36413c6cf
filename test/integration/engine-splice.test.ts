import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as errno from '../../agent/engine/errno.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import type { Reactor } from '../../agent/engine/reactor.ts';
import { READABLE, WRITABLE } from '../../agent/engine/reactor.ts';
import * as socket from '../../agent/engine/socket.ts';
import { closeIdlePipes, SplicePump, splicePipes } from '../../agent/engine/splice.ts';
import { limits } from '../../agent/limits.ts';
import {
  fillSocket,
  handler,
  LOOPBACK,
  newReactor,
  ok,
  readToEnd,
  sendText,
  tcpPair,
  turnUntil,
  waitFor,
} from './engine-loopback.ts';

const PUMP_BUDGET = 131_072;
const MIB = 1_048_576;
const buffer = allocatePinned(65_536);

/** client ── clientSide ═ relay ═ serverSide ── server */
class Relay {
  readonly client: number;
  readonly server: number;
  readonly toServer: SplicePump;
  readonly toClient: SplicePump;
  calls = 0;
  private readonly reactor: Reactor;
  private readonly clientSide: number;
  private readonly serverSide: number;

  constructor(reactor: Reactor, ip: string = LOOPBACK.v4) {
    this.reactor = reactor;
    [this.client, this.clientSide] = tcpPair(ip);
    [this.serverSide, this.server] = tcpPair(ip);
    this.toServer = new SplicePump(this.clientSide, this.serverSide);
    this.toClient = new SplicePump(this.serverSide, this.clientSide);
    for (const fd of [this.clientSide, this.serverSide]) {
      ok(
        reactor.add(
          fd,
          READABLE,
          handler(1, () => this.move()),
        ),
      );
    }
  }

  get error(): number {
    return this.toServer.error || this.toClient.error;
  }

  get drained(): boolean {
    return this.toServer.drained && this.toClient.drained;
  }

  closeRelay(): void {
    this.toServer.close();
    this.toClient.close();
    this.reactor.removeAndClose(this.clientSide);
    this.reactor.removeAndClose(this.serverSide);
  }

  close(): void {
    this.closeRelay();
    socket.closeFd(this.client);
    socket.closeFd(this.server);
  }

  private move(): number {
    this.calls++;
    const moved = this.toServer.pump(PUMP_BUDGET) + this.toClient.pump(PUMP_BUDGET);
    const { toServer, toClient } = this;
    ok(
      this.reactor.change(this.clientSide, (toServer.wantsRead ? READABLE : 0) | (toClient.wantsWrite ? WRITABLE : 0)),
    );
    ok(
      this.reactor.change(this.serverSide, (toClient.wantsRead ? READABLE : 0) | (toServer.wantsWrite ? WRITABLE : 0)),
    );
    return moved;
  }
}

function noPipesInUse(): void {
  assert.equal(splicePipes.inUse, 0);
  assert.ok(splicePipes.idle <= limits.splicePipesIdleMax);
}

/** Octets that differ at every position of a period that no buffer size divides. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index++) bytes[index] = (index * 31 + (index >> 8)) % 251;
  return bytes;
}

for (const [family, ip] of Object.entries(LOOPBACK)) {
  test(`${family}: 64 MiB reach a slow reader unchanged, through one bounded pipe, without spinning`, () => {
    const reactor = newReactor();
    const relay = new Relay(reactor, ip);
    const block = pattern(MIB);
    const total = 64 * MIB;
    const expected = createHash('sha256');
    for (let count = 0; count < total; count += MIB) expected.update(block);
    let written = 0;
    let read = 0;
    let stallsSeen = 0;
    const seen = createHash('sha256');
    const writeSome = (): void => {
      while (written < total) {
        const at = written % MIB;
        const count = socket.sendBuffer(relay.client, block, at, MIB - at);
        if (count === -errno.EAGAIN) return;
        written += ok(count);
      }
      socket.shutdownWrite(relay.client);
    };
    while (read < total) {
      writeSome();
      // The reader is slow: it takes a little only when everything before it is full and nothing more can move.
      let calls = -1;
      for (let idleTurns = 0; idleTurns < 2; ) {
        idleTurns = calls === relay.calls ? idleTurns + 1 : 0;
        calls = relay.calls;
        reactor.turn(1);
      }
      if (relay.toServer.wantsWrite) stallsSeen++;
      assert.ok(splicePipes.inUse <= 1, 'a pump holds at most one pipe');
      assert.ok(!(relay.toServer.wantsWrite && relay.toServer.wantsRead), 'a full target stops the reading');
      for (let quantum = 0; quantum < 96; quantum++) {
        const count = socket.receive(relay.server, buffer, 0, buffer.length);
        if (count === -errno.EAGAIN) break;
        seen.update(buffer.bytes.subarray(0, ok(count)));
        read += count;
      }
    }
    assert.equal(read, total);
    assert.equal(relay.toServer.moved, total);
    assert.equal(seen.digest('hex'), expected.digest('hex'));
    assert.ok(stallsSeen > 0, 'the reader was never slow enough');
    turnUntil(reactor, () => relay.toServer.drained, 'the end is passed on');
    relay.close();
    noPipesInUse();
    reactor.close();
  });

  test(`${family}: half-close is passed on while the other direction goes on, then both have ended`, () => {
    const reactor = newReactor();
    const relay = new Relay(reactor, ip);
    sendText(relay.client, 'question');
    socket.shutdownWrite(relay.client);
    turnUntil(reactor, () => relay.toServer.drained, 'the question and its end are through');
    assert.equal(readToEnd(relay.server).toString(), 'question');
    assert.equal(relay.toClient.sourceEnded, false);
    sendText(relay.server, 'answer');
    socket.shutdownWrite(relay.server);
    turnUntil(reactor, () => relay.drained, 'both directions have ended');
    assert.equal(readToEnd(relay.client).toString(), 'answer');
    assert.equal(relay.error, 0);
    assert.equal(relay.toServer.wantsRead || relay.toServer.wantsWrite, false);
    relay.close();
    noPipesInUse();
    reactor.close();
  });
}

test('a finished side whose octets wait for a slow reader does not spin on its hang-up', () => {
  const reactor = newReactor();
  const relay = new Relay(reactor);
  socket.shutdownWrite(relay.client);
  turnUntil(reactor, () => relay.toServer.drained, 'the client has finished');
  // The server answers more than the client takes, and finishes: its socket in the relay is now shut in both directions.
  let sent = 0;
  for (let quiet = 0; quiet < 3; ) {
    const count = fillSocket(relay.server, buffer);
    sent += count;
    quiet = count === 0 ? quiet + 1 : 0;
    reactor.turn(1);
    reactor.turn(1);
  }
  socket.shutdownWrite(relay.server);
  assert.ok(relay.toClient.wantsWrite);
  const { waits } = reactor.counters;
  const calls = relay.calls;
  for (let turn = 0; turn < 5; turn++) reactor.turn(10);
  assert.equal(reactor.counters.waits - waits, 5);
  assert.ok(relay.calls - calls <= 1, `called ${relay.calls - calls} times while nothing could move`);
  let read = 0;
  for (let end = false; !end; ) {
    reactor.turn(1);
    for (let count = 1; count > 0; ) {
      count = socket.receive(relay.client, buffer, 0, buffer.length);
      if (count > 0) read += count;
      else if (count === 0) end = true;
      else assert.equal(count, -errno.EAGAIN);
    }
  }
  assert.equal(read, sent);
  assert.ok(relay.drained);
  relay.close();
  noPipesInUse();
  reactor.close();
});

test('RST from the source is an error of that direction and never an end', () => {
  const reactor = newReactor();
  const relay = new Relay(reactor);
  sendText(relay.client, 'partial');
  turnUntil(reactor, () => relay.toServer.moved === 7, 'the octets are through');
  socket.setReset(relay.client);
  socket.closeFd(relay.client);
  turnUntil(reactor, () => relay.error !== 0, 'the reset is seen');
  assert.equal(relay.toServer.error, errno.ECONNRESET);
  assert.equal(relay.toServer.targetFailed, false);
  assert.equal(relay.toServer.sourceEnded, false);
  assert.equal(relay.toServer.drained, false);
  assert.equal(relay.toServer.wantsRead || relay.toServer.wantsWrite, false);
  assert.equal(relay.toServer.pump(PUMP_BUDGET), 0);
  relay.closeRelay();
  socket.closeFd(relay.server);
  noPipesInUse();
  reactor.close();
});

test('RST from the target ends the direction that writes, and the pipe with its octets is not reused', () => {
  const reactor = newReactor();
  const relay = new Relay(reactor);
  // Fill everything up to the pipe.
  for (let quiet = 0; quiet < 3; ) {
    quiet = fillSocket(relay.client, buffer) === 0 ? quiet + 1 : 0;
    reactor.turn(1);
    reactor.turn(1);
  }
  assert.ok(relay.toServer.wantsWrite);
  assert.equal(splicePipes.inUse, 1);
  const { discarded } = splicePipes;
  socket.setReset(relay.server);
  socket.closeFd(relay.server);
  turnUntil(reactor, () => relay.toServer.error !== 0, 'the reset is seen');
  assert.equal(relay.toServer.targetFailed, true);
  assert.ok([errno.EPIPE, errno.ECONNRESET].includes(relay.toServer.error), errno.errnoName(relay.toServer.error));
  relay.closeRelay();
  socket.closeFd(relay.client);
  assert.equal(splicePipes.discarded, discarded + 1);
  noPipesInUse();

  const next = new Relay(reactor);
  sendText(next.client, 'clean');
  socket.shutdownWrite(next.client);
  turnUntil(reactor, () => next.toServer.drained, 'the next connection is through');
  assert.equal(readToEnd(next.server).toString(), 'clean');
  next.close();
  reactor.close();
});

test('closing a stalled pump twice discards its pipe once', () => {
  const reactor = newReactor();
  const relay = new Relay(reactor);
  for (let quiet = 0; quiet < 3; ) {
    quiet = fillSocket(relay.client, buffer) === 0 ? quiet + 1 : 0;
    reactor.turn(1);
    reactor.turn(1);
  }
  const { discarded } = splicePipes;
  relay.toServer.close();
  relay.toServer.close();
  assert.equal(splicePipes.discarded, discarded + 1);
  relay.close();
  noPipesInUse();
  reactor.close();
});

test('idle connections hold no pipes, and pipes are reused', () => {
  const reactor = newReactor();
  const relays = Array.from({ length: 20 }, () => new Relay(reactor));
  const { created } = splicePipes;
  for (const [index, relay] of relays.entries()) {
    sendText(relay.client, `message ${index}`);
    turnUntil(reactor, () => relay.toServer.moved > 0, 'it is through');
  }
  noPipesInUse();
  assert.ok(splicePipes.created - created <= 1, `${splicePipes.created - created} pipes for 20 connections`);
  for (const relay of relays) relay.close();
  reactor.close();
});

test('with no pipe to be had octets are copied, in order, with the same backpressure', () => {
  const reactor = newReactor();
  const relay = new Relay(reactor);
  const copies = splicePipes.copies;
  closeIdlePipes();
  splicePipes.inUse = limits.splicePipesMax; // as if that many pumps were stalled
  const total = 16 * MIB;
  const block = pattern(MIB);
  let written = 0;
  let read = 0;
  let stalls = 0;
  while (read < total) {
    while (written < total) {
      const at = written % MIB;
      const count = socket.sendBuffer(relay.client, block, at, MIB - at);
      if (count === -errno.EAGAIN) break;
      written += ok(count);
    }
    for (let turn = 0; turn < 20; turn++) reactor.turn(0);
    if (relay.toServer.wantsWrite) {
      stalls++;
      assert.equal(relay.toServer.wantsRead, false);
      const calls = relay.calls;
      for (let turn = 0; turn < 3; turn++) reactor.turn(0);
      assert.ok(relay.calls - calls <= 1, 'spins while the target is full');
    }
    for (let quantum = 0; quantum < 8; quantum++) {
      const count = socket.receive(relay.server, buffer, 0, buffer.length);
      if (count === -errno.EAGAIN) break;
      for (let index = 0; index < ok(count); index += 997) {
        const position = (read + index) % MIB;
        assert.equal(buffer.bytes[index], block[position], `octet ${read + index}`);
      }
      read += count;
    }
  }
  assert.ok(splicePipes.copies > copies, 'nothing was copied');
  assert.ok(stalls > 0, 'the reader was never slow enough');
  socket.shutdownWrite(relay.client);
  turnUntil(reactor, () => relay.toServer.drained, 'the end is passed on');
  splicePipes.inUse = 0;
  relay.close();
  noPipesInUse();
  reactor.close();
});

test('a budget bounds what one call takes from the source', () => {
  const [client, source] = tcpPair();
  const [target, server] = tcpPair();
  fillSocket(client, buffer);
  waitFor(source, READABLE);
  const pump = new SplicePump(source, target);
  const moved = pump.pump(10_000);
  assert.ok(moved > 0 && moved <= 10_000, `${moved}`);
  assert.ok(pump.wantsRead);
  pump.close();
  for (const fd of [client, source, target, server]) socket.closeFd(fd);
});
