/**
 * Rows of bench-mesh.ts: what finding a route costs when a Service port has 100 to 10,000 rules, with the precedence of the Gateway API
 * and with rules in order (VirtualService), and what it takes from the resource to the first answer (compilation).
 */
import type { RequestView } from '../mesh/request.ts';
import type { HttpRoute, HttpRouteMatch, PathMatch } from '../mesh/route-model.ts';
import { RouteTable } from '../mesh/route-table.ts';

/** One figure in ns; `ratio`: to the same with 100 rules. */
export interface RouteRow {
  readonly name: string;
  readonly nanoseconds: number;
  readonly ratio: number;
}

const RULE_COUNTS = [100, 1_000, 10_000];
/** Requests that are asked in turn: they hit rules from the first to the last. */
const QUESTIONS = 256;
const CLIENT = { namespace: 'shop', labels: {} };
const USER_AGENT = { name: 'user-agent', type: 'exact' as const, value: 'bench', invert: false };

type Source = 'HTTPRoute' | 'VirtualService';
interface Shape {
  readonly name: string;
  readonly source: Source;
  readonly type: PathMatch['type'];
}

const SHAPES: readonly Shape[] = [
  { name: 'HTTPRoute, exact paths', source: 'HTTPRoute', type: 'exact' },
  { name: 'HTTPRoute, prefixes', source: 'HTTPRoute', type: 'prefix' },
  { name: 'VirtualService, exact paths', source: 'VirtualService', type: 'exact' },
  { name: 'VirtualService, prefixes', source: 'VirtualService', type: 'stringPrefix' },
];

/** @param measure ns of one call of its argument */
export function routeRows(measure: (work: (i: number) => number) => number): RouteRow[] {
  // Once for the compiler, which knows only then what all shapes have in common.
  for (const shape of SHAPES) for (const what of ['match', 'miss']) figure(shape, what, 100, measure);
  return SHAPES.flatMap((shape) =>
    ['match', 'miss', 'compile'].flatMap((what) => {
      const figures = RULE_COUNTS.map((count) => figure(shape, what, count, measure));
      return RULE_COUNTS.map((count, i) => ({
        name: `route ${what}, ${shape.name}, ${count} rules`,
        nanoseconds: figures[i] as number,
        ratio: (figures[i] as number) / (figures[0] as number),
      }));
    }),
  );
}

function figure(shape: Shape, what: string, count: number, measure: (work: (i: number) => number) => number): number {
  const route = routeOf(shape, count);
  if (what === 'compile') {
    const asked = view(`${pathOf(0)}x`);
    return measure(() => (new RouteTable([route], 80, () => null).match(asked, CLIENT) === null ? 0 : 1));
  }
  const table = new RouteTable([route], 80, () => null);
  const step = Math.max(1, Math.floor(count / QUESTIONS));
  const tail = shape.type === 'exact' ? '' : '/item';
  const questions = Array.from({ length: QUESTIONS }, (_, i) => view(`${pathOf((i * step) % count)}${tail}`));
  const misses = questions.map(({ path }) => view(`/none${path}`));
  const asked = what === 'match' ? questions : misses;
  for (const question of asked) {
    if ((table.match(question, CLIENT) === null) !== (what === 'miss'))
      throw new Error(`${question.path} is misjudged`);
  }
  return measure((i) => table.match(asked[i % QUESTIONS] as RequestView, CLIENT)?.ruleIndex ?? -1);
}

/** As long for the first rule as for the last. */
function pathOf(i: number): string {
  return `/api/v1/resource${String(i).padStart(5, '0')}`;
}

/** Each fourth rule asks for a header too. */
function routeOf({ source, type }: Shape, count: number): HttpRoute {
  return {
    kind: 'httpRoute',
    source,
    namespace: 'shop',
    name: 'web',
    createdMs: 0,
    parents: [{ namespace: 'shop', name: 'web', port: null }],
    clients: ['*'],
    rules: Array.from({ length: count }, (_, i) => ({
      name: null,
      matches: [matchOf({ type, value: pathOf(i), ignoreCase: false }, i % 4 === 0)],
      filters: [],
      backends: [{ namespace: 'shop', name: 'web', port: 80, subset: null, weight: 1, filters: [], valid: true }],
      directResponse: null,
      fault: null,
      timeouts: { requestMs: null, backendRequestMs: null },
      retry: null,
      sessionPersistence: null,
    })),
  };
}

function matchOf(path: PathMatch, hasHeader: boolean): HttpRouteMatch {
  return {
    path,
    method: null,
    headers: hasHeader ? [USER_AGENT] : [],
    queryParams: [],
    scheme: null,
    authority: null,
    port: null,
    client: null,
  };
}

function view(path: string): RequestView {
  const headers = new Map([['user-agent', 'bench']]);
  return { method: 'GET', path, query: '', host: 'web', header: (name) => headers.get(name), headerValues: () => [] };
}
