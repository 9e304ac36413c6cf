import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expandVariables } from '../../../sandbox/expansion.ts';
import { splitShellWords } from '../../../sandbox/shell-words.ts';

test('shell words: quotes and backslashes as in POSIX sh, no expansion', () => {
  const table: [string, string[]][] = [
    ['node server.js --port 80', ['node', 'server.js', '--port', '80']],
    ['  sh -c \'echo "a b" $HOME\'  ', ['sh', '-c', 'echo "a b" $HOME']],
    ['a"b c"d', ['ab cd']],
    ['"a\\"b" "c\\d"', ['a"b', 'c\\d']],
    ['a\\ b', ['a b']],
    ['\'\' ""', ['', '']],
    ['', []],
  ];
  for (const [line, words] of table) assert.deepEqual(splitShellWords(line), words, line);
});

test('shell words: an unclosed quote and a trailing backslash are refused', () => {
  for (const line of ["a 'b", 'a "b', 'a\\']) assert.throws(() => splitShellWords(line), RangeError, line);
});

test('shell words: any words, single-quoted, come back', () => {
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => assert.deepEqual(splitShellWords(words.map(quote).join(' ')), words)),
  );
});

/** Cases of k8s.io/kubernetes third_party/forked/golang/expansion/expand_test.go. */
test('$(NAME) expands as the kubelet does it', () => {
  const known = new Map([
    ['VAR_A', 'A'],
    ['VAR_B', 'B'],
    ['VAR_C', 'C'],
    ['VAR_REF', '$(VAR_A)'],
    ['VAR_EMPTY', ''],
  ]);
  const table: [string, string][] = [
    ['$(VAR_A)', 'A'],
    ['___$(VAR_B)___', '___B___'],
    ['___$(VAR_C)', '___C'],
    ['$(VAR_A)-1', 'A-1'],
    ['___$(VAR_REF)', '___$(VAR_A)'],
    ['$(VAR_EMPTY)-x', '-x'],
    ['$$(VAR_A)_$(VAR_B)', '$(VAR_A)_B'],
    ['$$(VAR_A)_$$$(VAR_B)', '$(VAR_A)_$B'],
    ['f000-$$VAR_A', 'f000-$VAR_A'],
    ['foo\\$(VAR_C)bar', 'foo\\Cbar'],
    ['foo\\\\$(VAR_C)bar', 'foo\\\\Cbar'],
    ['$(VAR_A$(VAR_B)', '$(VAR_A$(VAR_B)'],
    ['$(VAR_A$(VAR_B)_$(VAR_A)', '$(VAR_A$(VAR_B)_A'],
    ['$VAR_A', '$VAR_A'],
    ['$(VAR_DNE)', '$(VAR_DNE)'],
    ['$$$$$$(BIG_MONEY)', '$$$(BIG_MONEY)'],
    ['$$$$$$(VAR_A)', '$$$(VAR_A)'],
    ['$VAR_A)', '$VAR_A)'],
    ['$(VAR_A', '$(VAR_A'],
    ['$()', '$()'],
    ['$$$$', '$$'],
    ['$', '$'],
    ['foo$', 'foo$'],
    ['', ''],
  ];
  for (const [input, expected] of table) assert.equal(expandVariables(input, known), expected, input);
});
