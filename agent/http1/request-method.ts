/** Methods as strings without making one for the registered ones. */
import { textOf } from './octet-text.ts';

const COMMON = ['GET', 'POST', 'PUT', 'HEAD', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE'] as const;

/** Methods whose content has no meaning (RFC 9110 section 9.3): some servers do not read it as content, but as the next request. */
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'TRACE']);

/** Every server reads the content of such a request as that. */
export function contentHasMeaning(method: string): boolean {
  return !WITHOUT_CONTENT.has(method);
}

/** True when [start, end) is exactly `method` (methods are case-sensitive, RFC 9110 section 9.1). */
export function methodIs(bytes: Uint8Array, start: number, end: number, method: string): boolean {
  if (end - start !== method.length) return false;
  for (let i = 0; i < method.length; i++) if (bytes[start + i] !== method.charCodeAt(i)) return false;
  return true;
}

/** The method at [start, end): a shared string for common ones, a new one otherwise. */
export function methodText(bytes: Buffer, start: number, end: number): string {
  for (let i = 0; i < COMMON.length; i++) {
    const method = COMMON[i] as string;
    if (methodIs(bytes, start, end, method)) return method;
  }
  return textOf(bytes, start, end);
}
