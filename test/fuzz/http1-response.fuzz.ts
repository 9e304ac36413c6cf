/** Responses: as for requests; what is accepted is read alike by a second parser, before and after it is rewritten. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { BodyScanner } from '../../agent/http1/body-scanner.ts';
import { ResponseHead } from '../../agent/http1/response-head.ts';
import { forwardResponseHead, parseResponse, place } from '../unit/http1/codec.ts';
import { readResponse } from '../unit/http1/strict-parser.ts';
import { fuzz } from './http1-support.ts';

const METHODS = ['GET', 'HEAD', 'CONNECT'] as const;

it('response heads survive mutation', async () => {
  await fuzz('http1-response', 6_000, (text, rng) => {
    const method = METHODS[rng.below(METHODS.length)] as string;
    const { head, result, placed } = parseResponse(text, method);
    assert.ok(result <= text.length && (result >= 0 || result === -502));
    assert.equal(result < 0, head.refusal !== '');
    const have = rng.below(text.length + 1);
    const early = place(text.slice(0, have));
    const part = new ResponseHead().parse(early.bytes, early.start, early.end, method);
    if (part !== 0) assert.equal(part, result);
    if (result <= 0) return;
    const start = head.hasHopByHop ? forwardResponseHead(text, method, null) : text.slice(0, result);
    const scanner = new BodyScanner();
    scanner.start(head.bodyKind, head.contentLength);
    const body = scanner.scan(placed.bytes, placed.start + result, placed.end);
    if (body < 0 || (head.bodyKind !== 3 && !scanner.complete)) return;
    const bodyless =
      method === 'HEAD' || head.status < 200 || head.status === 204 || head.status === 304 || head.tunnel;
    const read = readResponse(start + text.slice(result, result + body), bodyless);
    assert.deepEqual([read.start[1], read.rest], [String(head.status), '']);
  });
});
