/** `gateways` of a VirtualService or of one of its matches: whether the mesh itself is among them. */
import { type ObjectReader, quote } from '../object-reader.ts';

/** The reserved name of all pods of the mesh. */
const MESH = 'mesh';
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * True when `gateways` is absent or names `mesh`. Otherwise `what` (`the match`) is reported as without effect, unless `report` is
 * false because that was said of the whole object.
 */
export function concernsMesh(reader: ObjectReader, what: string, report = true): boolean {
  const items = reader.list('gateways');
  let mesh = items.length === 0;
  for (const item of items) {
    const text = reader.asText(item);
    if (text === null) continue;
    mesh ||= text === MESH;
    const slash = text.indexOf('/');
    const [namespace, name] = slash < 0 ? [null, text] : [text.slice(0, slash), text.slice(slash + 1)];
    const valid = NAME.test(name) && (namespace === null || namespace === '.' || NAMESPACE.test(namespace));
    if (valid) continue;
    const remedy = 'write mesh, the name of a Gateway, or namespace/name';
    reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
  }
  if (!mesh && report) {
    const reason = `does not name mesh, so ${what} has no effect: weir has no gateways yet`;
    const remedy = 'add mesh to hold for the pods of the mesh';
    reader.problems.warning('NO_EFFECT', reader.at('gateways'), reason, remedy, 'key');
  }
  return mesh;
}
