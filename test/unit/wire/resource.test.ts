import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOf, type MeshKind, type MeshResource, type Workload } from '../../../mesh/model.ts';
import { validateResource } from '../../../mesh/validate.ts';
import { ipFromBytes, ipToBytes } from '../../../mesh/wire/ip-bytes.ts';
import {
  ADDRESS_TYPE_URL,
  decodeResource,
  encodeResource,
  keyFromWireName,
  TYPE_URLS,
  typeUrlOf,
  wireNameOf,
} from '../../../mesh/wire/resource.ts';
import { addressType, jsonResourceType } from '../../../mesh/wire/schema-root.ts';
import { backend, policy, policyRule, route, routeRule } from '../mesh/resources.ts';
import { arbitraryOf, arbitraryResource, arbitraryWorkload, MESH_KINDS } from './mesh-arbitrary.ts';

function roundTrip(resource: MeshResource): ReturnType<typeof decodeResource> {
  return decodeResource(typeUrlOf(resource.kind), wireNameOf(keyOf(resource)), encodeResource(resource));
}

for (const kind of MESH_KINDS) {
  test(`a ${kind} survives the wire unchanged, and is valid to agents`, () => {
    fc.assert(
      fc.property(arbitraryOf(kind), (resource) => {
        assert.equal(validateResource(resource), null);
        assert.deepEqual(roundTrip(resource), { ok: true, resource });
        assert.deepEqual(keyFromWireName(typeUrlOf(resource.kind), wireNameOf(keyOf(resource))), keyOf(resource));
      }),
      { numRuns: 100 },
    );
  });
}

test('every kind has a type URL that agents subscribe to, policies before what they protect, settings last', () => {
  const at = (kind: MeshKind): number => TYPE_URLS.indexOf(typeUrlOf(kind));
  for (const kind of MESH_KINDS) assert.ok(at(kind) >= 0, kind);
  assert.equal(new Set(TYPE_URLS).size, MESH_KINDS.length - 1, 'workloads and Services share one');
  const order: MeshKind[] = [
    'authorizationPolicy',
    'networkPolicy',
    'workload',
    'serviceEntry',
    'httpRoute',
    'meshSettings',
  ];
  assert.deepEqual(
    order.map(at),
    order.map(at).sort((a, b) => a - b),
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
  fc.assert(
    fc.property(arbitraryResource, (resource) => {
      assert.deepEqual(encodeResource(reversedDeep(resource) as MeshResource), encodeResource(resource));
    }),
  );
});

function reversedDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversedDeep);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversedDeep(inner)]),
  );
}

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
    namedPorts: {},
    locality: '',
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

const workload = { uid: 'u', namespace: 'a', name: 'p' };
const POLICY_URL = typeUrlOf('authorizationPolicy');
const ROUTE_URL = typeUrlOf('httpRoute');
const goodPolicy = policy({ namespace: 'a', name: 'b', rules: [policyRule({ to: [{ ports: [80] }] })] });
const goodRoute = route({ namespace: 'a', name: 'b', rules: [routeRule({ backends: [backend('s')] })] });

/** A message around any text at all. */
function messageOf(json: string): Uint8Array {
  return bytesOf(jsonResourceType('authorizationPolicy'), { json });
}

/** The good policy's message after a change of its text. */
function changed(from: string | RegExp, to: string): Uint8Array {
  const { json } = jsonResourceType('authorizationPolicy').decode(encodeResource(goodPolicy)) as unknown as {
    json: string;
  };
  const text = json.replace(from, to);
  assert.notEqual(text, json);
  return messageOf(text);
}

function withFields(resource: MeshResource, fields: object): Uint8Array {
  return encodeResource({ ...resource, ...fields });
}

const hostile: readonly [string, string, string, () => Uint8Array, RegExp][] = [
  ['no text', POLICY_URL, 'a/b', () => new Uint8Array(), /^json is not JSON/],
  ['a text that is no JSON', POLICY_URL, 'a/b', () => messageOf('{"kind":'), /^json is not JSON/],
  ['a list', POLICY_URL, 'a/b', () => messageOf('[]'), /^kind is not authorizationPolicy/],
  ['null', POLICY_URL, 'a/b', () => messageOf('null'), /^kind is not authorizationPolicy/],
  ['lists nested half a million deep', POLICY_URL, 'a/b', () => messageOf('['.repeat(500_000)), /^json is not JSON/],
  [
    'closed lists nested deep',
    POLICY_URL,
    'a/b',
    () => changed('"rules":[', `"rules":[${'['.repeat(100_000)}${']'.repeat(100_000)},`),
    /^rules\[0\] an object must be an object/,
  ],
  ['a message of another kind', ROUTE_URL, 'a/b', () => encodeResource(goodPolicy), /^kind is not httpRoute/],
  [
    'policy with a future action',
    POLICY_URL,
    'a/b',
    () => withFields(goodPolicy, { action: 'ASK' }),
    /^action "ASK" must be one of ALLOW, DENY, AUDIT, CUSTOM/,
  ],
  [
    'policy port',
    POLICY_URL,
    'a/b',
    () => changed('[80]', '[70000]'),
    /^rules\[0\]\.to\[0\]\.ports\[0\] 70000 must be a whole number/,
  ],
  ['a field of the message', POLICY_URL, 'a/b', () => later(encodeResource(goodPolicy)), /upgrade the agent/],
  ['a field of the resource', POLICY_URL, 'a/b', () => changed('"to":', '"unless":[],"to":'), /unless this version/],
  ['a key that comes twice', POLICY_URL, 'a/b', () => changed('"action":', '"action":"DENY","action":'), /canonical/],
  [
    'a key __proto__',
    POLICY_URL,
    'a/b',
    () => changed('"action":', '"__proto__":{},"action":'),
    /^__proto__ this version/,
  ],
  ['keys in another order', POLICY_URL, 'a/b', () => messageOf(JSON.stringify(goodPolicy)), /not canonical/],
  ['space', POLICY_URL, 'a/b', () => changed('"action":', '"action": '), /not canonical/],
  ['a number written otherwise', POLICY_URL, 'a/b', () => changed('[80]', '[8e1]'), /not canonical/],
  [
    'malformed UTF-8',
    POLICY_URL,
    'a/b',
    () =>
      Buffer.from(Buffer.from(encodeResource(goodPolicy)).toString('latin1').replace('ALLOW', 'AL\xffOW'), 'latin1'),
    /^action .* must be one of/,
  ],
  ['wrong envelope name', POLICY_URL, 'a/other', () => encodeResource(goodPolicy), /^name says "a\/b"/],
  [
    'a name without its source',
    ROUTE_URL,
    'a/b',
    () => withFields(goodRoute, { source: 'VirtualService' }),
    /^name says "VirtualService\/a\/b"/,
  ],
  ['bad namespace', POLICY_URL, '../b', () => withFields(goodPolicy, { namespace: '..' }), /^namespace "\.\."/],
  [
    'too many rules',
    POLICY_URL,
    'a/b',
    () => withFields(goodPolicy, { rules: Array.from({ length: 8_193 }, () => policyRule()) }),
    /^rules has 8193 entries: at most 8192/,
  ],
  [
    'too many labels',
    POLICY_URL,
    'a/b',
    () =>
      withFields(goodPolicy, {
        selector: Object.fromEntries(Array.from({ length: 8_193 }, (_, index) => [`l${index}`, ''])),
      }),
    /^selector has 8193 entries/,
  ],
  [
    'long text',
    POLICY_URL,
    'a/b',
    () => withFields(goodPolicy, { rules: [policyRule({ to: [{ paths: [`/${'x'.repeat(8_192)}`] }] })] }),
    /paths\[0\] is longer than 8192 characters/,
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
  ['truncated JSON', POLICY_URL, 'a/b', () => encodeResource(goodPolicy).subarray(0, 50), /is not JSON/],
  ['unknown type', 'type.googleapis.com/x.Y', 'u', () => new Uint8Array(), /unknown type/],
  ['huge', ADDRESS_TYPE_URL, 'u', () => new Uint8Array(1_048_577), /is larger than 1048576 octets/],
];

/** With field 51, which no version has yet. */
function later(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.from('9a0301aa', 'hex')]);
}

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
