/**
 * The matches of many rules by path, so that the cost of finding one does not grow with those whose path is another:
 *
 *   literal    Map path → candidates, radix tree of path beginnings → candidates; one more pair for paths in lower case
 *   others     regular expressions, one after the other
 *   every path candidates that ask for no path
 *
 * Two orders of precedence: Gateway API, where the most specific match of all routes wins, and VirtualService, where the first
 * match of the first rule does: there each source of candidates is asked for its first one, and the earliest of these wins.
 * Matching allocates nothing but what predicates need.
 */
import { RadixTree } from './radix-tree.ts';
import type { RequestView } from './request.ts';
import { compilePathTest, mayHold, octetPath, RequestPredicates, type RouteClient } from './request-match.ts';
import type { HttpRoute, HttpRouteMatch, HttpRouteRule, PathMatch } from './route-model.ts';
import { compareRoutes } from './route-order.ts';
import type { RouteMatch } from './route-table.ts';

/** One match of one rule. */
interface Candidate {
  readonly predicates: RequestPredicates;
  /** Of paths that no literal index answers for. */
  readonly pathTest: ((path: string) => boolean) | null;
  /** Place of the match among all of the table: rules in their order, matches of a rule in theirs. */
  readonly order: number;
  readonly route: HttpRoute;
  readonly ruleIndex: number;
  readonly path: PathMatch | null;
  /** Made when it is first found: of many rules most never are. */
  result: RouteMatch | null;
}

/** What a match of a rule leads to; `path` as octetPath() has it. */
export type ResultOf = (route: HttpRoute, ruleIndex: number, path: PathMatch | null) => RouteMatch;

interface PrefixEntry {
  readonly length: number;
  /** Whole segments only (Gateway API); other prefixes end anywhere. */
  readonly bySegment: Candidate[];
  readonly anywhere: Candidate[];
}

type Comparison = (left: Candidate, right: Candidate) => number;

const SLASH = 47;
const NOBODY: readonly Candidate[] = [];
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

/** Candidates by the literal text that a path is, or begins with. */
class LiteralPaths {
  readonly #exact = new Map<string, Candidate[]>();
  readonly #prefixes = new RadixTree<PrefixEntry>('start');
  readonly #lists: Candidate[][] = [];

  add({ type, value }: PathMatch, candidate: Candidate): void {
    if (type === 'exact') {
      const existing = this.#exact.get(value);
      if (existing === undefined) this.#exact.set(value, this.#list([candidate]));
      else existing.push(candidate);
      return;
    }
    const text = type === 'prefix' ? value.replace(/\/+$/, '') : value;
    const entry = this.#prefixes.entry(text, () => ({
      length: text.length,
      bySegment: this.#list([]),
      anywhere: this.#list([]),
    }));
    (type === 'prefix' ? entry.bySegment : entry.anywhere).push(candidate);
  }

  sort(compare: Comparison): void {
    for (const list of this.#lists) list.sort(compare);
  }

  exact(path: string): readonly Candidate[] {
    return this.#exact.get(path) ?? NOBODY;
  }

  /** Into `found`, the shortest first. */
  collectPrefixes(path: string): void {
    // Setting the length would give the array's memory back, and take longer than all the rest.
    while (found.length > 0) found.pop();
    this.#prefixes.collect(path, found);
  }

  #list(list: Candidate[]): Candidate[] {
    this.#lists.push(list);
    return list;
  }
}

export class RuleIndex {
  readonly #inOrder: boolean;
  readonly #port: number;
  readonly #resultOf: ResultOf;
  readonly #literal = new LiteralPaths();
  /** By path in lower case; null: nobody ignores case. Only VirtualServices do. */
  #lowerCase: LiteralPaths | null = null;
  readonly #everyPath: Candidate[] = [];
  /** Gateway API: before prefixes (HTTPRoute), and before the catch-all only (GRPCRoute: a method without its service). */
  readonly #others: Candidate[] = [];
  readonly #lastOthers: Candidate[] = [];
  #order = 0;

  /** @param inOrder VirtualService. @param port of the Service that is dialled */
  constructor(inOrder: boolean, port: number, resultOf: ResultOf) {
    this.#inOrder = inOrder;
    this.#port = port;
    this.#resultOf = resultOf;
  }

  /** Adds a rule; those of VirtualServices in their order. Matches that can hold for no request on this port are left out. */
  add(route: HttpRoute, ruleIndex: number, { matches }: HttpRouteRule): void {
    for (const match of matches.length === 0 ? [ANY_REQUEST] : matches) {
      const order = this.#order++;
      if (!mayHold(match, this.#port)) continue;
      const path = octetPath(match.path);
      const isLiteral = path === null || (path.type !== 'regex' && (this.#inOrder || !path.ignoreCase));
      this.#place({
        predicates: new RequestPredicates(match),
        pathTest: isLiteral ? null : compilePathTest(path),
        order,
        route,
        ruleIndex,
        path,
        result: null,
      });
    }
  }

  /** All rules are in. */
  seal(): void {
    const compare = this.#inOrder ? byOrder : byPrecedence;
    this.#literal.sort(compare);
    this.#lowerCase?.sort(compare);
    for (const list of [this.#everyPath, this.#others, this.#lastOthers]) list.sort(compare);
  }

  /** Hot. null: nothing matches. */
  find(request: RequestView, client: RouteClient): RouteMatch | null {
    const found = this.#inOrder ? this.#first(request, client) : this.#mostSpecific(request, client);
    if (found === null) return null;
    found.result ??= this.#resultOf(found.route, found.ruleIndex, found.path);
    return found.result;
  }

  #place(candidate: Candidate): void {
    const { path } = candidate;
    if (path === null || isRoot(path)) this.#everyPath.push(candidate);
    else if (candidate.pathTest !== null) {
      const late = !this.#inOrder && candidate.route.source === 'GRPCRoute';
      (late ? this.#lastOthers : this.#others).push(candidate);
    } else if (path.ignoreCase) {
      this.#lowerCase ??= new LiteralPaths();
      this.#lowerCase.add({ ...path, value: path.value.toLowerCase() }, candidate);
    } else this.#literal.add(path, candidate);
  }

  #mostSpecific(request: RequestView, client: RouteClient): Candidate | null {
    const { path } = request;
    const best =
      earlier(null, this.#literal.exact(path), request, client) ?? earlier(null, this.#others, request, client);
    if (best !== null) return best;
    this.#literal.collectPrefixes(path);
    for (let i = found.length - 1; i >= 0; i--) {
      const { length, bySegment, anywhere } = found[i] as PrefixEntry;
      const whole = endsSegment(path, length) ? earlier(null, bySegment, request, client) : null;
      const matched = whole ?? earlier(null, anywhere, request, client);
      if (matched !== null) return matched;
    }
    return earlier(null, this.#lastOthers, request, client) ?? earlier(null, this.#everyPath, request, client);
  }

  /** The first in order of all lists that may hold it; a list is left as soon as it can only have later ones. */
  #first(request: RequestView, client: RouteClient): Candidate | null {
    let best = earlier(null, this.#everyPath, request, client);
    best = firstLiteral(best, this.#literal, request.path, request, client);
    if (this.#lowerCase !== null) {
      best = firstLiteral(best, this.#lowerCase, request.path.toLowerCase(), request, client);
    }
    return earlier(best, this.#others, request, client);
  }
}

function firstLiteral(
  best: Candidate | null,
  literal: LiteralPaths,
  path: string,
  request: RequestView,
  client: RouteClient,
): Candidate | null {
  let first = earlier(best, literal.exact(path), request, client);
  literal.collectPrefixes(path);
  for (let i = 0; i < found.length; i++) {
    const { length, bySegment, anywhere } = found[i] as PrefixEntry;
    first = earlier(first, anywhere, request, client);
    if (endsSegment(path, length)) first = earlier(first, bySegment, request, client);
  }
  return first;
}

/** The first of sorted candidates that holds, unless `best` is before it. */
function earlier(
  best: Candidate | null,
  candidates: readonly Candidate[],
  request: RequestView,
  client: RouteClient,
): Candidate | null {
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i] as Candidate;
    if (best !== null && candidate.order >= best.order) return best;
    if (candidate.pathTest !== null && !candidate.pathTest(request.path)) continue;
    if (candidate.predicates.hold(request, client)) return candidate;
  }
  return best;
}

/** Every path begins so; `*` (OPTIONS *) counts as one. Slashes at the end of whole segments say nothing. */
function isRoot({ type, value }: PathMatch): boolean {
  return type === 'prefix' ? /^\/+$/.test(value) : type === 'stringPrefix' && value === '/';
}

/** Whole segments: /foo matches /foo and /foo/bar, never /foobar. */
function endsSegment(path: string, length: number): boolean {
  return length === path.length || path.charCodeAt(length) === SLASH;
}

function byOrder(left: Candidate, right: Candidate): number {
  return left.order - right.order;
}

/** Order among candidates of the same path; every step of HTTPRouteMatch's precedence after the path. */
function byPrecedence(left: Candidate, right: Candidate): number {
  const [a, b] = [left.predicates, right.predicates];
  return (
    Number(b.namesMethod) - Number(a.namesMethod) ||
    b.headerCount - a.headerCount ||
    b.paramCount - a.paramCount ||
    bySource(left, right) ||
    compareRoutes(left.route, right.route) ||
    left.order - right.order
  );
}

/** A GRPCRoute knows better what a gRPC call is (Gateway API: it goes before an HTTPRoute for the same host). */
function bySource(left: Candidate, right: Candidate): number {
  return Number(right.route.source === 'GRPCRoute') - Number(left.route.source === 'GRPCRoute');
}
