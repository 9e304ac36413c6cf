/**
 * The HTTPRoutes of one Service port, compiled for matching (Gateway API HTTPRouteMatch precedence):
 * exact path, longest prefix, method, most headers, most query parameters, oldest route, `namespace/name`, rule, match.
 *
 *   exact    Map path → candidates        prefixes   radix tree over whole path segments
 *
 * A candidate's other predicates are asked only when its path matches. Matching allocates nothing unless a header is
 * repeated or a query parameter is percent-encoded. Cost does not grow with routes whose path does not match.
 */

import type { Cluster } from './cluster.ts';
import { compileHeaderEdits, type HeaderEdits } from './header-edits.ts';
import type {
  HeaderMatch,
  HeaderModifier,
  HttpFilter,
  HttpRoute,
  HttpRouteBackend,
  HttpRouteMatch,
  HttpRouteRule,
} from './route-model.ts';
import { queryParameter, queryParameterEquals } from './query.ts';
import type { RequestView } from './request.ts';
import { compareRoutes } from './route-order.ts';
import { compileValueMatch, type ValueMatch } from './value-match.ts';

/** One backend of a rule. `cluster` null: broken reference, answer 500 (Gateway API BackendRef). */
export interface WeightedCluster {
  readonly cluster: Cluster | null;
  readonly weight: number;
  readonly backend: HttpRouteBackend;
  /** Rule filters and this backend's filters merged; null: nothing to edit. */
  readonly requestEdits: HeaderEdits | null;
  readonly responseEdits: HeaderEdits | null;
}

/** Backends with a weight above 0, and the sum of their weights. Empty: answer 500. */
export interface WeightedClusters {
  readonly entries: readonly WeightedCluster[];
  readonly totalWeight: number;
}

/** The rule a request matched; one object per rule for the life of the table. */
export interface RouteMatch {
  readonly route: HttpRoute;
  readonly rule: HttpRouteRule;
  readonly ruleIndex: number;
  /** `namespace/route/rule`, rule being its name or its index: for metrics, the access log and people. */
  readonly name: string;
  /** The rule's own filters, for answers made without a backend; use the picked backend's edits otherwise. */
  readonly requestEdits: HeaderEdits | null;
  readonly responseEdits: HeaderEdits | null;
  readonly backends: WeightedClusters;
}

/** Finds the cluster of a Service port; null when there is none. */
export type ClusterLookup = (namespace: string, name: string, port: number) => Cluster | null;

/** `exact` is kept beside its compiled form: most matches are, and comparing costs nothing then. */
interface NamedMatch {
  readonly name: string;
  readonly exact: string | null;
  readonly match: ValueMatch;
}

interface Candidate {
  readonly method: string | null;
  readonly headers: readonly NamedMatch[];
  readonly queryParams: readonly NamedMatch[];
  readonly matchIndex: number;
  readonly result: RouteMatch;
}

interface PrefixNode {
  /** The piece of path this node adds to its parent; '' at the root. */
  label: string;
  firstCode: number;
  children: PrefixNode[];
  candidates: Candidate[] | null;
}

const SLASH = 47;

export class RouteTable {
  readonly routes: readonly HttpRoute[];
  readonly #exact = new Map<string, Candidate[]>();
  readonly #prefixes: PrefixNode = { label: '', firstCode: 0, children: [], candidates: null };

  /** Compiles routes that are valid (see validate.ts) and attached to one Service port. */
  constructor(routes: readonly HttpRoute[], clusterOf: ClusterLookup) {
    this.routes = routes;
    for (const route of routes) {
      route.rules.forEach((rule, index) => {
        this.#addRule(compileRule(route, rule, index, clusterOf));
      });
    }
    for (const candidates of this.#exact.values()) candidates.sort(byPrecedence);
    sortTree(this.#prefixes);
  }

  /** The rule for a request, or null: no rule matches, answer 404 (Gateway API, route attached to a Service). */
  match(request: RequestView): RouteMatch | null {
    const path = request.path;
    if (this.#exact.size !== 0) {
      const candidates = this.#exact.get(path);
      if (candidates !== undefined) {
        const found = firstMatch(candidates, request);
        if (found !== null) return found;
      }
    }
    return searchPrefixes(this.#prefixes, path, 0, request);
  }

  #addRule(result: RouteMatch): void {
    const matches = result.rule.matches.length === 0 ? [ANY_REQUEST] : result.rule.matches;
    matches.forEach((match, matchIndex) => {
      const candidate: Candidate = {
        method: match.method?.value ?? null,
        headers: compileMatches(match.headers.map((header) => ({ ...header, name: header.name.toLowerCase() }))),
        queryParams: compileMatches(match.queryParams),
        matchIndex,
        result,
      };
      const path = match.path;
      if (path !== null && path.type === 'exact') {
        const existing = this.#exact.get(path.value);
        if (existing === undefined) this.#exact.set(path.value, [candidate]);
        else existing.push(candidate);
      } else insertPrefix(this.#prefixes, path === null ? '' : path.value.replace(/\/+$/, ''), candidate);
    });
  }
}

const ANY_REQUEST: HttpRouteMatch = {
  path: null,
  method: null,
  headers: [],
  queryParams: [],
  scheme: null,
  authority: null,
  port: null,
  client: null,
};

/** "Only the first entry with an equivalent name MUST be considered" (HTTPRouteMatch.headers, .queryParams). */
function compileMatches(matches: readonly HeaderMatch[]): readonly NamedMatch[] {
  return matches
    .filter((match, i) => matches.findIndex((other) => other.name === match.name) === i)
    .map(({ name, type, value }) => ({
      name,
      exact: type === 'exact' ? value : null,
      match: compileValueMatch(type === 'regex' ? 'regex' : 'exact', value),
    }));
}

function compileRule(route: HttpRoute, rule: HttpRouteRule, ruleIndex: number, clusterOf: ClusterLookup): RouteMatch {
  const entries: WeightedCluster[] = [];
  let totalWeight = 0;
  for (const backend of rule.backends) {
    if (backend.weight === 0) continue;
    totalWeight += backend.weight;
    const filters = modifiersOf([...rule.filters, ...backend.filters]);
    entries.push({
      cluster: backend.valid ? clusterOf(backend.namespace, backend.name, backend.port) : null,
      weight: backend.weight,
      backend,
      requestEdits: compileHeaderEdits(filters, 'requestHeaderModifier'),
      responseEdits: compileHeaderEdits(filters, 'responseHeaderModifier'),
    });
  }
  return {
    route,
    rule,
    ruleIndex,
    name: `${route.namespace}/${route.name}/${rule.name ?? ruleIndex}`,
    requestEdits: compileHeaderEdits(modifiersOf(rule.filters), 'requestHeaderModifier'),
    responseEdits: compileHeaderEdits(modifiersOf(rule.filters), 'responseHeaderModifier'),
    backends: { entries, totalWeight },
  };
}

function modifiersOf(filters: readonly HttpFilter[]): HeaderModifier[] {
  return filters.filter(
    (filter): filter is HeaderModifier =>
      filter.type === 'requestHeaderModifier' || filter.type === 'responseHeaderModifier',
  );
}

/** Order among candidates of the same path; every step of HTTPRouteMatch's precedence after the path. */
function byPrecedence(left: Candidate, right: Candidate): number {
  const method = Number(right.method !== null) - Number(left.method !== null);
  if (method !== 0) return method;
  const headers = right.headers.length - left.headers.length;
  if (headers !== 0) return headers;
  const params = right.queryParams.length - left.queryParams.length;
  if (params !== 0) return params;
  return compareRoutes(left.result.route, right.result.route) || byPosition(left, right);
}

function byPosition(left: Candidate, right: Candidate): number {
  return left.result.ruleIndex - right.result.ruleIndex || left.matchIndex - right.matchIndex;
}

function firstMatch(candidates: readonly Candidate[], request: RequestView): RouteMatch | null {
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i] as Candidate;
    if (predicatesHold(candidate, request)) return candidate.result;
  }
  return null;
}

function predicatesHold(candidate: Candidate, request: RequestView): boolean {
  if (candidate.method !== null && candidate.method !== request.method) return false;
  const headers = candidate.headers;
  for (let i = 0; i < headers.length; i++) {
    if (!headerMatches(request, headers[i] as NamedMatch)) return false;
  }
  const params = candidate.queryParams;
  for (let i = 0; i < params.length; i++) {
    if (!parameterMatches(request.query, params[i] as NamedMatch)) return false;
  }
  return true;
}

/** A repeated header matches when the joined value or any one of its values does (RFC 9110 section 5.3 makes both forms one field). */
function headerMatches(request: RequestView, { name, exact, match }: NamedMatch): boolean {
  const value = request.header(name);
  if (value === undefined) return false;
  if (value === exact || (exact === null && match.test(value))) return true;
  return value.includes(', ') && request.headerValues(name).some((one) => match.test(one));
}

function parameterMatches(query: string, { name, exact, match }: NamedMatch): boolean {
  if (exact !== null) return queryParameterEquals(query, name, exact);
  const value = queryParameter(query, name);
  return value !== undefined && match.test(value);
}

/** Deepest node first: the longest prefix that also satisfies the other predicates wins. `at`: octets consumed so far. */
function searchPrefixes(node: PrefixNode, path: string, at: number, request: RequestView): RouteMatch | null {
  if (at < path.length) {
    const code = path.charCodeAt(at);
    const children = node.children;
    for (let i = 0; i < children.length; i++) {
      const child = children[i] as PrefixNode;
      if (child.firstCode !== code) continue;
      if (!path.startsWith(child.label, at)) break;
      const found = searchPrefixes(child, path, at + child.label.length, request);
      if (found !== null) return found;
      break;
    }
  }
  // Whole segments: /foo matches /foo and /foo/bar, never /foobar. The root prefix also matches `*` (OPTIONS *).
  if (node.candidates === null || (at !== 0 && at < path.length && path.charCodeAt(at) !== SLASH)) return null;
  return firstMatch(node.candidates, request);
}

function insertPrefix(root: PrefixNode, prefix: string, candidate: Candidate): void {
  let node = root;
  let rest = prefix;
  while (rest !== '') {
    const code = rest.charCodeAt(0);
    const index = node.children.findIndex((child) => child.firstCode === code);
    if (index < 0) {
      const leaf: PrefixNode = { label: rest, firstCode: code, children: [], candidates: null };
      node.children.push(leaf);
      node = leaf;
      rest = '';
      break;
    }
    const child = node.children[index] as PrefixNode;
    const common = commonLength(child.label, rest);
    if (common < child.label.length) splitNode(child, common);
    node = child;
    rest = rest.slice(common);
  }
  node.candidates ??= [];
  node.candidates.push(candidate);
}

/** Keeps the first `length` octets in the node and moves the rest, with what hung on it, into a child. */
function splitNode(node: PrefixNode, length: number): void {
  const tail: PrefixNode = {
    label: node.label.slice(length),
    firstCode: node.label.charCodeAt(length),
    children: node.children,
    candidates: node.candidates,
  };
  node.label = node.label.slice(0, length);
  node.children = [tail];
  node.candidates = null;
}

function commonLength(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

function sortTree(node: PrefixNode): void {
  node.candidates?.sort(byPrecedence);
  for (const child of node.children) sortTree(child);
}
