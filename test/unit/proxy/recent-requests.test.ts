/** What is kept of requests for `weir explain` is bounded, however long their parts are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RequestTrace } from '../../../agent/ipc/messages.ts';
import { limits } from '../../../agent/limits.ts';
import { keptField, RecentRequests } from '../../../agent/proxy/recent-requests.ts';

const LONG = 'x'.repeat(limits.headBytesMax);

function trace(fields: Partial<RequestTrace>): RequestTrace {
  return {
    id: '',
    timeMs: 0,
    direction: 'outbound',
    protocol: 'http',
    sourcePod: 'shop/web',
    source: '10.0.0.1:40000',
    destination: '10.96.0.1:80',
    destinationPod: null,
    upstream: null,
    service: null,
    method: 'GET',
    host: 'api',
    path: '/',
    query: null,
    headers: null,
    status: 404,
    reason: 'NO_ROUTE',
    route: null,
    policy: null,
    durationMs: 1,
    ...fields,
  };
}

describe('recent requests', () => {
  it('are kept as they were when they are short', () => {
    const recent = new RecentRequests(0, 0);
    const short = trace({ id: 'w0-0', path: '/caf\xc3\xa9', query: 'q=1', headers: [keptField('X-A', 'one')] });
    recent.add(short);
    assert.deepEqual(recent.list('w0-0', 1), [{ ...short, headers: [['x-a', 'one']] }]);
  });

  it('are cut when they are long', () => {
    const recent = new RecentRequests(0, 0);
    recent.add(trace({ method: LONG, host: LONG, path: LONG, query: LONG, headers: [keptField(LONG, LONG)] }));
    const [kept] = recent.list(null, 1);
    assert.ok(kept !== undefined);
    const { recentPathBytesMax, recentHeaderBytesMax } = limits;
    assert.equal(kept.path, LONG.slice(0, recentPathBytesMax));
    assert.equal(kept.query, LONG.slice(0, recentPathBytesMax));
    const field = LONG.slice(0, recentHeaderBytesMax);
    assert.deepEqual([kept.method, kept.host, kept.headers], [field, field, [[field, field]]]);
  });

  it('say nothing of credentials', () => {
    assert.deepEqual(keptField('Authorization', 'Bearer x'), ['authorization', '(not kept)']);
  });
});
