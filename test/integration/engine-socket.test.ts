import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { prepareAddress } from '../../agent/engine/address.ts';
import * as errno from '../../agent/engine/errno.ts';
import { readErrno } from '../../agent/engine/ffi.ts';
import * as libc from '../../agent/engine/libc.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { ERROR, HANGUP, READABLE, WRITABLE } from '../../agent/engine/reactor.ts';
import { raiseNoFileLimit } from '../../agent/engine/resource-limit.ts';
import * as socket from '../../agent/engine/socket.ts';
import { fillSocket, LOOPBACK, ok, sendText, tcpPair, waitFor } from './engine-loopback.ts';

const buffer = allocatePinned(65_536);

function closeAll(...fds: number[]): void {
  for (const fd of fds) assert.equal(socket.closeFd(fd), 0);
}

for (const [family, ip] of Object.entries(LOOPBACK)) {
  test(`${family}: two sockets exchange octets and know each other's addresses`, () => {
    const listener = ok(socket.openListener({ ip, port: 0, reusePort: false, backlog: 8 }));
    assert.equal(socket.acceptConnection(listener), -errno.EAGAIN);
    const local = socket.localAddress(listener);
    assert.ok(local);
    assert.equal(local.ip, ip);
    const to = prepareAddress(local);
    const client = ok(socket.openStream({ family: to.family, mark: 0, transparent: false, source: null }));
    assert.equal(socket.connectTo(client, to), -errno.EINPROGRESS);
    waitFor(listener, READABLE);
    const server = ok(socket.acceptConnection(listener));
    assert.deepEqual(socket.lastPeer(), socket.localAddress(client));
    assert.deepEqual(socket.peerAddress(server), socket.localAddress(client));
    assert.deepEqual(socket.peerAddress(client), local);
    assert.equal(waitFor(client, WRITABLE), WRITABLE);
    assert.equal(socket.takeSocketError(client), 0);

    buffer.bytes.write('hello', 100);
    assert.equal(socket.send(client, buffer, 100, 5), 5);
    waitFor(server, READABLE);
    assert.equal(socket.receive(server, buffer, 10, 100), 5);
    assert.equal(buffer.bytes.toString('latin1', 10, 15), 'hello');
    assert.equal(socket.receive(server, buffer, 0, 100), -errno.EAGAIN);
    closeAll(client, server, listener);
  });

  test(`${family}: a half-closed connection still carries the other direction, then ends`, () => {
    const [client, server] = tcpPair(ip);
    sendText(client, 'last words');
    assert.equal(socket.shutdownWrite(client), 0);
    waitFor(server, READABLE);
    assert.equal(socket.receive(server, buffer, 0, 100), 10);
    waitFor(server, READABLE);
    assert.equal(socket.receive(server, buffer, 0, 100), 0);
    sendText(server, 'answer');
    waitFor(client, READABLE);
    assert.equal(socket.receive(client, buffer, 0, 100), 6);
    closeAll(server);
    waitFor(client, READABLE);
    assert.equal(socket.receive(client, buffer, 0, 100), 0);
    closeAll(client);
  });

  test(`${family}: setReset makes close send RST, which the peer sees as ECONNRESET and not as an end`, () => {
    const [client, server] = tcpPair(ip);
    assert.equal(socket.setReset(client), 0);
    closeAll(client);
    const seen = waitFor(server, READABLE);
    assert.equal(seen & (ERROR | HANGUP), ERROR | HANGUP);
    assert.equal(socket.receive(server, buffer, 0, 100), -errno.ECONNRESET);
    assert.equal(socket.send(server, buffer, 0, 1), -errno.EPIPE); // and no SIGPIPE
    closeAll(server);
  });

  test(`${family}: connecting to a closed port ends in ECONNREFUSED, reported once`, () => {
    const listener = ok(socket.openListener({ ip, port: 0, reusePort: false, backlog: 1 }));
    const local = socket.localAddress(listener);
    assert.ok(local);
    closeAll(listener);
    const to = prepareAddress(local);
    const client = ok(socket.openStream({ family: to.family, mark: 0, transparent: false, source: null }));
    assert.equal(socket.connectTo(client, to), -errno.EINPROGRESS);
    waitFor(client, WRITABLE);
    assert.equal(socket.takeSocketError(client), -errno.ECONNREFUSED);
    assert.equal(socket.takeSocketError(client), 0);
    closeAll(client);
  });

  test(`${family}: a full socket answers EAGAIN, keeps what it took, and becomes writable when the peer reads`, () => {
    const [client, server] = tcpPair(ip);
    const written = fillSocket(client);
    assert.ok(written > 65_536);
    let read = 0;
    while (read < written) {
      waitFor(server, READABLE);
      read += ok(socket.receive(server, buffer, 0, buffer.length));
    }
    assert.equal(read, written);
    assert.equal(waitFor(client, WRITABLE), WRITABLE);
    closeAll(client, server);
  });

  test(`${family}: a stream can be bound to a source address without taking a port for all destinations`, () => {
    const listener = ok(socket.openListener({ ip, port: 0, reusePort: false, backlog: 8 }));
    const local = socket.localAddress(listener);
    assert.ok(local);
    const to = prepareAddress(local);
    const sourceIp = family === 'v4' ? '127.0.0.77' : '::1';
    const source = prepareAddress({ ip: sourceIp, port: 0 });
    const client = ok(socket.openStream({ family: to.family, mark: 0, transparent: false, source }));
    assert.deepEqual(socket.localAddress(client), { ip: sourceIp, port: 0 }); // chosen at connect
    socket.connectTo(client, to);
    waitFor(listener, READABLE);
    const server = ok(socket.acceptConnection(listener));
    assert.equal(socket.lastPeer().ip, sourceIp);
    closeAll(client, server, listener);
  });
}

test('a source of the other family is refused', () => {
  const source = prepareAddress({ ip: '::1', port: 0 });
  assert.equal(socket.openStream({ family: 2, mark: 0, transparent: false, source }), -errno.EINVAL);
});

test('accepted sockets inherit TCP_NODELAY and are non-blocking and close-on-exec', () => {
  const [client, server] = tcpPair();
  const value = allocatePinned(8);
  for (const fd of [client, server]) {
    value.bytes.writeInt32LE(4, 4);
    assert.equal(libc.getsockopt(fd, libc.SOL_TCP, libc.TCP_NODELAY, value.address, value.address + 4), 0);
    assert.equal(value.bytes.readInt32LE(0), 1, 'TCP_NODELAY');
    assert.equal(ok(libc.fcntl(fd, libc.F_GETFL, 0)) & libc.O_NONBLOCK, libc.O_NONBLOCK);
    assert.equal(ok(libc.fcntl(fd, 1 /* F_GETFD */, 0)), 1 /* FD_CLOEXEC */);
  }
  closeAll(client, server);
});

test('peek leaves the octets, discard takes them without copying', () => {
  const [client, server] = tcpPair();
  sendText(client, 'abcdef');
  waitFor(server, READABLE);
  buffer.bytes.fill(0, 0, 16);
  assert.equal(socket.peek(server, buffer, 0, 100), 6);
  assert.equal(socket.discard(server, 4), 4);
  assert.equal(socket.receive(server, buffer, 0, 100), 2);
  assert.equal(buffer.bytes.toString('latin1', 0, 6), 'efcdef');
  assert.equal(socket.discard(server, 4), -errno.EAGAIN);
  closeAll(client, server);
});

test('sendBuffer sends a part of an ordinary Buffer', () => {
  const [client, server] = tcpPair();
  const bytes = Buffer.from('0123456789').subarray(2); // 23456789, a view that does not start its memory
  assert.equal(socket.sendBuffer(client, bytes, 0, 3), 3);
  assert.equal(socket.sendBuffer(client, bytes, 5, 3), 3);
  waitFor(server, READABLE);
  assert.equal(socket.receive(server, buffer, 0, 100), 6);
  assert.equal(buffer.bytes.toString('latin1', 0, 6), '234789');
  closeAll(client, server);
});

test('offsets outside the buffer never reach the kernel, and a read of nothing is not taken for an end', () => {
  const [client, server] = tcpPair();
  sendText(client, 'x'.repeat(64));
  waitFor(server, READABLE);
  const small = allocatePinned(16);
  const bad = [
    [-1, 4],
    [0, -1],
    [0, 17],
    [16, 1],
    [Number.NaN, 4],
    [0, Number.NaN],
  ] as const;
  for (const [offset, length] of bad) {
    assert.equal(socket.receive(server, small, offset, length), -errno.EFAULT, `receive ${offset} ${length}`);
    assert.equal(socket.peek(server, small, offset, length), -errno.EFAULT, `peek ${offset} ${length}`);
    assert.equal(socket.send(server, small, offset, length), -errno.EFAULT, `send ${offset} ${length}`);
    assert.equal(
      socket.sendBuffer(server, small.bytes, offset, length),
      -errno.EFAULT,
      `sendBuffer ${offset} ${length}`,
    );
  }
  assert.equal(socket.receive(server, small, 16, 0), -errno.EINVAL);
  assert.equal(socket.receive(server, small, 0, 16), 16);
  closeAll(client, server);
});

test('listeners share a port with reusePort and not without; v4 and v6 can have the same port', () => {
  const first = ok(socket.openListener({ ip: '127.0.0.1', port: 0, reusePort: true, backlog: 8 }));
  const port = socket.localAddress(first)?.port ?? 0;
  const second = ok(socket.openListener({ ip: '127.0.0.1', port, reusePort: true, backlog: 8 }));
  assert.equal(socket.openListener({ ip: '127.0.0.1', port, reusePort: false, backlog: 8 }), -errno.EADDRINUSE);
  closeAll(first, second);
  const v6 = ok(socket.openListener({ ip: '::', port: 0, reusePort: false, backlog: 8 }));
  const v4 = ok(
    socket.openListener({ ip: '0.0.0.0', port: socket.localAddress(v6)?.port ?? 0, reusePort: false, backlog: 8 }),
  );
  closeAll(v6, v4);
});

test('a dual-stack listener shows IPv4 peers as IPv4', () => {
  const listener = ok(socket.openListener({ ip: '::', port: 0, reusePort: false, backlog: 8, v6Only: false }));
  const to = prepareAddress({ ip: '127.0.0.1', port: socket.localAddress(listener)?.port ?? 0 });
  const client = ok(socket.openStream({ family: 2, mark: 0, transparent: false, source: null }));
  socket.connectTo(client, to);
  waitFor(listener, READABLE);
  const server = ok(socket.acceptConnection(listener));
  assert.equal(socket.lastPeer().ip, '127.0.0.1');
  assert.equal(socket.localAddress(server)?.ip, '127.0.0.1');
  closeAll(client, server, listener);
});

test('a connection that nothing redirected has no original destination', () => {
  for (const [ip, family] of [
    ['127.0.0.1', 2],
    ['::1', 10],
  ] as const) {
    const [client, server] = tcpPair(ip);
    const port = socket.localAddress(server)?.port ?? 0;
    assert.equal(socket.originalDestination(server, family, port), null);
    closeAll(client, server);
  }
});

test('towards peers in the same namespace nothing paces, and accepted connections inherit that', () => {
  const [client, server] = tcpPair('127.0.0.1');
  const usual = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
  assert.deepEqual([socket.congestionControlOf(client), socket.congestionControlOf(server)], [usual, usual]);
  const local = ok(socket.openListener({ ip: '127.0.0.1', port: 0, reusePort: false, backlog: 8, local: true }));
  const to = prepareAddress({ ip: '127.0.0.1', port: socket.localAddress(local)?.port ?? 0 });
  const dialled = ok(socket.openStream({ family: 2, mark: 0, transparent: false, local: true, source: null }));
  socket.connectTo(dialled, to);
  waitFor(local, READABLE);
  const accepted = ok(socket.acceptConnection(local));
  assert.deepEqual([socket.congestionControlOf(dialled), socket.congestionControlOf(accepted)], ['reno', 'reno']);
  closeAll(client, server, local, dialled, accepted);
});

test('on one node the handshake is over when connectTo returns, unless it was refused', () => {
  const listener = ok(socket.openListener({ ip: '127.0.0.1', port: 0, reusePort: false, backlog: 8 }));
  const to = prepareAddress({ ip: '127.0.0.1', port: socket.localAddress(listener)?.port ?? 0 });
  const open = (): number => ok(socket.openStream({ family: 2, mark: 0, transparent: false, source: null }));
  const [early, accepted, refused] = [open(), open(), open()];
  assert.equal(socket.isConnected(early), false);
  socket.connectTo(accepted, to);
  assert.equal(socket.isConnected(accepted), true);
  closeAll(listener);
  socket.connectTo(refused, to);
  assert.equal(socket.isConnected(refused), false);
  closeAll(early, accepted, refused);
});

test('a closed descriptor answers EBADF everywhere instead of throwing', () => {
  const fd = ok(socket.openStream({ family: 2, mark: 0, transparent: false, source: null }));
  closeAll(fd);
  assert.equal(socket.closeFd(fd), -errno.EBADF);
  assert.equal(socket.receive(fd, buffer, 0, 1), -errno.EBADF);
  assert.equal(socket.send(fd, buffer, 0, 1), -errno.EBADF);
  assert.equal(socket.acceptConnection(fd), -errno.EBADF);
  assert.equal(socket.takeSocketError(fd), -errno.EBADF);
  assert.equal(socket.setNonBlocking(fd), -errno.EBADF);
  assert.equal(socket.localAddress(fd), null);
  assert.equal(socket.originalDestination(fd, 2, 1), null);
});

test('setNonBlocking turns a blocking descriptor into one that answers EAGAIN', () => {
  const fds = allocatePinned(8);
  assert.equal(libc.pipe2(fds.address, 0), 0, errno.errnoName(readErrno()));
  const [readEnd, writeEnd] = [fds.bytes.readInt32LE(0), fds.bytes.readInt32LE(4)];
  assert.equal(ok(libc.fcntl(readEnd, libc.F_GETFL, 0)) & libc.O_NONBLOCK, 0);
  assert.equal(socket.setNonBlocking(readEnd), 0);
  assert.equal(ok(libc.fcntl(readEnd, libc.F_GETFL, 0)) & libc.O_NONBLOCK, libc.O_NONBLOCK);
  closeAll(readEnd, writeEnd);
});

test('raiseNoFileLimit lifts a lowered soft limit back to the hard one', () => {
  const limit = allocatePinned(16);
  const hard = ok(raiseNoFileLimit());
  limit.bytes.writeBigUInt64LE(200n, 0);
  limit.bytes.writeBigUInt64LE(BigInt(hard), 8);
  assert.equal(libc.prlimit(0, libc.RLIMIT_NOFILE, limit.address, 0), 0);
  assert.equal(raiseNoFileLimit(), hard);
  assert.equal(libc.prlimit(0, libc.RLIMIT_NOFILE, 0, limit.address), 0);
  assert.equal(limit.bytes.readBigUInt64LE(0), BigInt(hard));
});
