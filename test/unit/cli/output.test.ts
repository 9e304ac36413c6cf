import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError, EXIT, formatDocument, formatTable, parseOutputFormat } from '../../../cli/output.ts';

interface Row {
  readonly name: string;
  readonly count: number | null;
}

const COLUMNS = [
  { header: 'name', value: (row: Row) => row.name },
  { header: 'count', value: (row: Row) => row.count, align: 'right' as const },
  { header: 'last', value: () => 'x' },
];

test('a table has aligned columns, numbers to the right, - for nothing, no trailing spaces', () => {
  const rows = [
    { name: 'a', count: 5 },
    { name: 'longer', count: 12_345 },
    { name: '', count: null },
  ];
  assert.equal(
    formatTable(rows, COLUMNS),
    'NAME     COUNT   LAST\na            5   x\nlonger   12345   x\n-            -   x\n',
  );
  assert.equal(formatTable([], COLUMNS), 'NAME   COUNT   LAST\n');
});

test('control characters of foreign names never reach the terminal', () => {
  const text = formatTable([{ name: 'evil\u001b[31m\nname\u009b', count: 1 }], COLUMNS);
  assert.equal(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text), false);
  assert.equal(text.split('\n').length, 3);
});

test('JSON and YAML end in a newline and carry the same data', async () => {
  const document = [{ name: 'a', ips: ['::1'] }];
  assert.deepEqual(JSON.parse(await formatDocument(document, 'json')), document);
  assert.equal(await formatDocument(document, 'yaml'), '- name: a\n  ips:\n    - ::1\n');
});

test('an unknown format is wrong usage', () => {
  assert.equal(parseOutputFormat('yaml'), 'yaml');
  assert.throws(
    () => parseOutputFormat('xml'),
    (error) => error instanceof CliError && error.exitCode === EXIT.usage,
  );
});
