/**
 * Connects and closes as fast as it can for `--seconds`, `--parallel` connections open at a time; prints how many it made, in all and per second.
 *
 * Closed with RST, so that no port rests in TIME_WAIT and the flood does not end for want of ports.
 */
import { setReset, closeFd } from '../../../agent/engine/socket.ts';
import { dial, readTarget } from './target.ts';

const target = readTarget({ seconds: 4, parallel: 128 });
const open = new Int32Array(Math.max(1, target.numbers.parallel)).fill(-1);
const endMs = performance.now() + target.numbers.seconds * 1_000;
let made = 0;
while (performance.now() < endMs) {
  const slot = made % open.length;
  const oldest = open[slot] as number;
  if (oldest >= 0) {
    setReset(oldest);
    closeFd(oldest);
  }
  open[slot] = dial(target.address);
  made++;
}
process.stdout.write(`${JSON.stringify({ made, perSecond: made / target.numbers.seconds })}\n`, () => process.exit(0));
