/** The specification's side of the plugin: configuration, arguments, results. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CniError,
  containerAddresses,
  parseArgs,
  parseConfig,
  versionAnswer,
  versionForErrors,
} from '../../../cni-plugin/spec.ts';

function config(changes: object = {}): string {
  return JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'weir-cni', ...changes });
}

function codeOf(operation: () => unknown): number {
  try {
    operation();
  } catch (error) {
    if (error instanceof CniError) return error.code;
    throw error;
  }
  return 0;
}

describe('network configuration', () => {
  test('defaults', () => {
    assert.deepEqual(parseConfig(config()), {
      cniVersion: '1.0.0',
      agentSocket: '/run/weir/cni.sock',
      excludeNamespaces: ['kube-system'],
      agentNamespace: 'weir-system',
      agentPodPrefix: 'weir-',
      defaultNamespace: null,
      logLevel: 'info',
      prevResult: null,
      validAttachments: null,
    });
  });

  const refused: readonly (readonly [number, string])[] = [
    [6, ''],
    [6, '{'],
    [6, '[]'],
    [1, config({ cniVersion: '0.2.0' })],
    [1, config({ cniVersion: '2.0.0' })],
    [1, config({ cniVersion: undefined })],
    [1, config({ cniVersion: 1 })],
    [7, config({ agentSocket: 'relative' })],
    [7, config({ agentSocket: `/${'x'.repeat(200)}` })],
    [7, config({ excludeNamespaces: 'kube-system' })],
    [7, config({ excludeNamespaces: ['Bad Name'] })],
    [7, config({ logLevel: 'loud' })],
    [7, config({ prevResult: [] })],
    [7, config({ 'cni.dev/valid-attachments': {} })],
  ];
  for (const [expected, text] of refused) {
    test(`code ${expected}: ${text.slice(0, 90)}`, () =>
      assert.equal(
        codeOf(() => parseConfig(text)),
        expected,
      ));
  }

  test('an error is told in the runtime’s version when that is known', () => {
    assert.equal(versionForErrors(config({ cniVersion: '0.4.0' })), '0.4.0');
    for (const text of ['{', '', config({ cniVersion: '9.9.9' })]) assert.equal(versionForErrors(text), '1.0.0');
  });

  test('VERSION repeats the version asked with, also an unknown one', () => {
    const supportedVersions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
    assert.deepEqual(versionAnswer('{"cniVersion":"9.9.9"}'), { cniVersion: '9.9.9', supportedVersions });
    assert.deepEqual(versionAnswer(''), { cniVersion: '1.0.0', supportedVersions });
  });
});

describe('CNI_ARGS', () => {
  test('kubelet’s, podman’s, and none', () => {
    const kubelet =
      'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-1;K8S_POD_INFRA_CONTAINER_ID=f00;K8S_POD_UID=u-1';
    assert.deepEqual(parseArgs(kubelet), { namespace: 'shop', name: 'cart-1', uid: 'u-1' });
    assert.deepEqual(parseArgs('IgnoreUnknown=1;K8S_POD_NAME=x'), { namespace: '', name: 'x', uid: '' });
    assert.deepEqual(parseArgs(''), { namespace: '', name: '', uid: '' });
    assert.equal(
      codeOf(() => parseArgs('nonsense')),
      4,
    );
  });
});

describe('addresses of the container', () => {
  test('those of sandbox interfaces and those without interface, without prefix length', () => {
    const result = {
      interfaces: [{ name: 'br0' }, { name: 'eth0', sandbox: '/run/netns/a' }],
      ips: [
        { address: '10.0.0.1/24', interface: 0 },
        { address: '10.0.0.2/24', interface: 1 },
        { version: '6', address: 'fd00::2/64' },
      ],
    };
    assert.deepEqual(containerAddresses(result), ['10.0.0.2', 'fd00::2']);
    assert.deepEqual(containerAddresses({}), []);
    assert.equal(
      codeOf(() => containerAddresses({ ips: [{}] })),
      7,
    );
  });
});
