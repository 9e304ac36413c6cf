/** Answers that weir gives: well formed in both versions of HTTP, whatever a route's configuration or a request put into them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allocatePinned } from '../../../agent/engine/memory.ts';
import { ResponseHead } from '../../../agent/http1/response-head.ts';
import { ResponseFacts } from '../../../agent/http2/response-facts.ts';
import { addedToResponses } from '../../../agent/proxy/cors-edits.ts';
import { configuredHeaders, localHeaders } from '../../../agent/proxy/http2-lists.ts';
import { configuredHead, localBody, localResponse, NO_HEADERS } from '../../../agent/proxy/local-response.ts';
import { shadowHost } from '../../../agent/proxy/mirror.ts';
import { keptField, RecentRequests } from '../../../agent/proxy/recent-requests.ts';
import { limits } from '../../../agent/limits.ts';
import type { RequestTrace } from '../../../agent/ipc/messages.ts';
import { table } from '../http2/session-support.ts';

const into = allocatePinned(65_536);
const head = new ResponseHead();

const anyText = fc.oneof(fc.string(), fc.constantFrom('a\r\nx: y', 'ok', '', '\0'));
const field = fc.record({
  name: fc.oneof(fc.string(), fc.constantFrom('x-a', 'content-length', 'transfer-encoding', 'connection', 'location')),
  value: anyText,
});
const answer = fc.record({
  status: fc.constantFrom(200, 204, 301, 304, 404, 418, 503, 599),
  reason: fc.constantFrom(null, 'FAULT_ABORT'),
  headers: fc.array(field, { maxLength: 3 }),
  body: fc.option(anyText, { nil: null }),
  grpcStatus: fc.option(fc.integer({ min: 0, max: 16 }), { nil: null }),
});

describe('a configured answer', () => {
  it('parses as HTTP/1.1 and announces exactly its body', () => {
    fc.assert(
      fc.property(answer, fc.array(field, { maxLength: 2 }), fc.boolean(), (given, extra, keepAlive) => {
        const body = given.body === null ? null : Buffer.from(given.body, 'utf8');
        const length = configuredHead(into, given, body, extra, '', keepAlive);
        assert.equal(head.parse(into.bytes, 0, length, 'GET'), length);
        assert.deepEqual([head.status, head.keepAlive], [given.status, keepAlive]);
        const isBodiless = given.status === 204 || given.status === 304;
        assert.equal(head.contentLength, isBodiless ? head.contentLength : (body?.length ?? 0));
      }),
    );
  });

  it('is a valid response of HTTP/2', () => {
    fc.assert(
      fc.property(answer, fc.boolean(), (given, isGrpc) => {
        const list = configuredHeaders(given, given.body?.length ?? -1, isGrpc, NO_HEADERS, 'w0-1', table);
        assert.equal(new ResponseFacts(list).malformed, '');
        const toldAsGrpc = isGrpc && given.reason !== null;
        assert.equal(list.values[0], toldAsGrpc ? '200' : String(given.status));
        if (toldAsGrpc && given.grpcStatus !== null) {
          assert.equal(list.values[list.names.indexOf('grpc-status')], String(given.grpcStatus));
        }
      }),
    );
  });
});

describe('a refusal', () => {
  it('names the request that was kept, and no other', () => {
    const body = localBody('NO_ROUTE');
    const text = (id: string): string =>
      into.bytes.toString('latin1', 0, localResponse(into, 404, 'NO_ROUTE', body, NO_HEADERS, id, true, true));
    assert.match(text('w0-1'), /\r\nx-weir-request: w0-1\r\n/);
    assert.doesNotMatch(text(''), /x-weir-request/);
  });

  const GRPC: readonly (readonly [number, string, string])[] = [
    [504, 'REQUEST_TIMEOUT', '4'],
    [504, 'UPSTREAM_TIMEOUT', '4'],
    [503, 'NETWORK_POLICY_DENIED', '14'],
    [403, 'RBAC_DENIED', '7'],
    [500, 'NO_VALID_BACKEND', '14'],
  ];
  for (const [status, reason, code] of GRPC) {
    it(`is told to gRPC clients in their own words: ${reason} is ${code}`, () => {
      const list = localHeaders(status, reason, true, NO_HEADERS, '', table);
      assert.equal(list.values[list.names.indexOf('grpc-status')], code);
    });
  }
});

describe('CORS in responses', () => {
  const origin = { name: 'access-control-allow-origin', value: 'https://a' };
  const vary = { name: 'vary', value: 'origin' };
  it('replaces what the backend said, but for Vary, and keeps the edits of the route', () => {
    const edits = { set: [{ name: 'x', value: '1' }], add: [], remove: ['y'] };
    assert.deepEqual(addedToResponses(edits, [origin, vary]), {
      set: [{ name: 'x', value: '1' }, origin],
      add: [vary],
      remove: ['y'],
    });
    assert.equal(addedToResponses(edits, []), edits);
  });
  it('is one object for one origin, so that it is applied once', () => {
    assert.equal(addedToResponses(null, [origin]), addedToResponses(null, [{ ...origin }]));
    assert.notEqual(addedToResponses(null, [origin]), addedToResponses(null, [{ ...origin, value: 'https://b' }]));
  });
});

describe('the host of a copy', () => {
  const HOSTS: readonly (readonly [string, string | null])[] = [
    ['web', 'web-shadow'],
    ['web.default:8080', 'web.default-shadow:8080'],
    ['[::1]:80', null],
    ['', null],
  ];
  for (const [host, shadow] of HOSTS) it(`${host} → ${shadow}`, () => assert.equal(shadowHost(host), shadow));
});

describe('recent requests', () => {
  const record = (id: string) => ({ id, method: 'GET', host: 'web', path: '/', query: null }) as RequestTrace;
  it('are the last ones, newest first, each with an id of its own', () => {
    const recent = new RecentRequests(3, 1_000_000);
    const ids = Array.from({ length: limits.recentRequestsMax + 5 }, () => recent.id());
    assert.equal(new Set(ids).size, ids.length);
    assert.match(ids[0] as string, /^w3-[0-9a-z]+$/);
    for (const id of ids) recent.add(record(id));
    const all = recent.list(null, Number.POSITIVE_INFINITY).map(({ id }) => id);
    assert.deepEqual(all, ids.slice(5).reverse());
    assert.deepEqual(recent.list(ids[4] as string, 1), []);
    assert.deepEqual(recent.list(ids[5] as string, 1), [record(ids[5] as string)]);
    assert.equal(recent.list(null, 10).length, 10);
  });
  it('hold no credentials', () => {
    assert.deepEqual(keptField('Authorization', 'Bearer x'), ['authorization', '(not kept)']);
    assert.deepEqual(keptField('Cookie', 'a=b'), ['cookie', '(not kept)']);
    assert.equal(keptField('x-a', 'v'.repeat(1_000))[1].length, limits.recentHeaderBytesMax);
  });
});
