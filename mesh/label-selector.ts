/** Kubernetes LabelSelector (apimachinery labels.Requirement.Matches). */
import type { LabelSelector } from './policy-model.ts';
import { labelsMatch } from './scope-index.ts';

/** True when all labels and all expressions hold. NotIn and DoesNotExist hold where the label is absent. */
export function selectorMatches(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  if (!labelsMatch(selector.matchLabels, labels)) return false;
  for (const { key, operator, values } of selector.matchExpressions) {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        if (value === undefined || !values.includes(value)) return false;
        break;
      case 'NotIn':
        if (value !== undefined && values.includes(value)) return false;
        break;
      case 'Exists':
        if (value === undefined) return false;
        break;
      case 'DoesNotExist':
        if (value !== undefined) return false;
        break;
    }
  }
  return true;
}
