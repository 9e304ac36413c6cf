/** What all objects of Istio's networking kinds begin with, and fields that several of them share. */
import type { FieldPath } from '../../finding.ts';
import { type ObjectMeta, readMetadata } from '../metadata.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME, PORT_NAME } from '../names.ts';
import { isMapping, type ListItem, type ObjectReader, quote } from '../object-reader.ts';
import { parseDuration } from './duration.ts';
import { parsePercent } from './percent.ts';

/** metadata and spec of an object; null (and problems) when one of them is missing or unusable. */
export function readHead(object: ObjectReader): { readonly meta: ObjectMeta; readonly spec: ObjectReader } | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status', 'metadata', 'spec']);
  for (const field of ['metadata', 'spec']) if (!object.has(field)) object.missing(field);
  return meta === null || spec === null ? null : { meta, spec };
}

/**
 * `exportTo` as namespaces: [`*`] when it is absent (Istio's default), `.` made the object's own. `~` (nobody, ServiceEntry only)
 * gives the empty list.
 */
export function readExportTo(spec: ObjectReader, namespace: string, nobodyAllowed = false): string[] {
  const found: string[] = [];
  const items = spec.list('exportTo');
  for (const item of items) {
    const text = spec.asText(item);
    if (text === null) continue;
    const name = text === '.' ? namespace : text;
    if (name !== '*' && !(name === '~' && nobodyAllowed) && !LABEL_NAME.pattern.test(name)) {
      const remedy = `write "*", "." or the name of a namespace`;
      spec.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
    } else if (found.includes(name)) {
      spec.problems.error('INVALID_VALUE', item.path, `${quote(text)} names ${name} a second time`, 'remove it');
    } else found.push(name);
  }
  for (const lone of ['*', '~']) {
    if (!found.includes(lone) || found.length === 1) continue;
    const meaning = lone === '*' ? 'everybody' : 'nobody';
    const reason = `says ${quote(lone)} (${meaning}) beside namespaces`;
    spec.problems.error('INVALID_VALUE', spec.at('exportTo'), reason, `keep ${quote(lone)} or the namespaces`);
  }
  if (items.length === 0) return ['*'];
  return found.filter((name) => name !== '~');
}

/** `workloadSelector` under one of its two spellings (`labels`, `matchLabels`); null: absent, or without labels. */
export function readWorkloadSelector(
  spec: ObjectReader,
  field: 'labels' | 'matchLabels',
): Readonly<Record<string, string>> | null {
  const reader = spec.object('workloadSelector');
  if (reader === null) return null;
  const labels = reader.textMap(field, LABEL_KEY, LABEL_VALUE);
  reader.finish();
  if (Object.keys(labels).length > 0) return labels;
  const remedy = `add ${field}, or remove workloadSelector`;
  spec.problems.warning(
    'NO_EFFECT',
    spec.at('workloadSelector'),
    'has no labels, so it selects every pod',
    remedy,
    'key',
  );
  return null;
}

/** Keys of a map with free keys (headers, query parameters). */
const MAP_KEYS_MAX = 128;

/** A map with free keys whose values are mappings, in the order of its keys; empty when it is absent or wrong. */
export function readEntries(
  reader: ObjectReader,
  field: string,
): { readonly key: string; readonly value: ObjectReader }[] {
  const raw = reader.take(field);
  if (raw === undefined || reader.over(raw, reader.at(field)) === null || !isMapping(raw)) return [];
  const keys = Object.keys(raw).sort();
  if (keys.length > MAP_KEYS_MAX) {
    const remedy = `at most ${MAP_KEYS_MAX} are allowed`;
    reader.problems.error('INVALID_VALUE', reader.at(field), `has ${keys.length} keys`, remedy);
    return [];
  }
  return keys.flatMap((key) => {
    const path = [...reader.at(field), key];
    if (raw[key] === null) {
      reader.problems.error('MISSING_FIELD', path, 'has no value', 'write {} where presence is enough', 'key');
      return [];
    }
    const value = reader.over(raw[key], path);
    return value === null ? [] : [{ key, value }];
  });
}

/** A map of port names to port numbers, in the order of its keys. */
export function readPortMap(reader: ObjectReader, field: string): Record<string, number> {
  const raw = reader.take(field);
  const ports: Record<string, number> = {};
  if (raw === undefined || reader.over(raw, reader.at(field)) === null || !isMapping(raw)) return ports;
  for (const key of Object.keys(raw).sort()) {
    const path = [...reader.at(field), key];
    const number = reader.asInteger({ value: raw[key], path }, 1, 65_535);
    if (!PORT_NAME.pattern.test(key)) {
      const remedy = `a port name must be ${PORT_NAME.description}`;
      reader.problems.error('INVALID_VALUE', path, `has the key ${quote(key)}`, remedy, 'key');
    } else if (number !== null) ports[key] = number;
  }
  return ports;
}

/** What a duration may be where it stands. */
export interface DurationRange {
  /** Smallest value, ms; Istio's own bound is 1. */
  readonly minMs: number;
}

/** A duration field in milliseconds; null when it is absent or wrong. */
export function readDuration(reader: ObjectReader, field: string, range: DurationRange = { minMs: 1 }): number | null {
  const text = reader.text(field);
  if (text === null) return null;
  const parsed = parseDuration(text);
  if (!parsed.ok)
    reader.problems.error('INVALID_VALUE', reader.at(field), `${quote(text)} ${parsed.reason}`, parsed.remedy);
  else if (parsed.ms >= range.minMs) return parsed.ms;
  else {
    const remedy = `write ${range.minMs}ms or more, or remove ${field}`;
    reader.problems.error('INVALID_VALUE', reader.at(field), `is ${quote(text)}`, remedy);
  }
  return null;
}

/** `field: {value: 12.5}` in parts per million; null when it is absent or wrong. */
export function readPercentage(reader: ObjectReader, field: string): number | null {
  const percentage = reader.object(field);
  if (percentage === null) return null;
  // protobuf's default: an empty Percent is zero.
  const value = percentage.take('value') ?? 0;
  percentage.finish();
  return asPerMillion(reader, { value, path: percentage.at('value') });
}

/** A percentage in parts per million; null when it is wrong. */
export function asPerMillion(reader: ObjectReader, item: ListItem): number | null {
  const parsed = parsePercent(item.value);
  if (parsed.ok) return parsed.perMillion;
  reader.problems.error('INVALID_VALUE', item.path, parsed.reason, parsed.remedy);
  return null;
}

/** Reports a field that is accepted and carried, and whose runtime weir does not have yet; once, whatever stands below it. */
export function warnNotEnforced(reader: ObjectReader, field: string, path: FieldPath = reader.at(field)): void {
  const reason = `${field} is accepted, not yet enforced`;
  reader.problems.warning('NOT_ENFORCED', path, reason, 'do not rely on it yet', 'key');
}
