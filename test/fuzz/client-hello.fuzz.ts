/**
 * ClientHello: whatever the octets, the parser answers, the same however they are cut, never looks outside its range, stays with
 * its answer, and lets only names through that are host names.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ClientHelloParser, FOUND, MALFORMED, NEED_MORE, NOT_TLS } from '../../agent/tls/client-hello.ts';
import { cuts, fuzz } from './http1-support.ts';

const parser = new ClientHelloParser();
const HOST_NAME = /^([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/;

function parse(octets: Buffer, at: readonly number[]): string {
  parser.reset();
  let result: number = NEED_MORE;
  let from = 0;
  for (const cut of [...at, octets.length]) {
    // What is beside the range would go on misleadingly.
    const around = Buffer.concat([octets.subarray(0, from), octets.subarray(from, cut), Buffer.alloc(8, 0x16)]);
    const next = parser.push(around, from, cut);
    if (result !== NEED_MORE) assert.equal(next, result, 'an answer stays');
    result = next;
    from = cut;
  }
  const answers: readonly number[] = [NEED_MORE, FOUND, NOT_TLS, MALFORMED];
  assert.ok(answers.includes(result));
  return JSON.stringify([result, result === FOUND ? parser.hello() : null, parser.tooLong]);
}

it('ClientHellos survive mutation', async () => {
  await fuzz('client-hello', 20_000, (text, rng) => {
    const octets = Buffer.from(text, 'latin1');
    const whole = parse(octets, []);
    assert.equal(parse(octets, cuts(rng, octets.length)), whole);
    if (rng.below(20) === 0) assert.equal(parse(octets, Array.from(octets.keys())), whole);
    const [result, hello] = JSON.parse(whole) as [number, { serverName: string } | null];
    if (result === FOUND && hello !== null && hello.serverName !== '') {
      assert.match(hello.serverName, HOST_NAME);
      assert.ok(hello.serverName.length <= 253);
    }
  });
});
