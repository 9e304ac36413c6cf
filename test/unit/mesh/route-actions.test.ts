/** What a rule does beside choosing a backend: what is compiled, and whom a fault meets. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Cluster } from '../../../mesh/cluster.ts';
import { compileActions, injectedAbort, injectedDelay } from '../../../mesh/route-actions.ts';
import type { Fault, HttpFilter, HttpRouteBackend, RequestMirror } from '../../../mesh/route-model.ts';
import { RouteTable } from '../../../mesh/route-table.ts';
import { backend, clientIn, clusterNamed, request, route, routeRule, seededRandom } from './resources.ts';

const noCluster = (): null => null;
const redirect: HttpFilter = {
  type: 'requestRedirect',
  scheme: 'https',
  hostname: null,
  port: 'scheme',
  path: null,
  statusCode: 301,
};

function mirror(name: string, fields: Partial<RequestMirror> = {}): RequestMirror {
  const target = { namespace: 'shop', name, port: 80, subset: null };
  return { type: 'requestMirror', backend: target, valid: true, perMillion: 1_000_000, ...fields };
}

describe('compileActions', () => {
  it('is null for a rule that only forwards, whatever it edits', () => {
    const edits: HttpFilter = { type: 'requestHeaderModifier', set: [{ name: 'a', value: 'b' }], add: [], remove: [] };
    const rewrite: HttpFilter = { type: 'urlRewrite', hostname: 'x', path: null };
    assert.equal(compileActions(routeRule({ filters: [edits, rewrite] }), noCluster), null);
  });

  const rows: [string, Parameters<typeof routeRule>[0]][] = [
    ['a redirect', { filters: [redirect] }],
    ['a direct response', { directResponse: { status: 503, body: null } }],
    ['a fault', { fault: { delay: { perMillion: 1, delayMs: 1 }, abort: null } }],
    ['a request timeout', { timeouts: { requestMs: 1, backendRequestMs: null } }],
    ['a backend timeout', { timeouts: { requestMs: null, backendRequestMs: 1 } }],
    ['a mirror', { filters: [mirror('copy')] }],
  ];
  for (const [name, rule] of rows) {
    it(`${name} is an action`, () => {
      assert.notEqual(compileActions(routeRule(rule), noCluster), null);
    });
  }

  it('finds the clusters of mirrors that resolve; the others mirror nothing', () => {
    const copy = clusterNamed('copy');
    const lookup = ({ name }: { name: string }): Cluster | null => (name === 'copy' ? copy : null);
    const filters = [mirror('copy', { perMillion: 5 }), mirror('gone'), mirror('copy', { valid: false })];
    assert.deepEqual(compileActions(routeRule({ filters }), lookup)?.mirrors, [
      { cluster: copy, perMillion: 5 },
      { cluster: null, perMillion: 1_000_000 },
      { cluster: null, perMillion: 1_000_000 },
    ]);
  });

  it('a mirror without a port goes to the one that was dialled', () => {
    const asked: number[] = [];
    const filters = [mirror('copy', { backend: { namespace: 'shop', name: 'copy', port: 0, subset: null } })];
    const table = new RouteTable([route({ name: 'r', rules: [routeRule({ filters })] })], 8080, ({ port }) => {
      asked.push(port);
      return null;
    });
    table.match(request(), clientIn('shop'));
    assert.deepEqual(asked, [8080]);
  });
});

describe('faults', () => {
  const abort = (perMillion: number): Fault => ({ delay: null, abort: { perMillion, status: 418, grpcStatus: null } });
  const delay = (perMillion: number): Fault => ({ delay: { perMillion, delayMs: 70 }, abort: null });

  it('meet everybody at a million, nobody at 0, whatever the number', () => {
    for (const random of [0, 0.5, 1 - Number.EPSILON]) {
      assert.equal(injectedAbort(abort(1_000_000), () => random)?.status, 418);
      assert.equal(
        injectedDelay(delay(1_000_000), () => random),
        70,
      );
      assert.equal(
        injectedAbort(abort(0), () => random),
        null,
      );
      assert.equal(
        injectedDelay(delay(0), () => random),
        0,
      );
    }
  });

  it('meet their share', () => {
    assert.equal(injectedAbort(abort(250_000), () => 0.2499999)?.status, 418);
    assert.equal(
      injectedAbort(abort(250_000), () => 0.25),
      null,
    );
    const random = seededRandom(1);
    let met = 0;
    for (let i = 0; i < 100_000; i++) if (injectedDelay(delay(300_000), random) > 0) met++;
    assert.ok(Math.abs(met - 30_000) < 600, `${met} of 100,000 were delayed`);
  });

  it('a fault that is not said is not injected, and costs no number', () => {
    const never = (): number => assert.fail('a number was taken');
    assert.equal(injectedDelay(abort(500_000), never), 0);
    assert.equal(injectedAbort(delay(500_000), never), null);
  });
});

describe('the Host that is forwarded', () => {
  const set = (value: string): HttpFilter => ({
    type: 'requestHeaderModifier',
    set: [{ name: 'Host', value }],
    add: [],
    remove: [],
  });
  const rewrite = (hostname: string | null): HttpFilter => ({ type: 'urlRewrite', hostname, path: null });
  const rows: [string, readonly HttpFilter[], HttpRouteBackend['filters'], string | undefined][] = [
    ['neither', [], [], undefined],
    ['a header of the rule', [set('a')], [], 'a'],
    ['a rewrite of the rule', [rewrite('a')], [], 'a'],
    ['a rewrite beside a header', [rewrite('a'), set('b')], [], 'a'],
    ['a header before a rewrite', [set('b'), rewrite('a')], [], 'a'],
    ['a header of the backend over the rule', [rewrite('a')], [set('b')], 'b'],
    ['a rewrite of the backend over the rule', [set('a')], [rewrite('b')], 'b'],
    ['a rewrite of the backend that says nothing of the host', [set('a')], [rewrite(null)], 'a'],
    ['both of the backend', [rewrite('a')], [set('c'), rewrite('b')], 'b'],
  ];
  for (const [name, filters, own, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      const rules = [routeRule({ filters, backends: [backend('web', { filters: own })] })];
      const table = new RouteTable([route({ name: 'r', rules })], 80, noCluster);
      const entry = table.match(request(), clientIn('shop'))?.backends.entries[0];
      assert.equal(entry?.requestEdits?.host, expected);
      const rewritten = entry?.rewrite?.host ?? null;
      assert.ok(rewritten === null || rewritten === expected);
    });
  }
});
