/** Findings that come up while an object is linked: warnings, because the object itself is valid and others may change. */
import { type FieldPath, type Finding, formatFieldPath } from '../../finding.ts';
import { type ObjectOrigin, objectKey } from '../objects.ts';

/** Notes a warning about the field at `path`. */
export type Report = (path: FieldPath, code: Finding['code'], reason: string, remedy: string) => void;

/** A Report about `object` that collects into `into`. */
export function reporter(
  object: { readonly kind: string; readonly namespace: string; readonly name: string; readonly origin: ObjectOrigin },
  into: Finding[],
): Report {
  const key = objectKey(object.kind, object.namespace, object.name);
  return (path, code, reason, remedy) => {
    const position = object.origin.locate(path, 'value');
    into.push({ severity: 'warning', code, ...position, object: key, field: formatFieldPath(path), reason, remedy });
  };
}
