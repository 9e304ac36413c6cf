/**
 * The shapes that the validators of validate.ts are put together from. Every list, map and text is bounded here, so a resource
 * from outside costs no more than what it may hold.
 */

/** Answers null, or what is wrong with `value`, which stands in field `at`. Never throws. */
export type Check = (value: unknown, at: string) => string | null;
export type Json = Readonly<Record<string, unknown>>;

/** Entries of any list or map. Whoever sends more is refused rather than stored. */
const ENTRIES_MAX = 8_192;
/** UTF-16 units of any text; the longest legitimate ones are header values (Gateway API: 4,096). */
const TEXT_LENGTH_MAX = 8_192;

/** True for objects and lists. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

/** A value as it is shown in a message: short, quoted when it is text. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 76 ? `${value.slice(0, 73)}...` : value);
  if (isObject(value)) return 'an object';
  const shown = String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

/** `field: value wanted`, as all messages are worded. */
export function fault(at: string, value: unknown, wanted: string): string {
  return `${at === '' ? 'resource' : at}: ${show(value)} ${wanted}`;
}

/** Any text of at most `lengthMax` UTF-16 units: no NUL, nothing that malformed UTF-8 or UTF-16 leaves behind. */
export function textUpTo(lengthMax: number): Check {
  return (value, at) => {
    if (typeof value !== 'string') return fault(at, value, 'must be a string');
    if (value.length > lengthMax) return `${at}: is longer than ${lengthMax} characters: shorten it`;
    return /[\0\ufffd]|\p{Surrogate}/u.test(value)
      ? fault(at, value, 'has NUL or malformed characters: remove them')
      : null;
  };
}

export const anyText = textUpTo(TEXT_LENGTH_MAX);

/** A text that says something. */
export const text: Check = (value, at) =>
  value === '' ? fault(at, value, 'must be a non-empty string') : anyText(value, at);

export const flag: Check = (value, at) =>
  typeof value === 'boolean' ? null : fault(at, value, 'must be true or false');

export function integer(min: number, max: number): Check {
  return (value, at) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? null
      : fault(at, value, `must be a whole number from ${min} to ${max}`);
}

export function oneOf(...values: readonly string[]): Check {
  return (value, at) =>
    typeof value === 'string' && values.includes(value)
      ? null
      : fault(at, value, `must be one of ${values.join(', ')}`);
}

/** A text of that form; `wanted` completes the sentence that begins with the value. */
export function written(pattern: RegExp, wanted: string): Check {
  return (value, at) =>
    typeof value === 'string' && value.length <= TEXT_LENGTH_MAX && pattern.test(value)
      ? null
      : fault(at, value, wanted);
}

export function orNull(check: Check): Check {
  return (value, at) => (value === null ? null : check(value, at));
}

/** All of the checks, in order; the first problem is the answer. */
export function both(...checks: readonly Check[]): Check {
  return (value, at) => {
    for (const check of checks) {
      const problem = check(value, at);
      if (problem !== null) return problem;
    }
    return null;
  };
}

export function list(check: Check, lengthMax: number = ENTRIES_MAX): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return fault(at, value, 'must be a list');
    if (value.length > lengthMax) return `${at}: has ${value.length} entries: at most ${lengthMax} are allowed`;
    for (let i = 0; i < value.length; i++) {
      const problem = check(value[i], `${at}[${i}]`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

/** Every value of a string-keyed object; keys are checked too. */
export function record(check: Check, checkKey: Check = anyText): Check {
  return (value, at) => {
    if (!isObject(value) || Array.isArray(value)) return fault(at, value, 'must be an object');
    const fields = Object.keys(value);
    if (fields.length > ENTRIES_MAX) return `${at}: has ${fields.length} entries: at most ${ENTRIES_MAX} are allowed`;
    for (const field of fields) {
      if (field === '__proto__') return `${at}: has the key __proto__: write another`;
      const problem = checkKey(field, `${at} key`) ?? check(value[field], `${at}.${field}`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

/** An object with at least these fields; `more` looks at the whole once each of them is right. */
export function object(fields: Readonly<Record<string, Check>>, more?: Check): Check {
  return (value, at) => {
    if (!isObject(value) || Array.isArray(value)) return fault(at, value, 'must be an object');
    for (const field of Object.keys(fields)) {
      const problem = (fields[field] as Check)(value[field], at === '' ? field : `${at}.${field}`);
      if (problem !== null) return problem;
    }
    return more === undefined ? null : more(value, at);
  };
}

/** An object in which an unknown field is an error: it could narrow what the rest means. */
export function closed(fields: Readonly<Record<string, Check>>, more?: Check): Check {
  const known = object(fields, more);
  return (value, at) => {
    if (isObject(value) && !Array.isArray(value)) {
      const stranger = Object.keys(value).find((field) => !Object.hasOwn(fields, field));
      if (stranger !== undefined) {
        const field = stranger.slice(0, 80);
        return `${at === '' ? field : `${at}.${field}`}: this version does not know the field and will not skip it: upgrade weir, or remove it`;
      }
    }
    return known(value, at);
  };
}

/** One of several closed objects, told apart by their field `type`. */
export function variant(variants: Readonly<Record<string, Check>>): Check {
  const type = oneOf(...Object.keys(variants));
  return (value, at) => {
    if (!isObject(value) || Array.isArray(value)) return fault(at, value, 'must be an object');
    const problem = type(value['type'], `${at}.type`);
    return problem ?? (variants[value['type'] as string] as Check)(value, at);
  };
}
