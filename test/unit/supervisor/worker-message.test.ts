import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseWorkerMessage } from '../../../agent/supervisor/worker-message.ts';

function parse(value: unknown): ReturnType<typeof parseWorkerMessage> {
  return parseWorkerMessage(Buffer.from(JSON.stringify(value)));
}

const pod = {
  index: 1,
  namespace: 'shop',
  name: 'checkout-1',
  cpuMs: 1.5,
  bytesIn: 1,
  bytesOut: 2,
  requests: 3,
  connectionsOpened: 4,
  connectionsActive: 1,
  refused: 0,
  requestsActive: 0,
  pending: 0,
  bufferedBytes: 0,
  shed: { connections: 0, requests: 0, pending: 0, buffered: 0, overloaded: 0 },
};
const stats = { worker: 0, pid: 9, http: [], tcp: [], pods: [pod], bounds: { headBytesMax: 1 }, counters: {} };

const connection = {
  worker: 0,
  pod: 'shop/web',
  direction: 'outbound',
  protocol: 'http',
  source: '10.0.0.1:4',
  destination: '10.0.0.2:80',
  service: null,
  upstream: null,
  state: 'idle',
  ageMs: 1,
  idleMs: 1,
  bytesFromClient: 0,
  bytesToClient: 0,
  requests: 0,
};
const request = {
  id: 'w0-1',
  timeMs: 1,
  direction: 'outbound',
  protocol: 'grpc',
  sourcePod: 'shop/web',
  source: '10.0.0.1:4',
  destination: '10.0.0.2:80',
  destinationPod: null,
  upstream: null,
  service: null,
  method: 'GET',
  host: 'a',
  path: '/',
  query: null,
  headers: null,
  status: 404,
  reason: 'NO_ROUTE',
  route: null,
  policy: null,
  durationMs: 0.5,
};

const VALID: readonly unknown[] = [
  { type: 'ready', pid: 7 },
  { type: 'podListening', index: 1, error: null },
  { type: 'podListening', index: 1, error: 'EADDRINUSE' },
  { type: 'podGone', index: 1 },
  { type: 'meshApplied', sequence: 3, error: null },
  { type: 'stats', id: 1, stats },
  { type: 'connections', id: 1, connections: [], truncated: false },
  { type: 'connections', id: 1, connections: [{ ...connection, protocol: 'http2' }], truncated: false },
  { type: 'requests', id: 1, requests: [request, { ...request, query: '', headers: [['host', 'a']], route: 'a/b/0' }] },
  { type: 'log', level: 'warn', message: 'text', fields: { pod: 'shop/checkout-1' } },
];

for (const message of VALID) {
  test(`accepted: ${JSON.stringify(message).slice(0, 60)}`, () => {
    const parsed = parse(message);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.deepEqual(parsed.message, message);
  });
}

const REFUSED: readonly (readonly [unknown, RegExp])[] = [
  [null, /message is not an object/],
  [[], /message is not an object/],
  [{ type: 'reboot' }, /type "reboot" is unknown/],
  [{ type: 'toString' }, /type "toString" is unknown/],
  [{}, /unknown/],
  [{ type: 'ready', pid: '7' }, /ready\.pid is not an integer/],
  [{ type: 'ready', pid: -1 }, /ready\.pid/],
  [{ type: 'podListening', index: 1.5, error: null }, /podListening\.index is not an integer/],
  [{ type: 'podListening', index: 1, error: 5 }, /podListening\.error is not a string/],
  [{ type: 'meshApplied', sequence: null, error: null }, /meshApplied\.sequence/],
  [{ type: 'stats', id: 1, stats: { ...stats, pods: [{ ...pod, cpuMs: null }] } }, /stats\.stats\.pods\[0\]\.cpuMs/],
  [
    { type: 'stats', id: 1, stats: { ...stats, bounds: { headBytesMax: 'many' } } },
    /stats\.stats\.bounds\.headBytesMax/,
  ],
  [{ type: 'requests', id: 1, requests: [{ ...request, headers: [[1]] }] }, /requests\.requests\[0\]\.headers/],
  [{ type: 'connections', id: 1, connections: [{}], truncated: false }, /connections\.connections\[0\]\.worker/],
  [{ type: 'log', level: 'fatal', message: '', fields: {} }, /log\.level is not one of debug, info, warn, error/],
];

for (const [message, reason] of REFUSED) {
  test(`refused: ${JSON.stringify(message).slice(0, 60)}`, () => {
    const parsed = parse(message);
    assert.ok(!parsed.ok);
    assert.match(parsed.reason, reason);
  });
}

test('no bytes make the parser throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(parseWorkerMessage(Buffer.from(bytes)).ok, false);
    }),
  );
  fc.assert(fc.property(fc.jsonValue(), (value) => void parse(value)));
});
