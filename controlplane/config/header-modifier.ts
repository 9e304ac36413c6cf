/** Gateway API HTTPHeaderFilter: RequestHeaderModifier and ResponseHeaderModifier. */
import { headerNameRefusal, isHeaderValue } from '../../mesh/header-edits.ts';
import type { HeaderModifier, NameValue } from '../../mesh/route-model.ts';
import { HEADER_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import { ELEMENTS_MAX } from './route-references.ts';

/** Characters of a header value: what the Gateway API's schema allows. */
const VALUE_LENGTH_MAX = 4_096;

/** Reads `set`, `add` and `remove`. */
export function readHeaderModifier(modifier: ObjectReader, type: HeaderModifier['type']): HeaderModifier {
  const set = readEdits(modifier, 'set');
  const add = readEdits(modifier, 'add');
  const removed = new Set<string>();
  const remove = modifier.list('remove', ELEMENTS_MAX).flatMap((item) => {
    const name = modifier.asText(item, HEADER_NAME);
    const refusal = name === null ? null : headerNameRefusal(name);
    if (refusal !== null) refuseHeader(modifier, item.path, name ?? '', refusal);
    if (name === null || removed.has(name.toLowerCase())) return [];
    removed.add(name.toLowerCase());
    return name;
  });
  modifier.finish();
  return { type, set, add, remove };
}

function readEdits(modifier: ObjectReader, field: 'set' | 'add'): NameValue[] {
  const found = new Map<string, NameValue>();
  for (const reader of modifier.objects(field, ELEMENTS_MAX)) {
    const name = reader.requiredText('name', HEADER_NAME);
    const value = reader.requiredText('value');
    reader.finish();
    if (name === null || value === null) continue;
    const refusal = headerNameRefusal(name);
    if (refusal !== null) refuseHeader(modifier, reader.at('name'), name, refusal);
    if (!isHeaderValue(value) || value.length > VALUE_LENGTH_MAX) {
      const remedy = `no line breaks, control characters or outer spaces, at most ${VALUE_LENGTH_MAX} characters`;
      reader.problems.error('INVALID_VALUE', reader.at('value'), `${quote(value)} is not a header value`, remedy);
    }
    const first = found.get(name.toLowerCase());
    if (first === undefined) found.set(name.toLowerCase(), { name, value });
    else refuseRepeated(reader, name, first.name);
  }
  return [...found.values()];
}

/** The API server refuses a list with one name twice; spelt differently the first entry counts (Gateway API HTTPHeader). */
function refuseRepeated(reader: ObjectReader, name: string, first: string): void {
  const reason = `${quote(name)} stands here twice`;
  if (name === first) reader.problems.error('INVALID_VALUE', reader.at('name'), reason, 'keep one of the two');
  else reader.problems.warning('NO_EFFECT', reader.at('name'), reason, 'remove it; the first entry counts');
}

function refuseHeader(modifier: ObjectReader, path: ObjectReader['path'], name: string, refusal: string): void {
  const [reason, remedy] = refusal.split(': ');
  const shown = `${quote(name)}: ${reason ?? refusal}`;
  modifier.problems.error('INVALID_VALUE', path, shown, remedy ?? 'write another name');
}
