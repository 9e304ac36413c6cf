/**
 * CPU and system calls per request of a small relay of octets, written in several ways: what an event loop of weir could look like.
 * docs/adr/0011-engine-experiments.md has the results.
 *
 *   wrk (core 1) ─► relay (core 0) ─► nginx (core 1)
 *
 *   node --import tsx scripts/experiments/relay-loops.ts [SECONDS [ROUNDS]]
 *
 * Known limit: messages are small, so a socket always takes what is sent; a short write would be an error in the experiment.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareAddress } from '../../agent/engine/address.ts';
import { addressOf, declareForeign, readErrno } from '../../agent/engine/ffi.ts';
import * as libc from '../../agent/engine/libc.ts';
import { prepareBackend } from '../benchmark/backend.ts';
import { LOAD_CORE, PROXY_CORE, run } from '../benchmark/commands.ts';
import { cpuTime, spent } from '../benchmark/cpu.ts';
import { median } from '../benchmark/result.ts';
import { parseWrk, wrkArguments } from '../benchmark/wrk.ts';

const LOOPS = ['epoll', 'read until EAGAIN', 'read after write', 'SO_BUSY_POLL', 'io_uring'] as const;
type Loop = (typeof LOOPS)[number];

const BACKEND_PORT = 9700;
const FIRST_PORT = 9701;
const CONNECTIONS = 64;
const BUFFER_BYTES = 16_384;
const FDS_MAX = 1_024;

const to = prepareAddress({ ip: '127.0.0.1', port: BACKEND_PORT });
const option = Buffer.from(new ArrayBuffer(4));
const buffers = Buffer.from(new ArrayBuffer(FDS_MAX * BUFFER_BYTES));
const buffersAt = addressOf(buffers);
/** The other end of each descriptor's pair; 0: none. */
const peers = new Int32Array(FDS_MAX);
const isClient = new Uint8Array(FDS_MAX);
let calls = 0;
let requests = 0;
let open = 0;

function setOption(fd: number, level: number, name: number, value: number): void {
  option.writeInt32LE(value);
  libc.setsockopt(fd, level, name, addressOf(option), 4);
}

function listen(port: number): number {
  const at = prepareAddress({ ip: '127.0.0.1', port });
  const fd = libc.socket(libc.AF_INET, libc.SOCK_STREAM, 0);
  setOption(fd, libc.SOL_SOCKET, libc.SO_REUSEADDR, 1);
  if (libc.bind(fd, at.pinned.address, at.length) < 0 || libc.listen(fd, 512) < 0) throw new Error(`port ${port}`);
  return fd;
}

/** A client was accepted: connects to the server (loopback: at once) and makes the two a pair; the server's end. */
function pair(client: number): number {
  const server = libc.socket(libc.AF_INET, libc.SOCK_STREAM, 0);
  if (libc.connect(server, to.pinned.address, to.length) < 0) throw new Error(`connect: errno ${readErrno()}`);
  setOption(client, libc.SOL_TCP, libc.TCP_NODELAY, 1);
  setOption(server, libc.SOL_TCP, libc.TCP_NODELAY, 1);
  peers[client] = server;
  peers[server] = client;
  isClient[client] = 1;
  isClient[server] = 0;
  open++;
  return server;
}

function unpair(fd: number): void {
  const peer = peers[fd] as number;
  if (peer === 0) return;
  peers[fd] = 0;
  peers[peer] = 0;
  libc.close(fd);
  libc.close(peer);
  // The whole load closes at its end: then the parent reads what it took.
  if (--open === 0 && requests > CONNECTIONS) writeSync(1, `${calls} ${requests}\n`);
}

function relayByEpoll(loop: Loop, listener: number): never {
  const SO_BUSY_POLL = 46;
  const epoll = libc.epollCreate1(0);
  const event = Buffer.from(new ArrayBuffer(12));
  const events = Buffer.from(new ArrayBuffer(12 * 256));
  const words = new Int32Array(events.buffer);
  const add = (fd: number): void => {
    event.writeUInt32LE(1, 0);
    event.writeInt32LE(fd, 4);
    libc.epollCtl(epoll, libc.EPOLL_CTL_ADD, fd, addressOf(event));
    if (loop === 'SO_BUSY_POLL') setOption(fd, libc.SOL_SOCKET, SO_BUSY_POLL, 50);
  };
  /** Reads once and passes on; false: there was nothing (more). */
  const move = (fd: number): boolean => {
    calls++;
    const count = libc.recv(fd, buffersAt, BUFFER_BYTES, libc.MSG_DONTWAIT);
    if (count <= 0) {
      if (count === 0) unpair(fd);
      return false;
    }
    requests += isClient[fd] as number;
    calls++;
    libc.sendFrom(peers[fd] as number, buffersAt, count, libc.MSG_NOSIGNAL);
    return true;
  };
  add(listener);
  const eventsAt = addressOf(events);
  for (;;) {
    calls++;
    const ready = libc.epollWait(epoll, eventsAt, 256, -1);
    for (let index = 0; index < ready; index++) {
      const fd = words[index * 3 + 1] as number;
      if (fd === listener) {
        const client = libc.accept4(listener, 0, 0, 0);
        add(client);
        add(pair(client));
      } else if (peers[fd] !== 0 && move(fd)) {
        if (loop === 'read until EAGAIN') while (move(fd));
        if (loop === 'read after write') move(peers[fd] as number);
      }
    }
  }
}

// io_uring(7), linux/io_uring.h
const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const ENTRIES = 1_024;
/** SINGLE_ISSUER, DEFER_TASKRUN, and NO_MMAP: the rings lie in memory of ours. */
const SETUP_FLAGS = (1 << 12) | (1 << 13) | (1 << 14);
const PAGE_BYTES = 4_096;
const ENTER_GETEVENTS = 1;
const OP_ACCEPT = 13;
const OP_SEND = 26;
const OP_RECV = 27;
const SQE_BYTES = 64;
const SQE_IO_LINK = 1 << 2;
const SQE_CQE_SKIP_SUCCESS = 1 << 6;

/** Whole pages of memory: a mapping may not share one with anything else. */
function pages(bytes: number): Buffer {
  const memory = Buffer.from(new ArrayBuffer(bytes + 2 * PAGE_BYTES));
  const start = PAGE_BYTES - (addressOf(memory) % PAGE_BYTES);
  return memory.subarray(start, start + bytes);
}

function relayByUring(listener: number): never {
  const syscall = declareForeign<
    (number: number, a: number, b: number, c: number, d: number, e: number, f: number) => number
  >('int64 syscall(int64, int64, int64, int64, int64, int64, int64)');
  const submissions = pages(ENTRIES * SQE_BYTES);
  const rings = pages(ENTRIES * 48); // head and tail, 2 × ENTRIES completions of 16 octets, ENTRIES indices of 4
  const parameters = Buffer.from(new ArrayBuffer(120));
  parameters.writeUInt32LE(SETUP_FLAGS, 8);
  parameters.writeBigUInt64LE(BigInt(addressOf(submissions)), 72);
  parameters.writeBigUInt64LE(BigInt(addressOf(rings)), 112);
  const ring = syscall(SYS_IO_URING_SETUP, ENTRIES, addressOf(parameters), 0, 0, 0, 0);
  if (ring < 0) throw new Error(`io_uring_setup: errno ${readErrno()}`);
  const sq = (offset: number): number => parameters.readUInt32LE(40 + offset);
  const cq = (offset: number): number => parameters.readUInt32LE(80 + offset);
  const [entries, completions] = [parameters.readUInt32LE(0), parameters.readUInt32LE(4)];
  const sqes = new Int32Array(submissions.buffer, submissions.byteOffset, entries * (SQE_BYTES / 4));
  const words = new Int32Array(rings.buffer, rings.byteOffset, rings.length / 4);
  for (let index = 0; index < entries; index++) words[sq(24) / 4 + index] = index;
  const [sqTail, cqHead, cqTail] = [sq(4) / 4, cq(0) / 4, cq(4) / 4];
  const cqes = cq(20) / 4;
  let tail = 0;
  let submitted = 0;
  /** user_data: the descriptor in the low, the operation in the high half. */
  const submit = (operation: number, fd: number, at: number, length: number, flags: number, owner: number): void => {
    const word = ((tail++ & (entries - 1)) * SQE_BYTES) / 4;
    sqes.fill(0, word, word + 16);
    sqes[word] = operation | (flags << 8);
    sqes[word + 1] = fd;
    sqes[word + 4] = at % 2 ** 32;
    sqes[word + 5] = Math.floor(at / 2 ** 32);
    sqes[word + 6] = length;
    sqes[word + 8] = owner;
    sqes[word + 9] = operation;
  };
  const receive = (fd: number): void => submit(OP_RECV, fd, buffersAt + fd * BUFFER_BYTES, BUFFER_BYTES, 0, fd);
  submit(OP_ACCEPT, listener, 0, 0, 0, listener);
  let head = 0;
  for (;;) {
    Atomics.store(words, sqTail, tail);
    calls++;
    const taken = syscall(SYS_IO_URING_ENTER, ring, tail - submitted, 1, ENTER_GETEVENTS, 0, 0);
    if (taken > 0) submitted += taken;
    for (const end = Atomics.load(words, cqTail); head !== end; head++) {
      const at = cqes + (head & (completions - 1)) * 4;
      const [fd, operation, result] = [words[at] as number, words[at + 1] as number, words[at + 2] as number];
      if (operation === OP_ACCEPT) {
        submit(OP_ACCEPT, listener, 0, 0, 0, listener);
        receive(result);
        receive(pair(result));
      } else if (operation === OP_RECV && peers[fd] !== 0) {
        if (result <= 0) {
          unpair(fd);
          continue;
        }
        requests += isClient[fd] as number;
        // Sent, then read on, without coming back here in between.
        const flags = SQE_IO_LINK | SQE_CQE_SKIP_SUCCESS;
        submit(OP_SEND, peers[fd] as number, buffersAt + fd * BUFFER_BYTES, result, flags, fd);
        receive(fd);
      }
    }
    Atomics.store(words, cqHead, head);
  }
}

interface Sample {
  readonly cpuUs: number;
  readonly userUs: number;
  readonly calls: number;
  readonly rate: number;
}

/** Starts a relay, loads it, ends it. */
async function sample(loop: Loop, port: number, seconds: number): Promise<Sample> {
  const own = [...process.execArgv, fileURLToPath(import.meta.url), '--loop', loop, `${port}`];
  const child = spawn('taskset', ['-c', `${PROXY_CORE}`, process.execPath, ...own], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => lines.push(chunk.toString()));
  try {
    while (!lines.join('').includes('ready')) await new Promise((done) => child.stdout.once('data', done));
    const pids = [child.pid as number];
    const load = async (lasts: number) => {
      const wrk = wrkArguments(`http://127.0.0.1:${port}/`, CONNECTIONS, lasts, false);
      return parseWrk(await run(['taskset', '-c', `${LOAD_CORE}`, 'wrk', ...wrk]));
    };
    await load(1);
    while (!lines.join('').includes(' ')) await new Promise((done) => child.stdout.once('data', done));
    lines.length = 0;
    const before = cpuTime(pids);
    const { requests: answered, requestsPerSecond: rate } = await load(seconds);
    const used = spent(before, cpuTime(pids));
    while (!lines.join('').includes('\n')) await new Promise((done) => child.stdout.once('data', done));
    const [made = 0, seen = 1] = (lines.join('').trim().split('\n').pop() ?? '').split(' ').map(Number);
    return {
      cpuUs: (used.userUs + used.systemUs) / answered,
      userUs: used.userUs / answered,
      calls: made / seen,
      rate,
    };
  } finally {
    child.kill('SIGKILL');
  }
}

async function compare(seconds: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-experiment-'));
  const [program = '', ...args] = prepareBackend(folder, [BACKEND_PORT]);
  const backend = spawn('taskset', ['-c', `${LOAD_CORE}`, program, ...args], { stdio: 'inherit' });
  try {
    const samples = new Map<Loop, Sample[]>(LOOPS.map((loop) => [loop, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [index, loop] of LOOPS.entries())
        samples.get(loop)?.push(await sample(loop, FIRST_PORT + index, seconds));
    }
    for (const [loop, taken] of samples) {
      const of = (figure: keyof Sample, digits: number): string =>
        median(taken.map((each) => each[figure])).toFixed(digits);
      const figures = `${of('cpuUs', 2)} µs/request (user ${of('userUs', 2)}), ${of('calls', 2)} calls/request`;
      console.log(`${loop.padEnd(18)} ${figures}, ${of('rate', 0)} requests/s`);
    }
  } finally {
    backend.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

const [first, second, third] = process.argv.slice(2);
if (first === '--loop') {
  const listener = listen(Number(third));
  writeSync(1, 'ready\n');
  if (second === 'io_uring') relayByUring(listener);
  relayByEpoll(second as Loop, listener);
} else await compare(Number(first ?? 3), Number(second ?? 3));
