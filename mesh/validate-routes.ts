/** Validators of routes (route-model.ts): what passes compiles without errors, and edits no header that frames a message. */
import { headerNameRefusal, isHeaderValue } from './header-edits.ts';
import { normalisePath } from './path.ts';
import { regexRewriteRefusal } from './regex-rewrite.ts';
import {
  block,
  clientMatch,
  createdMs,
  durationMs,
  headerName,
  hostname,
  labels,
  method,
  namespace,
  namespaces,
  objectName,
  parent,
  port,
  regex,
  regexCompiles,
  stringMatch,
  target,
} from './validate-fields.ts';
import {
  anyText,
  type Check,
  closed,
  fault,
  flag,
  integer,
  list,
  oneOf,
  orNull,
  text,
  textUpTo,
  variant,
  written,
} from './validate-shapes.ts';

/** UTF-16 units of a direct response's body: it is held once per worker and sent as one piece. Istio warns from 100 KiB on. */
const DIRECT_BODY_LENGTH_MAX = 262_144;

const weight = integer(0, 1_000_000);
const perMillion = integer(0, 1_000_000);
/** A final answer (RFC 9110 section 15): 1xx would have to be followed by another. */
const finalStatus = integer(200, 599);

/** Something that a path can begin with, or be. */
const pathText: Check = (value, at) => {
  if (typeof value !== 'string' || !value.startsWith('/')) return fault(at, value, 'must start with /');
  const normal = normalisePath(value);
  return normal.ok
    ? anyText(value, at)
    : fault(at, value, `cannot be a path (${normal.reason}): leave out query, fragment and bad escapes`);
};

/** A literal request path. One that normalisation would change can never equal a request's path. */
const requestPath: Check = (value, at) => {
  const problem = pathText(value, at);
  if (problem !== null) return problem;
  const normal = normalisePath(value as string);
  return !normal.ok || normal.path === value
    ? null
    : fault(at, value, `never occurs in a request: write ${normal.path}`);
};

/** What is put in the place of a beginning of a path; nothing is left of it with ''. */
const replacement: Check = (value, at) => (value === '' ? null : pathText(value, at));

const pathMatch = closed(
  { type: oneOf('exact', 'prefix', 'stringPrefix', 'regex'), value: anyText, ignoreCase: flag },
  (value, at) => {
    const match = value as { readonly type: string; readonly value: string };
    if (match.type === 'regex') return regexCompiles(match, at);
    return (match.type === 'stringPrefix' ? pathText : requestPath)(match.value, `${at}.value`);
  },
);

const methodMatch = closed({ type: oneOf('exact', 'prefix', 'regex'), value: anyText }, (value, at) => {
  const match = value as { readonly type: string; readonly value: string };
  return match.type === 'regex' ? regexCompiles(match, at) : method(match.value, `${at}.value`);
});

/** A header or a query parameter, whose name `checkName` judges. */
function namedMatch(checkName: Check): Check {
  const fields = { name: checkName, type: oneOf('exact', 'prefix', 'regex', 'present'), value: anyText, invert: flag };
  return closed(fields, (value, at) => {
    const match = value as { readonly type: string; readonly value: string };
    if (match.type !== 'present') return regexCompiles(match, at);
    return match.value === '' ? null : fault(`${at}.value`, match.value, 'is not compared with type present: write ""');
  });
}

const routeMatch = closed({
  path: orNull(pathMatch),
  method: orNull(methodMatch),
  headers: list(namedMatch(headerName)),
  queryParams: list(namedMatch(text)),
  scheme: orNull(stringMatch),
  authority: orNull(stringMatch),
  port: orNull(port),
  client: orNull(clientMatch),
});

const editedHeader: Check = (value, at) => {
  if (typeof value !== 'string') return fault(at, value, 'must be a header name');
  const refusal = headerNameRefusal(value);
  return refusal === null ? anyText(value, at) : fault(at, value, refusal);
};

const appendedHeader: Check = (value, at) =>
  typeof value === 'string' && value.toLowerCase() === 'host'
    ? `${at}: Host has one value: use set`
    : editedHeader(value, at);

const headerValue: Check = (value, at) =>
  typeof value === 'string' && isHeaderValue(value)
    ? anyText(value, at)
    : fault(at, value, 'is not a header value: no control characters, no spaces around it (RFC 9110 section 5.5)');

const headerEdits = {
  set: list(closed({ name: editedHeader, value: headerValue })),
  add: list(closed({ name: appendedHeader, value: headerValue })),
  remove: list(appendedHeader),
};

const pathModifier = variant({
  full: closed({ type: text, value: pathText }),
  prefix: closed({ type: text, value: replacement }),
  stringPrefix: closed({ type: text, value: replacement }),
  regex: closed({ type: text, pattern: regex, value: anyText }, (value, at) => {
    const modifier = value as { readonly pattern: string; readonly value: string };
    const refusal = regexRewriteRefusal(modifier.pattern, modifier.value);
    return refusal === null ? null : fault(`${at}.value`, modifier.value, refusal);
  }),
});

/** A Host header's value: a name or an address, and perhaps a port. */
const HOST = /^([A-Za-z0-9_]([-A-Za-z0-9_.]{0,251}[A-Za-z0-9_])?|\[[0-9a-fA-F:.]{2,45}\])(:\d{1,5})?$/;
const host = written(HOST, 'is not a host: write for example a.example.com');
const lowerHost: Check = (value, at) =>
  host(value, at) ??
  (value === (value as string).toLowerCase()
    ? null
    : fault(at, value, `must be written ${(value as string).toLowerCase()}`));

const subset = closed({ name: text, labels });
const backendTarget = { ...target, subset: orNull(subset) };

const anyOr =
  (check: Check): Check =>
  (value, at) =>
    value === '*' ? null : check(value, at);

const filter = variant({
  requestHeaderModifier: closed({ type: text, ...headerEdits }),
  responseHeaderModifier: closed({ type: text, ...headerEdits }),
  requestRedirect: closed({
    type: text,
    scheme: orNull(oneOf('http', 'https')),
    hostname: orNull(host),
    port: (value, at) => (typeof value === 'number' ? port(value, at) : oneOf('scheme', 'request')(value, at)),
    path: orNull(pathModifier),
    statusCode: (value, at) =>
      [301, 302, 303, 307, 308].includes(value as number)
        ? null
        : fault(at, value, 'must be one of 301, 302, 303, 307, 308'),
  }),
  urlRewrite: closed({ type: text, hostname: orNull(lowerHost), path: orNull(pathModifier) }),
  requestMirror: closed({ type: text, backend: closed(backendTarget), valid: flag, perMillion }),
  cors: closed({
    type: text,
    allowOrigins: list(stringMatch),
    allowMethods: list(anyOr(method)),
    allowHeaders: list(anyOr(headerName)),
    exposeHeaders: list(anyOr(written(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not a header name (RFC 9110 section 5.1)'))),
    allowCredentials: flag,
    maxAgeS: orNull(integer(0, 2_147_483_647)),
    unmatchedPreflights: oneOf('forward', 'answer'),
  }),
});

const faults = closed({
  delay: orNull(closed({ perMillion, delayMs: durationMs })),
  abort: orNull(
    closed({ perMillion, status: orNull(finalStatus), grpcStatus: orNull(integer(0, 16)) }, (value, at) => {
      const { status, grpcStatus } = value as { readonly status: unknown; readonly grpcStatus: unknown };
      return (status === null) !== (grpcStatus === null)
        ? null
        : `${at}: needs either status or grpcStatus: set one of them, the other null`;
    }),
  ),
});

const retry = closed({
  attempts: integer(0, 1_000_000),
  perTryTimeoutMs: orNull(durationMs),
  backoffMs: orNull(durationMs),
  codes: list(integer(100, 599)),
  conditions: list(text),
});

const sessionPersistence = closed({
  type: oneOf('Cookie', 'Header'),
  sessionName: orNull(text),
  absoluteTimeoutMs: orNull(durationMs),
  idleTimeoutMs: orNull(durationMs),
  cookieLifetime: oneOf('Session', 'Permanent'),
});

const httpRule = closed({
  name: orNull(text),
  matches: list(routeMatch),
  filters: list(filter),
  backends: list(closed({ ...backendTarget, weight, filters: list(filter), valid: flag })),
  directResponse: orNull(closed({ status: finalStatus, body: orNull(textUpTo(DIRECT_BODY_LENGTH_MAX)) })),
  fault: orNull(faults),
  timeouts: closed({ requestMs: orNull(durationMs), backendRequestMs: orNull(durationMs) }),
  retry: orNull(retry),
  sessionPersistence: orNull(sessionPersistence),
});

/** Fields that every route begins with. */
function routeOf(sources: readonly string[], rule: Check): Check {
  return closed({
    kind: text,
    source: oneOf(...sources),
    namespace,
    name: objectName,
    createdMs,
    parents: list(parent),
    clients: namespaces,
    rules: list(rule),
  });
}

function streamRule(hostnames: Check): Check {
  const match = closed({
    hostnames,
    destinationBlocks: list(block),
    port: orNull(port),
    client: orNull(clientMatch),
  });
  return closed({ matches: list(match), backends: list(closed({ ...backendTarget, weight, valid: flag })) });
}

const noHostnames: Check = (value, at) =>
  Array.isArray(value) && value.length > 0
    ? `${at}: a TCP connection has no host name: use a TLSRoute, or remove them`
    : list(hostname)(value, at);

/** HttpRoute. */
export const httpRoute = routeOf(['HTTPRoute', 'GRPCRoute', 'VirtualService'], httpRule);
/** TlsRoute. */
export const tlsRoute = routeOf(['TLSRoute', 'VirtualService'], streamRule(list(hostname)));
/** TcpRoute. */
export const tcpRoute = routeOf(['TCPRoute', 'VirtualService'], streamRule(noHostnames));
