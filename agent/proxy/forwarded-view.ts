/**
 * A request as it will be forwarded: what the destination's policy judges when a route rewrites or edits what it was routed by.
 * What cannot be edited (framing: isReserved) is read from the request as it came, as it is written.
 */
import { hostEnd, hostText } from '../http1/authority.ts';
import { isReserved } from '../http1/rewrite.ts';
import { limits } from '../limits.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { JwtClaims } from '../../mesh/jwt.ts';
import type { RequestView } from '../../mesh/request.ts';

const scratch = Buffer.alloc(limits.headBytesMax);
const NO_EDITS: HeaderEdits = { set: [], add: [], remove: [] };

export class ForwardedView implements RequestView {
  #request: RequestView | null = null;
  #path: string | null = null;
  #edits: HeaderEdits = NO_EDITS;

  /** This view, of another request. @param path null: as it came. Valid as long as `request` is, until the next call. */
  of(request: RequestView, path: string | null, edits: HeaderEdits | null): this {
    this.#request = request;
    this.#path = path;
    this.#edits = edits ?? NO_EDITS;
    return this;
  }

  get #of(): RequestView {
    return this.#request as RequestView;
  }

  get method(): string {
    return this.#of.method;
  }

  get path(): string {
    return this.#path ?? this.#of.path;
  }

  get query(): string {
    return this.#of.query;
  }

  get host(): string {
    const { host } = this.#edits;
    return host === undefined ? this.#of.host : hostOf(host);
  }

  /** What its token said when it came; edits change nothing of that. */
  claims(): JwtClaims | null {
    return this.#of.claims?.() ?? null;
  }

  header(name: string): string | undefined {
    const { host } = this.#edits;
    if (name === 'host' && host !== undefined) return host;
    if (!this.#isEdited(name)) return this.#of.header(name);
    const values = this.headerValues(name);
    return values.length === 0 ? undefined : values.join(', '); // of cookies there is one
  }

  headerValues(name: string): readonly string[] {
    const { host, remove, set, add } = this.#edits;
    if (name === 'host' && host !== undefined) return [host];
    if (!this.#isEdited(name)) return this.#of.headerValues(name);
    const isReplaced = remove.includes(name) || set.some((field) => field.name === name);
    const values = isReplaced ? [] : [...this.#of.headerValues(name)];
    for (const field of set) if (field.name === name) values.push(field.value);
    for (const field of add) if (field.name === name) values.push(field.value);
    return name === 'cookie' && values.length > 1 ? [values.join('; ')] : values;
  }

  #isEdited(name: string): boolean {
    const { remove, set, add } = this.#edits;
    if (isReserved(name)) return false;
    return (
      remove.includes(name) || set.some((field) => field.name === name) || add.some((field) => field.name === name)
    );
  }
}

/** The host of an authority as policy compares it; '' when it is none (the edit is then refused before anything is forwarded). */
function hostOf(authority: string): string {
  const end = scratch.write(authority, 0, 'latin1');
  const endOfHost = hostEnd(scratch, 0, end);
  return endOfHost < 0 ? '' : hostText(scratch, 0, endOfHost);
}
