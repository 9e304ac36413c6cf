/** The tables that policy is found by, against looking at every entry. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CidrSet, CidrTrie } from '../../../mesh/cidr-trie.ts';
import { parseConditionKey } from '../../../mesh/condition-key.ts';
import { type Cidr, cidrContains, formatCidr, type IpAddress, parseCidr, parseIp } from '../../../mesh/ip.ts';
import { compilePathTemplate, type PathTemplate, templateMatches } from '../../../mesh/path-template.ts';
import { RadixTree } from '../../../mesh/radix-tree.ts';
import { StringIndex } from '../../../mesh/string-index.ts';
import { isDecodable, octetText, StringSet } from '../../../mesh/string-match.ts';
import { TemplateTrie } from '../../../mesh/template-trie.ts';

const word = fc
  .array(fc.constantFrom('a', 'b', '/', 'ab', 'ba', '\ud83d\ude00', '\u0000'), { maxLength: 6 })
  .map((parts) => parts.join(''));
const words = fc.array(word, { maxLength: 12 });
const sorted = (values: readonly string[]): string[] => [...values].sort();

describe('RadixTree', () => {
  for (const from of ['start', 'end'] as const) {
    it(`finds exactly the entries that a text ${from === 'start' ? 'begins' : 'ends'} with, the shortest first`, () => {
      fc.assert(
        fc.property(words, word, words, (keys, text, gone) => {
          const tree = new RadixTree<string>(from);
          for (const key of [...keys, ...gone]) tree.entry(key, () => key);
          for (const key of gone) tree.delete(key);
          for (const key of keys) tree.entry(key, () => key);
          for (const key of gone) if (!keys.includes(key)) tree.delete(key);
          const found: string[] = [];
          tree.collect(text, found);
          const holds = (key: string): boolean => (from === 'start' ? text.startsWith(key) : text.endsWith(key));
          const expected = [...new Set(keys)].filter(holds).sort((a, b) => a.length - b.length);
          assert.deepEqual(found, expected);
        }),
        { numRuns: 3000 },
      );
    });
  }

  it('gives the value of an entry again, and makes one only once', () => {
    const tree = new RadixTree<{ key: string }>('start');
    const made = ['/api/', '/api/users', '/ap', '/api/', ''].map((key) => tree.entry(key, () => ({ key })));
    assert.equal(made[0], made[3]);
    assert.equal(
      tree.entry('/api/users', () => assert.fail('is there')),
      made[1],
    );
  });
});

describe('StringIndex', () => {
  const pattern = fc.oneof(
    word,
    word.map((text) => `${text}*`),
    word.map((text) => `*${text}`),
    fc.constant('*'),
  );
  const patternsOf = fc.array(pattern, { maxLength: 12 }).map((patterns) => patterns.filter((one) => one !== ''));
  it('finds the patterns that StringSet says match', () => {
    fc.assert(
      fc.property(patternsOf, word, patternsOf, (wanted, text, gone) => {
        const index = new StringIndex<string>();
        for (const one of [...wanted, ...gone]) index.entry(one, () => one);
        for (const one of gone) index.delete(one);
        for (const one of wanted) index.entry(one, () => one);
        const found: string[] = [];
        index.collect(text, found);
        assert.deepEqual(
          sorted(found),
          sorted([...new Set(wanted)].filter((one) => StringSet.of([one])?.matches(text))),
        );
      }),
      { numRuns: 3000 },
    );
  });
});

describe('TemplateTrie', () => {
  const segment = fc.constantFrom('a', 'b', '', '{*}', '{*}', 'ab');
  const template = fc
    .tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '/', '/{**}', '/{**}/a', '/{**}/a/b'))
    .map(([segments, tail]) => `${segments.map((one) => `/${one}`).join('')}${tail}`);
  const templates = fc.array(template, { maxLength: 12 });
  const path = fc
    .array(fc.constantFrom('a', 'b', '', 'ab', 'c'), { maxLength: 6 })
    .map((segments) => segments.map((one) => `/${one}`).join(''));

  it('finds every template that matches, and of those without {**} no other', () => {
    let matched = 0;
    fc.assert(
      fc.property(templates, fc.oneof(path, fc.constantFrom('', '*')), templates, (written, text, gone) => {
        const trie = new TemplateTrie<PathTemplate[]>();
        const compiled = [...written, ...gone].map(compilePathTemplate).filter((one) => typeof one !== 'string');
        for (const one of compiled) trie.entry(one, () => []);
        for (const one of compiled) trie.delete(one);
        const all: PathTemplate[] = [];
        for (const one of written) {
          const compiled = compilePathTemplate(one);
          if (typeof compiled === 'string' || compiled.operators.length === 0) continue;
          trie.entry(compiled, () => []).push(compiled);
          all.push(compiled);
        }
        const found: PathTemplate[][] = [];
        trie.collect(text, found);
        const candidates = new Set(found.flat());
        for (const one of all) {
          const matches = templateMatches(one, text);
          if (matches) matched++;
          if (matches || !one.operators.includes('{**}'))
            assert.equal(candidates.has(one), matches, JSON.stringify(one));
        }
      }),
      { numRuns: 5000 },
    );
    assert.ok(matched > 500, `only ${matched} matches were seen`);
  });
});

describe('CidrTrie', () => {
  const ip = fc.oneof(
    fc
      .tuple(fc.constantFrom(10, 11), fc.constantFrom(0, 1, 128, 255), fc.nat(3), fc.nat(255))
      .map((octets) => octets.join('.')),
    fc
      .tuple(fc.constantFrom('fd00', '2001:db8'), fc.nat(3), fc.nat(0xffff))
      .map(([head, a, b]) => `${head}:${a}::${b.toString(16)}`),
  );
  const block = fc.tuple(ip, fc.nat(128)).map(([address, bits]) => {
    const prefix = address.includes(':') ? bits : bits % 33;
    return parseCidr(`${address}/${prefix}`) as Cidr;
  });

  const blocksOf = fc.array(block, { maxLength: 20 });
  it('finds the blocks that contain an address, the widest first', () => {
    fc.assert(
      fc.property(blocksOf, ip, blocksOf, (blocks, text, gone) => {
        const address = parseIp(text) as IpAddress;
        const trie = new CidrTrie<string>();
        for (const one of [...blocks, ...gone]) trie.entry(one, () => formatCidr(one));
        for (const one of gone) trie.delete(one);
        for (const one of blocks) trie.entry(one, () => formatCidr(one));
        const found: string[] = [];
        trie.collect(address, found);
        const holding = blocks.filter((one) => cidrContains(one, address)).sort((a, b) => a.prefix - b.prefix);
        assert.deepEqual(found, [...new Set(holding.map(formatCidr))]);
        assert.equal(trie.contains(address), holding.length > 0);
        assert.equal(new CidrSet(blocks).contains(address), holding.length > 0);
        assert.equal(trie.isEmpty, blocks.length === 0);
        assert.deepEqual(sorted(trie.values()), sorted([...new Set(blocks.map(formatCidr))]));
      }),
      { numRuns: 3000 },
    );
  });

  it('knows the ends of the address space', () => {
    const whole = new CidrSet([parseCidr('0.0.0.0/0') as Cidr]);
    assert.equal(whole.contains(parseIp('255.255.255.255') as IpAddress), true);
    assert.equal(whole.contains(parseIp('::1') as IpAddress), false);
    const last = new CidrSet([parseCidr('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff') as Cidr]);
    assert.equal(last.contains(parseIp('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff') as IpAddress), true);
    assert.equal(last.contains(parseIp('ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe') as IpAddress), false);
  });
});

describe('octets', () => {
  it('octetText is the UTF-8 of a text, one character an octet', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(octetText(text), Buffer.from(text, 'utf8').toString('latin1'));
        assert.equal(isDecodable(octetText(text), false), true);
      }),
    );
  });

  const rows: [string, boolean, boolean][] = [
    ['/plain', true, true],
    ['/%C3%BC', true, true],
    ['/%FF', true, false],
    ['/%c0%ae', true, false],
    ['/%E2%82', true, false],
    ['\u00c3\u00bc', true, true],
    ['\u00fc', false, false],
    ['/%zz\u00c3\u00bc', true, true],
  ];
  for (const [text, asIs, withEscapes] of rows) {
    it(`${JSON.stringify(text)} is UTF-8: ${asIs}, with its escapes ${withEscapes}`, () => {
      assert.deepEqual([isDecodable(text, false), isDecodable(text, true)], [asIs, withEscapes]);
    });
  }
});

describe('parseConditionKey', () => {
  const rows: [string, object | null][] = [
    ['source.ip', { kind: 'source.ip' }],
    ['request.headers[X-Role]', { kind: 'request.headers', name: 'x-role' }],
    ['request.headers[:path]', { kind: 'request.headers', name: ':path' }],
    ['request.auth.claims[a]', { kind: 'request.auth.claims', path: ['a'] }],
    ['request.auth.claims[a][b.c]', { kind: 'request.auth.claims', path: ['a', 'b.c'] }],
    ['request.headers', null],
    ['request.headers[]', null],
    ['request.headers[a][b]', null],
    ['request.auth.claims', null],
    ['request.auth.claims[a]b', null],
    ['request.auth.claims[a[b]]', null],
    ['source.port', null],
    ['toString', null],
    ['', null],
  ];
  for (const [key, expected] of rows) {
    it(`${JSON.stringify(key)} is ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseConditionKey(key), expected);
    });
  }

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (key) => void parseConditionKey(key)));
    const near = fc.array(fc.constantFrom('request.auth.claims', 'request.headers', '[', ']', 'a', '.'), {
      maxLength: 8,
    });
    fc.assert(fc.property(near, (parts) => void parseConditionKey(parts.join(''))));
  });
});
