/** The predicates of one HttpRouteMatch, compiled. Its path, where an index can answer for it, is not asked again. */
import type { ClientMatch, HeaderMatch, HttpRouteMatch, PathMatch, StringMatch } from './route-model.ts';
import { queryParameter, queryParameterEquals } from './query.ts';
import type { RequestView } from './request.ts';
import { compileValueMatch, type ValueMatch } from './value-match.ts';

/** The pod that asks; any Workload is one. */
export interface RouteClient {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** `exact` is kept beside its compiled form: most matches are, and comparing costs nothing then. */
interface NamedMatch {
  readonly name: string;
  readonly exact: string | null;
  readonly match: ValueMatch;
  readonly isPresence: boolean;
  readonly invert: boolean;
}

/** What has to hold beside the path; in the order in which it is asked, cheapest first. */
export class RequestPredicates {
  readonly method: string | null;
  readonly headerCount: number;
  readonly paramCount: number;
  readonly #methodMatch: ValueMatch | null;
  readonly #headers: readonly NamedMatch[];
  readonly #params: readonly NamedMatch[];
  readonly #scheme: ValueMatch | null;
  readonly #authority: ValueMatch | null;
  readonly #port: number | null;
  readonly #client: ClientMatch | null;

  constructor(match: HttpRouteMatch) {
    this.method = match.method?.type === 'exact' ? match.method.value : null;
    this.#methodMatch = match.method === null || match.method.type === 'exact' ? null : compiled(match.method);
    this.#headers = compileFields(match.headers, (name) => name.toLowerCase());
    this.#params = compileFields(match.queryParams, (name) => name);
    this.headerCount = this.#headers.length;
    this.paramCount = this.#params.length;
    this.#scheme = match.scheme === null ? null : compiled(match.scheme);
    this.#authority = match.authority === null ? null : compiled(match.authority);
    this.#port = match.port;
    this.#client = match.client;
  }

  /** Names a method, in whatever way. */
  get namesMethod(): boolean {
    return this.method !== null || this.#methodMatch !== null;
  }

  /** Hot. @param port of the Service that was dialled */
  hold(request: RequestView, client: RouteClient, port: number): boolean {
    if (this.method !== null && this.method !== request.method) return false;
    if (this.#methodMatch !== null && !this.#methodMatch.test(request.method)) return false;
    if (this.#port !== null && this.#port !== port) return false;
    if (this.#client !== null && !clientMatches(this.#client, client)) return false;
    const headers = this.#headers;
    for (let i = 0; i < headers.length; i++) {
      const field = headers[i] as NamedMatch;
      if (headerMatches(request, field) === field.invert) return false;
    }
    const params = this.#params;
    for (let i = 0; i < params.length; i++) {
      const field = params[i] as NamedMatch;
      if (parameterMatches(request.query, field) === field.invert) return false;
    }
    // What is captured is plain HTTP.
    if (this.#scheme !== null && !this.#scheme.test('http')) return false;
    return this.#authority === null || this.#authority.test(request.host);
  }
}

/** Compares a path as a whole; null: an index answers for it. */
export function compilePathTest({ type, value, ignoreCase }: PathMatch): ((path: string) => boolean) | null {
  if (type === 'regex') {
    const match = compileValueMatch('regex', value);
    return (path) => match.test(path);
  }
  if (!ignoreCase) return null;
  const wanted = value.toLowerCase();
  if (type === 'exact') return (path) => path.toLowerCase() === wanted;
  if (type === 'stringPrefix') return (path) => path.toLowerCase().startsWith(wanted);
  const whole = wanted.replace(/\/+$/, '');
  return (path) => {
    const lower = path.toLowerCase();
    return lower.startsWith(whole) && (lower.length === whole.length || lower.startsWith('/', whole.length));
  };
}

/** "Only the first entry with an equivalent name MUST be considered" (HTTPRouteMatch.headers, .queryParams); Istio has one each. */
function compileFields(matches: readonly HeaderMatch[], named: (name: string) => string): readonly NamedMatch[] {
  return matches
    .filter(
      (match, i) =>
        matches.findIndex((other) => named(other.name) === named(match.name) && other.invert === match.invert) === i,
    )
    .map(({ name, type, value, invert }) => ({
      name: named(name),
      exact: type === 'exact' ? value : null,
      match: compileValueMatch(type, value),
      isPresence: type === 'present',
      invert,
    }));
}

function compiled({ type, value }: StringMatch): ValueMatch {
  return compileValueMatch(type, value);
}

function clientMatches(match: ClientMatch, client: RouteClient): boolean {
  if (match.namespace !== null && match.namespace !== client.namespace) return false;
  for (const name of Object.keys(match.labels)) if (client.labels[name] !== match.labels[name]) return false;
  return true;
}

/** A repeated header matches when the joined value or any one of its values does (RFC 9110 section 5.3 makes both forms one field). */
function headerMatches(request: RequestView, { name, exact, match, isPresence }: NamedMatch): boolean {
  const value = request.header(name);
  if (value === undefined) return false;
  if (isPresence || value === exact || (exact === null && match.test(value))) return true;
  return value.includes(', ') && request.headerValues(name).some((one) => match.test(one));
}

function parameterMatches(query: string, { name, exact, match, isPresence }: NamedMatch): boolean {
  if (exact !== null) return queryParameterEquals(query, name, exact);
  const value = queryParameter(query, name);
  return value !== undefined && (isPresence || match.test(value));
}
