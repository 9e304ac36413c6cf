/**
 * Objects of Istio's networking kinds in which anything stands anywhere: the translation ends, says what is wrong in words, and what
 * it takes is fit for an agent (Translation asserts that). FUZZ_RUNS: cases per property. Seeds that failed: corpus/istio-objects/,
 * verbatim.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { Translation } from '../unit/controlplane/translate.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 600);
const CORPUS = new URL('./corpus/istio-objects/', import.meta.url);

const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: demo}\nspec: {ports: [{port: 80}]}\n';

const KINDS: Readonly<Record<string, string>> = {
  VirtualService: `
  hosts: [a, api.example.com]
  gateways: [mesh, ns/gw]
  exportTo: ["."]
  http:
    - name: n
      match:
        - uri: {prefix: /a}
          ignoreUriCase: true
          method: {exact: GET}
          scheme: {exact: http}
          authority: {regex: "a.*"}
          headers: {x-a: {exact: b}, x-b: {}}
          withoutHeaders: {x-c: {prefix: d}}
          queryParams: {q: {regex: "1+"}}
          port: 80
          sourceLabels: {app: a}
          sourceNamespace: demo
          gateways: [mesh]
      route:
        - {destination: {host: a, subset: v1, port: {number: 80}}, weight: 1, headers: {request: {set: {x: y}}}}
        - {destination: {host: api.example.com}, weight: 99}
      rewrite: {uri: /b, authority: b.com}
      headers: {request: {add: {x: y}, remove: [z]}, response: {set: {r: s}}}
      corsPolicy: {allowOrigins: [{exact: "*"}], allowMethods: [GET], allowHeaders: [x], maxAge: 1h, allowCredentials: false}
      timeout: 5s
      retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,503"}
      fault: {delay: {percentage: {value: 1}, fixedDelay: 1s}, abort: {percentage: {value: 2}, httpStatus: 500}}
      mirrors: [{destination: {host: a}, percentage: {value: 10}}]
    - redirect: {uri: /a, authority: "b.com:81", scheme: https, redirectCode: 308}
    - directResponse: {status: 200, body: {bytes: aGVsbG8=}}
    - rewrite: {uriRegexRewrite: {match: "/a(.)", rewrite: "\\\\1"}}
      route: [{destination: {host: a}}]
  tls: [{match: [{sniHosts: [api.example.com], port: 443, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: a}}]}]
  tcp: [{match: [{port: 1, sourceNamespace: demo}], route: [{destination: {host: a}}]}]`,
  DestinationRule: `
  host: a
  trafficPolicy:
    loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 0s}, ringHash: {minimumRingSize: 1}}}
    connectionPool: {tcp: {maxConnections: 1, connectTimeout: 1s, tcpKeepalive: {time: 1s}}, http: {http2MaxRequests: 1, idleTimeout: 1s}}
    outlierDetection: {consecutive5xxErrors: 1, interval: 1s, maxEjectionPercent: 50}
    tls: {mode: SIMPLE, sni: a.com}
    portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]
  subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]
  exportTo: ["*"]`,
  ServiceEntry: `
  hosts: [api.example.com]
  addresses: [10.0.0.1, "fd00::/64"]
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}, {number: 80, name: http}]
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, ports: {tls: 1}, labels: {a: b}, weight: 1, locality: a/b, serviceAccount: s}]
  exportTo: [".", other]`,
  WorkloadEntry: `
  address: 10.0.0.9
  ports: {http: 80}
  labels: {app: a}
  weight: 2`,
  Sidecar: `
  workloadSelector: {labels: {app: a}}
  egress: [{port: {number: 80, protocol: HTTP, name: a}, hosts: ["./a", "*/*.example.com"]}, {hosts: ["demo/*"]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}`,
};

function documentOf(kind: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: x, namespace: demo}\nspec:${KINDS[kind] ?? ''}\n`;
}

function examine(text: string): void {
  const translation = new Translation().change({ 'service.yaml': SERVICE, 'f.yaml': text });
  assert.ok(translation.mesh.some((resource) => resource.kind === 'service'));
  for (const { reason, remedy, line } of translation.findings) {
    assert.ok(reason.length > 0 && reason.length < 10_000 && remedy.length > 0 && line >= 0);
    assert.ok(!/undefined|\[object|agents would refuse/.test(`${reason} ${remedy}`), `${reason}; ${remedy}\n${text}`);
  }
}

test('the documents are taken as they stand', () => {
  for (const kind of Object.keys(KINDS)) {
    const { findings } = new Translation().change({ 'service.yaml': SERVICE, 'f.yaml': documentOf(kind) });
    assert.deepEqual(
      findings.filter(({ severity }) => severity === 'error'),
      [],
      kind,
    );
  }
});

/** Every place in a value, itself included. */
function places(value: unknown, at: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, each]) => places(each, [...at, key]))];
}

/** The document as JSON with what stands at some places replaced. */
function edited(kind: string, edits: readonly (readonly [number, unknown])[]): string {
  const object: unknown = JSON.parse(JSON.stringify(parse(documentOf(kind))));
  for (const [index, value] of edits) {
    const all = places(object).filter((place) => place[0] === 'spec');
    const place = all[index % all.length] ?? [];
    let holder = object as Record<string | number, unknown>;
    for (const part of place.slice(0, -1)) holder = holder[part] as Record<string | number, unknown>;
    // A copy: fast-check hands out the same object again.
    holder[place.at(-1) ?? ''] = structuredClone(value);
  }
  return JSON.stringify(object);
}

test('anything anywhere', () => {
  const words = [
    null,
    '',
    '*',
    '*.a.com',
    '.',
    '~',
    '/',
    '//',
    '/a/../b',
    '/%',
    'a b',
    'é',
    '0s',
    '1h',
    '1us',
    '(',
    '10.0.0.0/8',
    'fd00::1',
    '%x%',
    '\\',
    'host',
    ':authority',
    'a.b',
    'mesh',
  ];
  const values = [[], {}, [null], [{}], 0, -1, 1, 99, 200, 65_536, 1e300, 0.5, true, 'x'.repeat(2_000), ['a', 'a']];
  const anything = fc.oneof(
    fc.constantFrom<unknown>(...words),
    fc.constantFrom<unknown>(...values),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const edits = fc.array(fc.tuple(fc.nat(10_000), anything), { minLength: 1, maxLength: 4 });
  const text = fc.tuple(fc.constantFrom(...Object.keys(KINDS)), edits).map(([kind, each]) => edited(kind, each));
  fc.assert(fc.property(text, examine), { numRuns });
});

test('kept inputs', () => {
  for (const name of readdirSync(CORPUS)) examine(readFileSync(new URL(name, CORPUS), 'utf8'));
});
