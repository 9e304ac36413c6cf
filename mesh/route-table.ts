/**
 * The HTTP routes of one Service port, compiled for matching, for whoever asks:
 *
 *   consumer routes of the client's namespace (GAMMA), if there are any
 *   else HTTPRoutes and GRPCRoutes of the Service's own namespace, if there are any
 *   else, of the VirtualServices that are exported to the client's namespace, the oldest
 *
 * Within one of these a RuleIndex decides. Views are made per namespace that some route names, and one for all others.
 */

import { allowExpressions } from './expression-budget.ts';
import type { Cluster } from './cluster.ts';
import { compileHeaderEdits, type HeaderEdits, withHost } from './header-edits.ts';
import type { PathNormalization } from './path.ts';
import { type CompiledRewrite, compileRewrite } from './path-rewrite.ts';
import type { RequestView } from './request.ts';
import type { RouteClient } from './request-match.ts';
import { compileActions, type RouteActions } from './route-actions.ts';
import type {
  BackendTarget,
  HeaderModifier,
  HttpFilter,
  HttpRoute,
  HttpRouteBackend,
  HttpRouteRule,
  PathMatch,
  UrlRewrite,
} from './route-model.ts';
import { compareRoutes } from './route-order.ts';
import { RuleIndex } from './rule-index.ts';

export type { RouteClient } from './request-match.ts';

/** One backend of a rule. `cluster` null: broken reference, answer 500 (Gateway API BackendRef). */
export interface WeightedCluster {
  readonly cluster: Cluster | null;
  readonly weight: number;
  readonly backend: HttpRouteBackend;
  /** Rule filters and this backend's filters merged, `host` also from a rewrite of it; null: nothing to edit. */
  readonly requestEdits: HeaderEdits | null;
  readonly responseEdits: HeaderEdits | null;
  /** Of path and host; null: none. */
  readonly rewrite: CompiledRewrite | null;
}

/** Backends with a weight above 0, and the sum of their weights. Empty: answer 500. */
export interface WeightedClusters {
  readonly entries: readonly WeightedCluster[];
  readonly totalWeight: number;
}

/** The rule a request matched, and by which path; one object per match of a rule for the life of the table. */
export interface RouteMatch {
  readonly route: HttpRoute;
  readonly rule: HttpRouteRule;
  readonly ruleIndex: number;
  /** `namespace/route/rule`, rule being its name or its index: for metrics, the access log and people. */
  readonly name: string;
  /** The path that was matched, for rewrites, its value in octets (see RequestView); null: any. */
  readonly matched: PathMatch | null;
  /** The rule's own filters, for answers made without a backend; use the picked backend's edits otherwise. */
  readonly requestEdits: HeaderEdits | null;
  readonly responseEdits: HeaderEdits | null;
  readonly backends: WeightedClusters;
  /** null: nothing but forwarding. */
  readonly actions: RouteActions | null;
}

/** Finds the cluster of a Service port, or of a subset of it; null when there is none. */
export type ClusterLookup = (target: BackendTarget) => Cluster | null;

const EVERYBODY = '*';

export class RouteTable {
  readonly routes: readonly HttpRoute[];
  readonly #port: number;
  readonly #clusterOf: ClusterLookup;
  readonly #pathMode: PathNormalization;
  /** By route and index of the rule. */
  readonly #compiled = new Map<HttpRoute, RouteMatch[]>();
  /** By namespace that some route names; null: no route concerns it. */
  readonly #views = new Map<string, RuleIndex | null>();
  readonly #named: ReadonlySet<string>;
  #others: RuleIndex | null | undefined;
  /** By the routes that they decide by: namespaces that see the same ones share a view. */
  readonly #byRoutes = new Map<string, RuleIndex>();

  /**
   * Compiles routes that are valid (see validate.ts) and attached to one Service port.
   * @param pathMode the mesh's: what rewrites make of a path is normalised as what came was
   */
  constructor(
    routes: readonly HttpRoute[],
    port: number,
    clusterOf: ClusterLookup,
    pathMode: PathNormalization = 'BASE',
  ) {
    this.routes = routes;
    this.#port = port;
    this.#pathMode = pathMode;
    this.#clusterOf = (target) => clusterOf(target.port === 0 ? { ...target, port } : target);
    this.#named = new Set(routes.flatMap(({ clients }) => clients.filter((name) => name !== EVERYBODY)));
  }

  /** False: no route decides for that client, and its requests go to the Service as if there were none. */
  concerns(client: RouteClient): boolean {
    return this.#view(client.namespace) !== null;
  }

  /** The rule for a request, or null: no rule matches, answer 404 (Gateway API, route attached to a Service; Istio too). Not good if expressionsExceeded() now. */
  match(request: RequestView, client: RouteClient): RouteMatch | null {
    allowExpressions();
    return this.#view(client.namespace)?.find(request, client) ?? null;
  }

  #view(namespace: string): RuleIndex | null {
    if (!this.#named.has(namespace)) {
      if (this.#others === undefined) this.#others = this.#compileView(null);
      return this.#others;
    }
    let view = this.#views.get(namespace);
    if (view === undefined) {
      view = this.#compileView(namespace);
      this.#views.set(namespace, view);
    }
    return view;
  }

  /** @param namespace null: one that no route names */
  #compileView(namespace: string | null): RuleIndex | null {
    const visible = this.routes.filter(
      ({ clients }) => clients.includes(EVERYBODY) || (namespace !== null && clients.includes(namespace)),
    );
    const gateway = visible.filter(({ source }) => source !== 'VirtualService');
    const consumer = gateway.filter(({ clients }) => !clients.includes(EVERYBODY));
    const chosen = consumer.length > 0 ? consumer : gateway;
    if (chosen.length > 0) return this.#index(chosen, false);
    // Of several VirtualServices for one host the oldest alone decides, as in Istio.
    const [oldest] = [...visible].sort(compareRoutes);
    return oldest === undefined ? null : this.#index([oldest], true);
  }

  #index(routes: readonly HttpRoute[], inOrder: boolean): RuleIndex {
    const key = routes.map((route) => this.routes.indexOf(route)).join();
    const known = this.#byRoutes.get(key);
    if (known !== undefined) return known;
    const index = new RuleIndex(inOrder, this.#port, (route, ruleIndex, path) => {
      const base = this.#compile(route, route.rules[ruleIndex] as HttpRouteRule, ruleIndex);
      return path === null ? base : { ...base, matched: path };
    });
    for (const route of routes) {
      route.rules.forEach((rule, ruleIndex) => {
        index.add(route, ruleIndex, rule);
      });
    }
    index.seal();
    this.#byRoutes.set(key, index);
    return index;
  }

  /** One compiled form per rule that was ever found, whatever the number of views. */
  #compile(route: HttpRoute, rule: HttpRouteRule, ruleIndex: number): RouteMatch {
    let ofRoute = this.#compiled.get(route);
    if (ofRoute === undefined) {
      ofRoute = [];
      this.#compiled.set(route, ofRoute);
    }
    const known = ofRoute[ruleIndex];
    if (known !== undefined) return known;
    const entries = rule.backends.filter(({ weight }) => weight > 0).map((backend) => this.#backend(rule, backend));
    const modifiers = modifiersOf(rule.filters);
    const compiled: RouteMatch = {
      route,
      rule,
      ruleIndex,
      name: `${route.namespace}/${route.name}/${rule.name ?? ruleIndex}`,
      matched: null,
      requestEdits: compileHeaderEdits(modifiers, 'requestHeaderModifier'),
      responseEdits: compileHeaderEdits(modifiers, 'responseHeaderModifier'),
      backends: { entries, totalWeight: entries.reduce((sum, { weight }) => sum + weight, 0) },
      actions: compileActions(rule, this.#clusterOf),
    };
    ofRoute[ruleIndex] = compiled;
    return compiled;
  }

  #backend(rule: HttpRouteRule, backend: HttpRouteBackend): WeightedCluster {
    const filters = backend.filters.length === 0 ? rule.filters : [...rule.filters, ...backend.filters];
    const modifiers = modifiersOf(filters);
    const host = hostOf(backend.filters) ?? hostOf(rule.filters);
    const rewrite = compileRewrite(filters.filter(isRewrite), this.#pathMode);
    return {
      cluster: backend.valid ? this.#clusterOf(backend) : null,
      weight: backend.weight,
      backend,
      requestEdits: withHost(compileHeaderEdits(modifiers, 'requestHeaderModifier'), host),
      responseEdits: compileHeaderEdits(modifiers, 'responseHeaderModifier'),
      rewrite: rewrite === null || rewrite.host === null ? rewrite : { ...rewrite, host },
    };
  }
}

/**
 * The Host that filters of one place ask for, or null. Beside a header of that name a rewrite wins, as in Envoy, which rewrites the host
 * after all headers (RouteEntryImplBase::finalizeRequestHeaders).
 */
function hostOf(filters: readonly HttpFilter[]): string | null {
  if (filters.length === 0) return null;
  const written = compileHeaderEdits(modifiersOf(filters), 'requestHeaderModifier')?.host ?? null;
  return filters.filter(isRewrite).reduce<string | null>((host, { hostname }) => hostname ?? host, null) ?? written;
}

function isRewrite(filter: HttpFilter): filter is UrlRewrite {
  return filter.type === 'urlRewrite';
}

function modifiersOf(filters: readonly HttpFilter[]): readonly HeaderModifier[] {
  return filters.filter(
    (filter): filter is HeaderModifier =>
      filter.type === 'requestHeaderModifier' || filter.type === 'responseHeaderModifier',
  );
}
