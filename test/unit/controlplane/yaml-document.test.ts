import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closestWord } from '../../../controlplane/config/did-you-mean.ts';
import { formatFieldPath } from '../../../controlplane/finding.ts';
import { parseYaml } from '../../../controlplane/sources/yaml-document.ts';

function documents(text: string) {
  const parsed = parseYaml(text, 'f.yaml');
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.documents;
}

function refusal(text: string): { code: string; line: number; reason: string } {
  const parsed = parseYaml(text, 'f.yaml');
  assert.ok(!parsed.ok, text.slice(0, 80));
  const { code, position, reason } = parsed.problem;
  return { code, line: position.line, reason };
}

test('every document of a file is read; empty ones are not objects', () => {
  assert.deepEqual(
    documents('a: 1\n---\n---\n# only a comment\n---\nb: [x, {c: true}]\n...\n').map(({ value }) => value),
    [{ a: 1 }, { b: ['x', { c: true }] }],
  );
  assert.deepEqual(documents(''), []);
});

test('a field is found at its key and at its value, through lists, flow style, aliases, and where it is missing', () => {
  const text = 'a:\n  b:\n    - c: 1\n    -\n      d: 2\n  e: {f: 3,\n   g: 4}\nh: &x\n  i: 5\nj: *x\nk:\nl: |\n  m\n';
  const [document] = documents(text);
  const rows: readonly [(string | number)[], 'key' | 'value', number][] = [
    [[], 'value', 1],
    [['a', 'b', 0, 'c'], 'value', 3],
    [['a', 'b', 1], 'value', 5],
    [['a', 'b', 1, 'd'], 'key', 5],
    [['a', 'e', 'g'], 'key', 7],
    [['a', 'e'], 'key', 6],
    [['j', 'i'], 'value', 9],
    [['k'], 'value', 11],
    [['k', 'deeper'], 'value', 11],
    [['l'], 'key', 12],
    [['a', 'missing'], 'key', 2],
    [['a', 'b', 7], 'value', 3],
  ];
  for (const [path, at, line] of rows) {
    assert.deepEqual(document?.locate(path, at), { file: 'f.yaml', line }, formatFieldPath(path));
  }
});

test('a first line `# source:` moves every position to where a person wrote it', () => {
  const [document] = documents('# source: apps/web.yaml:41\na: 1\nb: 2\n');
  assert.deepEqual(document?.locate(['b'], 'value'), { file: 'apps/web.yaml', line: 42 });
  const broken = parseYaml('# source: C:\\x y.yaml:10\na: 1\nb: [\n', 'f.yaml');
  assert.deepEqual(!broken.ok && broken.problem.position.file, 'C:\\x y.yaml');
  const [later] = documents('a: 1\n# source: other.yaml:7\nb: 2\n');
  assert.deepEqual(later?.locate(['b'], 'value'), { file: 'f.yaml', line: 3 });
});

test('what is not YAML, or more than YAML for Kubernetes may be, is refused with its line', () => {
  const rows: readonly [string, string, number, RegExp][] = [
    ['a: 1\nb: [1,\nc: 2', 'YAML_SYNTAX', 3, /./],
    ['a: 1\n  b: 2', 'YAML_SYNTAX', 1, /./],
    ['a: "x', 'YAML_SYNTAX', 1, /./],
    ['a: 1\n\tb: 2', 'YAML_SYNTAX', 2, /./],
    ['a: 1\nb: 2\na: 3', 'YAML_SYNTAX', 3, /"a" stands here twice/],
    ['x: {y: 1, y: 2}', 'YAML_SYNTAX', 1, /"y" stands here twice/],
    ['a: 1\n---\nb: *none', 'YAML_SYNTAX', 3, /none/],
    ['__proto__: {a: 1}', 'YAML_SYNTAX', 1, /plain string/],
    ['? [a]\n: 1', 'YAML_SYNTAX', 1, /./],
    ['a: !!binary aGk=', 'YAML_SYNTAX', 1, /type Kubernetes does not have|tag/],
    ['a: &a [*a]', 'YAML_TOO_COMPLEX', 1, /contains itself/],
    [`a: ${'['.repeat(65)}${']'.repeat(65)}`, 'YAML_TOO_COMPLEX', 1, /64 levels deep/],
    ['['.repeat(100_000), 'YAML_TOO_COMPLEX', 1, /64 levels deep/],
    ['- '.repeat(100_000), 'YAML_TOO_COMPLEX', 1, /64 levels deep/],
    ['{a: '.repeat(50_000), 'YAML_TOO_COMPLEX', 1, /64 levels deep/],
    [`a: &a 1\n${'- *a\n'.repeat(3)}`, 'YAML_SYNTAX', 2, /./],
    [`a: &a 1\nb:\n${'- *a\n'.repeat(1_001)}`, 'YAML_TOO_COMPLEX', 1_003, /1000 aliases/],
  ];
  for (const [text, code, line, reason] of rows) {
    const found = refusal(text);
    assert.deepEqual([found.code, found.line], [code, line], `${text.slice(0, 60)}: ${found.reason}`);
    assert.match(found.reason, reason, text.slice(0, 60));
  }
});

test('an alias bomb costs no more than its bound', () => {
  const levels = Array.from(
    { length: 30 },
    (_, level) => `l${level}: &l${level} [${`*l${level - 1},`.repeat(level === 0 ? 0 : 9)}x]`,
  );
  assert.match(refusal(levels.join('\n')).reason, /values|aliases|levels/);
});

test('the closest word: one or two slips, never something else', () => {
  const known = ['rules', 'action', 'selector', 'targetRefs', 'to', 'from'];
  const rows: readonly [string, string | null][] = [
    ['rule', 'rules'],
    ['Rules', 'rules'],
    ['acton', 'action'],
    ['aciton', 'action'],
    ['tagretRefs', 'targetRefs'],
    ['form', 'from'],
    ['t', 'to'],
    ['xy', null],
    ['banana', null],
    ['x'.repeat(10_000), null],
  ];
  for (const [word, expected] of rows) assert.equal(closestWord(word, known), expected, word.slice(0, 20));
});

test('field paths read like in the documentation', () => {
  assert.equal(formatFieldPath(['spec', 'rules', 0, 'to', 1]), 'spec.rules[0].to[1]');
  assert.equal(formatFieldPath(['metadata', 'labels', 'a.b/c']), 'metadata.labels["a.b/c"]');
  assert.equal(formatFieldPath([]), '');
});
