/**
 * Reading decoded messages without trusting them: every reader returns a usable value and records the first thing that
 * is wrong, with the field it is wrong in. A decoder runs to its end and looks at `problem` once.
 */

/** What is wrong with a received resource: `field` is a path in proto field names, e.g. `rules[0].from[1].ip_blocks[0]`. */
export interface WireProblem {
  readonly field: string;
  readonly reason: string;
}

/** A message as protobufjs hands it out: fields by camelCase name, all of them unverified. */
export type WireMessage = Readonly<Record<string, unknown>>;

/** Entries of any list or map. A controller that sends more is refused rather than stored. */
const ENTRIES_MAX = 8_192;
/** UTF-16 units of any text; the longest legitimate ones are header values (Gateway API: 4,096). */
const TEXT_LENGTH_MAX = 8_192;

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export class WireCheck {
  problem: WireProblem | null = null;

  fail(field: string, reason: string): void {
    this.problem ??= { field, reason };
  }

  message(value: unknown, field: string): WireMessage {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as WireMessage;
    this.fail(field, 'is missing');
    return {};
  }

  text(value: unknown, field: string, pattern?: RegExp): string {
    if (typeof value !== 'string') this.fail(field, 'is not text');
    else if (value.length > TEXT_LENGTH_MAX) this.fail(field, `is longer than ${TEXT_LENGTH_MAX} characters`);
    else if (value.includes('\u0000') || value.includes('\ufffd')) this.fail(field, 'has NUL or malformed UTF-8');
    else if (pattern !== undefined && !pattern.test(value))
      this.fail(field, `${JSON.stringify(value)} is not allowed here`);
    else return value;
    return '';
  }

  /** A Kubernetes object name (RFC 1123 subdomain). */
  objectName(value: unknown, field: string): string {
    return this.text(value, field, DNS_SUBDOMAIN);
  }

  /** A Kubernetes namespace (RFC 1123 label). */
  namespace(value: unknown, field: string): string {
    return this.text(value, field, DNS_LABEL);
  }

  integer(value: unknown, field: string, min: number, max: number): number {
    // 64-bit fields arrive as Long objects, which Number() turns into the nearest double.
    const number = typeof value === 'object' && value !== null ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max) return number;
    this.fail(field, `${String(number)} is not an integer from ${min} to ${max}`);
    return min;
  }

  port(value: unknown, field: string): number {
    return this.integer(value, field, 1, 65_535);
  }

  flag(value: unknown, field: string): boolean {
    if (typeof value !== 'boolean') this.fail(field, 'is not a boolean');
    return value === true;
  }

  /** The name of an enum number; `names` holds only the numbers that mean something. */
  choice<T extends string>(value: unknown, field: string, names: Readonly<Record<number, T>>): T {
    const known = Object.values(names);
    const name = typeof value === 'number' && Object.hasOwn(names, value) ? names[value] : undefined;
    if (name === undefined) this.fail(field, `${String(value)} is unknown; known: ${known.join(', ')}`);
    return name ?? (known[0] as T);
  }

  list<T>(value: unknown, field: string, read: (item: unknown, field: string) => T): T[] {
    if (!Array.isArray(value)) {
      this.fail(field, 'is not a list');
      return [];
    }
    if (value.length > ENTRIES_MAX) {
      this.fail(field, `has more than ${ENTRIES_MAX} entries`);
      return [];
    }
    return value.map((item: unknown, index) => read(item, `${field}[${index}]`));
  }

  /** Map entries in the order of their keys, so that equal content is equal data. */
  map<T>(value: unknown, field: string, read: (item: unknown, field: string, key: string) => T): Record<string, T> {
    const entries = Object.entries(this.message(value, field));
    if (entries.length > ENTRIES_MAX) {
      this.fail(field, `has more than ${ENTRIES_MAX} entries`);
      return {};
    }
    const result: Record<string, T> = {};
    for (const [key, item] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
      this.text(key, field);
      if (key === '__proto__') this.fail(field, 'has the key __proto__');
      else result[key] = read(item, `${field}[${JSON.stringify(key)}]`, key);
    }
    return result;
  }
}

/** A plain record with its keys in order: equal content encodes to equal bytes. */
export function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
