import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  describePeerAuthentication,
  type PeerAuthenticationDecision,
  PeerAuthenticationIndex,
} from '../../../mesh/peer-authentication.ts';
import type { MtlsMode, PeerAuthentication } from '../../../mesh/policy-model.ts';
import { workload } from './resources.ts';

const WEB = workload({ uid: 'web-1', labels: { app: 'web' } });

function peerAuthentication(fields: Partial<PeerAuthentication> & { name: string }): PeerAuthentication {
  return {
    kind: 'peerAuthentication',
    namespace: 'shop',
    meshWide: false,
    selector: null,
    mode: null,
    portModes: {},
    createdMs: 0,
    ...fields,
  };
}

const mesh = (fields: Partial<PeerAuthentication>): PeerAuthentication =>
  peerAuthentication({ name: 'mesh', namespace: 'istio-system', meshWide: true, ...fields });
const namespace = (fields: Partial<PeerAuthentication>): PeerAuthentication =>
  peerAuthentication({ name: 'namespace', ...fields });
const selecting = (fields: Partial<PeerAuthentication>): PeerAuthentication =>
  peerAuthentication({ name: 'workload', selector: { app: 'web' }, ...fields });

function decide(policies: readonly PeerAuthentication[], port = 8080): PeerAuthenticationDecision {
  const index = new PeerAuthenticationIndex();
  for (const policy of policies) index.add(policy);
  return index.for(WEB).forPort(port);
}

describe('PeerAuthentication', () => {
  // policies, mode, who decided, in which scope
  const rows: [string, PeerAuthentication[], MtlsMode, string | null, string][] = [
    ['none', [], 'PERMISSIVE', null, 'default'],
    ['the mesh', [mesh({ mode: 'STRICT' })], 'STRICT', 'istio-system/mesh', 'mesh'],
    ['UNSET in the mesh', [mesh({})], 'PERMISSIVE', null, 'default'],
    [
      'the namespace beats the mesh',
      [mesh({ mode: 'STRICT' }), namespace({ mode: 'DISABLE' })],
      'DISABLE',
      'shop/namespace',
      'namespace',
    ],
    [
      'UNSET in the namespace inherits',
      [mesh({ mode: 'STRICT' }), namespace({})],
      'STRICT',
      'istio-system/mesh',
      'mesh',
    ],
    [
      'the workload beats the namespace',
      [namespace({ mode: 'STRICT' }), selecting({ mode: 'PERMISSIVE' })],
      'PERMISSIVE',
      'shop/workload',
      'workload',
    ],
    [
      'UNSET on the workload inherits',
      [namespace({ mode: 'STRICT' }), selecting({})],
      'STRICT',
      'shop/namespace',
      'namespace',
    ],
    [
      'the port beats the workload',
      [selecting({ mode: 'STRICT', portModes: { '8080': 'DISABLE' } })],
      'DISABLE',
      'shop/workload',
      'port',
    ],
    [
      'another port does not',
      [selecting({ mode: 'STRICT', portModes: { '80': 'DISABLE' } })],
      'STRICT',
      'shop/workload',
      'workload',
    ],
    [
      'a port that is UNSET inherits',
      [namespace({ mode: 'STRICT' }), selecting({ portModes: { '8080': null } })],
      'STRICT',
      'shop/namespace',
      'namespace',
    ],
    ['other labels', [selecting({ mode: 'STRICT', selector: { app: 'db' } })], 'PERMISSIVE', null, 'default'],
    [
      'an empty selector is none',
      [selecting({ mode: 'STRICT', selector: {} })],
      'STRICT',
      'shop/workload',
      'namespace',
    ],
    ['another namespace', [namespace({ mode: 'STRICT', namespace: 'bank' })], 'PERMISSIVE', null, 'default'],
    [
      'the oldest of a scope',
      [namespace({ mode: 'STRICT', createdMs: 2 }), namespace({ name: 'z', mode: 'DISABLE', createdMs: 1 })],
      'DISABLE',
      'shop/z',
      'namespace',
    ],
    [
      'the oldest of a scope, though it is UNSET',
      [namespace({ mode: 'STRICT', createdMs: 2 }), namespace({ name: 'z', createdMs: 1 })],
      'PERMISSIVE',
      null,
      'default',
    ],
    [
      'of the same age the first by name',
      [namespace({ name: 'b', mode: 'STRICT' }), namespace({ name: 'a', mode: 'DISABLE' })],
      'DISABLE',
      'shop/a',
      'namespace',
    ],
    [
      'a selector in the root namespace has no effect',
      [mesh({ mode: 'STRICT', selector: { app: 'web' } })],
      'PERMISSIVE',
      null,
      'default',
    ],
  ];
  for (const [name, policies, mode, policy, scope] of rows) {
    it(name, () => {
      assert.deepEqual(decide(policies), { mode, policy, scope });
      assert.deepEqual(decide([...policies].reverse()), { mode, policy, scope });
    });
  }

  it('knows when nothing says anything, and where something is strict', () => {
    const index = new PeerAuthenticationIndex();
    assert.deepEqual([index.for(WEB).isEmpty, index.for(WEB).hasStrict], [true, false]);
    const policy = selecting({ portModes: { '9090': 'STRICT' } });
    index.add(policy);
    assert.deepEqual([index.for(WEB).isEmpty, index.for(WEB).hasStrict], [false, true]);
    index.remove(policy);
    assert.equal(index.for(WEB).isEmpty, true);
  });

  it('says whence a mode is', () => {
    assert.equal(
      describePeerAuthentication(decide([selecting({ portModes: { '8080': 'STRICT' } })]), WEB, 8080),
      'port 8080 of shop/web-1 is STRICT: portLevelMtls[8080].mode of PeerAuthentication shop/workload, which selects it',
    );
    assert.match(
      describePeerAuthentication(decide([mesh({ mode: 'STRICT' })]), WEB, 1),
      /mtls\.mode .* the whole mesh$/,
    );
    assert.match(describePeerAuthentication(decide([]), WEB, 1), /PERMISSIVE: no PeerAuthentication/);
  });

  it('is the narrowest scope that says something', () => {
    const mode = fc.constantFrom<MtlsMode | null>(null, 'STRICT', 'PERMISSIVE', 'DISABLE');
    fc.assert(
      fc.property(mode, mode, mode, mode, (ofMesh, ofNamespace, ofWorkload, ofPort) => {
        const policies = [
          mesh({ mode: ofMesh }),
          namespace({ mode: ofNamespace }),
          selecting({ mode: ofWorkload, portModes: { '8080': ofPort } }),
        ];
        assert.equal(decide(policies).mode, ofPort ?? ofWorkload ?? ofNamespace ?? ofMesh ?? 'PERMISSIVE');
        assert.equal(decide(policies, 1).mode, ofWorkload ?? ofNamespace ?? ofMesh ?? 'PERMISSIVE');
      }),
    );
  });
});
