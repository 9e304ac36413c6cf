import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normalisePath } from '../../../mesh/path.ts';
import { BodyScanner } from '../../../agent/http1/body-scanner.ts';
import { agreesWithAll } from './agreement.ts';
import { forwardResponseHead, forwardStream, parseRequest, parseResponse, parseTrickled } from './codec.ts';
import { request, response } from './messages.ts';
import { nodeResponse } from './node-parser.ts';
import { readRequests, readResponse } from './strict-parser.ts';

/** Everything but what weir writes itself. */
const endToEnd = (fields: readonly (readonly [string, string])[]): (readonly [string, string])[] =>
  fields.filter(([name]) => !/^(?:connection|te)$/i.test(name));

describe('generated requests', () => {
  it('are accepted whole, and with the same result however they are split', () => {
    fc.assert(
      fc.property(request(), fc.nat(), fc.integer({ min: 1, max: 40 }), (generated, first, step) => {
        const whole = parseRequest(generated.text);
        assert.equal(whole.refusal, '', generated.text);
        assert.equal(whole.method, generated.method);
        assert.equal(whole.keepAlive, !generated.closes);
        assert.deepEqual(parseTrickled(generated.text, first % generated.text.length, step), whole);
      }),
    );
  });

  it('are forwarded as themselves: same method, same end-to-end fields in order, same body', () => {
    fc.assert(
      fc.property(request(), fc.boolean(), (generated, alwaysRewrite) => {
        const forwarded = forwardStream(generated.text, null, alwaysRewrite);
        assert.equal(forwarded.consumed, generated.text.length);
        const [read, ...more] = readRequests(forwarded.text);
        assert.ok(read !== undefined && more.length === 0);
        assert.equal(read.start[0], generated.method);
        assert.deepEqual(endToEnd(read.fields), generated.endToEnd);
        assert.equal(read.body, generated.body);
      }),
    );
  });

  it('are forwarded with the path that policy saw, and that path is in normal form', () => {
    fc.assert(
      fc.property(request(), (generated) => {
        const { path, query } = parseRequest(generated.text);
        const [read] = readRequests(forwardStream(generated.text).text);
        const target = (read as { start: readonly string[] }).start[1] as string;
        assert.equal(target.split('?')[0], path);
        assert.equal(target.includes('?') ? target.slice(target.indexOf('?') + 1) : '', query);
        assert.ok(!/(?:^|\/)\.\.?(?:\/|$)|\\|%2e/i.test(path as string), path);
        assert.deepEqual(normalisePath(path as string), { ok: true, path });
      }),
    );
  });

  it('mean the same to the strict parser and to Node, one by one and pipelined', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request(), { minLength: 1, maxLength: 4 }), async (generated) => {
        const closesAt = generated.findIndex((one) => one.closes);
        const { requests, stopped } = await agreesWithAll(generated.map((one) => one.text).join(''));
        assert.deepEqual([requests, stopped], [closesAt < 0 ? generated.length : closesAt + 1, '']);
      }),
    );
  });

  it('parse to the same request again after they were rewritten', () => {
    fc.assert(
      fc.property(request(), (generated) => {
        const before = parseRequest(generated.text);
        const after = parseRequest(forwardStream(generated.text, null, true).text);
        for (const key of [
          'method',
          'path',
          'query',
          'host',
          'bodyKind',
          'contentLength',
          'versionMinor',
          'expectContinue',
        ] as const) {
          assert.equal(after[key], before[key], key);
        }
        assert.equal(after.pathChanged, false);
        assert.equal(after.keepAlive, true, 'the client’s close must not reach a pooled connection');
      }),
    );
  });
});

describe('generated responses', () => {
  /** What the client is sent: head rewritten or not as the codec says, body as it is. */
  function forwarded(text: string): { text: string; rest: string } {
    const { head, result, placed } = parseResponse(text, 'GET');
    assert.ok(result > 0, head.refusal);
    const scanner = new BodyScanner();
    scanner.start(head.bodyKind, head.contentLength);
    const body = scanner.scan(placed.bytes, placed.start + result, placed.start + text.length);
    assert.ok(body >= 0 && scanner.complete, scanner.refusal);
    const start = head.hasHopByHop ? forwardResponseHead(text, 'GET', null) : text.slice(0, result);
    return { text: start + text.slice(result, result + body), rest: text.slice(result + body) };
  }

  it('are forwarded as themselves, and end where they end', () => {
    fc.assert(
      fc.property(response(), fc.string(), (generated, surplus) => {
        const sent = forwarded(generated.text + surplus);
        assert.equal(sent.rest, surplus);
        const read = readResponse(sent.text, generated.status === 204 || generated.status === 304);
        assert.equal(read.start[1], String(generated.status));
        assert.equal(read.body, generated.body);
        assert.equal(read.rest, '');
        assert.deepEqual(endToEnd(read.fields), generated.endToEnd);
      }),
    );
  });

  it('mean the same to Node', async () => {
    await fc.assert(
      fc.asyncProperty(response(), async (generated) => {
        const opinion = await nodeResponse(forwarded(generated.text).text, 'GET');
        assert.equal(opinion.error, '', generated.text);
        assert.deepEqual(
          opinion.messages.map(({ status, body, fields }) => ({ status, body, fields: endToEnd(fields) })),
          [{ status: generated.status, body: generated.body, fields: generated.endToEnd }],
        );
      }),
    );
  });
});
