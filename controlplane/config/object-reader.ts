/**
 * Reading an object of the Kubernetes API out of untyped data. A reader takes fields by name, records everything that is
 * wrong with its exact place, and reports the fields nobody asked for. It never stops at the first problem.
 */
import type { FieldPath, FindingCode } from '../finding.ts';
import { limits } from '../limits.ts';
import { closestWord } from './did-you-mean.ts';

export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly code: FindingCode;
  readonly path: FieldPath;
  readonly at: 'key' | 'value';
  readonly reason: string;
  readonly remedy: string;
}

/** Collects what is wrong with one object. */
export class Problems {
  readonly found: Problem[] = [];

  get refused(): boolean {
    return this.found.some((problem) => problem.severity === 'error');
  }

  error(code: FindingCode, path: FieldPath, reason: string, remedy: string, at: 'key' | 'value' = 'value'): void {
    this.found.push({ severity: 'error', code, path, at, reason, remedy });
  }

  warning(code: FindingCode, path: FieldPath, reason: string, remedy: string, at: 'key' | 'value' = 'value'): void {
    this.found.push({ severity: 'warning', code, path, at, reason, remedy });
  }
}

/** What text must look like, and how to say so. */
export interface TextRule {
  readonly pattern: RegExp;
  /** Completes "must be …". */
  readonly description: string;
}

/** One element of a list with its path. */
export interface ListItem {
  readonly value: unknown;
  readonly path: FieldPath;
}

export interface ReaderOptions {
  /** What an explicit null means: the field is absent (Kubernetes), or an error where a slip of indentation would be costly. */
  readonly nullIs: 'absent' | 'error';
  /** An unknown field refuses the object (where ignoring it would change what the object permits) or is only reported. */
  readonly unknownField: 'error' | 'warning';
}

type Mapping = Readonly<Record<string, unknown>>;

/** A mapping at a place in an object. */
export class ObjectReader {
  readonly path: FieldPath;
  readonly problems: Problems;
  readonly #value: Mapping;
  readonly #options: ReaderOptions;
  readonly #taken = new Set<string>();

  constructor(value: Mapping, path: FieldPath, problems: Problems, options: ReaderOptions) {
    this.#value = value;
    this.path = path;
    this.problems = problems;
    this.#options = options;
  }

  /** A reader over a value, or null and a problem when the value is no mapping. */
  over(value: unknown, path: FieldPath): ObjectReader | null {
    if (isMapping(value)) return new ObjectReader(value, path, this.problems, this.#options);
    this.problems.error('WRONG_TYPE', path, `is ${typeName(value)}, not a mapping`, 'indent its fields below it');
    return null;
  }

  at(name: string): FieldPath {
    return [...this.path, name];
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#value, name) && this.#value[name] !== null;
  }

  get isEmpty(): boolean {
    return Object.keys(this.#value).length === 0;
  }

  /** The raw value of a field; undefined when it is absent. */
  take(name: string): unknown {
    this.#taken.add(name);
    if (!Object.hasOwn(this.#value, name)) return undefined;
    const value = this.#value[name];
    if (value !== null) return value;
    // Tools write `creationTimestamp: null` and the like; below spec a null is a slip of indentation.
    if (this.#options.nullIs === 'error' && this.path[0] !== 'metadata') {
      this.problems.error('MISSING_FIELD', this.at(name), 'has no value', 'give it a value or remove the line', 'key');
    }
    return undefined;
  }

  /** Text, or null when it is absent or wrong. */
  text(name: string, rule?: TextRule): string | null {
    const value = this.take(name);
    return value === undefined ? null : this.asText({ value, path: this.at(name) }, rule);
  }

  requiredText(name: string, rule?: TextRule): string | null {
    if (!this.has(name)) {
      this.take(name);
      this.missing(name);
      return null;
    }
    return this.text(name, rule);
  }

  asText(item: ListItem, rule?: TextRule): string | null {
    const { value, path } = item;
    if (typeof value !== 'string') {
      const plain = typeof value === 'number' || typeof value === 'boolean';
      const remedy = plain ? `put it in quotes: "${String(value)}"` : 'write text';
      this.problems.error('WRONG_TYPE', path, `is ${typeName(value)}, not text`, remedy);
    } else if (rule !== undefined && !rule.pattern.test(value)) {
      this.problems.error('INVALID_VALUE', path, `is ${quote(value)}`, `it must be ${rule.description}`);
    } else return value;
    return null;
  }

  /** One of `values`, or null when it is absent or wrong. */
  choice<T extends string>(name: string, values: readonly T[]): T | null {
    const text = this.text(name);
    const found = values.find((value) => value === text);
    if (text === null || found !== undefined) return found ?? null;
    const close = closestWord(text, values);
    const remedy = close === null ? `write one of ${values.join(', ')}` : `did you mean ${close}?`;
    this.problems.error('INVALID_VALUE', this.at(name), `is ${quote(text)}`, remedy);
    return null;
  }

  integer(name: string, min: number, max: number): number | null {
    const value = this.take(name);
    return value === undefined ? null : this.asInteger({ value, path: this.at(name) }, min, max);
  }

  asInteger({ value, path }: ListItem, min: number, max: number): number | null {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    const numeric = typeof value === 'string' && /^-?\d+$/.test(value);
    const remedy = numeric ? `remove the quotes: ${value}` : `write an integer from ${min} to ${max}`;
    const reason = typeof value === 'number' ? `is ${value}` : `is ${typeName(value)}, not an integer`;
    this.problems.error(typeof value === 'number' ? 'INVALID_VALUE' : 'WRONG_TYPE', path, reason, remedy);
    return null;
  }

  flag(name: string): boolean | null {
    const value = this.take(name);
    if (value === undefined || typeof value === 'boolean') return value ?? null;
    this.problems.error('WRONG_TYPE', this.at(name), `is ${typeName(value)}, not a boolean`, 'write true or false');
    return null;
  }

  /** A nested mapping, or null when it is absent or wrong. */
  object(name: string): ObjectReader | null {
    const value = this.take(name);
    return value === undefined ? null : this.over(value, this.at(name));
  }

  /** The elements of a list; empty when it is absent or wrong. */
  list(name: string, lengthMax: number = limits.listLengthMax): ListItem[] {
    const value = this.take(name);
    if (value === undefined) return [];
    const path = this.at(name);
    if (!Array.isArray(value)) {
      const remedy = 'start each of its elements with "- "';
      this.problems.error('WRONG_TYPE', path, `is ${typeName(value)}, not a list`, remedy);
      return [];
    }
    if (value.length > lengthMax) {
      this.problems.error('INVALID_VALUE', path, `has ${value.length} elements`, `at most ${lengthMax} are allowed`);
      return [];
    }
    return value.map((item: unknown, index) => ({ value: item, path: [...path, index] }));
  }

  /** The mappings of a list. */
  objects(name: string, lengthMax: number = limits.listLengthMax): ObjectReader[] {
    return this.list(name, lengthMax).flatMap((item) => this.over(item.value, item.path) ?? []);
  }

  texts(name: string, rule?: TextRule): string[] {
    return this.list(name).flatMap((item) => this.asText(item, rule) ?? []);
  }

  /** A mapping of text to text, in the order of its keys; empty when it is absent or wrong. */
  textMap(name: string, keyRule: TextRule, valueRule?: TextRule): Record<string, string> {
    const map = this.object(name);
    const result: Record<string, string> = {};
    if (map === null) return result;
    const keys = Object.keys(map.#value).sort();
    if (keys.length > limits.mapEntriesMax) {
      const remedy = `at most ${limits.mapEntriesMax} are allowed`;
      this.problems.error('INVALID_VALUE', map.path, `has ${keys.length} entries`, remedy);
      return result;
    }
    for (const key of keys) {
      const path = map.at(key);
      if (!keyRule.pattern.test(key)) {
        const remedy = `a key must be ${keyRule.description}`;
        this.problems.error('INVALID_VALUE', path, `has the key ${quote(key)}`, remedy, 'key');
        continue;
      }
      const value = map.#value[key];
      // Kubernetes reads a null label as the empty string.
      const text = value === null ? '' : this.asText({ value, path }, valueRule);
      if (text !== null) result[key] = text;
    }
    return result;
  }

  missing(name: string, remedy = `add ${name}`): void {
    this.problems.error('MISSING_FIELD', this.at(name), 'is missing', remedy, 'key');
  }

  /** A field that exists in the API and that weir cannot honour yet: the object is refused rather than half applied. */
  unsupported(name: string, what = name): void {
    if (!Object.hasOwn(this.#value, name)) return;
    this.#taken.add(name);
    const reason = `${what} is not supported by weir yet`;
    this.problems.error('UNSUPPORTED', this.at(name), reason, 'remove it; until then the object is not applied', 'key');
  }

  /** A field that exists in the API and whose absence only loses a refinement. */
  notEnforced(name: string): void {
    if (!this.has(name)) return;
    this.#taken.add(name);
    this.problems.warning(
      'NOT_ENFORCED',
      this.at(name),
      `${name} is accepted but not enforced yet`,
      'do not rely on it',
      'key',
    );
  }

  /** Reports every field that was not taken and is not in `ignored` (fields of the API that mean nothing to weir). */
  finish(ignored: readonly string[] = []): void {
    for (const name of Object.keys(this.#value)) {
      if (this.#taken.has(name) || ignored.includes(name)) continue;
      const known = [...this.#taken, ...ignored];
      const close = closestWord(name, known);
      const remedy =
        close === null ? `remove it; known here: ${known.slice(0, 12).join(', ')}` : `did you mean ${close}?`;
      const report = this.#options.unknownField === 'error' ? 'error' : 'warning';
      this.problems[report]('UNKNOWN_FIELD', this.at(name), `unknown field ${quote(name)}`, remedy, 'key');
    }
  }
}

/** True for what YAML calls a mapping. */
export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as it is shown in a message: quoted, short, without control characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

function typeName(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `the text ${quote(value)}`;
  return `the ${typeof value} ${JSON.stringify(value)}`;
}
