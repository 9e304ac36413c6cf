/** Fields of the security kinds that are lists of text: values, addresses, ports, service accounts. */
import { parseCidr } from '../../mesh/ip.ts';
import { OBJECT_NAME } from './names.ts';
import { type ListItem, type ObjectReader, quote } from './object-reader.ts';

/** The elements of a list that, when it is written at all, must have some. */
export function readFilledList(reader: ObjectReader, field: string): ListItem[] {
  const items = reader.list(field);
  const raw = reader.has(field) ? reader.take(field) : undefined;
  if (Array.isArray(raw) && raw.length === 0) {
    reader.problems.error('INVALID_VALUE', reader.at(field), 'is an empty list', 'add a value or remove it', 'key');
  }
  return items;
}

/** Values that say something. */
export function readTexts(reader: ObjectReader, field: string): string[] {
  return readFilledList(reader, field).flatMap((item) => {
    const text = reader.asText(item);
    if (text !== '') return text ?? [];
    reader.problems.error('INVALID_VALUE', item.path, 'is empty', 'write a value, or "*" for any');
    return [];
  });
}

/** Addresses and CIDR blocks. */
export function readBlocks(reader: ObjectReader, field: string): string[] {
  return checked(reader, field, (text) =>
    parseCidr(text) === null ? 'write an address or a block such as 10.1.0.0/16' : null,
  );
}

/** `account` means the policy's own namespace; `namespace/account` any (Istio 1.26). Answers `namespace/account`. */
export function readServiceAccounts(reader: ObjectReader, field: string, namespace: string): string[] {
  const accounts = checked(reader, field, (text) => {
    const parts = text.split('/');
    const isWrong = parts.length > 2 || parts.some((part) => !OBJECT_NAME.pattern.test(part));
    return isWrong ? 'write serviceAccount or namespace/serviceAccount, without "*"' : null;
  });
  return accounts.map((account) => (account.includes('/') ? account : `${namespace}/${account}`));
}

/** Istio's ports are text: `"80"`. */
export function readPortTexts(reader: ObjectReader, field: string): string[] {
  return checked(reader, field, (text) =>
    /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535 ? null : 'it must be a port from "1" to "65535"',
  );
}

/** Values for each of which `remedyFor` finds no remedy; the others are reported with it. */
function checked(reader: ObjectReader, field: string, remedyFor: (text: string) => string | null): string[] {
  const texts: string[] = [];
  for (const item of readFilledList(reader, field)) {
    const text = reader.asText(item);
    if (text === null) continue;
    const remedy = remedyFor(text);
    if (remedy === null) texts.push(text);
    else reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
  }
  return texts;
}
