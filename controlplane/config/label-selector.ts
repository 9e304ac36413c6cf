/** meta/v1 LabelSelector, with the rules of Kubernetes' own validation. */
import type { LabelSelector } from '../../mesh/policy-model.ts';
import { LABEL_KEY, LABEL_VALUE } from './names.ts';
import type { ObjectReader } from './object-reader.ts';

/** Expressions of one selector, and values of one expression: far more than people write. */
const ELEMENTS_MAX = 128;
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** Reads a selector; both lists empty select everything. */
export function readLabelSelector(reader: ObjectReader): LabelSelector {
  const matchLabels = reader.textMap('matchLabels', LABEL_KEY, LABEL_VALUE);
  const matchExpressions = reader.objects('matchExpressions', ELEMENTS_MAX).flatMap(readExpression);
  reader.finish();
  return { matchLabels, matchExpressions };
}

function readExpression(expression: ObjectReader): LabelSelector['matchExpressions'] {
  const key = expression.requiredText('key', LABEL_KEY);
  const operator = expression.choice('operator', OPERATORS);
  if (!expression.has('operator')) expression.missing('operator', `write one of ${OPERATORS.join(', ')}`);
  const items = expression.list('values', ELEMENTS_MAX);
  const values = items.flatMap((item) => expression.asText(item, LABEL_VALUE) ?? []);
  expression.finish();
  if (key === null || operator === null) return [];
  const wantsValues = operator === 'In' || operator === 'NotIn';
  if (wantsValues && items.length === 0) expression.missing('values', `add a value: ${operator} compares with them`);
  if (!wantsValues && items.length > 0) {
    const remedy = 'remove them, or write In or NotIn';
    expression.problems.error('INVALID_VALUE', expression.at('values'), `mean nothing with ${operator}`, remedy, 'key');
  }
  return [{ key, operator, values }];
}
