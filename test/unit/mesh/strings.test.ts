import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compilePathTemplate, isPathTemplate, templateMatches } from '../../../mesh/path-template.ts';
import { queryParameterEquals } from '../../../mesh/query.ts';
import { StringSet } from '../../../mesh/string-match.ts';

describe('StringSet', () => {
  const rows: [string[], string, boolean][] = [
    [['abc'], 'abc', true],
    [['abc'], 'abcd', false],
    [['abc'], 'ABC', false],
    [['abc*'], 'abc', true],
    [['abc*'], 'abcd', true],
    [['abc*'], 'ab', false],
    [['*abc'], 'abc', true],
    [['*abc'], 'xabc', true],
    [['*abc'], 'abcx', false],
    [['*'], 'x', true],
    [['*'], '', false],
    [['abc'], '', false],
    [['x', 'y*', '*z'], 'qz', true],
    [['*a*'], 'bab', false], // a suffix "a*", as Istio reads it
    [['*a*'], 'xa*', true],
    [['a*b'], 'axb', false],
    [['a*b'], 'a*b', true],
  ];
  for (const [values, value, expected] of rows) {
    it(`${values.join(', ')} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(value)}`, () => {
      assert.equal(StringSet.of(values)?.matches(value), expected);
    });
  }

  const globs: [string, string, boolean][] = [
    ['team-*-prod', 'team-a-prod', true],
    ['team-*-prod', 'team--prod', true],
    ['team-*-prod', 'team-prod', false],
    ['*a*', 'bab', true],
    ['*a*', 'bbb', false],
    ['a*a', 'a', false],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['*', 'x', true],
    ['*', '', false],
    ['**', 'x', true],
    ['**', '', false],
  ];
  for (const [value, text, expected] of globs) {
    it(`as a namespace, ${value} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () => {
      assert.equal(StringSet.ofGlobs([value])?.matches(text), expected);
    });
  }

  it('an absent field is no set', () => {
    assert.equal(StringSet.of([]), null);
    assert.equal(StringSet.ofGlobs([]), null);
  });

  it('does not depend on order, nor on how many values there are', () => {
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 20 }),
        fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 }),
        (values, text) => {
          const all = StringSet.of(values)?.matches(text);
          assert.equal(StringSet.of([...values].reverse())?.matches(text), all);
          assert.equal(
            values.some((one) => StringSet.of([one])?.matches(text)),
            all,
          );
        },
      ),
    );
  });
});

describe('path templates', () => {
  const rows: [string, string, boolean][] = [
    ['/foo/{*}', '/foo/bar', true],
    ['/foo/{*}', '/foo/bar/baz', false],
    ['/foo/{*}', '/foo/', false],
    ['/foo/{*}', '/foo', false],
    ['/{*}/foo', '/a/foo', true],
    ['/{*}/foo/', '/a/foo', false],
    ['/foo/{**}', '/foo/', true],
    ['/foo/{**}', '/foo/a/b', true],
    ['/foo/{**}', '/foo', false],
    ['/foo/{**}', '/foobar', false],
    ['/foo/{**}/', '/foo/bar/', true],
    ['/foo/{**}/', '/foo//', true],
    ['/foo/{**}/', '/foo/bar', false],
    ['/foo/{**}/', '/foo/', false],
    ['/foo/{**}/bar', '/foo/a/b/bar', true],
    ['/foo/{**}/bar', '/foo/bar', false],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar/', true],
    ['/foo/{*}/bar/{**}', '/foo/buzz/bar/baz', true],
    ['/foo/{*}/bar/{**}', '/foo/buzz/x/bar/baz', false],
    ['/{*}/{*}', '/a/b', true],
    ['/{*}/{*}', '/a/b/', false],
    ['/{**}', '/', true],
    ['/{**}', '*', false],
  ];
  for (const [template, path, expected] of rows) {
    it(`${template} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
      const compiled = compilePathTemplate(template);
      assert.notEqual(typeof compiled, 'string', JSON.stringify(compiled));
      assert.equal(typeof compiled !== 'string' && templateMatches(compiled, path), expected);
    });
  }

  for (const template of [
    '/*/baz/{*}',
    '/**/baz/{*}',
    '/{**}/foo/{*}',
    '/foo/{*}.txt',
    '/foo/x{*}',
    '/foo/{**}buzz/bar',
    '/{*}/foo/{}/bar',
    '/{*}/{name}',
    '/{name=*}/{*}',
    '/{*}{*}',
    '{*}',
    '/{*}}',
    '/{**}{**}',
    '/{*}*',
  ]) {
    it(`refuses ${template}`, () => {
      assert.ok(isPathTemplate(template));
      assert.equal(typeof compilePathTemplate(template), 'string');
    });
  }

  it('agrees with a regular expression for any template and path', () => {
    const segment = fc.constantFrom('a', 'b', '{*}', '');
    const template = fc.tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '/{**}', '/{**}/a', '/{**}/'));
    const path = fc
      .array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 6 })
      .map((segments) => `/${segments.join('/')}`);
    fc.assert(
      fc.property(template, path, ([segments, end], tried) => {
        const text = segments.map((piece) => `/${piece}`).join('') + end;
        if (!isPathTemplate(text)) return;
        const compiled = compilePathTemplate(text);
        assert.ok(typeof compiled !== 'string', JSON.stringify(compiled));
        const expected = new RegExp(`^${text.replaceAll('{**}', '.{0,}').replaceAll('{*}', '[^/]+')}$`).test(tried);
        assert.equal(templateMatches(compiled, tried), expected, `${text} ${tried}`);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('queryParameterEquals', () => {
  const rows: [string, string, string, boolean][] = [
    ['a=1', 'a', '1', true],
    ['a=1&b=2', 'b', '2', true],
    ['a=1&b=2', 'a', '2', false],
    ['aa=1', 'a', '1', false],
    ['b=a=1', 'a', '1', false],
    ['a=1&a=2', 'a', '2', false], // the first counts
    ['A=1', 'a', '1', false],
    ['a', 'a', '', true],
    ['a=', 'a', '', true],
    ['', 'a', '', false],
    ['&&a=1&', 'a', '1', true],
    ['a=x%20y', 'a', 'x y', true],
    ['a=x+y', 'a', 'x y', true],
    ['a=x+y', 'a', 'x+y', true],
    ['%61=1', 'a', '1', true],
    ['a=%zz', 'a', '%zz', true],
    ['a=%C3%BC', 'a', 'ü', true],
    ['a=%C3', 'a', 'Ã', false],
    ['a=b=c', 'a', 'b=c', true],
  ];
  for (const [query, name, value, expected] of rows) {
    it(`?${query} ${expected ? 'has' : 'has not'} ${name}=${value}`, () => {
      assert.equal(queryParameterEquals(query, name, value), expected);
    });
  }

  it('agrees with URLSearchParams on any well-formed query', () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', '+', '%20', '%3D', '='), maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 4 }),
        fc.constantFrom('a', 'b', 'a b', ''),
        fc.constantFrom('a', 'b', ' ', '=', ''),
        (pieces, name, value) => {
          const query = pieces.join('&');
          const first = new URLSearchParams(query).get(name);
          if (name === '' || first === null) return;
          assert.equal(queryParameterEquals(query, name, value), first === value, query);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
