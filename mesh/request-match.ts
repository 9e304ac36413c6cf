/**
 * The predicates of one HttpRouteMatch, compiled. Its path, where an index can answer for it, is not asked again. Literal values are
 * compared in their UTF-8 octets, as requests have them (see RequestView); expressions see one character per octet.
 */
import { allowExpressions } from './expression-budget.ts';
import { queryParameter, queryParameterEquals } from './query.ts';
import type { RequestView } from './request.ts';
import type { ClientMatch, HeaderMatch, HttpRouteMatch, PathMatch, StringMatch } from './route-model.ts';
import { octetText } from './string-match.ts';
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

interface CompiledClient {
  readonly namespace: string | null;
  readonly labels: readonly (readonly [name: string, value: string])[];
}

/** What has to hold beside the path; in the order in which it is asked, cheapest first. */
export class RequestPredicates {
  readonly method: string | null;
  readonly headerCount: number;
  readonly paramCount: number;
  readonly #methodMatch: ValueMatch | null;
  readonly #headers: readonly NamedMatch[];
  readonly #params: readonly NamedMatch[];
  readonly #authority: ValueMatch | null;
  readonly #client: CompiledClient | null;

  constructor(match: HttpRouteMatch) {
    this.method = match.method?.type === 'exact' ? match.method.value : null;
    this.#methodMatch = match.method === null || match.method.type === 'exact' ? null : compiled(match.method);
    this.#headers = compileFields(match.headers, (name) => name.toLowerCase(), octetText);
    // A parameter's value is compared decoded, so as it was written.
    this.#params = compileFields(match.queryParams, same, same);
    this.headerCount = this.#headers.length;
    this.paramCount = this.#params.length;
    this.#authority = match.authority === null ? null : compiled(match.authority);
    this.#client = compileClient(match.client);
  }

  /** Names a method, in whatever way. */
  get namesMethod(): boolean {
    return this.method !== null || this.#methodMatch !== null;
  }

  /** Hot. */
  hold(request: RequestView, client: RouteClient): boolean {
    if (this.method !== null && this.method !== request.method) return false;
    if (this.#methodMatch !== null && !this.#methodMatch.test(request.method)) return false;
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
    return this.#authority === null || this.#authority.test(request.host);
  }
}

/** False: no request can match, on that port of the dialled Service. What is captured is plain HTTP. */
export function mayHold({ port, scheme }: HttpRouteMatch, dialled: number): boolean {
  allowExpressions();
  return (port === null || port === dialled) && (scheme === null || compiled(scheme).test('http'));
}

/** A literal path in octets, as requests have it. */
export function octetPath(path: PathMatch | null): PathMatch | null {
  if (path === null || path.type === 'regex') return path;
  const value = octetText(path.value);
  return value === path.value ? path : { ...path, value };
}

/** Compares a path as a whole, for what no index of literal paths answers for. */
export function compilePathTest({ type, value }: PathMatch): (path: string) => boolean {
  if (type === 'regex') {
    const match = compileValueMatch('regex', value);
    return (path) => match.test(path);
  }
  const wanted = value.toLowerCase();
  if (type === 'exact') return (path) => path.toLowerCase() === wanted;
  if (type === 'stringPrefix') return (path) => path.toLowerCase().startsWith(wanted);
  const whole = wanted.replace(/\/+$/, '');
  return (path) => {
    const lower = path.toLowerCase();
    return lower.startsWith(whole) && (lower.length === whole.length || lower.startsWith('/', whole.length));
  };
}

const NO_FIELDS: readonly NamedMatch[] = [];

/** "Only the first entry with an equivalent name MUST be considered" (HTTPRouteMatch.headers, .queryParams); Istio has one each. */
function compileFields(
  matches: readonly HeaderMatch[],
  named: (name: string) => string,
  text: (value: string) => string,
): readonly NamedMatch[] {
  if (matches.length === 0) return NO_FIELDS;
  return matches
    .filter(
      (match, i) =>
        matches.findIndex((other) => named(other.name) === named(match.name) && other.invert === match.invert) === i,
    )
    .map(({ name, type, value, invert }) => ({
      name: named(name),
      exact: type === 'exact' ? text(value) : null,
      match: compileValueMatch(type, type === 'regex' ? value : text(value)),
      isPresence: type === 'present',
      invert,
    }));
}

function same(text: string): string {
  return text;
}

function compiled({ type, value }: StringMatch): ValueMatch {
  return compileValueMatch(type, value);
}

function compileClient(match: ClientMatch | null): CompiledClient | null {
  return match === null ? null : { namespace: match.namespace, labels: Object.entries(match.labels) };
}

function clientMatches({ namespace, labels }: CompiledClient, client: RouteClient): boolean {
  if (namespace !== null && namespace !== client.namespace) return false;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as CompiledClient['labels'][number];
    if (client.labels[label[0]] !== label[1]) return false;
  }
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
