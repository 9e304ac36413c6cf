/**
 * Nanoseconds of ways to do the same with sockets: a head and a body that lie apart, a large body, a dial into a pod's namespace.
 * docs/adr/0011-engine-experiments.md has the results.
 *
 *   unshare -Urn node --import tsx scripts/experiments/socket-calls.ts      (about ten seconds)
 *
 * Both ends are in this process, so the receiver's work is in every figure, the same in each.
 */
import { spawnSync } from 'node:child_process';
import { prepareAddress } from '../../agent/engine/address.ts';
import { declareForeign, readErrno } from '../../agent/engine/ffi.ts';
import * as libc from '../../agent/engine/libc.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { NetworkNamespace } from '../../agent/engine/netns.ts';
import * as socket from '../../agent/engine/socket.ts';
import { median } from '../benchmark/result.ts';

const ROUNDS = 7;
const ROUND_MS = 60;
const HEAD_BYTES = 300;
const FLAGS = libc.MSG_NOSIGNAL | libc.MSG_DONTWAIT;
const MSG_MORE = 0x8000;
const MSG_ZEROCOPY = 0x400_0000;
const MSG_ERRQUEUE = 0x2000;
const SO_ZEROCOPY = 60;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;

const writev = declareForeign<(fd: number, at: number, count: number) => number>('int64 writev(int, int64, int)');
const recvmsg = declareForeign<(fd: number, at: number, flags: number) => number>('int64 recvmsg(int, int64, int)');
const unshare = declareForeign<(flags: number) => number>('int unshare(int)');

const head = allocatePinned(4_096);
const body = allocatePinned(65_536);
const joined = allocatePinned(131_072);
const vector = allocatePinned(32);
const message = allocatePinned(56);
const control = allocatePinned(256);
const value = allocatePinned(4);

type Way = readonly [name: string, once: () => void];

/** Median over rounds that alternate; ns per call. */
function compare(title: string, ways: readonly Way[]): void {
  const taken = ways.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, [, once]] of ways.entries()) {
      const began = performance.now();
      let count = 0;
      for (; performance.now() - began < ROUND_MS; count += 20) for (let i = 0; i < 20; i++) once();
      if (round > 0) taken[index]?.push(((performance.now() - began) * 1e6) / count);
    }
  }
  console.log(title);
  for (const [index, [name]] of ways.entries())
    console.log(`  ${name.padEnd(34)} ${median(taken[index] ?? []).toFixed(0)} ns`);
}

function must(result: number): number {
  if (result < 0) throw new Error(`failed: ${result}, errno ${readErrno()}`);
  return result;
}

function setOption(fd: number, level: number, name: number, to: number): void {
  value.bytes.writeInt32LE(to);
  must(libc.setsockopt(fd, level, name, value.address, 4));
}

/** Two ends of a connection through lo, with room for any message here. */
function connection(): readonly [sender: number, receiver: number] {
  const listener = must(socket.openListener({ ip: '127.0.0.1', port: 0, reusePort: false, backlog: 8, local: true }));
  const to = prepareAddress({ ip: '127.0.0.1', port: socket.localAddress(listener)?.port ?? 0 });
  const sender = must(socket.openStream({ family: 2, mark: 0, transparent: false, local: true, source: null }));
  socket.connectTo(sender, to);
  const receiver = must(socket.acceptConnection(listener));
  for (const fd of [sender, receiver])
    for (const name of [SO_SNDBUF, SO_RCVBUF]) setOption(fd, libc.SOL_SOCKET, name, 400_000);
  return [sender, receiver];
}

function take(fd: number, octets: number): void {
  for (let left = octets; left > 0; ) {
    const count = libc.recv(fd, 0, left, libc.MSG_DONTWAIT | libc.MSG_TRUNC);
    if (count > 0) left -= count;
  }
}

function headAndBody(bodyBytes: number): void {
  const [sender, receiver] = connection();
  const total = HEAD_BYTES + bodyBytes;
  for (const [index, [at, length]] of [
    [head.address, HEAD_BYTES],
    [body.address, bodyBytes],
  ].entries()) {
    vector.bytes.writeBigUInt64LE(BigInt(at as number), index * 16);
    vector.bytes.writeBigUInt64LE(BigInt(length as number), index * 16 + 8);
  }
  compare(`a head of ${HEAD_BYTES} octets and ${bodyBytes} of body`, [
    [
      'two sends',
      () => {
        libc.sendFrom(sender, head.address, HEAD_BYTES, FLAGS);
        libc.sendFrom(sender, body.address, bodyBytes, FLAGS);
        take(receiver, total);
      },
    ],
    [
      'two sends, the first with MSG_MORE',
      () => {
        libc.sendFrom(sender, head.address, HEAD_BYTES, FLAGS | MSG_MORE);
        libc.sendFrom(sender, body.address, bodyBytes, FLAGS);
        take(receiver, total);
      },
    ],
    [
      'copied behind each other, one send',
      () => {
        body.bytes.copy(joined.bytes, HEAD_BYTES, 0, bodyBytes);
        libc.sendFrom(sender, joined.address, total, FLAGS);
        take(receiver, total);
      },
    ],
    [
      'writev',
      () => {
        writev(sender, vector.address, 2);
        take(receiver, total);
      },
    ],
  ]);
  libc.close(sender);
  libc.close(receiver);
}

function largeBody(): void {
  const [sender, receiver] = connection();
  setOption(sender, libc.SOL_SOCKET, SO_ZEROCOPY, 1);
  message.bytes.writeBigUInt64LE(BigInt(control.address), 32);
  compare('64 KiB of body', [
    [
      'send',
      () => {
        libc.sendFrom(sender, body.address, 65_536, FLAGS);
        take(receiver, 65_536);
      },
    ],
    [
      'send with MSG_ZEROCOPY, completion read',
      () => {
        libc.sendFrom(sender, body.address, 65_536, FLAGS | MSG_ZEROCOPY);
        take(receiver, 65_536);
        message.bytes.writeBigUInt64LE(256n, 40);
        recvmsg(sender, message.address, MSG_ERRQUEUE | libc.MSG_DONTWAIT);
      },
    ],
  ]);
}

function dials(): void {
  const home = NetworkNamespace.current();
  must(unshare(libc.CLONE_NEWNET));
  spawnSync('ip', ['link', 'set', 'lo', 'up']);
  const pod = NetworkNamespace.current();
  must(libc.setns(home.fd, libc.CLONE_NEWNET));
  const source = prepareAddress({ ip: '10.9.8.7', port: 0 });
  const target = prepareAddress({ ip: '127.0.0.1', port: 9 });
  const open = (local: boolean): number =>
    must(socket.openStream({ family: 2, mark: 0x539, transparent: true, local, source }));
  const ready: number[] = [];
  const BATCH = 8;
  const refill = (): void => {
    for (let index = 0; index < BATCH; index++) ready.push(open(true));
  };
  const end = (fd: number): void => {
    socket.connectTo(fd, target); // refused: the SYN and its RST are part of each figure
    libc.close(fd);
  };
  compare('a dial into a namespace, refused there, and closed', [
    ['setns, socket, options, setns', () => end(pod.run(() => open(true)))],
    ['the same, congestion control unchanged', () => end(pod.run(() => open(false)))],
    [
      `sockets opened ${BATCH} at a time`,
      () => {
        if (ready.length === 0) pod.run(refill);
        end(ready.pop() as number);
      },
    ],
    ['no setns at all', () => end(open(true))],
  ]);
  compare('parts of it', [
    ['setns there and back', () => pod.run(nothing)],
    ['socket and close', () => libc.close(libc.socket(2, 1, 0))],
  ]);
}

function nothing(): void {}

spawnSync('ip', ['link', 'set', 'lo', 'up']);
for (const bytes of [128, 2_048, 16_384, 60_000]) headAndBody(bytes);
largeBody();
dials();
