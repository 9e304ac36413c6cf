/**
 * Opens `--connections` connections, asks once on each, and keeps them open and silent until it is ended. Prints one line when all
 * have been answered.
 */
import { EAGAIN } from '../../../agent/engine/errno.ts';
import { allocatePinned } from '../../../agent/engine/memory.ts';
import { READABLE, Reactor, type ReadyHandler, WRITABLE } from '../../../agent/engine/reactor.ts';
import { raiseNoFileLimit } from '../../../agent/engine/resource-limit.ts';
import { receive, sendBuffer } from '../../../agent/engine/socket.ts';
import { dial, readTarget, watch } from './target.ts';

/** Connections that wait for their answer at a time: few, so that few upstream connections are pooled. */
const AT_ONCE = 50;
/** All must be open by then. */
const PATIENCE_MS = 60_000;

const target = readTarget({ connections: 10_000 });
const descriptors = raiseNoFileLimit();
const wanted = target.numbers.connections;
if (descriptors < wanted + 100) throw new Error(`${descriptors} open files allowed; ${wanted} connections need more`);
const reactor = new Reactor(() => performance.now(), 1_000_000);
const buffer = allocatePinned(65_536);
const request = Buffer.from(`GET ${target.path} HTTP/1.1\r\nHost: ${target.host}\r\n\r\n`, 'latin1');
let begun = 0;
let answered = 0;

class Idler implements ReadyHandler {
  readonly tenant = 0;
  readonly #fd = dial(target.address);
  #asked = false;

  constructor() {
    watch(reactor, this.#fd, WRITABLE, this);
  }

  onReady(): number {
    if (!this.#asked) {
      this.#asked = true;
      reactor.change(this.#fd, READABLE);
      if (sendBuffer(this.#fd, request, 0, request.length) < 0) throw new Error('a connection was refused');
      return 1;
    }
    const got = receive(this.#fd, buffer, 0, buffer.length);
    if (got === -EAGAIN) return 1;
    if (got <= 0) throw new Error('a connection was closed');
    answered++;
    return 1;
  }
}

const deadlineMs = performance.now() + PATIENCE_MS;
while (answered < wanted) {
  if (performance.now() > deadlineMs) throw new Error(`only ${answered} of ${wanted} connections were answered`);
  while (begun < wanted && begun - answered < AT_ONCE) {
    new Idler();
    begun++;
  }
  reactor.turn(100);
}
process.stdout.write(`open ${answered}\n`);
// Nothing more happens until somebody ends this process.
setInterval(() => undefined, 60_000);
