import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normalisePath, type PathNormalization } from '../../../mesh/path.ts';

const MODES: PathNormalization[] = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'];

describe('normalisePath', () => {
  // raw, NONE, BASE, MERGE_SLASHES, DECODE_AND_MERGE_SLASHES
  const rows: [string, string, string, string, string][] = [
    ['/', '/', '/', '/', '/'],
    ['*', '*', '*', '*', '*'],
    ['', '/', '/', '/', '/'],
    ['/a/b', '/a/b', '/a/b', '/a/b', '/a/b'],
    ['/a/', '/a/', '/a/', '/a/', '/a/'],
    ['/a/../b', '/a/../b', '/b', '/b', '/b'],
    ['/a/./b', '/a/./b', '/a/b', '/a/b', '/a/b'],
    ['/a/..', '/a/..', '/', '/', '/'],
    ['/a/b/..', '/a/b/..', '/a/', '/a/', '/a/'],
    ['/a/.', '/a/.', '/a/', '/a/', '/a/'],
    ['/..', '/..', '/', '/', '/'],
    ['/../../admin', '/../../admin', '/admin', '/admin', '/admin'],
    ['/.a/..b/c.', '/.a/..b/c.', '/.a/..b/c.', '/.a/..b/c.', '/.a/..b/c.'],
    ['/...', '/...', '/...', '/...', '/...'],
    ['/a\\b', '/a\\b', '/a/b', '/a/b', '/a/b'],
    ['/a\\..\\b', '/a\\..\\b', '/b', '/b', '/b'],
    ['/a/%2e%2e/b', '/a/%2e%2e/b', '/b', '/b', '/b'],
    ['/a/%2E./b', '/a/%2E./b', '/b', '/b', '/b'],
    ['/%61dmin', '/%61dmin', '/admin', '/admin', '/admin'],
    ['/a%7Eb%5f', '/a%7Eb%5f', '/a~b_', '/a~b_', '/a~b_'],
    ['/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a', '/%252e%252e/a'],
    ['/a%2fb', '/a%2fb', '/a%2fb', '/a%2fb', '/a/b'],
    ['/a%2F..%5Cb', '/a%2F..%5Cb', '/a%2F..%5Cb', '/a%2F..%5Cb', '/b'],
    ['/a//b', '/a//b', '/a//b', '/a/b', '/a/b'],
    ['//a', '//a', '//a', '/a', '/a'],
    ['/a///', '/a///', '/a///', '/a/', '/a/'],
    ['/a//../b', '/a//../b', '/a/b', '/a/b', '/a/b'], // dot segments go before slashes are merged, as in Envoy
    ['/a/%2f/b', '/a/%2f/b', '/a/%2f/b', '/a/%2f/b', '/a/b'],
    ['/ü%C3%BC', '/ü%C3%BC', '/ü%C3%BC', '/ü%C3%BC', '/ü%C3%BC'],
    ['/a%20b%0d%0a', '/a%20b%0d%0a', '/a%20b%0d%0a', '/a%20b%0d%0a', '/a%20b%0d%0a'],
    ['/a;v=1/b', '/a;v=1/b', '/a;v=1/b', '/a;v=1/b', '/a;v=1/b'],
  ];
  for (const [raw, ...expected] of rows) {
    it(`${JSON.stringify(raw)} in every mode`, () => {
      const seen = MODES.map((mode) => normalisePath(raw, mode));
      assert.deepEqual(
        seen,
        expected.map((path) => ({ ok: true, path })),
      );
    });
  }

  const refused: [string, string][] = [
    ['/a%00b', 'PATH_NUL'],
    ['/a\0b', 'PATH_NUL'],
    ['/a#b', 'PATH_FRAGMENT'],
    ['/a?b', 'PATH_QUERY'],
    ['/a%', 'PATH_BAD_PERCENT'],
    ['/a%4', 'PATH_BAD_PERCENT'],
    ['/a%zz', 'PATH_BAD_PERCENT'],
    ['/a%%41', 'PATH_BAD_PERCENT'],
    ['/a%2', 'PATH_BAD_PERCENT'],
    ['/a b', 'PATH_CONTROL_CHARACTER'],
    ['/a\r\n', 'PATH_CONTROL_CHARACTER'],
    ['/a\x7f', 'PATH_CONTROL_CHARACTER'],
    ['a/b', 'PATH_NOT_ABSOLUTE'],
    ['%2Fa', 'PATH_NOT_ABSOLUTE'],
    ['**', 'PATH_NOT_ABSOLUTE'],
    ['http://a/b', 'PATH_NOT_ABSOLUTE'],
  ];
  for (const [raw, reason] of refused) {
    it(`refuses ${JSON.stringify(raw)} in every mode`, () => {
      for (const mode of MODES) assert.deepEqual(normalisePath(raw, mode), { ok: false, reason });
    });
  }

  const anyPath = fc
    .array(fc.constantFrom('/', '/', '.', '..', 'a', 'B', '\\', '%2e', '%2F', '%5c', '%41', '%25', '%C3', '~', '//'), {
      maxLength: 12,
    })
    .map((pieces) => `/${pieces.join('')}`);

  it('is idempotent, and what it yields has nothing left to normalise', () => {
    fc.assert(
      fc.property(anyPath, fc.constantFrom(...MODES), (raw, mode) => {
        const once = normalisePath(raw, mode);
        assert.ok(once.ok);
        assert.deepEqual(normalisePath(once.path, mode), once);
        if (mode === 'NONE') return;
        assert.ok(!once.path.includes('\\'));
        assert.ok(!once.path.split('/').some((segment) => segment === '.' || segment === '..'), once.path);
        assert.ok(!/%2e|%41/i.test(once.path), once.path);
        if (mode !== 'BASE') assert.ok(!once.path.includes('//'), once.path);
        if (mode === 'DECODE_AND_MERGE_SLASHES') assert.ok(!/%2f|%5c/i.test(once.path), once.path);
      }),
      { numRuns: 3000 },
    );
  });

  it('agrees with the URL parser of the platform on dot segments', () => {
    // Whole segments only: the parser of Node 20 leaves `..` after a segment such as `.b` in place.
    const segment = fc.constantFrom('', '.', '..', 'a', 'b', '%2e', '%2E.', 'a.b');
    const simple = fc
      .array(fc.tuple(fc.constantFrom('/', '\\'), segment), { minLength: 1, maxLength: 8 })
      .map((pieces) => pieces.flat().join(''));
    fc.assert(
      fc.property(simple, (raw) => {
        const normal = normalisePath(raw);
        assert.ok(normal.ok);
        assert.equal(normal.path, new URL(`http://h${raw}`).pathname.replaceAll(/%2e/gi, '.'));
      }),
      { numRuns: 3000 },
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...MODES), (raw, mode) => {
        const result = normalisePath(raw, mode);
        assert.ok(result.ok ? typeof result.path === 'string' : result.reason.startsWith('PATH_'));
      }),
    );
  });
});
