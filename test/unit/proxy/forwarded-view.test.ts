/** What policy is shown of a rewritten request is what the endpoint will read, whichever version of HTTP carries it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RequestHead } from '../../../agent/http1/request-head.ts';
import { noEdits, rewriteRequestHead } from '../../../agent/http1/rewrite.ts';
import { RequestFacts } from '../../../agent/http2/request-facts.ts';
import { ForwardedView } from '../../../agent/proxy/forwarded-view.ts';
import { forwardedRequest } from '../../../agent/proxy/http2-lists.ts';
import type { HeaderEdits } from '../../../mesh/header-edits.ts';
import { plainRequest } from '../../../mesh/plain-request.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { table } from '../http2/session-support.ts';

const NAMES = ['x-a', 'x-b', 'x-c', 'cookie', 'host', 'te'];

function seen(view: RequestView): unknown {
  const { method, path, query, host } = view;
  const values = NAMES.map((name) => view.headerValues(name));
  const joined = NAMES.map((name) => view.header(name));
  return { method, path, query, host, values, joined };
}

const name = fc.constantFrom('x-a', 'x-b', 'x-c', 'cookie');
const value = fc.constantFrom('', '1', 'two words', 'a, b');
const field = fc.record({ name: fc.oneof(name, fc.constantFrom('te', 'content-length')), value });
const edits: fc.Arbitrary<HeaderEdits> = fc
  .record({
    set: fc.uniqueArray(field, { maxLength: 2, selector: (entry) => entry.name }),
    add: fc.array(field, { maxLength: 2 }),
    remove: fc.uniqueArray(name, { maxLength: 2 }),
    host: fc.option(fc.constantFrom('other', 'Other.example:8080', '10.0.0.1'), { nil: null }),
  })
  .map(({ set, add, remove, host }) => {
    const removed = remove.filter((one) => !set.some((entry) => entry.name === one));
    const compiled = { set, add, remove: removed };
    return host === null ? compiled : { ...compiled, host };
  });
const request = fc.record({
  fields: fc.array(fc.tuple(name, value), { maxLength: 4 }),
  query: fc.constantFrom('', '?', '?q=1&r=/../x'),
  path: fc.option(fc.constantFrom('/', '/new', '/new/deep%20er'), { nil: null }),
  edits: fc.option(edits, { nil: null }),
});

describe('a request as it will be forwarded', () => {
  it('is what an HTTP/1.1 endpoint reads', () => {
    const received = new RequestHead();
    const sent = new RequestHead();
    fc.assert(
      fc.property(request, (given) => {
        const lines = given.fields.map(([key, text]) => `${key}: ${text}\r\n`).join('');
        const octets = Buffer.from(`GET /a/../old${given.query} HTTP/1.1\r\nHost: Web:80\r\n${lines}\r\n`, 'latin1');
        assert.equal(received.parse(octets, 0, octets.length), octets.length);
        const shown = seen(new ForwardedView().of(received, given.path, given.edits));
        const target = given.path === null ? {} : { target: given.path + given.query };
        const into = Buffer.alloc(4_096);
        const length = rewriteRequestHead(received, octets, { ...(given.edits ?? noEdits), ...target }, into, 0);
        assert.ok(length > 0);
        assert.equal(sent.parse(into, 0, length), length);
        assert.deepEqual(shown, seen(sent));
      }),
    );
  });

  it('is what an HTTP/2 endpoint reads', () => {
    fc.assert(
      fc.property(request, (given) => {
        const names = [':method', ':scheme', ':path', ':authority', ...given.fields.map(([key]) => key)];
        const values = ['GET', 'http', `/a/../old${given.query}`, 'Web:80', ...given.fields.map(([, text]) => text)];
        const facts = new RequestFacts(table.intern(names, values, null));
        const shown = seen(new ForwardedView().of(facts, given.path, given.edits));
        const list = forwardedRequest(facts, given.path, given.edits, table);
        assert.ok(list !== null);
        assert.deepEqual(shown, seen(new RequestFacts(list)));
      }),
    );
  });

  it('has no field that Connection takes away from the endpoint', () => {
    const received = new RequestHead();
    const sent = new RequestHead();
    const lines = 'Host: a\r\nConnection: x-a, keep-alive\r\nX-A: one\r\nx-b: two\r\n';
    const octets = Buffer.from(`GET / HTTP/1.1\r\n${lines}\r\n`, 'latin1');
    assert.equal(received.parse(octets, 0, octets.length), octets.length);
    const into = Buffer.alloc(4_096);
    for (const edits of [null, { set: [], add: [{ name: 'x-a', value: 'ours' }], remove: [] }]) {
      const length = rewriteRequestHead(received, octets, edits, into, 0);
      assert.equal(sent.parse(into, 0, length), length);
      assert.deepEqual(seen(new ForwardedView().of(received, null, edits)), seen(sent));
    }
    assert.deepEqual([received.header('x-a'), received.headerValues('x-a')], [undefined, []]);
  });

  const hops: [lines: string, shown: Record<string, string>][] = [
    ['Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nHTTP2-Settings: AAM\r\n', {}],
    ['TE: trailers\r\n', {}],
    ['TE: gzip\r\nConnection: TE\r\n', {}],
    ['TE: gzip, trailers\r\nConnection: TE\r\n', { te: 'trailers' }],
    ['Upgrade: websocket\r\n', {}],
    ['Upgrade: h2c\r\nConnection: Upgrade\r\n', {}],
    ['Upgrade: websocket\r\nConnection: Upgrade, keep-alive\r\n', { upgrade: 'websocket', connection: 'upgrade' }],
    [
      'Upgrade: websocket\r\nTE: trailers\r\nConnection: upgrade, TE\r\n',
      { upgrade: 'websocket', connection: 'upgrade' },
    ],
    ['Connection: close\r\n', {}],
  ];
  for (const [lines, shown] of hops) {
    it(`${JSON.stringify(lines)} shows what is forwarded of it: ${JSON.stringify(shown)}`, () => {
      const octets = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`, 'latin1');
      const received = new RequestHead();
      assert.equal(received.parse(octets, 0, octets.length), octets.length);
      const headers = lines
        .split('\r\n')
        .filter((line) => line !== '')
        .map((line) => ({ name: line.slice(0, line.indexOf(':')), value: line.slice(line.indexOf(':') + 2) }));
      const plain = plainRequest({ method: 'GET', target: '/', host: 'a', headers, claims: null }, 'BASE');
      assert.ok(plain.ok);
      const into = Buffer.alloc(4_096);
      const sent = into.toString('latin1', 0, rewriteRequestHead(received, octets, null, into, 0)).toLowerCase();
      for (const name of ['te', 'upgrade', 'keep-alive', 'proxy-connection', 'http2-settings', 'connection']) {
        const wanted = shown[name];
        assert.equal(received.header(name), wanted, name);
        assert.deepEqual(received.headerValues(name), wanted === undefined ? [] : [wanted]);
        // A plain request does not say that it is HTTP/1.1.
        if (name !== 'te' || lines.includes('Connection'))
          assert.equal(plain.request.header(name), wanted, `plain ${name}`);
        if (wanted !== undefined) assert.ok(sent.includes(`\r\n${name}: ${wanted}\r\n`), sent);
        else if (name !== 'connection') assert.ok(!sent.includes(`\r\n${name}:`), sent);
      }
    });
  }

  it('has all cookies in one, whoever added them and whichever version of HTTP carries them', () => {
    const edits: HeaderEdits = { set: [], add: [{ name: 'cookie', value: 'b=2' }], remove: [] };
    const lines = 'GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n\r\n';
    const head = new RequestHead();
    assert.equal(head.parse(Buffer.from(lines, 'latin1'), 0, lines.length), lines.length);
    const facts = new RequestFacts(
      table.intern([':method', ':scheme', ':path', ':authority', 'cookie'], ['GET', 'http', '/', 'a', 'a=1'], null),
    );
    for (const came of [head, facts]) {
      const view = new ForwardedView().of(came, null, edits);
      assert.deepEqual([view.header('cookie'), view.headerValues('cookie')], ['a=1; b=2', ['a=1; b=2']]);
    }
    const cookies = ['a=1', 'b=2'].map((text) => ({ name: 'Cookie', value: text }));
    const plain = plainRequest({ method: 'GET', target: '/', host: 'a', headers: cookies, claims: null }, 'BASE');
    assert.deepEqual(plain.ok && plain.request.headerValues('cookie'), ['a=1; b=2']);
  });

  it('has the claims of the token that it came with', () => {
    const came = plainRequest({ method: 'GET', target: '/', host: 'a', headers: [], claims: { iss: 'i' } }, 'BASE');
    assert.ok(came.ok);
    const edited: HeaderEdits = { set: [{ name: 'x-a', value: '1' }], add: [], remove: [] };
    assert.deepEqual(new ForwardedView().of(came.request, '/new', edited).claims(), { iss: 'i' });
  });

  it('is not forwarded when its path is not in normal form', () => {
    const facts = new RequestFacts(
      table.intern([':method', ':scheme', ':path', ':authority'], ['GET', 'http', '/', 'a'], null),
    );
    for (const path of ['/a/../b', '/a b', '/a#b', 'b', '/a?b/../c', '/%zz', '']) {
      const list = forwardedRequest(facts, path, null, table);
      assert.equal(list, path === '/a?b/../c' ? list : null, path);
    }
  });
});
