/**
 * Routes as the mesh knows them, whichever kind they were written in: Gateway API HTTPRoute, GRPCRoute, TLSRoute and TCPRoute
 * (GAMMA: attached to Services), and Istio VirtualService. See model.ts for what all resources have in common.
 */
import type { NamespacedName } from './model.ts';

/** The Kubernetes kind a route was written in; names are unique only within one. */
export type RouteSource = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute' | 'VirtualService';

/** How text is compared. `regex` is RE2 syntax and must match the whole text, or be refused by the controller. */
export interface StringMatch {
  readonly type: 'exact' | 'prefix' | 'regex';
  readonly value: string;
}

export interface PathMatch {
  /** `prefix` matches whole segments (Gateway API PathPrefix); `stringPrefix` any beginning (Istio StringMatch.prefix). */
  readonly type: 'exact' | 'prefix' | 'stringPrefix' | 'regex';
  readonly value: string;
  /** Istio `ignoreUriCase`; of no meaning with `regex`. */
  readonly ignoreCase: boolean;
}

/** A header or a query parameter. */
export interface HeaderMatch {
  /** Of a header in lower case. */
  readonly name: string;
  /** `present`: there is one, whatever its value. `regex` as in StringMatch. */
  readonly type: 'exact' | 'prefix' | 'regex' | 'present';
  /** '' with `present`. */
  readonly value: string;
  /** Istio `withoutHeaders`: holds when the rest does not, also when the header is absent. */
  readonly invert: boolean;
}

/** Whose requests a match concerns (Istio sourceNamespace, sourceLabels). */
export interface ClientMatch {
  /** null: any. */
  readonly namespace: string | null;
  /** All of them must be there; {}: any. */
  readonly labels: Readonly<Record<string, string>>;
}

/** All that is given must hold. */
export interface HttpRouteMatch {
  readonly path: PathMatch | null;
  readonly method: StringMatch | null;
  readonly headers: readonly HeaderMatch[];
  readonly queryParams: readonly HeaderMatch[];
  /** Istio only. Compared with `http`: what arrives at the agent is plain. */
  readonly scheme: StringMatch | null;
  /** Istio only. Compared with the Host in lower case and without port. */
  readonly authority: StringMatch | null;
  /** Istio only: the Service port that was dialled. */
  readonly port: number | null;
  /** Istio only. */
  readonly client: ClientMatch | null;
}

export interface NameValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly type: 'requestHeaderModifier' | 'responseHeaderModifier';
  readonly set: readonly NameValue[];
  readonly add: readonly NameValue[];
  readonly remove: readonly string[];
}

/** What becomes of a path. Never of the query. */
export type PathModifier =
  /** The whole path. */
  | { readonly type: 'full'; readonly value: string }
  /** The segments that the match's `prefix` named (Gateway API ReplacePrefixMatch). */
  | { readonly type: 'prefix'; readonly value: string }
  /** The beginning that the match's `stringPrefix` named, octet by octet (Envoy prefix_rewrite); whole path with another match. */
  | { readonly type: 'stringPrefix'; readonly value: string }
  /** Every match of `pattern` (RE2); `value` may name groups as \1 (Istio uriRegexRewrite). */
  | { readonly type: 'regex'; readonly pattern: string; readonly value: string };

/** Answered by the agent; nothing is forwarded. */
export interface RequestRedirect {
  readonly type: 'requestRedirect';
  /** null: that of the request. */
  readonly scheme: 'http' | 'https' | null;
  /** null: that of the request. */
  readonly hostname: string | null;
  /**
   * `scheme`: the well-known one of the scheme, which is not written. `request`: the port that was dialled, not written where
   * it is the scheme's.
   */
  readonly port: number | 'scheme' | 'request';
  /** null: that of the request. */
  readonly path: PathModifier | null;
  readonly statusCode: 301 | 302 | 303 | 307 | 308;
}

export interface UrlRewrite {
  readonly type: 'urlRewrite';
  /** null: unchanged. Lower case, may carry a port (Istio rewrite.authority). */
  readonly hostname: string | null;
  readonly path: PathModifier | null;
}

/** A copy of the request whose answer is thrown away. */
export interface RequestMirror {
  readonly type: 'requestMirror';
  readonly backend: BackendTarget;
  /** False: unresolvable; nothing is mirrored. */
  readonly valid: boolean;
  /** Of a million requests. */
  readonly perMillion: number;
}

/** Gateway API HTTPCORSFilter, Istio CorsPolicy. */
export interface Cors {
  readonly type: 'cors';
  /** An origin as browsers write it; `exact` `*`: any. Gateway API wildcards (`https://*.a.com`) come as `regex`. */
  readonly allowOrigins: readonly StringMatch[];
  /** `*` alone: any. */
  readonly allowMethods: readonly string[];
  /** Lower case; `*` alone: any. */
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly allowCredentials: boolean;
  /** Seconds; null: not said. */
  readonly maxAgeS: number | null;
  /** A preflight from an origin that is not allowed: goes to the backend (Istio FORWARD, the Gateway API) or is answered without CORS headers. */
  readonly unmatchedPreflights: 'forward' | 'answer';
}

export type HttpFilter = HeaderModifier | RequestRedirect | UrlRewrite | RequestMirror | Cors;

/** Pods of a Service that carry labels (Istio DestinationRule subset). */
export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * A Service port: `name` is that of a Kubernetes Service, or a host of a ServiceEntry (which has a dot in it, as no Service has).
 */
export interface BackendTarget {
  readonly namespace: string;
  readonly name: string;
  /** 0: the port that was dialled (Istio Destination without port), or a broken reference. */
  readonly port: number;
  /** null: all of its pods. */
  readonly subset: Subset | null;
}

export interface HttpRouteBackend extends BackendTarget {
  /** 0 to 1,000,000 (Gateway API); relative to the sum of the rule's weights. */
  readonly weight: number;
  readonly filters: readonly HttpFilter[];
  /** False: unresolvable reference; its share of the weight is answered with 500 (Gateway API). */
  readonly valid: boolean;
}

/** An answer without a backend (Istio HTTPDirectResponse). */
export interface DirectResponse {
  readonly status: number;
  /** null: none. */
  readonly body: string | null;
}

/** Istio HTTPFaultInjection; null: that fault is not injected. */
export interface Fault {
  readonly delay: { readonly perMillion: number; readonly delayMs: number } | null;
  /** `status`: HTTP. `grpcStatus`: 0 to 16, for gRPC; exactly one of the two is not null. */
  readonly abort: {
    readonly perMillion: number;
    readonly status: number | null;
    readonly grpcStatus: number | null;
  } | null;
}

/** Milliseconds; null: no limit. */
export interface RouteTimeouts {
  /** From the request's last octet to the response's (Gateway API timeouts.request; Istio timeout). */
  readonly requestMs: number | null;
  /** Of one attempt. */
  readonly backendRequestMs: number | null;
}

/** Carried, not enforced yet. */
export interface RouteRetry {
  /** Further attempts after the first; 0: none. */
  readonly attempts: number;
  readonly perTryTimeoutMs: number | null;
  readonly backoffMs: number | null;
  /** Response codes. */
  readonly codes: readonly number[];
  /** Istio `retryOn` conditions. */
  readonly conditions: readonly string[];
}

/** Carried, not enforced yet (Gateway API SessionPersistence). */
export interface SessionPersistence {
  readonly type: 'Cookie' | 'Header';
  readonly sessionName: string | null;
  readonly absoluteTimeoutMs: number | null;
  readonly idleTimeoutMs: number | null;
  readonly cookieLifetime: 'Session' | 'Permanent';
}

/** What happens first is answered first: abort, redirect or direct response, CORS preflight; then backends. */
export interface HttpRouteRule {
  readonly name: string | null;
  /** Empty means: match every request. */
  readonly matches: readonly HttpRouteMatch[];
  readonly filters: readonly HttpFilter[];
  readonly backends: readonly HttpRouteBackend[];
  readonly directResponse: DirectResponse | null;
  readonly fault: Fault | null;
  readonly timeouts: RouteTimeouts;
  readonly retry: RouteRetry | null;
  readonly sessionPersistence: SessionPersistence | null;
}

/** A Service (GAMMA parentRef), or a Service or ServiceEntry host that a VirtualService names. */
export interface HttpRouteParent {
  readonly namespace: string;
  /** As BackendTarget.name. */
  readonly name: string;
  /** null: every port of the Service. */
  readonly port: number | null;
}

/** Key: see keyOf. */
export interface HttpRoute {
  readonly kind: 'httpRoute';
  readonly source: 'HTTPRoute' | 'GRPCRoute' | 'VirtualService';
  readonly namespace: string;
  readonly name: string;
  /** metadata.creationTimestamp in ms since the epoch, 0 when absent: the tie-break of the Gateway API. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  /**
   * Namespaces whose pods it decides for; [`*`]: all. A GAMMA consumer route has its own namespace alone, and where one matches the
   * parent port the producer's are not asked. A VirtualService has its `exportTo`.
   */
  readonly clients: readonly string[];
  /** Gateway API: the most specific match of all routes wins. VirtualService: the first rule that matches, in order. */
  readonly rules: readonly HttpRouteRule[];
}

/** A backend of a route that decides once per connection. */
export interface StreamBackend extends BackendTarget {
  /** 0 to 1,000,000 (Gateway API); relative to the sum of the route's weights. */
  readonly weight: number;
  /** False: unresolvable reference; its share of the connections is reset (Gateway API). */
  readonly valid: boolean;
}

/** All that is given must hold. */
export interface StreamRouteMatch {
  /** Lower case: a name, or `*.` and a name for all names below it. Empty: every connection, also one without a server name. */
  readonly hostnames: readonly string[];
  /** Blocks the dialled address must be in; empty: any (Istio destinationSubnets). */
  readonly destinationBlocks: readonly string[];
  /** The Service port that was dialled; null: any. */
  readonly port: number | null;
  readonly client: ClientMatch | null;
}

export interface StreamRouteRule {
  /** OR; empty: every connection. */
  readonly matches: readonly StreamRouteMatch[];
  /** Empty: connections are reset. */
  readonly backends: readonly StreamBackend[];
}

/** TLS passed through, sent on by its server name: TLSRoute, or `tls` of a VirtualService. Key: see keyOf. */
export interface TlsRoute {
  readonly kind: 'tlsRoute';
  readonly source: 'TLSRoute' | 'VirtualService';
  readonly namespace: string;
  readonly name: string;
  /** As HttpRoute. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  readonly clients: readonly string[];
  readonly rules: readonly StreamRouteRule[];
}

/** Any connection: TCPRoute, or `tcp` of a VirtualService. Its matches have no hostnames. Key: see keyOf. */
export interface TcpRoute {
  readonly kind: 'tcpRoute';
  readonly source: 'TCPRoute' | 'VirtualService';
  readonly namespace: string;
  readonly name: string;
  /** As HttpRoute. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  readonly clients: readonly string[];
  readonly rules: readonly StreamRouteRule[];
}

/** `namespace/name` of a parent or backend. */
export function targetName(target: { readonly namespace: string; readonly name: string }): NamespacedName {
  return `${target.namespace}/${target.name}`;
}
