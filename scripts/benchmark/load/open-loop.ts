/**
 * Requests at a constant rate, whatever becomes of the answers, and their latencies; prints one line of JSON.
 *
 *   open-loop.ts --url http://IP:PORT/PATH --rate 1000 --seconds 4 --warmUp 1 --connections 32
 *
 * Open loop: when a request is sent is decided by the clock alone, so a proxy that stalls is asked on and on, and its stall is
 * counted once for every request that fell into it ("coordinated omission" is what closed loops suffer from).
 * A latency runs from the write of the request; when all connections were waiting for answers, from when it was due. That this
 * program itself was woken late is not the proxy's doing and is not counted.
 */
import { READABLE, Reactor, type ReadyHandler, WRITABLE } from '../../../agent/engine/reactor.ts';
import { allocatePinned } from '../../../agent/engine/memory.ts';
import { receive, sendBuffer, takeSocketError } from '../../../agent/engine/socket.ts';
import { EAGAIN } from '../../../agent/engine/errno.ts';
import { dial, readTarget, watch } from './target.ts';

/** How long answers are waited for at the end. */
const PATIENCE_MS = 2_000;

const target = readTarget({ rate: 200, seconds: 4, warmUp: 1, connections: 32 });
const { rate, seconds, warmUp, connections } = target.numbers;
const reactor = new Reactor(() => performance.now(), 1_000_000);
const buffer = allocatePinned(65_536);
const request = Buffer.from(`GET ${target.path} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`, 'latin1');
const latencies = new Float64Array(Math.ceil(rate * (seconds + warmUp)) + 16);
let answered = 0;
let errors = 0;
let established = 0;

const free: Line[] = [];
/** Requests that were due and found no free connection. */
const waiting: { readonly atMs: number; readonly counts: boolean }[] = [];

class Line implements ReadyHandler {
  readonly tenant = 0;
  readonly #fd: number;
  #sinceMs = 0;
  #counts = false;
  #received = 0;
  /** Octets of an answer, learnt from the first: every answer here is the same. */
  #expected = 0;
  #connected = false;

  constructor() {
    this.#fd = dial(target.address);
    watch(reactor, this.#fd, WRITABLE, this);
  }

  ask(sinceMs: number, counts: boolean): void {
    this.#sinceMs = sinceMs;
    this.#counts = counts;
    this.#received = 0;
    if (sendBuffer(this.#fd, request, 0, request.length) !== request.length) this.#fail();
  }

  onReady(): number {
    if (!this.#connected) return this.#established();
    const got = receive(this.#fd, buffer, 0, buffer.length);
    if (got === -EAGAIN) return 1;
    if (got <= 0) return this.#fail();
    if (this.#received === 0 && !isGood(buffer.bytes)) return this.#fail();
    if (this.#expected === 0) this.#expected = answerLength(buffer.bytes.toString('latin1', 0, got));
    this.#received += got;
    if (this.#received < this.#expected) return 1;
    if (this.#counts) latencies[answered++] = performance.now() - this.#sinceMs;
    return this.#next();
  }

  #established(): number {
    if (takeSocketError(this.#fd) !== 0) return this.#fail();
    this.#connected = true;
    established++;
    reactor.change(this.#fd, READABLE);
    return this.#next();
  }

  #next(): number {
    const due = waiting.shift();
    if (due === undefined) free.push(this);
    else this.ask(due.atMs, due.counts);
    return 1;
  }

  /** The request, if there was one, is lost; another connection takes this one's place. */
  #fail(): number {
    const resting = free.indexOf(this);
    if (resting >= 0) free.splice(resting, 1);
    else if (this.#counts || !this.#connected) errors++;
    reactor.removeAndClose(this.#fd);
    new Line();
    return 1;
  }
}

/** `HTTP/1.1 200`: the digit that tells. */
function isGood(answer: Buffer): boolean {
  return answer[9] === 0x32;
}

function answerLength(text: string): number {
  const end = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: *(\d+)/i.exec(text);
  if (end < 0 || length === null) throw new Error(`an answer without head or length: ${text.slice(0, 200)}`);
  return end + 4 + Number(length[1]);
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

for (let i = 0; i < connections; i++) new Line();
const connectBeforeMs = performance.now() + PATIENCE_MS;
while (established < connections && performance.now() < connectBeforeMs) reactor.turn(10);
const startedMs = performance.now();
const endMs = startedMs + (warmUp + seconds) * 1_000;
let sent = 0;
let late = 0;
let counted = 0;
for (;;) {
  const now = performance.now();
  if (now >= endMs) break;
  let dueMs = startedMs + (sent * 1_000) / rate;
  while (dueMs <= now) {
    const counts = dueMs - startedMs >= warmUp * 1_000;
    if (counts) counted++;
    const line = free.shift();
    if (line === undefined) {
      waiting.push({ atMs: dueMs, counts });
      late++;
    } else line.ask(performance.now(), counts);
    sent++;
    dueMs = startedMs + (sent * 1_000) / rate;
  }
  reactor.turn(Math.max(1, Math.ceil(dueMs - now)));
}
while (answered + errors < counted && performance.now() < endMs + PATIENCE_MS) reactor.turn(50);
const sorted = latencies.subarray(0, answered).sort();
const figures = {
  requests: counted,
  answered,
  errors: errors + Math.max(0, counted - answered - errors),
  late,
  p50Ms: percentile(sorted, 0.5),
  p99Ms: percentile(sorted, 0.99),
  p999Ms: percentile(sorted, 0.999),
  maxMs: percentile(sorted, 1),
};
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
