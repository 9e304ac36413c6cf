/**
 * Istio's string fields: exact, prefix `abc*`, suffix `*abc`, presence `*` (any non-empty value). A `*` elsewhere is an
 * ordinary character, except in namespaces, where Istio lets it stand for any characters.
 */

/** Above this many exact values a Set answers faster than comparing one after the other. */
const SCAN_MAX = 8;

/** Shared by the many sets that have no value of some sort. */
const NONE: readonly never[] = [];

/** The values of one field, OR-ed. An empty value (no identity, no host) matches nothing. */
export class StringSet {
  readonly #exact: readonly string[];
  readonly #exactSet: ReadonlySet<string> | null;
  readonly #prefixes: readonly string[];
  readonly #suffixes: readonly string[];
  readonly #globs: readonly (readonly string[])[];
  readonly #presence: boolean;

  private constructor(values: readonly string[], globs: boolean) {
    let exact: string[] | null = null;
    let prefixes: string[] | null = null;
    let suffixes: string[] | null = null;
    let patterns: string[][] | null = null;
    let presence = false;
    for (const value of values) {
      const star = value.indexOf('*');
      if (star < 0) (exact ??= []).push(value);
      else if (value === '*') presence = true;
      else if (globs && (star !== value.lastIndexOf('*') || (star > 0 && star < value.length - 1)))
        (patterns ??= []).push(value.split('*'));
      else if (star === 0) (suffixes ??= []).push(value.slice(1));
      else if (value.endsWith('*')) (prefixes ??= []).push(value.slice(0, -1));
      else (exact ??= []).push(value);
    }
    this.#exact = exact ?? NONE;
    this.#exactSet = this.#exact.length > SCAN_MAX ? new Set(this.#exact) : null;
    this.#prefixes = prefixes ?? NONE;
    this.#suffixes = suffixes ?? NONE;
    this.#globs = patterns ?? NONE;
    this.#presence = presence;
  }

  /** null for an absent field (no values). */
  static of(values: readonly string[]): StringSet | null {
    return values.length === 0 ? null : new StringSet(values, false);
  }

  /** As `of`, with `*` anywhere (Istio namespaces). */
  static ofGlobs(values: readonly string[]): StringSet | null {
    return values.length === 0 ? null : new StringSet(values, true);
  }

  /** `*` is among the values. */
  get wantsPresence(): boolean {
    return this.#presence;
  }

  /** Case-sensitive; callers that compare hosts pass lower case on both sides. No allocation. */
  matches(value: string): boolean {
    if (value === '') return false;
    if (this.#presence) return true;
    if (this.#exactSet !== null) {
      if (this.#exactSet.has(value)) return true;
    } else {
      const exact = this.#exact;
      for (let i = 0; i < exact.length; i++) if (exact[i] === value) return true;
    }
    const prefixes = this.#prefixes;
    for (let i = 0; i < prefixes.length; i++) if (value.startsWith(prefixes[i] as string)) return true;
    const suffixes = this.#suffixes;
    for (let i = 0; i < suffixes.length; i++) if (value.endsWith(suffixes[i] as string)) return true;
    const globs = this.#globs;
    for (let i = 0; i < globs.length; i++) if (globMatches(globs[i] as readonly string[], value)) return true;
    return false;
  }
}

/** Some text of a list matches. No allocation. */
export function matchesAny(set: StringSet, texts: readonly string[]): boolean {
  for (let i = 0; i < texts.length; i++) if (set.matches(texts[i] as string)) return true;
  return false;
}

const encoder = new TextEncoder();

/** A policy's value as it occurs in a request: its UTF-8 octets, one character each (see RequestView). */
export function octetText(value: string): string {
  if (isAscii(value)) return value;
  return String.fromCharCode(...encoder.encode(value));
}

/**
 * True unless octets (one character each) are no UTF-8: what a workload makes of those is its own affair, so nobody can say
 * what they are not. `escapes`: octets written as %XX are looked at too.
 */
export function isDecodable(octets: string, escapes: boolean): boolean {
  if (isAscii(octets) && !(escapes && /%[89A-Fa-f]/.test(octets))) return true;
  const raw = escapes
    ? octets.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : octets;
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Octets and text are the same. */
export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** `pieces` are the texts between the stars: the first anchors the start, the last the end, the rest in order. Linear. */
function globMatches(pieces: readonly string[], value: string): boolean {
  const first = pieces[0] as string;
  const last = pieces[pieces.length - 1] as string;
  if (!value.startsWith(first)) return false;
  let at = first.length;
  for (let i = 1; i < pieces.length - 1; i++) {
    const found = value.indexOf(pieces[i] as string, at);
    if (found < 0) return false;
    at = found + (pieces[i] as string).length;
  }
  return value.length - last.length >= at && value.endsWith(last);
}
