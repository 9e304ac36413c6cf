/**
 * gateway.networking.k8s.io HTTPRoute with Services as parents (GAMMA) → the model's HttpRoute. A route is taken whole or
 * not at all: a match or filter that weir cannot honour yet refuses it.
 */
import type { HttpRouteBackend, HttpRouteRule } from '../../mesh/route-model.ts';
import { limits } from '../limits.ts';
import { readFilters, readMatch } from './http-route-rule.ts';
import { readMetadata } from './metadata.ts';
import { OBJECT_NAME } from './names.ts';
import type { ObjectReader } from './object-reader.ts';
import type { BackendReference, HttpRouteObject, ObjectOrigin } from './objects.ts';
import { ELEMENTS_MAX, readBackendReference, readParents } from './route-references.ts';

/** Reads an HTTPRoute; null when it is unusable or attached to no Service (then it is somebody else's). */
export function readHttpRoute(object: ObjectReader, origin: ObjectOrigin): HttpRouteObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status']);
  for (const field of ['metadata', 'spec']) if (!object.has(field)) object.missing(field);
  if (meta === null || spec === null) return null;
  const parents = readParents(spec, meta.namespace);
  if (parents === null) return null;
  spec.unsupported('hostnames');
  const rules = spec.objects('rules', limits.routeRulesMax).map((rule) => readRule(rule, meta.namespace));
  spec.finish(['useDefaultGateways']);
  const { namespace, name, createdMs } = meta;
  return {
    kind: 'HTTPRoute',
    namespace,
    name,
    route: {
      kind: 'httpRoute',
      source: 'HTTPRoute',
      namespace,
      name,
      createdMs,
      parents: parents.map((parent) => parent.parent),
      clients: ['*'],
      rules: rules.map((rule) => rule.rule),
    },
    backends: rules.map((rule) => rule.references),
    parentPaths: parents.map((parent) => parent.path),
    origin,
  };
}

interface Rule {
  readonly rule: HttpRouteRule;
  readonly references: readonly BackendReference[];
}

function readRule(rule: ObjectReader, namespace: string): Rule {
  const name = rule.text('name');
  const matches = rule.objects('matches', ELEMENTS_MAX).map(readMatch);
  const filters = readFilters(rule);
  const backends = rule.objects('backendRefs', ELEMENTS_MAX).map((backend) => readBackend(backend, namespace));
  for (const field of ['timeouts', 'retry', 'sessionPersistence']) rule.notEnforced(field);
  rule.finish();
  return {
    rule: {
      name,
      matches,
      filters,
      backends: backends.map((backend) => backend.backend),
      directResponse: null,
      fault: null,
      timeouts: { requestMs: null, backendRequestMs: null },
      retry: null,
      sessionPersistence: null,
    },
    references: backends.map((backend) => backend.reference),
  };
}

interface Backend {
  readonly backend: HttpRouteBackend;
  readonly reference: BackendReference;
}

function readBackend(reader: ObjectReader, namespace: string): Backend {
  const { target, reference } = readBackendReference(reader, namespace);
  const filters = readFilters(reader);
  reader.finish();
  return { backend: { ...target, filters, valid: true }, reference };
}
