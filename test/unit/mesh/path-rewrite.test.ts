/** What rewrites and redirects make of a path: the tables of the Gateway API, Envoy's prefix_rewrite and RE2 substitution. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { allowExpressions } from '../../../mesh/expression-budget.ts';
import { normalisePath, type PathNormalization } from '../../../mesh/path.ts';
import { compileRewrite, rewrittenPath } from '../../../mesh/path-rewrite.ts';
import { redirectLocation } from '../../../mesh/redirect.ts';
import { regexRewriteRefusal } from '../../../mesh/regex-rewrite.ts';
import type { PathMatch, PathModifier, RequestRedirect } from '../../../mesh/route-model.ts';

function rewritten(
  path: PathModifier,
  matched: PathMatch | null,
  asked: string,
  mode: PathNormalization = 'BASE',
): string {
  const rewrite = compileRewrite([{ type: 'urlRewrite', hostname: null, path }], mode);
  assert.ok(rewrite);
  return rewrittenPath(rewrite, matched, asked);
}

const match = (type: PathMatch['type'], value: string): PathMatch => ({ type, value, ignoreCase: false });
const byRegex = (pattern: string, value: string): PathModifier => ({ type: 'regex', pattern, value });

describe('ReplacePrefixMatch (table of the Gateway API)', () => {
  const rows: [asked: string, prefix: string, replacement: string, expected: string][] = [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    // Beyond the table.
    ['/foo/bar', '/foo', '/', '/bar'],
    ['/foo/bar', '/', '/xyz', '/xyz/foo/bar'],
    ['/', '/', '/xyz', '/xyz/'],
    ['/foo//bar', '/foo', '/xyz', '/xyz//bar'],
  ];
  for (const [asked, prefix, replacement, expected] of rows) {
    it(`${asked}, of it ${prefix} by ${JSON.stringify(replacement)}: ${expected}`, () => {
      assert.equal(rewritten({ type: 'prefix', value: replacement }, match('prefix', prefix), asked), expected);
    });
  }

  it('a rule that asks for no path matches by the prefix /', () => {
    assert.equal(rewritten({ type: 'prefix', value: '/xyz' }, null, '/foo'), '/xyz/foo');
  });
});

describe('other modifiers', () => {
  const rows: [string, PathModifier, PathMatch | null, string, string][] = [
    ['the whole path', { type: 'full', value: '/one' }, match('prefix', '/full'), '/full/one/two', '/one'],
    ['a beginning', { type: 'stringPrefix', value: '/v2' }, match('stringPrefix', '/v1'), '/v1/x', '/v2/x'],
    [
      'a beginning within a segment',
      { type: 'stringPrefix', value: '/b' },
      match('stringPrefix', '/a'),
      '/abc',
      '/bbc',
    ],
    ['a beginning by /', { type: 'stringPrefix', value: '/' }, match('stringPrefix', '/api'), '/api/x', '//x'],
    ['a beginning by nothing', { type: 'stringPrefix', value: '' }, match('stringPrefix', '/api/'), '/api/x', '/x'],
    ['the whole path of an exact match', { type: 'stringPrefix', value: '/b' }, match('exact', '/a/b'), '/a/b', '/b'],
    ['the whole path of a regex', { type: 'stringPrefix', value: '/b' }, match('regex', '/a.*'), '/a/b', '/b'],
    ['non-ASCII text as its octets', { type: 'full', value: '/ü' }, null, '/', '/\xc3\xbc'],
    ['dots that the joint makes', { type: 'stringPrefix', value: '/a/.' }, match('stringPrefix', '/x'), '/x./b', '/b'],
  ];
  for (const [name, modifier, matched, asked, expected] of rows) {
    it(`${name}: ${asked} becomes ${expected}`, () => {
      assert.equal(rewritten(modifier, matched, asked), expected);
    });
  }

  it('leave * and the target of CONNECT alone', () => {
    for (const asked of ['*', '']) assert.equal(rewritten({ type: 'full', value: '/x' }, null, asked), asked);
  });

  it('normalise with the mode of the mesh', () => {
    const modifier: PathModifier = { type: 'stringPrefix', value: '/' };
    const at = (mode: PathNormalization): string =>
      rewritten(modifier, match('stringPrefix', '/a'), '/a/./b%2Fc', mode);
    assert.equal(at('NONE'), '//./b%2Fc');
    assert.equal(at('BASE'), '//b%2Fc');
    assert.equal(at('MERGE_SLASHES'), '/b%2Fc');
    assert.equal(at('DECODE_AND_MERGE_SLASHES'), '/b/c');
  });
});

describe('rewriting by an expression (Envoy RegexMatchAndSubstitute)', () => {
  beforeEach(allowExpressions);

  const rows: [pattern: string, replacement: string, asked: string, expected: string][] = [
    ['^/service/([^/]+)(/.*)$', '\\2/instance/\\1', '/service/foo/v1/api', '/v1/api/instance/foo'],
    ['one', 'two', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
    ['^(.*?)one(.*)$', '\\1two\\2', '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/one/zzz'],
    ['(?i)/xxx/', '/yyy/', '/aaa/XxX/bbb', '/aaa/yyy/bbb'],
    ['nothing', 'x', '/a', '/a'],
    ['a*', 'x', '/baac', '/x/xbxcx'], // RE2: x/xbxcx, not another x where aa ends; a path begins with a slash
    ['a+', 'x', '/baac', '/bxc'],
    ['(a)|(b)', '[\\1\\2]', '/ab', '/[a][b]'],
    ['a', '\\0\\0', '/a', '/aa'],
    ['a', '$1', '/a', '/$1'],
    ['a', '$$', '/a', '/$$'],
    ['a', '\\\\', '/a', '//'],
    ['^/', '', '/a', '/a'],
    ['a', '?x=1#y', '/a', '/%3Fx=1%23y'],
    ['a', '\r\nHost: b', '/a', '/%0D%0AHost:%20b'],
    ['2', '', '/%2a', '/%2a'], // no path: left as it was
  ];
  for (const [pattern, replacement, asked, expected] of rows) {
    it(`${JSON.stringify(pattern)} → ${JSON.stringify(replacement)}: ${asked} becomes ${expected}`, () => {
      assert.equal(rewritten(byRegex(pattern, replacement), null, asked), expected);
    });
  }

  it('gives up on what has too many matches, or grows without end', () => {
    const path = `/${'a'.repeat(2_000)}`;
    assert.equal(rewritten(byRegex('a', 'bb'), null, path), path);
    assert.equal(rewritten(byRegex('a', 'b'.repeat(1_000)), null, `/${'a'.repeat(60)}`), `/${'a'.repeat(60)}`);
  });

  it('all matches together read so much and no more, though each may read to the end of the path', () => {
    const path = (rest: number): string => `/${'x'.repeat(60)}${'a'.repeat(rest)}`;
    assert.equal(rewritten(byRegex('x(.*y)?', 'q'), null, path(1_000)), path(1_000).replaceAll('x', 'q'));
    assert.equal(rewritten(byRegex('x(.*y)?', 'q'), null, path(40_000)), path(40_000));
    allowExpressions();
    const once = `/old/${'a'.repeat(32_000)}`;
    assert.equal(rewritten(byRegex('^/old', '/new'), null, once), once.replace('/old', '/new'));
  });

  const refused: [string, string, string][] = [
    ['(a)', '\\2', 'names the group \\2, but the expression has 1'],
    ['a', '\\1', 'names the group \\1, but the expression has 0'],
    ['a', '\\x', 'has a backslash that names no group'],
    ['a', 'b\\', 'has a backslash that names no group'],
    ['a', '%zz', 'has a % that is no escape of a path'],
    ['a', '%00', 'has a % that is no escape of a path'],
    ['a', '\0', 'has a % that is no escape of a path'],
  ];
  for (const [pattern, replacement, expected] of refused) {
    it(`${JSON.stringify(replacement)} for ${pattern} ${expected}`, () => {
      assert.equal(regexRewriteRefusal(pattern, replacement), expected);
    });
  }

  it('an expression that does not compile changes nothing', () => {
    assert.match(String(regexRewriteRefusal('(', 'x')), /not an RE2 expression/);
    assert.equal(rewritten(byRegex('(', 'x'), null, '/a'), '/a');
  });
});

const anyModifier: fc.Arbitrary<PathModifier> = fc.oneof(
  fc.record({
    type: fc.constantFrom('full' as const, 'prefix' as const, 'stringPrefix' as const),
    value: fc.string({ unit: 'binary', maxLength: 12 }),
  }),
  fc.record({
    type: fc.constant('regex' as const),
    pattern: fc.constantFrom('a', '/', '.', '', '(.)(.)', '[^/]*', '%', '^/?'),
    value: fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }), fc.constantFrom('\\1', '\\2\\1', '?', '\n', 'Ċ')),
  }),
);
const anyMatch = fc.option(
  fc.record({
    type: fc.constantFrom('exact' as const, 'prefix' as const, 'stringPrefix' as const, 'regex' as const),
    value: fc.stringMatching(/^\/[a/.%]{0,4}$/),
    ignoreCase: fc.boolean(),
  }),
  { nil: null },
);
const anyMode = fc.constantFrom<PathNormalization>('NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES');

describe('any rewrite', () => {
  it('leads to a path in normal form, in octets, that ends no line and begins no query', () => {
    let changed = 0;
    fc.assert(
      fc.property(
        anyModifier,
        anyMatch,
        fc.stringMatching(/^\/[-a-c/.%2fF]{0,12}$/),
        anyMode,
        (modifier, matched, raw, mode) => {
          const asked = normalisePath(raw, mode);
          if (!asked.ok) return;
          const path = rewritten(modifier, matched, asked.path, mode);
          if (path !== asked.path) changed++;
          assert.deepEqual(normalisePath(path, mode), { ok: true, path });
          assert.ok(path.startsWith('/'));
          // oxlint-disable-next-line no-control-regex -- what must not be there
          assert.doesNotMatch(path, /[?#\u0000-\u0020\u007f]|[^\u0000-\u00ff]/);
        },
      ),
      { numRuns: 5_000 },
    );
    assert.ok(changed > 1_000, `only ${changed} paths changed: the property proves little`);
  });
});

describe('redirectLocation', () => {
  const facts = { path: '/old/x', query: '', host: 'echo', port: 80, matched: match('prefix', '/old') };
  const redirect = (fields: Partial<RequestRedirect>): RequestRedirect => ({
    type: 'requestRedirect',
    scheme: null,
    hostname: null,
    port: 'request',
    path: null,
    statusCode: 302,
    ...fields,
  });
  const rows: [string, Partial<RequestRedirect>, Partial<typeof facts>, string][] = [
    ['nothing but the request', {}, {}, 'http://echo/old/x'],
    ['the dialled port', {}, { port: 8080 }, 'http://echo:8080/old/x'],
    ['no port where it is that of the scheme', { scheme: 'http', port: 'scheme' }, { port: 8080 }, 'http://echo/old/x'],
    ['https', { scheme: 'https', port: 'scheme' }, {}, 'https://echo/old/x'],
    ['https at the dialled port', { scheme: 'https' }, { port: 443 }, 'https://echo/old/x'],
    ['https at a dialled port of http', { scheme: 'https' }, {}, 'https://echo:80/old/x'],
    ['a hostname', { hostname: 'example.org' }, {}, 'http://example.org/old/x'],
    ['a port', { port: 8083 }, {}, 'http://echo:8083/old/x'],
    ['a port and a hostname', { port: 8083, hostname: 'example.org' }, {}, 'http://example.org:8083/old/x'],
    ['80 is not written with http', { port: 80 }, { port: 8080 }, 'http://echo/old/x'],
    ['443 is not written with https', { scheme: 'https', port: 443 }, {}, 'https://echo/old/x'],
    ['443 is written with http', { port: 443 }, {}, 'http://echo:443/old/x'],
    ['a port within the hostname', { hostname: 'a.test:9' }, { port: 8080 }, 'http://a.test:9/old/x'],
    ['a port beside one within the hostname', { hostname: 'a.test:9', port: 7 }, {}, 'http://a.test:7/old/x'],
    ['an IPv6 host', { port: 8080 }, { host: '[fd00::1]' }, 'http://[fd00::1]:8080/old/x'],
    ['an IPv6 hostname with a port', { hostname: '[fd00::1]:9' }, {}, 'http://[fd00::1]:9/old/x'],
    ['a prefix', { path: { type: 'prefix', value: '/new' } }, {}, 'http://echo/new/x'],
    ['the whole path', { path: { type: 'full', value: '/new' } }, {}, 'http://echo/new'],
    ['the query stays', { path: { type: 'full', value: '/new' } }, { query: 'a=b&c' }, 'http://echo/new?a=b&c'],
    ['OPTIONS *', { hostname: 'a.test' }, { path: '*' }, 'http://a.test/'],
  ];
  for (const [name, fields, asked, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      const filter = redirect(fields);
      assert.equal(redirectLocation(filter, { ...facts, ...asked }), expected);
      assert.equal(redirectLocation(filter, { ...facts, ...asked }), expected);
    });
  }
});
