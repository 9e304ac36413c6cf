/**
 * Request paths: one normal form, applied before matching and forwarded as matched, so that policy judges the bytes the
 * workload will see (Istio `pathNormalization`, RFC 3986 section 6.2.2). Order as in Envoy: escaped slashes, then
 * unreserved escapes and backslashes, then dot segments, then repeated slashes.
 */

import { octetText } from './string-match.ts';

/** Istio `MeshConfig.pathNormalization.normalization`. */
export type PathNormalization = 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';

/** Why a path is refused (400): stable codes for `x-weir-reason`. */
export type PathRefusal =
  | 'PATH_NUL'
  | 'PATH_FRAGMENT'
  | 'PATH_QUERY'
  | 'PATH_BAD_PERCENT'
  | 'PATH_CONTROL_CHARACTER'
  | 'PATH_NOT_ABSOLUTE';

export type NormalPath =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: PathRefusal };

const SLASH = 47;
const BACKSLASH = 92;
const DOT = 46;
const PERCENT = 37;
const HASH = 35;
const QUESTION = 63;

/**
 * Normalises the path component of a request target (without `?query`); `*` stays, an empty path is `/`.
 * BASE: unreserved octets decoded, `\` → `/`, dot segments removed. MERGE_SLASHES: also `//` → `/`.
 * DECODE_AND_MERGE_SLASHES: also %2F and %5C → `/` first. NONE: only refuses what every mode refuses. Idempotent.
 */
export function normalisePath(raw: string, mode: PathNormalization = 'BASE'): NormalPath {
  if (raw === '*') return { ok: true, path: raw };
  if (raw === '') return { ok: true, path: '/' };
  const first = raw.charCodeAt(0);
  if (first !== SLASH && !(first === BACKSLASH && mode !== 'NONE')) return { ok: false, reason: 'PATH_NOT_ABSOLUTE' };
  const scan = scanPath(raw);
  if (scan.refusal !== null) return { ok: false, reason: scan.refusal };
  if (mode === 'NONE' || scan.normal) return { ok: true, path: raw };
  let path = raw;
  if (scan.escapes) path = decodeUnreserved(path, mode === 'DECODE_AND_MERGE_SLASHES');
  if (path.includes('\\')) path = path.replaceAll('\\', '/');
  if (path.includes('/.')) path = removeDotSegments(path);
  if (mode !== 'BASE' && path.includes('//')) path = path.replace(/\/{2,}/g, '/');
  return { ok: true, path };
}

/**
 * Configured text as it may stand in a path: its UTF-8 octets, one character each (see RequestView), and what would end the path or
 * the line escaped.
 */
export function pathOctets(text: string): string {
  let out = '';
  for (const octet of octetText(text)) {
    const code = octet.charCodeAt(0);
    const isBarred = code <= 32 || code === 127 || code === HASH || code === QUESTION;
    out += isBarred ? `%${code.toString(16).toUpperCase().padStart(2, '0')}` : octet;
  }
  return out;
}

interface PathScan {
  refusal: PathRefusal | null;
  /** Nothing that any mode would change. */
  normal: boolean;
  escapes: boolean;
}

function scanPath(raw: string): PathScan {
  const scan: PathScan = { refusal: null, normal: true, escapes: false };
  let previous = 0;
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === PERCENT) {
      const value = escapedOctet(raw, i);
      if (value <= 0) {
        scan.refusal = value === 0 ? 'PATH_NUL' : 'PATH_BAD_PERCENT';
        return scan;
      }
      scan.escapes = true;
      scan.normal = false;
    } else if (code <= 32 || code === 127) {
      scan.refusal = code === 0 ? 'PATH_NUL' : 'PATH_CONTROL_CHARACTER';
      return scan;
    } else if (code === HASH || code === QUESTION) {
      scan.refusal = code === HASH ? 'PATH_FRAGMENT' : 'PATH_QUERY';
      return scan;
    } else if (code === BACKSLASH || ((code === SLASH || code === DOT) && previous === SLASH)) scan.normal = false;
    previous = code;
  }
  return scan;
}

/** Value of the %XX at `at`; -1 when it is not one. */
function escapedOctet(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at + 1));
  const low = hexDigit(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** NaN (past the end) compares false everywhere and falls through to -1. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}

/** RFC 3986 section 2.3. */
function isUnreserved(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 45 ||
    code === DOT ||
    code === 95 ||
    code === 126
  );
}

/** One pass only: what a decoded octet yields is never decoded again, so `%252e` stays (RFC 3986 section 2.4). */
function decodeUnreserved(path: string, slashesToo: boolean): string {
  let out = '';
  let copied = 0;
  for (let i = path.indexOf('%'); i >= 0; i = path.indexOf('%', i + 3)) {
    const value = escapedOctet(path, i);
    const slash = slashesToo && (value === SLASH || value === BACKSLASH);
    if (!slash && !isUnreserved(value)) continue;
    out += path.slice(copied, i) + (slash ? '/' : String.fromCharCode(value));
    copied = i + 3;
  }
  return copied === 0 ? path : out + path.slice(copied);
}

/** RFC 3986 section 5.2.4 for an absolute path; `..` above the root stays at the root. */
function removeDotSegments(path: string): string {
  const segments = path.split('/');
  const kept: string[] = [];
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] as string;
    const last = i === segments.length - 1;
    if (segment === '.' || segment === '..') {
      if (segment === '..') kept.pop();
      if (last) kept.push('');
    } else kept.push(segment);
  }
  return `/${kept.join('/')}`;
}
