/** `headers` of a VirtualService (request and response; set, add, remove) → header modifiers. */
import { headerNameRefusal, isHeaderValue } from '../../../mesh/header-edits.ts';
import type { HeaderModifier, NameValue } from '../../../mesh/route-model.ts';
import type { FieldPath } from '../../finding.ts';
import { type ObjectReader, quote, type TextRule } from '../object-reader.ts';

/** A header name, or one of HTTP/2's pseudo headers, which is told apart later. */
const NAME: TextRule = {
  pattern: /^:?[-!#$%&'*+.^_`|~0-9A-Za-z]{1,256}$/,
  description: 'a header name (letters, digits and "-")',
};
/** Characters of a value, as for the Gateway API's kinds. */
const VALUE_LENGTH_MAX = 4_096;
/** Entries of one of the lists. */
const ELEMENTS_MAX = 128;

/** The modifiers that `headers` asks for; null when it is absent. */
export function readHeaders(owner: ObjectReader): HeaderModifier[] | null {
  const headers = owner.object('headers');
  if (headers === null) return null;
  const modifiers = (['request', 'response'] as const).flatMap((field) => {
    const operations = headers.object(field);
    return operations === null ? [] : [readOperations(operations, field)];
  });
  headers.finish();
  return modifiers.filter(({ set, add, remove }) => set.length + add.length + remove.length > 0);
}

/** The values that the modifiers give to Host; Istio allows one in all. */
export function hostEdits(modifiers: readonly HeaderModifier[]): readonly NameValue[] {
  return modifiers.flatMap(({ type, set }) =>
    type === 'requestHeaderModifier' ? set.filter((field) => field.name.toLowerCase() === 'host') : [],
  );
}

function readOperations(operations: ObjectReader, direction: 'request' | 'response'): HeaderModifier {
  const set = readEdits(operations, 'set', direction);
  const add = readEdits(operations, 'add', direction);
  const remove = operations.list('remove', ELEMENTS_MAX).flatMap((item) => {
    const name = operations.asText(item, NAME);
    if (name === null || !nameIsUsable(operations, item.path, name, false)) return [];
    return name;
  });
  operations.finish();
  const isHost = ({ name }: NameValue): boolean => name.toLowerCase() === 'host';
  return {
    type: direction === 'request' ? 'requestHeaderModifier' : 'responseHeaderModifier',
    // There is one Host, so adding it is setting it (as Istio does).
    set: [...set, ...add.filter(isHost)],
    add: add.filter((field) => !isHost(field)),
    remove,
  };
}

function readEdits(operations: ObjectReader, field: 'set' | 'add', direction: 'request' | 'response'): NameValue[] {
  const edits = operations.textMap(field, NAME);
  return Object.entries(edits).flatMap(([written, value]) => {
    const path = [...operations.at(field), written];
    const name = written === ':authority' ? 'host' : written;
    if (!nameIsUsable(operations, path, name, direction === 'request')) return [];
    const literal = literalValue(operations, path, value);
    return literal === null ? [] : [{ name, value: literal }];
  });
}

function nameIsUsable(operations: ObjectReader, path: FieldPath, name: string, hostAllowed: boolean): boolean {
  const isHost = name.toLowerCase() === 'host' || name === ':authority';
  const refusal =
    isHost && !hostAllowed
      ? 'Host is set by a request header or rewrite.authority only: leave it out'
      : headerNameRefusal(name);
  if (refusal === null) return true;
  const [reason, remedy] = refusal.split(': ');
  operations.problems.error(
    'INVALID_VALUE',
    path,
    `${quote(name)}: ${reason ?? refusal}`,
    remedy ?? 'write another name',
  );
  return false;
}

/** The value with Envoy's `%%` undone; its variables (`%DOWNSTREAM_REMOTE_ADDRESS%`) are nothing that weir can fill in. */
function literalValue(operations: ObjectReader, path: FieldPath, value: string): string | null {
  const { problems } = operations;
  const single = value.replaceAll('%%', '');
  if (single.includes('%')) {
    const remedy = 'write a fixed value; a literal % is written %%';
    problems.error('UNSUPPORTED', path, `${quote(value)} has a variable of Envoy's, which weir does not know`, remedy);
    return null;
  }
  const literal = value.replaceAll('%%', '%');
  if (isHeaderValue(literal) && literal.length <= VALUE_LENGTH_MAX) return literal;
  const remedy = `no line breaks, control characters or outer spaces, at most ${VALUE_LENGTH_MAX} characters`;
  problems.error('INVALID_VALUE', path, `${quote(value)} is not a header value`, remedy);
  return null;
}
