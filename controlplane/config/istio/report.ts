/** Findings that come up when an object is linked: warnings, because it was valid in itself. */
import { type FieldPath, type Finding, type FindingCode, formatFieldPath } from '../../finding.ts';
import { type ObjectOrigin, objectKey } from '../objects.ts';

/** The object a finding is about. */
export interface Reported {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly origin: ObjectOrigin;
}

/** Adds a warning about a field of an object. */
export type Report = (object: Reported, path: FieldPath, code: FindingCode, reason: string, remedy: string) => void;

/** A Report that collects into `found`; what was said once is not said again (a delegate may have several roots). */
export function reporting(found: Finding[]): Report {
  const said = new Set<string>();
  return (object, path, code, reason, remedy) => {
    const key = objectKey(object.kind, object.namespace, object.name);
    const field = formatFieldPath(path);
    const text = JSON.stringify([key, field, code, reason]);
    if (said.has(text)) return;
    said.add(text);
    found.push({
      severity: 'warning',
      code,
      ...object.origin.locate(path, 'value'),
      object: key,
      field,
      reason,
      remedy,
    });
  };
}
