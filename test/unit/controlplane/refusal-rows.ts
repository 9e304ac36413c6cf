/** Tables of malformed objects: a valid document, a piece of it replaced, and where and how the controller says what is wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { translate } from './translate.ts';

/** The piece to replace (its first occurrence), what by, and where the error stands and what it says. */
export type RefusalRow = readonly [
  replace: string,
  by: string,
  line: number,
  field: string,
  reason: RegExp,
  remedy: RegExp,
];

/** One test per row, and one that the document as it stands is one resource. A refused object leaves no trace in the mesh. */
export function testRefusals(kind: string, document: string, rows: readonly RefusalRow[]): void {
  test(`a valid ${kind} has no error`, () => {
    assert.deepEqual(
      translate(document).findings.filter(({ severity }) => severity === 'error'),
      [],
    );
    assert.equal(translate(document).mesh.length, 1);
  });
  for (const [replace, by, line, field, reason, remedy] of rows) {
    test(`${kind}: ${JSON.stringify(by).slice(0, 90)} is refused at ${field}`, () => {
      assert.ok(document.includes(replace), `row is about ${replace}`);
      const translation = translate(document.replace(replace, by));
      const errors = translation.findings.filter(({ severity }) => severity === 'error');
      const finding = errors.find((each) => each.field === field && reason.test(each.reason)) ?? errors[0];
      assert.ok(finding !== undefined, 'no error at all');
      assert.equal(finding.field, field, JSON.stringify(errors));
      assert.equal(finding.line, line);
      assert.equal(finding.file, 'f.yaml');
      assert.match(finding.object, new RegExp(`^${kind} demo/`));
      assert.match(finding.reason, reason);
      assert.match(finding.remedy, remedy);
      assert.deepEqual(translation.mesh, []);
    });
  }
}
