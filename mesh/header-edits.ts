/**
 * Header modifiers (Gateway API HTTPHeaderFilter) compiled into one edit per direction, shared by every request.
 *
 * An edit is applied in the order remove, set, add (Envoy's HeaderParser order). Names are lower case and occur at most once
 * in `set`; a name in `set` is never in `remove`. Merging rule filters with backend filters gives what applying one
 * after the other would give.
 */

import type { HeaderModifier, NameValue } from './route-model.ts';

/** `set` replaces every field of that name, `add` appends a field, `remove` drops every field of that name. */
export interface HeaderEdits {
  readonly set: readonly NameValue[];
  readonly add: readonly NameValue[];
  readonly remove: readonly string[];
  /** New Host, from a `set` of `host` or a rewrite; absent: unchanged. */
  readonly host?: string;
}

/**
 * Compiles the modifiers of one direction, in order (rule filters first, then the backend's); null when there is nothing to
 * do, so that the bytes of a head may be forwarded as they are.
 */
export function compileHeaderEdits(
  filters: readonly HeaderModifier[],
  type: HeaderModifier['type'],
): HeaderEdits | null {
  if (!filters.some((filter) => filter.type === type)) return null;
  const set = new Map<string, string>();
  const remove = new Set<string>();
  let add: NameValue[] = [];
  for (const filter of filters) {
    if (filter.type !== type) continue;
    for (const written of filter.remove) {
      const name = written.toLowerCase();
      set.delete(name);
      add = add.filter((field) => field.name !== name);
      remove.add(name);
    }
    for (const field of filter.set) {
      const name = field.name.toLowerCase();
      add = add.filter((other) => other.name !== name);
      remove.delete(name);
      set.set(name, field.value);
    }
    for (const field of filter.add) add.push({ name: field.name.toLowerCase(), value: field.value });
  }
  const host = type === 'requestHeaderModifier' ? set.get('host') : undefined;
  set.delete('host');
  if (set.size === 0 && add.length === 0 && remove.size === 0 && host === undefined) return null;
  const edits = { set: Array.from(set, ([name, value]) => ({ name, value })), add, remove: [...remove] };
  return host === undefined ? edits : { ...edits, host };
}

/** The same edits with that Host; null: as they are. */
export function withHost(edits: HeaderEdits | null, host: string | null): HeaderEdits | null {
  if (host === null || edits?.host === host) return edits;
  return { ...(edits ?? NO_EDITS), host };
}

const NO_EDITS: HeaderEdits = { set: [], add: [], remove: [] };

/** Headers that say where a message ends or which connection it belongs to: the codec owns them, no filter may. */
const CODEC_OWNED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Why a header name may not be edited, or null when it may (RFC 9110 section 5.1 token; not framing, not hop-by-hop). */
export function headerNameRefusal(name: string): string | null {
  if (name.startsWith(':')) return 'pseudo headers cannot be edited: use a URL rewrite';
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return 'not a header name (RFC 9110 section 5.1)';
  if (CODEC_OWNED.has(name.toLowerCase()))
    return 'this header frames the message and is set by weir alone: leave it out';
  return null;
}

/** True when a value may stand in a header field (RFC 9110 section 5.5): no control characters but tab, no outer spaces. */
export function isHeaderValue(value: string): boolean {
  if (value !== value.trim()) return false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if ((code < 32 && code !== 9) || code === 127 || code > 255) return false;
  }
  return true;
}
