/**
 * Validates resources from outside (a controller's stream, a snapshot on disk) before they reach MeshState: whatever passes
 * compiles without errors. Returns the first problem as text that names the field, what is wrong and what to write.
 *
 * Policies, routes and settings refuse fields this version does not know: a condition that is skipped silently would admit more than
 * its author meant. Workloads and Services ignore them.
 */

import { headerNameRefusal, isHeaderValue } from './header-edits.ts';
import { canonicalIp, parseCidr } from './ip.ts';
import type { MeshKind, ResourceKey } from './model.ts';
import { normalisePath } from './path.ts';
import { compilePathTemplate, isPathTemplate } from './path-template.ts';
import { regexRefusal } from './value-match.ts';

/** Answers null, or what is wrong with `value`, which stands in field `at`. */
type Check = (value: unknown, at: string) => string | null;
type Json = Readonly<Record<string, unknown>>;

/** What is wrong with a resource, or null. Never throws, whatever it is given. */
export function validateResource(resource: unknown): string | null {
  if (!isObject(resource)) return 'must be an object';
  const check = isKind(resource['kind']) ? CHECKS[resource['kind']] : null;
  if (check === null) return `kind: ${show(resource['kind'])} is not known: write one of ${KINDS.join(', ')}`;
  return check(resource, '');
}

/** What is wrong with a removal, or null. */
export function validateKey(key: unknown): string | null {
  if (!isObject(key)) return 'must be an object';
  return object({ kind: oneOf(...KINDS), key: text })(key, '');
}

/** The key of something that may not be a valid resource, for error reports. */
export function keyOfAnything(resource: unknown): ResourceKey {
  const fields = isObject(resource) ? resource : {};
  const kind = isKind(fields['kind']) ? fields['kind'] : 'workload';
  const string = (name: string): string => (typeof fields[name] === 'string' ? fields[name] : '?');
  return { kind, key: kind === 'workload' ? string('uid') : `${string('namespace')}/${string('name')}` };
}

/** True when two JSON values are equal, whatever the order of their fields. */
export function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((item, i) => sameJson(item, right[i]));
  }
  if (!isObject(left) || !isObject(right) || Array.isArray(right)) return false;
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && sameJson(left[name], right[name]))
  );
}

const KINDS: readonly MeshKind[] = [
  'workload',
  'service',
  'httpRoute',
  'tlsRoute',
  'tcpRoute',
  'authorizationPolicy',
  'meshSettings',
];

function isKind(value: unknown): value is MeshKind {
  return typeof value === 'string' && (KINDS as readonly string[]).includes(value);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}

function show(value: unknown): string {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(isObject(value) ? 'an object' : value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

function fault(at: string, value: unknown, wanted: string): string {
  return `${at === '' ? 'resource' : at}: ${show(value)} ${wanted}`;
}

const anyText: Check = (value, at) => (typeof value === 'string' ? null : fault(at, value, 'must be a string'));
const text: Check = (value, at) =>
  typeof value === 'string' && value !== '' ? null : fault(at, value, 'must be a non-empty string');
const flag: Check = (value, at) => (typeof value === 'boolean' ? null : fault(at, value, 'must be true or false'));

/** A Kubernetes name: non-empty and without the slash that separates namespace from name. */
const name: Check = (value, at) =>
  typeof value === 'string' && value !== '' && !value.includes('/')
    ? null
    : fault(at, value, 'must be a non-empty name without /');

const namespacedName: Check = (value, at) =>
  typeof value === 'string' && /^[^/]+\/[^/]+$/.test(value) ? null : fault(at, value, 'must be written namespace/name');

function integer(min: number, max: number): Check {
  return (value, at) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? null
      : fault(at, value, `must be a whole number from ${min} to ${max}`);
}

const port = integer(1, 65535);

function oneOf(...values: readonly string[]): Check {
  return (value, at) =>
    typeof value === 'string' && values.includes(value)
      ? null
      : fault(at, value, `must be one of ${values.join(', ')}`);
}

function orNull(check: Check): Check {
  return (value, at) => (value === null ? null : check(value, at));
}

function list(check: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return fault(at, value, 'must be a list');
    for (let i = 0; i < value.length; i++) {
      const problem = check(value[i], `${at}[${i}]`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

/** Every value of a string-keyed object; keys are checked too when `checkKey` is given. */
function record(check: Check, checkKey: Check = anyText): Check {
  return (value, at) => {
    if (!isObject(value) || Array.isArray(value)) return fault(at, value, 'must be an object');
    for (const field of Object.keys(value)) {
      const problem = checkKey(field, `${at} key`) ?? check(value[field], `${at}.${field}`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

function object(fields: Readonly<Record<string, Check>>, more?: Check): Check {
  return (value, at) => {
    if (!isObject(value) || Array.isArray(value)) return fault(at, value, 'must be an object');
    for (const field of Object.keys(fields)) {
      const problem = (fields[field] as Check)(value[field], at === '' ? field : `${at}.${field}`);
      if (problem !== null) return problem;
    }
    return more === undefined ? null : more(value, at);
  };
}

/** An object in which an unknown field is an error: it could narrow what the rest means. */
function closed(fields: Readonly<Record<string, Check>>, more?: Check): Check {
  const known = object(fields, more);
  return (value, at) => {
    if (isObject(value) && !Array.isArray(value)) {
      const stranger = Object.keys(value).find((field) => !Object.hasOwn(fields, field));
      if (stranger !== undefined) {
        return `${at === '' ? stranger : `${at}.${stranger}`}: this version does not know the field and will not skip it: upgrade weir, or remove it`;
      }
    }
    return known(value, at);
  };
}

const address: Check = (value, at) => {
  if (typeof value !== 'string') return fault(at, value, 'must be an IP address');
  const canonical = canonicalIp(value);
  if (canonical === null) return fault(at, value, 'is not an IP address');
  return canonical === value ? null : fault(at, value, `must be written ${canonical}`);
};

const block: Check = (value, at) =>
  typeof value === 'string' && parseCidr(value) !== null
    ? null
    : fault(at, value, 'is not an address or CIDR block: write for example 10.1.0.0/16');

/** A literal request path. One that normalisation would change can never equal a request's path. */
const requestPath: Check = (value, at) => {
  if (typeof value !== 'string' || !value.startsWith('/')) return fault(at, value, 'must start with /');
  const normal = normalisePath(value);
  if (!normal.ok)
    return fault(at, value, `cannot be a path (${normal.reason}): leave out query, fragment and bad escapes`);
  return normal.path === value ? null : fault(at, value, `never occurs in a request: write ${normal.path}`);
};

const policyPath: Check = (value, at) => {
  const problem = text(value, at);
  if (problem !== null || typeof value !== 'string' || !isPathTemplate(value)) return problem;
  const template = compilePathTemplate(value);
  return typeof template === 'string' ? fault(at, value, `is not a path template: ${template}`) : null;
};

/** Gateway API and Istio method names are exact; a token of RFC 9110 section 9.1. */
const method: Check = (value, at) =>
  typeof value === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value) ? null : fault(at, value, 'is not a method');

const matchType = oneOf('exact', 'regex');

/** The value of a match whose type is regex must compile; run after the fields' own checks. */
const regexCompiles: Check = (match, at) => {
  const { type, value } = match as { readonly type: string; readonly value: string };
  const refusal = type === 'regex' ? regexRefusal(value) : null;
  return refusal === null ? null : fault(`${at}.value`, value, refusal);
};

const matchedHeader: Check = (value, at) =>
  typeof value === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(value)
    ? null
    : fault(at, value, 'is not a header name (RFC 9110 section 5.1)');

const editedHeader: Check = (value, at) => {
  if (typeof value !== 'string') return fault(at, value, 'must be a header name');
  const refusal = headerNameRefusal(value);
  return refusal === null ? null : fault(at, value, refusal);
};

const appendedHeader: Check = (value, at) =>
  typeof value === 'string' && value.toLowerCase() === 'host'
    ? `${at}: Host has one value: use set`
    : editedHeader(value, at);

const headerValue: Check = (value, at) =>
  typeof value === 'string' && isHeaderValue(value)
    ? null
    : fault(at, value, 'is not a header value: no control characters, no spaces around it (RFC 9110 section 5.5)');

const headerModifier = closed({
  type: oneOf('requestHeaderModifier', 'responseHeaderModifier'),
  set: list(closed({ name: editedHeader, value: headerValue })),
  add: list(closed({ name: appendedHeader, value: headerValue })),
  remove: list(appendedHeader),
});

const routeMatch = closed({
  path: orNull(closed({ type: oneOf('exact', 'prefix'), value: requestPath })),
  method: orNull(method),
  headers: list(closed({ name: matchedHeader, type: matchType, value: anyText }, regexCompiles)),
  queryParams: list(closed({ name: text, type: matchType, value: anyText }, regexCompiles)),
});

const routeRule = closed({
  name: orNull(text),
  matches: list(routeMatch),
  filters: list(headerModifier),
  backends: list(
    closed({
      namespace: name,
      name,
      port: integer(0, 65535),
      weight: integer(0, 1_000_000),
      filters: list(headerModifier),
      valid: flag,
    }),
  ),
});

const streamBackends = list(
  closed({ namespace: name, name, port: integer(0, 65535), weight: integer(0, 1_000_000), valid: flag }),
);

const routeParents = list(closed({ namespace: name, name, port: orNull(port) }));

/** Gateway API Hostname: RFC 1123, optionally with `*.` before it; lower case, as server names are compared. */
const hostname: Check = (value, at) =>
  typeof value === 'string' && value.length <= 253 && /^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value)
    ? null
    : fault(at, value, 'is not a host name: write for example a.example.com or *.example.com');

const policySource = closed(
  {
    principals: list(text),
    notPrincipals: list(text),
    namespaces: list(text),
    notNamespaces: list(text),
    serviceAccounts: list(namespacedName),
    notServiceAccounts: list(namespacedName),
    ipBlocks: list(block),
    notIpBlocks: list(block),
    remoteIpBlocks: list(block),
    notRemoteIpBlocks: list(block),
  },
  notAllEmpty('source'),
);

/** As Istio's own validation: a condition without a value is a mistake. */
const policyCondition = closed(
  { key: oneOf('connection.sni', 'remote.ip'), values: list(text), notValues: list(text) },
  (value, at) => {
    const condition = value as { key: string; values: readonly string[]; notValues: readonly string[] };
    if (condition.values.length + condition.notValues.length === 0) {
      return `${at}: has neither values nor notValues: add one`;
    }
    if (condition.key !== 'remote.ip') return null;
    return list(block)(condition.values, `${at}.values`) ?? list(block)(condition.notValues, `${at}.notValues`);
  },
);

const policyOperation = closed(
  {
    hosts: list(text),
    notHosts: list(text),
    ports: list(integer(0, 65535)),
    notPorts: list(integer(0, 65535)),
    methods: list(text),
    notMethods: list(text),
    paths: list(policyPath),
    notPaths: list(policyPath),
  },
  notAllEmpty('operation'),
);

/** As Istio's own validation: an empty source or operation is a mistake, not "any". */
function notAllEmpty(what: string): Check {
  return (value, at) =>
    Object.values(value as Json).some((field) => (field as readonly unknown[]).length > 0)
      ? null
      : `${at}: the ${what} has no field set: remove it to match any ${what}`;
}

const policyScope: Check = (value) => {
  const policy = value as { selector: Json | null; targetServices: readonly string[]; namespace: string };
  if (policy.selector !== null && policy.targetServices.length > 0) {
    return 'targetServices: cannot be combined with selector: keep one of them';
  }
  const foreign = policy.targetServices.find((service) => !service.startsWith(`${policy.namespace}/`));
  return foreign === undefined ? null : `targetServices: ${foreign} is in another namespace: a policy targets its own`;
};

const CHECKS: Readonly<Record<MeshKind, Check>> = {
  workload: object({
    uid: text,
    namespace: name,
    name,
    serviceAccount: anyText,
    node: anyText,
    addresses: list(address),
    ready: flag,
    hostNetwork: flag,
    labels: record(anyText),
    annotations: record(anyText),
    workloadName: anyText,
    canonicalName: anyText,
    canonicalRevision: anyText,
    services: record(list(object({ servicePort: port, targetPort: port })), namespacedName),
  }),
  service: object(
    {
      namespace: name,
      name,
      hostname: text,
      addresses: list(address),
      ports: list(object({ port, name: anyText, protocol: oneOf('http', 'http2', 'grpc', 'tls', 'tcp', 'detect') })),
    },
    (value) => {
      const ports = (value as { ports: readonly { port: number }[] }).ports.map((entry) => entry.port);
      const twice = ports.find((number, i) => ports.indexOf(number) !== i);
      return twice === undefined ? null : `ports: ${twice} is listed twice: keep one entry per TCP port`;
    },
  ),
  httpRoute: closed({
    kind: text,
    namespace: name,
    name,
    createdMs: integer(0, Number.MAX_SAFE_INTEGER),
    parents: routeParents,
    rules: list(routeRule),
  }),
  tlsRoute: closed({
    kind: text,
    namespace: name,
    name,
    createdMs: integer(0, Number.MAX_SAFE_INTEGER),
    parents: routeParents,
    hostnames: list(hostname),
    backends: streamBackends,
  }),
  tcpRoute: closed({
    kind: text,
    namespace: name,
    name,
    createdMs: integer(0, Number.MAX_SAFE_INTEGER),
    parents: routeParents,
    backends: streamBackends,
  }),
  authorizationPolicy: closed(
    {
      kind: text,
      namespace: name,
      name,
      action: oneOf('ALLOW', 'DENY'),
      meshWide: flag,
      selector: orNull(record(anyText)),
      targetServices: list(namespacedName),
      rules: list(closed({ from: list(policySource), to: list(policyOperation), when: list(policyCondition) })),
    },
    policyScope,
  ),
  meshSettings: closed({ kind: text, namespace: name, name, metrics: flag, accessLog: flag, bypass: flag }),
};
