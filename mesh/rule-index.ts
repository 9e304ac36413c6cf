/**
 * The matches of many rules by path, so that the cost of finding one does not grow with those whose path is another:
 *
 *   exact    Map path → candidates         prefixes   radix tree of path beginnings → candidates
 *   others   regular expressions and paths compared without case, one after the other
 *
 * Two orders of precedence: Gateway API, where the most specific match of all routes wins, and VirtualService, where the first
 * rule in order does. Matching allocates nothing but what predicates need.
 */
import { RadixTree } from './radix-tree.ts';
import type { RequestView } from './request.ts';
import { compilePathTest, RequestPredicates, type RouteClient } from './request-match.ts';
import type { HttpRouteMatch, PathMatch } from './route-model.ts';
import { compareRoutes } from './route-order.ts';
import type { RouteMatch } from './route-table.ts';

/** One match of one rule. */
interface Candidate {
  readonly predicates: RequestPredicates;
  readonly path: PathMatch | null;
  /** Of paths that the index does not answer for. */
  readonly pathTest: ((path: string) => boolean) | null;
  readonly matchIndex: number;
  /** Place in the order of a VirtualService. */
  readonly order: number;
  readonly result: RouteMatch;
}

interface PrefixEntry {
  readonly length: number;
  /** Whole segments only (Gateway API); other prefixes end anywhere. */
  readonly bySegment: Candidate[];
  readonly anywhere: Candidate[];
}

const SLASH = 47;
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
/** Entries found for the path of the request being matched; shared, emptied by each use. */
const found: PrefixEntry[] = [];

export class RuleIndex {
  readonly #inOrder: boolean;
  readonly #port: number;
  readonly #exact = new Map<string, Candidate[]>();
  readonly #prefixes = new RadixTree<PrefixEntry>('start');
  readonly #everyPath: Candidate[] = [];
  /** Gateway API: before prefixes (HTTPRoute), and before the catch-all only (GRPCRoute: a method without its service). */
  readonly #others: Candidate[] = [];
  readonly #lastOthers: Candidate[] = [];
  #order = 0;

  /** @param inOrder VirtualService. @param port of the Service that is dialled */
  constructor(inOrder: boolean, port: number) {
    this.#inOrder = inOrder;
    this.#port = port;
  }

  /** Adds the matches of a rule, each with what it leads to. Rules of VirtualServices in their order. */
  add(matches: readonly HttpRouteMatch[], resultOf: (match: HttpRouteMatch) => RouteMatch): void {
    const order = this.#order++;
    (matches.length === 0 ? [ANY_REQUEST] : matches).forEach((match, matchIndex) => {
      const { path } = match;
      this.#place({
        predicates: new RequestPredicates(match),
        path,
        pathTest: path === null ? null : compilePathTest(path),
        matchIndex,
        order,
        result: resultOf(match),
      });
    });
  }

  /** All rules are in. */
  seal(): void {
    const compare = this.#inOrder ? byOrder : byPrecedence;
    for (const candidates of this.#exact.values()) candidates.sort(compare);
    for (const list of this.#lists) list.sort(compare);
    for (const list of [this.#everyPath, this.#others, this.#lastOthers]) list.sort(compare);
  }

  readonly #lists: Candidate[][] = [];

  /** Hot. null: nothing matches. */
  find(request: RequestView, client: RouteClient): RouteMatch | null {
    return (this.#inOrder ? this.#first(request, client) : this.#mostSpecific(request, client))?.result ?? null;
  }

  #place(candidate: Candidate): void {
    const { path, pathTest } = candidate;
    if (pathTest !== null) {
      const late = !this.#inOrder && candidate.result.route.source === 'GRPCRoute';
      (late ? this.#lastOthers : this.#others).push(candidate);
    } else if (path === null || isRoot(path)) this.#everyPath.push(candidate);
    else if (path.type === 'exact') {
      const existing = this.#exact.get(path.value);
      if (existing === undefined) this.#exact.set(path.value, [candidate]);
      else existing.push(candidate);
    } else {
      const text = path.type === 'prefix' ? path.value.replace(/\/+$/, '') : path.value;
      const entry = this.#prefixes.entry(text, () => this.#prefixEntry(text.length));
      (path.type === 'prefix' ? entry.bySegment : entry.anywhere).push(candidate);
    }
  }

  #prefixEntry(length: number): PrefixEntry {
    const entry = { length, bySegment: [], anywhere: [] };
    this.#lists.push(entry.bySegment, entry.anywhere);
    return entry;
  }

  #mostSpecific(request: RequestView, client: RouteClient): Candidate | null {
    const { path } = request;
    const exact = this.#exact.get(path);
    const best =
      (exact === undefined ? null : this.#firstOf(exact, request, client)) ??
      this.#firstOf(this.#others, request, client);
    if (best !== null) return best;
    this.#collect(path);
    for (let i = found.length - 1; i >= 0; i--) {
      const entry = found[i] as PrefixEntry;
      const matched =
        (endsSegment(path, entry.length) ? this.#firstOf(entry.bySegment, request, client) : null) ??
        this.#firstOf(entry.anywhere, request, client);
      if (matched !== null) return matched;
    }
    return this.#firstOf(this.#lastOthers, request, client) ?? this.#firstOf(this.#everyPath, request, client);
  }

  /** The first in order of all lists that may hold it; a list is left as soon as it can only have later ones. */
  #first(request: RequestView, client: RouteClient): Candidate | null {
    const { path } = request;
    const exact = this.#exact.get(path);
    let best = exact === undefined ? null : this.#firstOf(exact, request, client);
    best = this.#earlier(best, this.#everyPath, request, client);
    this.#collect(path);
    for (let i = 0; i < found.length; i++) {
      const entry = found[i] as PrefixEntry;
      best = this.#earlier(best, entry.anywhere, request, client);
      if (endsSegment(path, entry.length)) best = this.#earlier(best, entry.bySegment, request, client);
    }
    return this.#earlier(best, this.#others, request, client);
  }

  #collect(path: string): void {
    found.length = 0;
    this.#prefixes.collect(path, found);
  }

  #firstOf(candidates: readonly Candidate[], request: RequestView, client: RouteClient): Candidate | null {
    return this.#earlier(null, candidates, request, client);
  }

  #earlier(
    best: Candidate | null,
    candidates: readonly Candidate[],
    request: RequestView,
    client: RouteClient,
  ): Candidate | null {
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i] as Candidate;
      if (best !== null && candidate.order >= best.order) return best;
      if (candidate.pathTest !== null && !candidate.pathTest(request.path)) continue;
      if (candidate.predicates.hold(request, client, this.#port)) return candidate;
    }
    return best;
  }
}

/** Every path begins so; `*` (OPTIONS *) counts as one. */
function isRoot(path: PathMatch): boolean {
  return path.type === 'prefix' ? /^\/*$/.test(path.value) : path.type === 'stringPrefix' && path.value === '/';
}

/** Whole segments: /foo matches /foo and /foo/bar, never /foobar. */
function endsSegment(path: string, length: number): boolean {
  return length === path.length || path.charCodeAt(length) === SLASH;
}

function byOrder(left: Candidate, right: Candidate): number {
  return left.order - right.order || left.matchIndex - right.matchIndex;
}

/** Order among candidates of the same path; every step of HTTPRouteMatch's precedence after the path. */
function byPrecedence(left: Candidate, right: Candidate): number {
  const [a, b] = [left.predicates, right.predicates];
  return (
    Number(b.namesMethod) - Number(a.namesMethod) ||
    b.headerCount - a.headerCount ||
    b.paramCount - a.paramCount ||
    bySource(left, right) ||
    compareRoutes(left.result.route, right.result.route) ||
    left.result.ruleIndex - right.result.ruleIndex ||
    left.matchIndex - right.matchIndex
  );
}

/** A GRPCRoute knows better what a gRPC call is (Gateway API: it goes before an HTTPRoute for the same host). */
function bySource(left: Candidate, right: Candidate): number {
  return Number(right.result.route.source === 'GRPCRoute') - Number(left.result.route.source === 'GRPCRoute');
}
