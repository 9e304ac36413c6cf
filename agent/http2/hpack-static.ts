/** HPACK's static table (RFC 7541 appendix A) and looking a field up in it. */
import { fieldHash } from './field-hash.ts';

/** One entry a line, in order, a space between name and value. */
const TABLE = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

const ENTRIES = TABLE.trim()
  .split('\n')
  .map((line) => {
    const space = line.indexOf(' ');
    return space < 0 ? { name: line, value: '' } : { name: line.slice(0, space), value: line.slice(space + 1) };
  });

/** Entries; indexes run from 1 to this, and the dynamic table's follow (RFC 7541 section 2.3.3). */
export const STATIC_LENGTH = ENTRIES.length;

/** Names and values by index; index 0 is no entry. */
export const STATIC_NAMES: readonly string[] = ['', ...ENTRIES.map((entry) => entry.name)];
export const STATIC_VALUES: readonly string[] = ['', ...ENTRIES.map((entry) => entry.value)];

/** The fieldHash() of each entry, by index. */
export const STATIC_HASHES: readonly number[] = STATIC_NAMES.map((name, i) =>
  fieldHash(name, STATIC_VALUES[i] as string),
);

interface NamedEntries {
  /** The lowest index with this name. */
  readonly first: number;
  readonly byValue: ReadonlyMap<string, number>;
}

const byName = new Map<string, NamedEntries>();
for (const [i, { name }] of ENTRIES.entries()) {
  if (byName.has(name)) continue;
  const same = ENTRIES.map((entry, at) => ({ entry, index: at + 1 })).filter(({ entry }) => entry.name === name);
  byName.set(name, { first: i + 1, byValue: new Map(same.map(({ entry, index }) => [entry.value, index])) });
}

/** The index of the entry with this name and value; the negative of the lowest index with this name; 0 when there is none. */
export function staticIndexOf(name: string, value: string): number {
  const named = byName.get(name);
  if (named === undefined) return 0;
  return named.byValue.get(value) ?? -named.first;
}
