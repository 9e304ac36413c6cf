import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normalisePath, type PathNormalization } from '../../../mesh/path.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import { policy, policyRule, request, workload } from './resources.ts';

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

  it('is idempotent whatever octets come, and what a stronger mode yields no weaker one changes', () => {
    const octets = fc
      .array(
        fc.oneof(
          fc.constantFrom('/', '.', '\\', '%', '2', 'e', 'F', '5c', '%2f'),
          fc.string({ maxLength: 2, unit: 'binary' }),
        ),
        {
          maxLength: 14,
        },
      )
      .map((pieces) => `/${pieces.join('')}`);
    let accepted = 0;
    fc.assert(
      fc.property(octets, (raw) => {
        for (const [i, mode] of MODES.entries()) {
          const once = normalisePath(raw, mode);
          if (!once.ok) continue;
          accepted++;
          for (const weaker of MODES.slice(0, i + 1)) assert.deepEqual(normalisePath(once.path, weaker), once, weaker);
        }
      }),
      { numRuns: 5000 },
    );
    assert.ok(accepted > 2000, `only ${accepted} paths were accepted`);
  });

  it('refuses the same paths in every mode, whatever they become', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const refusals = MODES.map((mode) => normalisePath(`/${text}`, mode)).map((one) =>
          one.ok ? null : one.reason,
        );
        assert.equal(new Set(refusals).size, 1, refusals.join(', '));
      }),
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

describe('policy on normalised paths', () => {
  const index = new PolicyIndex();
  index.add(policy({ name: 'd', action: 'DENY', rules: [policyRule({ to: [{ paths: ['/admin', '/admin/*'] }] })] }));
  const bound = index
    .for(workload({ uid: 'web' }))
    .forPort(80)
    .bind({
      identity: null,
      sourceIp: '10.0.0.1',
      remoteIp: '10.0.0.1',
      serverName: '',
      destinationIp: '10.0.0.2',
      destinationPort: 80,
    });
  // raw, the modes in which it is /admin or below
  const rows: [string, PathNormalization[]][] = [
    ['/admin', MODES],
    ['/%61dmin', ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']],
    ['/x/../admin', ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']],
    ['/x\\..\\admin\\y', ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']],
    ['//admin', ['MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']],
    ['/x/..//admin//', ['MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']],
    ['/%2fadmin', ['DECODE_AND_MERGE_SLASHES']],
    ['/admin%2Fusers', ['DECODE_AND_MERGE_SLASHES']],
    ['/x%5C..%5cadmin', ['DECODE_AND_MERGE_SLASHES']],
    ['/administrator', []],
    ['/%2561dmin', []],
  ];
  for (const [raw, denied] of rows) {
    it(`${raw} is denied in ${denied.join(', ') || 'no mode'}`, () => {
      const seen = MODES.filter((mode) => {
        const normal = normalisePath(raw, mode);
        assert.ok(normal.ok);
        return !bound.request(request({ path: normal.path })).allowed;
      });
      assert.deepEqual(seen, denied);
    });
  }
});
