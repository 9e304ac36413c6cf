/** gateway.networking.k8s.io HTTPRoute with Services as parents (GAMMA) → the model's HttpRoute. */
import type {
  BackendTarget,
  HttpRouteBackend,
  HttpRouteMatch,
  HttpRouteRule,
  RouteRetry,
  RouteTimeouts,
  SessionPersistence,
} from '../../mesh/route-model.ts';
import { limits } from '../limits.ts';
import { readDuration } from './duration.ts';
import { OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import { checkPrefixModifiers, type FilterContext, readFilters } from './route-filters.ts';
import { MATCH_ALL, readGrpcMatch, readHttpMatch } from './route-matches.ts';
import type { BackendReference, HttpRouteObject, UnsupportedFilter } from './route-objects.ts';
import {
  ELEMENTS_MAX,
  readBackendReference,
  readRouteHead,
  readWeight,
  writtenParents,
  writtenTarget,
} from './route-references.ts';

/** Reads an HTTPRoute; null when it is unusable or attached to nothing of the mesh (then it is somebody else's). */
export function readHttpRoute(object: ObjectReader, origin: ObjectOrigin): HttpRouteObject | null {
  return readRoute('HTTPRoute', object, origin);
}

/** Reads a GRPCRoute; as readHttpRoute. */
export function readGrpcRoute(object: ObjectReader, origin: ObjectOrigin): HttpRouteObject | null {
  return readRoute('GRPCRoute', object, origin);
}

interface RuleContext extends FilterContext {
  readonly unsupported: Map<HttpRouteRule | HttpRouteBackend, UnsupportedFilter>;
}

function readRoute(kind: HttpRouteObject['kind'], object: ObjectReader, origin: ObjectOrigin): HttpRouteObject | null {
  const head = readRouteHead(object);
  if (head === null) return null;
  const { meta, spec, parents } = head;
  const { namespace, name, createdMs, generation } = meta;
  if (spec.list('hostnames', ELEMENTS_MAX).length > 0) {
    const remedy = 'remove them; requests are told apart by the Service they are sent to';
    spec.problems.warning('NO_EFFECT', spec.at('hostnames'), 'means nothing for a Service as a parent', remedy, 'key');
  }
  const references = new Map<BackendTarget, BackendReference>();
  const unsupported = new Map<HttpRouteRule | HttpRouteBackend, UnsupportedFilter>();
  const context: RuleContext = { route: kind, namespace, references, unsupported };
  const readers = spec.objects('rules', limits.routeRulesMax);
  const rules = readers.map((rule) => readRule(rule, context));
  refuseRepeatedNames(readers, rules);
  spec.finish(['useDefaultGateways']);
  return {
    kind,
    namespace,
    name,
    generation,
    route: {
      kind: 'httpRoute',
      source: kind,
      namespace,
      name,
      createdMs,
      parents: writtenParents(parents),
      clients: ['*'],
      rules,
    },
    parents,
    references,
    unsupported,
    origin,
  };
}

function refuseRepeatedNames(readers: readonly ObjectReader[], rules: readonly HttpRouteRule[]): void {
  const seen = new Set<string>();
  for (const [index, { name }] of rules.entries()) {
    if (name === null) continue;
    const reader = readers[index];
    if (seen.has(name)) {
      const remedy = 'give each rule a name of its own';
      reader?.problems.error('INVALID_VALUE', reader.at('name'), `${quote(name)} is another rule's name too`, remedy);
    }
    seen.add(name);
  }
}

function readRule(reader: ObjectReader, context: RuleContext): HttpRouteRule {
  const isHttp = context.route === 'HTTPRoute';
  const name = reader.text('name', OBJECT_NAME);
  const written = reader.objects('matches', ELEMENTS_MAX).map(isHttp ? readHttpMatch : readGrpcMatch);
  const { filters, unsupported } = readFilters(reader, 'rule', context);
  const backends = reader.objects('backendRefs', ELEMENTS_MAX).map((backend) => readBackend(backend, written, context));
  checkPrefixModifiers(reader, filters, written);
  if (backends.length > 0 && filters.some(({ type }) => type === 'requestRedirect')) {
    const remedy = 'remove them: what is redirected is not forwarded';
    reader.problems.error('INVALID_VALUE', reader.at('backendRefs'), 'stand beside a RequestRedirect', remedy, 'key');
  }
  const replacesPrefix = [...filters, ...backends.flatMap((backend) => backend.filters)].some(
    (filter) => 'path' in filter && filter.path?.type === 'prefix',
  );
  const rule: HttpRouteRule = {
    name,
    // What replaces a prefix must know which: without a match it is the one of the Gateway API's default.
    matches: written.length === 0 && replacesPrefix ? [MATCH_ALL] : written,
    filters,
    backends,
    directResponse: null,
    fault: null,
    timeouts: isHttp ? readTimeouts(reader) : { requestMs: null, backendRequestMs: null },
    retry: isHttp ? readRetry(reader) : null,
    sessionPersistence: readSessionPersistence(reader),
  };
  reader.finish();
  if (unsupported !== null) context.unsupported.set(rule, unsupported);
  return rule;
}

function readBackend(reader: ObjectReader, matches: readonly HttpRouteMatch[], context: RuleContext): HttpRouteBackend {
  const reference = readBackendReference(reader, context.namespace);
  const weight = readWeight(reader);
  const { filters, unsupported } = readFilters(reader, 'backend', context);
  checkPrefixModifiers(reader, filters, matches);
  reader.finish();
  const backend = { ...writtenTarget(reference), weight, filters, valid: true };
  context.references.set(backend, reference);
  if (unsupported !== null) context.unsupported.set(backend, unsupported);
  return backend;
}

/** Gateway API HTTPRouteTimeouts; 0s switches a limit off. */
function readTimeouts(owner: ObjectReader): RouteTimeouts {
  const reader = owner.object('timeouts');
  if (reader === null) return { requestMs: null, backendRequestMs: null };
  const request = readDuration(reader, 'request') ?? 0;
  const backendRequest = readDuration(reader, 'backendRequest') ?? 0;
  reader.finish();
  if (request > 0 && backendRequest > request) {
    const remedy = 'a single attempt cannot take longer than all of them';
    reader.problems.error('INVALID_VALUE', reader.at('backendRequest'), 'is longer than request', remedy);
  }
  return { requestMs: request || null, backendRequestMs: backendRequest || null };
}

/** Gateway API HTTPRouteRetry. */
function readRetry(owner: ObjectReader): RouteRetry | null {
  const reader = owner.object('retry');
  if (reader === null) return null;
  const codes = reader.list('codes', ELEMENTS_MAX).flatMap((item) => reader.asInteger(item, 400, 599) ?? []);
  // The Gateway API leaves the number to the implementation; one attempt more is what most do.
  const attempts = reader.integer('attempts', 0, 1_000) ?? 1;
  const backoffMs = readDuration(reader, 'backoff');
  reader.finish();
  carriedOnly(owner, 'retry');
  return { attempts, perTryTimeoutMs: null, backoffMs, codes, conditions: [] };
}

/** Gateway API SessionPersistence. */
function readSessionPersistence(owner: ObjectReader): SessionPersistence | null {
  const reader = owner.object('sessionPersistence');
  if (reader === null) return null;
  const sessionName = reader.text('sessionName', { pattern: /^[!-~]{1,128}$/, description: 'at most 128 characters' });
  const absoluteTimeoutMs = readDuration(reader, 'absoluteTimeout');
  const idleTimeoutMs = readDuration(reader, 'idleTimeout');
  const type = reader.choice('type', ['Cookie', 'Header']) ?? 'Cookie';
  const cookie = reader.object('cookieConfig');
  const cookieLifetime = cookie?.choice('lifetimeType', ['Session', 'Permanent']) ?? 'Session';
  cookie?.finish();
  reader.finish();
  if (cookie !== null && type === 'Header') {
    const remedy = 'remove it or write type: Cookie';
    reader.problems.error('INVALID_VALUE', reader.at('cookieConfig'), 'stands beside type: Header', remedy, 'key');
  }
  if (cookieLifetime === 'Permanent' && !reader.has('absoluteTimeout')) {
    reader.missing('absoluteTimeout', 'a Permanent cookie needs one');
  }
  carriedOnly(owner, 'sessionPersistence');
  return { type, sessionName, absoluteTimeoutMs, idleTimeoutMs, cookieLifetime };
}

function carriedOnly(owner: ObjectReader, field: string): void {
  const reason = `${field} is accepted but not enforced yet`;
  owner.problems.warning('NOT_ENFORCED', owner.at(field), reason, 'do not rely on it', 'key');
}
