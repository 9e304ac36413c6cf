/** Random routes; see mesh-arbitrary.ts. */
import fc from 'fast-check';
import {
  block,
  createdMs,
  durationMs,
  few,
  headerName,
  hostname,
  label,
  namespaces,
  port,
  record,
  regex,
  stringMatch,
  text,
  token,
} from './text-arbitrary.ts';

const path = fc.array(label, { minLength: 1, maxLength: 3 }).map((segments) => `/${segments.join('/')}`);
const perMillion = fc.integer({ min: 0, max: 1_000_000 });
const weight = perMillion;
const status = fc.integer({ min: 200, max: 599 });

const pathMatch = fc.oneof(
  fc.record({ type: fc.constantFrom('exact', 'prefix', 'stringPrefix'), value: path, ignoreCase: fc.boolean() }),
  fc.record({ type: fc.constant('regex'), value: regex, ignoreCase: fc.constant(false) }),
);
const methodMatch = fc.oneof(
  fc.record({ type: fc.constantFrom('exact', 'prefix'), value: token }),
  fc.record({ type: fc.constant('regex'), value: regex }),
);

function namedMatch(name: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  const invert = fc.boolean();
  return fc.oneof(
    fc.record({ name, type: fc.constantFrom('exact', 'prefix'), value: text, invert }),
    fc.record({ name, type: fc.constant('regex'), value: regex, invert }),
    fc.record({ name, type: fc.constant('present'), value: fc.constant(''), invert }),
  );
}

const client = fc.record({ namespace: fc.option(label), labels: record });
const httpMatch = fc.record({
  path: fc.option(pathMatch),
  method: fc.option(methodMatch),
  headers: few(namedMatch(headerName)),
  queryParams: few(namedMatch(token)),
  scheme: fc.option(stringMatch),
  authority: fc.option(stringMatch),
  port: fc.option(port),
  client: fc.option(client),
});

const pathModifier = fc.oneof(
  fc.record({ type: fc.constant('full'), value: path }),
  fc.record({ type: fc.constantFrom('prefix', 'stringPrefix'), value: fc.oneof(path, fc.constant('')) }),
  fc.record({ type: fc.constant('regex'), pattern: regex, value: fc.constantFrom('', '/x', '/a\\0/b', '/c\\\\') }),
);
const target = {
  namespace: label,
  name: fc.oneof(label, hostname),
  port: fc.integer({ min: 0, max: 65_535 }),
  subset: fc.option(fc.record({ name: label, labels: record })),
};
const edit = few(fc.record({ name: headerName, value: label }));
const filter = fc.oneof(
  fc.record({
    type: fc.constantFrom('requestHeaderModifier', 'responseHeaderModifier'),
    set: edit,
    add: edit,
    remove: few(headerName),
  }),
  fc.record({
    type: fc.constant('requestRedirect'),
    scheme: fc.constantFrom(null, 'http', 'https'),
    hostname: fc.option(label),
    port: fc.oneof(port, fc.constantFrom('scheme', 'request')),
    path: fc.option(pathModifier),
    statusCode: fc.constantFrom(301, 302, 303, 307, 308),
  }),
  fc.record({
    type: fc.constant('urlRewrite'),
    hostname: fc.option(fc.constantFrom('a.example', 'a.example:8080', '[::1]:80')),
    path: fc.option(pathModifier),
  }),
  fc.record({ type: fc.constant('requestMirror'), backend: fc.record(target), valid: fc.boolean(), perMillion }),
  fc.record({
    type: fc.constant('cors'),
    allowOrigins: few(stringMatch),
    allowMethods: few(fc.oneof(token, fc.constant('*'))),
    allowHeaders: few(fc.oneof(headerName, fc.constant('*'))),
    exposeHeaders: few(token),
    allowCredentials: fc.boolean(),
    maxAgeS: fc.option(fc.nat(86_400)),
    unmatchedPreflights: fc.constantFrom('forward', 'answer'),
  }),
);

const fault = fc.record({
  delay: fc.option(fc.record({ perMillion, delayMs: durationMs })),
  abort: fc.option(
    fc.oneof(
      fc.record({ perMillion, status, grpcStatus: fc.constant(null) }),
      fc.record({ perMillion, status: fc.constant(null), grpcStatus: fc.nat(16) }),
    ),
  ),
});

const httpRule = fc.record({
  name: fc.option(token),
  matches: few(httpMatch),
  filters: few(filter),
  backends: few(fc.record({ ...target, weight, filters: few(filter), valid: fc.boolean() })),
  directResponse: fc.option(fc.record({ status, body: fc.option(text) })),
  fault: fc.option(fault),
  timeouts: fc.record({ requestMs: fc.option(durationMs), backendRequestMs: fc.option(durationMs) }),
  retry: fc.option(
    fc.record({
      attempts: fc.nat(10),
      perTryTimeoutMs: fc.option(durationMs),
      backoffMs: fc.option(durationMs),
      codes: few(status),
      conditions: few(token),
    }),
  ),
  sessionPersistence: fc.option(
    fc.record({
      type: fc.constantFrom('Cookie', 'Header'),
      sessionName: fc.option(token),
      absoluteTimeoutMs: fc.option(durationMs),
      idleTimeoutMs: fc.option(durationMs),
      cookieLifetime: fc.constantFrom('Session', 'Permanent'),
    }),
  ),
});

function streamRule(hostnames: fc.Arbitrary<string[]>): fc.Arbitrary<unknown> {
  return fc.record({
    matches: few(
      fc.record({ hostnames, destinationBlocks: few(block), port: fc.option(port), client: fc.option(client) }),
    ),
    backends: few(fc.record({ ...target, weight, valid: fc.boolean() })),
  });
}

function routeOf(kind: string, sources: readonly string[], rule: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc.record({
    kind: fc.constant(kind),
    source: fc.constantFrom(...sources),
    namespace: label,
    name: label,
    createdMs,
    parents: few(fc.record({ namespace: label, name: fc.oneof(label, hostname), port: fc.option(port) })),
    clients: namespaces,
    rules: few(rule),
  });
}

export const arbitraryRoutes = {
  httpRoute: routeOf('httpRoute', ['HTTPRoute', 'GRPCRoute', 'VirtualService'], httpRule),
  tlsRoute: routeOf('tlsRoute', ['TLSRoute', 'VirtualService'], streamRule(few(hostname))),
  tcpRoute: routeOf('tcpRoute', ['TCPRoute', 'VirtualService'], streamRule(fc.constant([]))),
};
