/**
 * A request made of plain values, for `weir explain` and tests: routing and policy ask it what they ask the live path's heads
 * (request.ts), so the deciding code is the same.
 */
import type { JwtClaims } from './jwt.ts';
import { withoutHopByHop } from './hop-by-hop.ts';
import { normalisePath, type PathNormalization } from './path.ts';
import type { RequestView } from './request.ts';
import type { NameValue } from './route-model.ts';

/** What a request is made of. */
export interface PlainParts {
  readonly method: string;
  /** Raw request target: origin-form, absolute-form, `*`, or host:port for CONNECT. */
  readonly target: string;
  /** The Host header or :authority as it was sent. */
  readonly host: string;
  /** In order; names in any case. */
  readonly headers: readonly NameValue[];
  /** Of a verified JWT; null: there is none. */
  readonly claims: JwtClaims | null;
}

export type PlainRequestResult =
  | { readonly ok: true; readonly request: PlainRequest }
  /** Answered with 400; `reason`: the code for `x-weir-reason`. */
  | { readonly ok: false; readonly reason: string };

const ABSOLUTE = /^http:\/\/([^/?#]*)(.*)$/i;
/** What agents take for a host (agent/http1/authority.ts): a name or an IPv6 literal, and a port. */
const AUTHORITY = /^(?:(?!\.)[A-Za-z0-9._~-]*[A-Za-z0-9_~-]\.?|\[[0-9A-Fa-f:.]{2,46}\])(?::\d{0,5})?$/;
/** Visible ASCII, as a request target is. */
const TARGET = /^[!-~]+$/;
/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** What a PlainRequest is made of: the target taken apart, the path normalised. */
export interface PlainFields extends Omit<PlainParts, 'target'> {
  readonly path: string;
  /** With its `?`; '' when the target has none. `?` alone is forwarded as it came. */
  readonly search: string;
}

export class PlainRequest implements RequestView {
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly query: string;
  readonly host: string;
  readonly #headers: readonly NameValue[];
  readonly #claims: JwtClaims | null;

  constructor(parts: PlainFields) {
    this.method = parts.method;
    this.path = parts.path;
    this.search = parts.search;
    this.query = parts.search.slice(1);
    this.host = hostWithoutPort(parts.host);
    this.#headers = parts.headers.map(({ name, value }) => ({ name: name.toLowerCase(), value }));
    this.#claims = parts.claims;
  }

  header(name: string): string | undefined {
    const values = this.headerValues(name);
    return values.length === 0 ? undefined : values.join(', '); // of cookies there is one
  }

  headerValues(name: string): readonly string[] {
    const values = this.#headers.filter((field) => field.name === name).map(({ value }) => value);
    return name === 'cookie' && values.length > 1 ? [values.join('; ')] : values;
  }

  claims(): JwtClaims | null {
    return this.#claims;
  }

  /** The same request with what a verified token claims. */
  withClaims(claims: JwtClaims | null): PlainRequest {
    const { method, path, search, host } = this;
    return new PlainRequest({ method, path, search, host, headers: this.#headers, claims });
  }

  /** The same request as it is forwarded: names of `set` replace all fields of that name. */
  forwarded(changes: {
    readonly path: string;
    readonly host: string;
    readonly headers: readonly NameValue[];
  }): PlainRequest {
    const { method, search } = this;
    const headers = changes.headers.filter(({ name }) => name !== 'host');
    const withHost = [{ name: 'host', value: changes.host }, ...headers];
    return new PlainRequest({
      method,
      search,
      path: changes.path,
      host: changes.host,
      headers: withHost,
      claims: this.#claims,
    });
  }

  /** In order, names in lower case. */
  get headers(): readonly NameValue[] {
    return this.#headers;
  }
}

/** Makes a request, its path normalised as the mesh says; what an agent would refuse with 400 comes back as that. */
export function plainRequest(parts: PlainParts, mode: PathNormalization): PlainRequestResult {
  const { method, headers, claims } = parts;
  if (!TOKEN.test(method)) return { ok: false, reason: 'BAD_METHOD' };
  if (method === 'CONNECT') {
    return {
      ok: true,
      request: new PlainRequest({ method, path: '', search: '', host: parts.target, headers, claims }),
    };
  }
  const absolute = ABSOLUTE.exec(parts.target);
  const host = absolute === null ? parts.host : (absolute[1] as string);
  const rest = absolute === null ? parts.target : (absolute[2] as string);
  if (rest.includes('#')) return { ok: false, reason: 'FRAGMENT' };
  if (!TARGET.test(parts.target)) return { ok: false, reason: 'BAD_TARGET' };
  if (!AUTHORITY.test(host)) return { ok: false, reason: host === '' ? 'MISSING_HOST' : 'BAD_HOST' };
  const mark = rest.indexOf('?');
  const rawPath = mark < 0 ? rest : rest.slice(0, mark);
  const normal = normalisePath(rawPath, mode);
  if (!normal.ok) return { ok: false, reason: normal.reason };
  const search = mark < 0 ? '' : rest.slice(mark);
  const forwarded = withoutHopByHop(headers);
  const withHost = [{ name: 'host', value: host }, ...forwarded.filter(({ name }) => name.toLowerCase() !== 'host')];
  return {
    ok: true,
    request: new PlainRequest({ method, path: normal.path, search, host, headers: withHost, claims }),
  };
}

/** Lower case, without port and final dot; brackets of an IPv6 address stay. */
export function hostWithoutPort(host: string): string {
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':');
  return (end > 0 ? host.slice(0, end) : host).toLowerCase().replace(/\.$/, '');
}
