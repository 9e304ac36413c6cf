/**
 * The Connection field (RFC 9110 section 7.6.1) and what it makes of the other fields: which of them end here.
 *
 * A peer may name any field as hop-by-hop, and a proxy must then drop it. That is a way to make weir strip what the next
 * hop relies on, so a Connection that names framing, authentication or provenance is refused rather than obeyed or ignored:
 * obeying changes the message, ignoring forwards one that another proxy would have changed.
 */
import {
  FIELD_CONNECTION,
  FIELD_HTTP2_SETTINGS,
  FIELD_KEEP_ALIVE,
  FIELD_PROXY_CONNECTION,
  FIELD_TE,
  FIELD_UPGRADE,
  type FieldSection,
} from './field-section.ts';
import { equalsIgnoringCase, HTAB, rangesEqual, SPACE, TOKEN } from './octets.ts';
import { textOf } from './octet-text.ts';

export const OPTION_CLOSE = 1;
export const OPTION_KEEP_ALIVE = 2;
export const OPTION_UPGRADE = 4;
export const OPTION_TE = 8;
/** Names some other field. */
const OPTION_FIELD = 16;

const OPTIONS_MALFORMED = -1;
export const OPTIONS_PROTECTED = -2;
export const OPTIONS_TOO_MANY = -3;

/** Kinds that end at this hop whatever Connection says (RFC 9110 section 7.6.1, RFC 9113 section 3.1 for HTTP2-Settings). */
const HOP_BY_HOP =
  (1 << FIELD_CONNECTION) |
  (1 << FIELD_KEEP_ALIVE) |
  (1 << FIELD_PROXY_CONNECTION) |
  (1 << FIELD_TE) |
  (1 << FIELD_UPGRADE) |
  (1 << FIELD_HTTP2_SETTINGS);

/** Fields a peer may not have stripped: framing, what the content is, who is asking, where the request came from. */
const PROTECTED = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'content-range',
  'expect',
  'range',
  'authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'cache-control',
  'date',
  'location',
  'forwarded',
  'x-real-ip',
]);
const PROTECTED_PREFIX = /^x-(?:forwarded|weir|envoy)-/;

/** True when the head has any field that ends at this hop; the common case is false and costs one test. */
export function hasHopByHopField(fields: FieldSection): boolean {
  return (fields.seen & HOP_BY_HOP) !== 0;
}

function classifyOption(bytes: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 2:
      return equalsIgnoringCase(bytes, start, end, 'te') ? OPTION_TE : OPTION_FIELD;
    case 5:
      return equalsIgnoringCase(bytes, start, end, 'close') ? OPTION_CLOSE : OPTION_FIELD;
    case 7:
      return equalsIgnoringCase(bytes, start, end, 'upgrade') ? OPTION_UPGRADE : OPTION_FIELD;
    case 10:
      return equalsIgnoringCase(bytes, start, end, 'keep-alive') ? OPTION_KEEP_ALIVE : OPTION_FIELD;
    default:
      return OPTION_FIELD;
  }
}

/** Marks every field that bears the name [start, end); false when that name is protected. Rare, so it may allocate. */
function removeNamed(fields: FieldSection, start: number, end: number): boolean {
  const name = textOf(fields.bytes, start, end).toLowerCase();
  if (PROTECTED.has(name) || PROTECTED_PREFIX.test(name)) return false;
  for (let i = 0; i < fields.count; i++) {
    if (rangesEqual(fields.bytes, fields.nameStart(i), fields.nameEnd(i), start, end)) fields.removed[i] = 1;
  }
  return true;
}

/**
 * Marks in `fields.removed` what ends at this hop. Call only when hasHopByHopField().
 * @returns OPTION_* bits of all Connection fields, or OPTIONS_MALFORMED, OPTIONS_PROTECTED, OPTIONS_TOO_MANY
 */
export function applyConnection(fields: FieldSection, optionsMax: number): number {
  const bytes = fields.bytes;
  let options = 0;
  let optionCount = 0;
  for (let f = 0; f < fields.count; f++) {
    const kind = fields.kinds[f] as number;
    if ((HOP_BY_HOP & (1 << kind)) === 0) continue;
    fields.removed[f] = 1;
    if (kind !== FIELD_CONNECTION) continue;
    const end = fields.valueEnd(f);
    let i = fields.valueStart(f);
    while (i < end) {
      const start = i;
      while (i < end && TOKEN[bytes[i] as number] === 1) i++;
      if (i > start) {
        if (++optionCount > optionsMax) return OPTIONS_TOO_MANY;
        const option = classifyOption(bytes, start, i);
        if (option === OPTION_FIELD && !removeNamed(fields, start, i)) return OPTIONS_PROTECTED;
        options |= option;
      }
      while (i < end && (bytes[i] === SPACE || bytes[i] === HTAB)) i++;
      if (i === end) break;
      if (bytes[i] !== 0x2c) return OPTIONS_MALFORMED;
      i++;
      while (i < end && (bytes[i] === SPACE || bytes[i] === HTAB)) i++;
    }
  }
  return options;
}

/** Protocols that would carry further requests past this proxy's policy once the bytes are opaque. */
const HIDES_REQUESTS = /^(?:h2|http|tls)/;
const PROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/;

/**
 * True when the Upgrade fields offer only protocols that may pass as opaque bytes after 101. A server may always ignore
 * Upgrade (RFC 9110 section 7.8); h2c, HTTP and TLS are ignored, because requests inside them would go unjudged.
 */
export function upgradeMayPass(fields: FieldSection): boolean {
  let offered = 0;
  for (let i = 0; i < fields.count; i++) {
    if (fields.kinds[i] !== FIELD_UPGRADE) continue;
    for (const part of fields.valueText(i).split(',')) {
      const protocol = part.trim().toLowerCase();
      if (!PROTOCOL.test(protocol) || HIDES_REQUESTS.test(protocol)) return false;
      offered++;
    }
  }
  return offered > 0;
}

/** Lets the Upgrade fields pass after all. */
export function keepUpgrade(fields: FieldSection): void {
  for (let i = 0; i < fields.count; i++) if (fields.kinds[i] === FIELD_UPGRADE) fields.removed[i] = 0;
}

/** True when a TE field says `trailers`. */
export function acceptsTrailers(fields: FieldSection): boolean {
  for (let i = 0; i < fields.count; i++) {
    if (fields.kinds[i] !== FIELD_TE) continue;
    if (
      fields
        .valueText(i)
        .split(',')
        .some((part) => part.trim().toLowerCase() === 'trailers')
    )
      return true;
  }
  return false;
}
