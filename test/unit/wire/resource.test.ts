import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOf, type MeshResource, type Workload } from '../../../mesh/model.ts';
import { ipFromBytes, ipToBytes } from '../../../mesh/wire/ip-bytes.ts';
import {
  ADDRESS_TYPE_URL,
  AUTHORIZATION_POLICY_TYPE_URL,
  decodeResource,
  encodeResource,
  HTTP_ROUTE_TYPE_URL,
  keyFromWireName,
  typeUrlOf,
  wireNameOf,
} from '../../../mesh/wire/resource.ts';
import { addressType, authorizationPolicyType, httpRouteType } from '../../../mesh/wire/schema-root.ts';
import { arbitraryResource, arbitraryWorkload } from './mesh-arbitrary.ts';

function roundTrip(resource: MeshResource): ReturnType<typeof decodeResource> {
  return decodeResource(typeUrlOf(resource.kind), wireNameOf(keyOf(resource)), encodeResource(resource));
}

test('every resource of the model survives the wire unchanged', () => {
  fc.assert(
    fc.property(arbitraryResource, (resource) => {
      assert.deepEqual(roundTrip(resource), { ok: true, resource });
      assert.deepEqual(keyFromWireName(typeUrlOf(resource.kind), wireNameOf(keyOf(resource))), keyOf(resource));
    }),
    { numRuns: 300 },
  );
});

test('equal content encodes to equal bytes, whatever the order of its keys', () => {
  fc.assert(
    fc.property(arbitraryWorkload, (workload) => {
      const reversed = (record: Readonly<Record<string, unknown>>): unknown =>
        Object.fromEntries(Object.entries(record).reverse());
      const same = {
        ...workload,
        labels: reversed(workload.labels),
        services: reversed(workload.services),
      } as Workload;
      assert.deepEqual(encodeResource(same), encodeResource(workload));
    }),
  );
});

test("a workload's bytes have Istio's field numbers", () => {
  const workload: Workload = {
    kind: 'workload',
    uid: 'u1',
    namespace: 'ns',
    name: 'pod',
    serviceAccount: 'sa',
    node: 'n1',
    addresses: ['10.0.0.1'],
    ready: false,
    hostNetwork: false,
    labels: {},
    annotations: {},
    workloadName: 'w',
    canonicalName: 'c',
    canonicalRevision: 'r',
    services: { 'ns/web': [{ servicePort: 80, targetPort: 8080 }] },
  };
  const hex = Buffer.from(encodeResource(workload)).toString('hex');
  // Tag bytes: 1 name, 2 namespace, 3 addresses, 7 service_account, 9 node, 17 status, 20 uid, 22 services.
  for (const part of [
    '0a03706f64',
    '12026e73',
    '1a040a000001',
    '3a027361',
    '4a026e31',
    '880101',
    'a201027531',
    'b201',
  ]) {
    assert.ok(hex.includes(part), `${part} in ${hex}`);
  }
  assert.ok(Buffer.from(encodeResource(workload)).includes('ns/web.ns.svc.cluster.local'));
});

const policy = { namespace: 'a', name: 'b', action: 1, rules: [{ from: [{}], to: [{}] }] };
const route = { namespace: 'a', name: 'b', parents: [{ namespace: 'a', name: 's' }], rules: [] };
const workload = { uid: 'u', namespace: 'a', name: 'p' };
const hostile: readonly [string, string, string, () => Uint8Array, RegExp][] = [
  [
    'policy without action',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, action: 0 }),
    /^action 0 is unknown; known: ALLOW, DENY/,
  ],
  [
    'policy with a future action',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, action: 9 }),
    /^action 9 is unknown/,
  ],
  [
    'policy port',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, rules: [{ to: [{ ports: [70_000] }] }] }),
    /^rules\[0\]\.to\[0\]\.ports\[0\] 70000 is not an integer/,
  ],
  [
    'empty condition',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, rules: [{ from: [{ namespaces: [''] }] }] }),
    /^rules\[0\]\.from\[0\]\.namespaces\[0\] "" is not allowed/,
  ],
  [
    'unknown field',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => Buffer.concat([bytesOf(authorizationPolicyType, policy), Buffer.from('9a0301aa', 'hex')]),
    /upgrade the agent/,
  ],
  [
    'wrong envelope name',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/other',
    () => bytesOf(authorizationPolicyType, policy),
    /^name says "a\/b"/,
  ],
  [
    'bad namespace',
    AUTHORIZATION_POLICY_TYPE_URL,
    '../b',
    () => bytesOf(authorizationPolicyType, { ...policy, namespace: '..' }),
    /^namespace "\.\."/,
  ],
  [
    'route weight',
    HTTP_ROUTE_TYPE_URL,
    'a/b',
    () =>
      bytesOf(httpRouteType, {
        ...route,
        rules: [{ backends: [{ namespace: 'a', name: 's', port: 1, weight: 1_000_001 }] }],
      }),
    /weight 1000001/,
  ],
  [
    'route created_ms',
    HTTP_ROUTE_TYPE_URL,
    'a/b',
    () => bytesOf(httpRouteType, { ...route, createdMs: -5 }),
    /^created_ms -5/,
  ],
  [
    'header injection',
    HTTP_ROUTE_TYPE_URL,
    'a/b',
    () =>
      bytesOf(httpRouteType, {
        ...route,
        rules: [{ filters: [{ type: 1, set: [{ name: 'x', value: 'a\r\nb: c' }] }] }],
      }),
    /filters\[0\]\.set\[0\]\.value/,
  ],
  [
    'relative path',
    HTTP_ROUTE_TYPE_URL,
    'a/b',
    () => bytesOf(httpRouteType, { ...route, rules: [{ matches: [{ path: { type: 1, value: 'x' } }] }] }),
    /path\.value "x"/,
  ],
  [
    'address length',
    ADDRESS_TYPE_URL,
    'u',
    () => bytesOf(addressType, { workload: { ...workload, addresses: [new Uint8Array(5)] } }),
    /^workload\.addresses\[0\] is not an address/,
  ],
  [
    'uid with a slash',
    ADDRESS_TYPE_URL,
    'a/b',
    () => bytesOf(addressType, { workload: { ...workload, uid: 'a/b' } }),
    /^workload\.uid/,
  ],
  ['empty address', ADDRESS_TYPE_URL, 'u', () => new Uint8Array(), /^type is neither/],
  [
    'extension of a wrong type',
    ADDRESS_TYPE_URL,
    'u',
    () =>
      bytesOf(addressType, {
        workload: { ...workload, extensions: [{ name: 'weir.mesh.v1.WorkloadExtension', config: { type_url: 'x' } }] },
      }),
    /type_url is not that of/,
  ],
  [
    'truncated',
    ADDRESS_TYPE_URL,
    'u',
    () => bytesOf(addressType, { workload }).subarray(0, 4),
    /is not a protobuf message/,
  ],
  ['unknown type', 'type.googleapis.com/x.Y', 'u', () => new Uint8Array(), /unknown type/],
  [
    'too many rules',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, rules: Array.from({ length: 8_193 }, () => ({})) }),
    /^rules has more than 8192 entries/,
  ],
  [
    'too many labels',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => {
      const matchLabels = Object.fromEntries(Array.from({ length: 8_193 }, (_, index) => [`l${index}`, '']));
      return bytesOf(authorizationPolicyType, { ...policy, selector: { matchLabels } });
    },
    /^selector\.match_labels has more than 8192 entries/,
  ],
  [
    'long text',
    AUTHORIZATION_POLICY_TYPE_URL,
    'a/b',
    () => bytesOf(authorizationPolicyType, { ...policy, rules: [{ to: [{ paths: [`/${'x'.repeat(8_192)}`] }] }] }),
    /paths\[0\] is longer than 8192 characters/,
  ],
  ['huge', ADDRESS_TYPE_URL, 'u', () => new Uint8Array(1_048_577), /is larger than 1048576 octets/],
];

function bytesOf(type: typeof addressType, message: object): Uint8Array {
  return type.encode(message).finish();
}

for (const [what, typeUrl, name, bytes, expected] of hostile) {
  test(`decoding refuses with the field named: ${what}`, () => {
    const decoded = decodeResource(typeUrl, name, bytes());
    assert.ok(!decoded.ok);
    assert.equal(decoded.name, name);
    assert.match(`${decoded.problem.field} ${decoded.problem.reason}`.trim(), expected);
  });
}

test("fields that Istio's messages have and weir does not read are skipped", () => {
  // Field 6 trust_domain and field 24 locality of istio.workload.Workload.
  const inner = Buffer.concat([
    bytesOf(addressType.root.lookupType('istio.workload.Workload'), workload),
    Buffer.from('3201 78c20100'.replace(/ /g, ''), 'hex'),
  ]);
  const bytes = Buffer.concat([Buffer.from([0x0a, inner.length]), inner]);
  const decoded = decodeResource(ADDRESS_TYPE_URL, 'u', bytes);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  assert.equal(decoded.resource.kind === 'workload' && decoded.resource.serviceAccount, 'default');
});

test('IP text and bytes: canonical both ways, nothing else accepted', () => {
  const table: readonly [string, string | null][] = [
    ['10.1.2.3', '10.1.2.3'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::', '::'],
    ['1::', '1::'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['01.2.3.4', null],
    ['1.2.3', null],
    ['1.2.3.256', null],
    ['1::2::3', null],
    ['1:2:3:4:5:6:7', null],
    ['1:2:3:4:5:6:7:8:9', null],
    ['12345::', null],
    ['fe80::1%eth0', null],
    ['', null],
  ];
  for (const [text, expected] of table) {
    const bytes = ipToBytes(text);
    assert.equal(bytes === null ? null : ipFromBytes(bytes), expected, text);
  }
});
