/**
 * Requests: never throws, never looks outside its range (the octets around it are misleading, so looking would show), has
 * the same result however the octets arrive, and what is accepted and forwarded is read alike by two other parsers.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RequestHead } from '../../agent/http1/request-head.ts';
import { agreesWithAll, agreesWithStrictParser } from '../unit/http1/agreement.ts';
import { parseRequest, parseTrickled } from '../unit/http1/codec.ts';
import { fuzz } from './http1-support.ts';

/** Asking Node costs as much as fifty runs. */
const ASK_NODE_EVERY = 20;

const head = new RequestHead();

it('request heads survive mutation', async () => {
  let run = 0;
  await fuzz('http1-request', 4_000, async (text, rng) => {
    const whole = parseRequest(text, head);
    assert.ok(whole.result <= text.length);
    assert.equal(whole.result < 0, whole.refusal !== '');
    const first = rng.below(text.length + 1);
    const split = parseTrickled(`${text}\r\n`, first, 1 + rng.below(text.length + 1));
    // The two octets more may complete what was not complete.
    if (whole.result !== 0) assert.deepEqual([split.result, split.refusal], [whole.result, whole.refusal]);
    if (run++ % ASK_NODE_EVERY === 0) await agreesWithAll(text);
    else agreesWithStrictParser(text);
  });
});
