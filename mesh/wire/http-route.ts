/** weir.mesh.v1.HttpRoute: the model's HttpRoute on the wire. */
import type {
  HeaderMatch,
  HeaderModifier,
  HttpRoute,
  HttpRouteBackend,
  HttpRouteMatch,
  HttpRouteParent,
  HttpRouteRule,
  NameValue,
  PathMatch,
} from '../route-model.ts';
import type { WireCheck, WireMessage } from './check.ts';
import { httpRouteType } from './schema-root.ts';

const PATH_TYPES = { exact: 1, prefix: 2 } as const;
const VALUE_TYPES = { exact: 1, regex: 2 } as const;
const MODIFIER_TYPES = { requestHeaderModifier: 1, responseHeaderModifier: 2 } as const;
/** RFC 9110 section 5.6.2 token, lower case only where the model says so. */
const HEADER_NAME = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 section 5.5: no control characters but TAB. */
const HEADER_VALUE = /^[^\u0000-\u0008\u000a-\u001f\u007f]*$/;
const METHOD = /^[-!#$%&'*+.^_`|~0-9A-Za-z]*$/;
const PATH = /^\//;

/** Bytes of a weir.mesh.v1.HttpRoute. */
export function encodeHttpRoute(route: HttpRoute): Uint8Array {
  return httpRouteType
    .encode({
      namespace: route.namespace,
      name: route.name,
      createdMs: route.createdMs,
      parents: wireParents(route.parents),
      rules: route.rules.map((rule) => ({
        name: rule.name ?? '',
        matches: rule.matches.map(wireMatch),
        filters: rule.filters.map(wireModifier),
        backends: rule.backends.map((backend) => ({ ...backend, filters: backend.filters.map(wireModifier) })),
      })),
    })
    .finish();
}

/** Parents of a route of any kind on the wire. */
export function wireParents(parents: readonly HttpRouteParent[]): readonly WireMessage[] {
  return parents.map((parent) => ({ ...parent, port: parent.port ?? 0 }));
}

/** The field `parents` of a decoded route of any kind. */
export function readParents(wire: WireMessage, check: WireCheck): HttpRouteParent[] {
  return check.list(wire['parents'], 'parents', (item, field) => {
    const parent = check.message(item, field);
    const port = check.integer(parent['port'], `${field}.port`, 0, 65_535);
    return {
      namespace: check.namespace(parent['namespace'], `${field}.namespace`),
      name: check.objectName(parent['name'], `${field}.name`),
      port: port === 0 ? null : port,
    };
  });
}

function wireMatch(match: HttpRouteMatch): WireMessage {
  return {
    ...(match.path === null ? {} : { path: { type: PATH_TYPES[match.path.type], value: match.path.value } }),
    method: match.method ?? '',
    headers: match.headers.map(wireValueMatch),
    queryParams: match.queryParams.map(wireValueMatch),
  };
}

function wireValueMatch(match: HeaderMatch): WireMessage {
  return { type: VALUE_TYPES[match.type], name: match.name, value: match.value };
}

function wireModifier(modifier: HeaderModifier): WireMessage {
  return { type: MODIFIER_TYPES[modifier.type], set: modifier.set, add: modifier.add, remove: modifier.remove };
}

/** Reads a decoded weir.mesh.v1.HttpRoute; what is wrong with it goes to `check`. */
export function readHttpRoute(wire: WireMessage, check: WireCheck): HttpRoute {
  return {
    kind: 'httpRoute',
    namespace: check.namespace(wire['namespace'], 'namespace'),
    name: check.objectName(wire['name'], 'name'),
    createdMs: check.integer(wire['createdMs'], 'created_ms', 0, Number.MAX_SAFE_INTEGER),
    parents: readParents(wire, check),
    rules: check.list(wire['rules'], 'rules', (item, field) => readRule(check.message(item, field), field, check)),
  };
}

function readRule(wire: WireMessage, field: string, check: WireCheck): HttpRouteRule {
  return {
    name: check.text(wire['name'], `${field}.name`) || null,
    matches: check.list(wire['matches'], `${field}.matches`, (item, at) =>
      readMatch(check.message(item, at), at, check),
    ),
    filters: readModifiers(wire['filters'], `${field}.filters`, check),
    backends: check.list(wire['backends'], `${field}.backends`, (item, at) =>
      readBackend(check.message(item, at), at, check),
    ),
  };
}

function readMatch(wire: WireMessage, field: string, check: WireCheck): HttpRouteMatch {
  const path = wire['path'];
  return {
    path: path === null || path === undefined ? null : readPath(check.message(path, `${field}.path`), field, check),
    method: check.text(wire['method'], `${field}.method`, METHOD) || null,
    headers: readValueMatches(wire['headers'], `${field}.headers`, check, HEADER_NAME),
    queryParams: readValueMatches(wire['queryParams'], `${field}.query_params`, check, /./),
  };
}

function readPath(wire: WireMessage, field: string, check: WireCheck): PathMatch {
  return {
    type: check.choice(wire['type'], `${field}.path.type`, { 1: 'exact', 2: 'prefix' }),
    value: check.text(wire['value'], `${field}.path.value`, PATH),
  };
}

function readValueMatches(value: unknown, field: string, check: WireCheck, name: RegExp): HeaderMatch[] {
  return check.list(value, field, (item, at) => {
    const wire = check.message(item, at);
    return {
      name: check.text(wire['name'], `${at}.name`, name),
      type: check.choice(wire['type'], `${at}.type`, { 1: 'exact', 2: 'regex' }),
      value: check.text(wire['value'], `${at}.value`),
    };
  });
}

function readModifiers(value: unknown, field: string, check: WireCheck): HeaderModifier[] {
  return check.list(value, field, (item, at) => {
    const wire = check.message(item, at);
    return {
      type: check.choice(wire['type'], `${at}.type`, { 1: 'requestHeaderModifier', 2: 'responseHeaderModifier' }),
      set: readNameValues(wire['set'], `${at}.set`, check),
      add: readNameValues(wire['add'], `${at}.add`, check),
      remove: check.list(wire['remove'], `${at}.remove`, (name, nameField) => check.text(name, nameField, HEADER_NAME)),
    };
  });
}

function readNameValues(value: unknown, field: string, check: WireCheck): NameValue[] {
  return check.list(value, field, (item, at) => {
    const wire = check.message(item, at);
    return {
      name: check.text(wire['name'], `${at}.name`, HEADER_NAME),
      value: check.text(wire['value'], `${at}.value`, HEADER_VALUE),
    };
  });
}

function readBackend(wire: WireMessage, field: string, check: WireCheck): HttpRouteBackend {
  return {
    namespace: check.namespace(wire['namespace'], `${field}.namespace`),
    name: check.objectName(wire['name'], `${field}.name`),
    // 0 only where the reference is broken anyway.
    port: check.integer(wire['port'], `${field}.port`, 0, 65_535),
    weight: check.integer(wire['weight'], `${field}.weight`, 0, 1_000_000),
    filters: readModifiers(wire['filters'], `${field}.filters`, check),
    valid: check.flag(wire['valid'], `${field}.valid`),
  };
}
