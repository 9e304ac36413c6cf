/**
 * gateway.networking.k8s.io HTTPRoute with Services as parents (GAMMA) → the model's HttpRoute. A route is taken whole or
 * not at all: a match or filter that weir cannot honour yet refuses it.
 */
import type { HttpRouteBackend, HttpRouteParent, HttpRouteRule } from '../../mesh/model.ts';
import type { FieldPath } from '../finding.ts';
import { limits } from '../limits.ts';
import { readFilters, readMatch } from './http-route-rule.ts';
import { readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { BackendReference, HttpRouteObject, ObjectOrigin } from './objects.ts';

const GATEWAY_GROUP = 'gateway.networking.k8s.io';
/** Elements of the lists of a rule and of parentRefs: four times what the Gateway API's schema allows. */
const ELEMENTS_MAX = 128;

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
      namespace,
      name,
      createdMs,
      parents: parents.map((parent) => parent.parent),
      rules: rules.map((rule) => rule.rule),
    },
    backends: rules.map((rule) => rule.references),
    parentPaths: parents.map((parent) => parent.path),
    origin,
  };
}

interface Parent {
  readonly parent: HttpRouteParent;
  readonly path: FieldPath;
}

/** The Services among parentRefs; null (and a warning) when there is none. */
function readParents(spec: ObjectReader, namespace: string): Parent[] | null {
  if (!spec.has('parentRefs')) spec.missing('parentRefs', 'add parentRefs with the Service to attach to');
  const references = spec.objects('parentRefs', ELEMENTS_MAX);
  const parents = references.flatMap((reference) => readParent(reference, namespace) ?? []);
  if (references.length > 0 && parents.length === 0 && !spec.problems.refused) {
    const remedy = 'to route inside the mesh write a parentRef with group: "" and kind: Service';
    spec.problems.warning(
      'NO_EFFECT',
      spec.at('parentRefs'),
      'names no Service, so the mesh ignores the route',
      remedy,
      'key',
    );
    return null;
  }
  return parents;
}

function readParent(reference: ObjectReader, namespace: string): Parent | null {
  const group = reference.text('group') ?? GATEWAY_GROUP;
  const kind = reference.text('kind') ?? 'Gateway';
  const name = reference.requiredText('name', OBJECT_NAME);
  const parentNamespace = reference.text('namespace', LABEL_NAME) ?? namespace;
  const port = reference.integer('port', 1, 65_535);
  const isService = kind === 'Service' && (group === '' || group === 'core');
  if (isService) reference.unsupported('sectionName');
  reference.finish(['sectionName']);
  if (kind === 'Service' && !isService) {
    const remedy = 'write group: ""';
    const path = reference.has('group') ? reference.at('group') : reference.path;
    reference.problems.error('INVALID_VALUE', path, `a Service is in the core group, not ${quote(group)}`, remedy);
    return null;
  }
  if (!isService || name === null) return null;
  if (parentNamespace !== namespace) {
    const reason = `a route for a Service of another namespace (consumer route) is not supported by weir yet`;
    reference.problems.error('UNSUPPORTED', reference.at('namespace'), reason, `move the route to ${parentNamespace}`);
  }
  return { parent: { namespace: parentNamespace, name, port }, path: reference.path };
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
    rule: { name, matches, filters, backends: backends.map((backend) => backend.backend) },
    references: backends.map((backend) => backend.reference),
  };
}

interface Backend {
  readonly backend: HttpRouteBackend;
  readonly reference: BackendReference;
}

function readBackend(reader: ObjectReader, namespace: string): Backend {
  const group = reader.text('group') ?? '';
  const kind = reader.text('kind') ?? 'Service';
  const name = reader.requiredText('name', OBJECT_NAME) ?? '';
  const backendNamespace = reader.text('namespace', LABEL_NAME) ?? namespace;
  const isService = kind === 'Service' && (group === '' || group === 'core');
  const port = reader.integer('port', 1, 65_535);
  if (isService && !reader.has('port')) reader.missing('port', "add the Service's port");
  const weight = reader.integer('weight', 0, 1_000_000) ?? 1;
  const filters = readFilters(reader);
  reader.finish();
  return {
    backend: { namespace: backendNamespace, name, port: port ?? 0, weight, filters, valid: true },
    reference: { path: reader.path, foreignKind: isService ? null : `${group}/${kind}` },
  };
}
