/**
 * Typed, checked reading of an object's fields: collects every problem with its field and line instead of stopping at the
 * first, and never trusts a type.
 */
import { describeObject, type FieldPath, type Fields, isFields, type Problem, type SourceObject } from './source.ts';

/** A mapping inside an object, with where it is. */
export class Reader {
  readonly path: FieldPath;
  readonly fields: Fields;
  readonly #object: SourceObject;
  readonly #problems: Problem[];

  constructor(object: SourceObject, problems: Problem[], path: FieldPath = [], fields: Fields = object.fields) {
    this.#object = object;
    this.#problems = problems;
    this.path = path;
    this.fields = fields;
  }

  /** Notes a problem with a field of this mapping ('' = the mapping itself). */
  refuse(key: string | FieldPath, reason: string, remedy: string): void {
    const path = [...this.path, ...(typeof key === 'string' ? (key === '' ? [] : [key]) : key)];
    this.#problems.push({
      file: this.#object.file,
      line: this.#object.lineOf(path),
      object: describeObject(this.#object),
      field: formatPath(path),
      reason,
      remedy,
    });
  }

  has(key: string): boolean {
    return this.fields[key] !== undefined && this.fields[key] !== null;
  }

  /** The string, or null when absent; a wrong type is noted. */
  string(key: string): string | null {
    const value = this.fields[key];
    if (value === undefined || value === null) return null;
    if (typeof value === 'string') return value;
    this.refuse(key, `must be a string, not ${describeValue(value)}`, quoteRemedy(value, `${key}: `));
    return null;
  }

  requiredString(key: string, remedy: string): string {
    if (!this.has(key)) this.refuse(key, 'missing', remedy);
    return this.string(key) ?? '';
  }

  /** The integer within the bounds, or `fallback` when absent or wrong (noted). */
  integer(key: string, fallback: number, min: number, max: number): number {
    const value = this.fields[key];
    if (value === undefined || value === null) return fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    this.refuse(key, `must be an integer from ${min} to ${max}, not ${describeValue(value)}`, '');
    return fallback;
  }

  boolean(key: string): boolean {
    const value = this.fields[key];
    if (typeof value === 'boolean') return value;
    if (value !== undefined && value !== null)
      this.refuse(key, `must be true or false, not ${describeValue(value)}`, '');
    return false;
  }

  strings(key: string): string[] | null {
    const list = this.#list(key);
    if (list === null) return null;
    return list.flatMap((item, index) => {
      if (typeof item === 'string') return [item];
      this.refuse([key, index], `must be a string, not ${describeValue(item)}`, quoteRemedy(item, ''));
      return [];
    });
  }

  /** Name to text, such as labels; a wrong value is noted. */
  map(key: string): Record<string, string> {
    const child = this.child(key);
    if (child === null) return {};
    const entries = Object.keys(child.fields).map((name) => [name, child.string(name) ?? ''] as const);
    return Object.fromEntries(entries);
  }

  child(key: string): Reader | null {
    const value = this.fields[key];
    if (value === undefined || value === null) return null;
    if (isFields(value)) return new Reader(this.#object, this.#problems, [...this.path, key], value);
    this.refuse(key, `must be a mapping, not ${describeValue(value)}`, '');
    return null;
  }

  children(key: string): Reader[] {
    return (this.#list(key) ?? []).flatMap((item, index) => {
      if (isFields(item)) return [new Reader(this.#object, this.#problems, [...this.path, key, index], item)];
      this.refuse([key, index], `must be a mapping, not ${describeValue(item)}`, '');
      return [];
    });
  }

  #list(key: string): readonly unknown[] | null {
    const value = this.fields[key];
    if (value === undefined || value === null) return null;
    if (Array.isArray(value)) return value as readonly unknown[];
    this.refuse(key, `must be a list, not ${describeValue(value)}`, '');
    return null;
  }
}

/** `spec.containers[0].image` */
export function formatPath(path: FieldPath): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('');
}

function quoteRemedy(value: unknown, prefix: string): string {
  return typeof value === 'number' || typeof value === 'boolean' ? `quote it: ${prefix}"${value}"` : '';
}

function describeValue(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return JSON.stringify(value);
}
