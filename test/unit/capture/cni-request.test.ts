/** Requests on the CNI socket: every field is checked. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAdd, parseCheck, parseDel, parseGc } from '../../../agent/capture/cni-request.ts';

const ADD = {
  containerId: 'f00d'.repeat(16),
  ifName: 'eth0',
  netns: '/var/run/netns/cni-1',
  args: { namespace: 'default', name: 'web-5d4f.x', uid: 'c0ffee00-1111-2222-3333-444455556666' },
  ips: ['10.0.0.1', 'FD00::0:1', '10.0.0.1'],
};

describe('CNI requests', () => {
  test('a good ADD: addresses canonical and distinct, uid may be absent, unknown fields are ignored', () => {
    const parsed = parseAdd({ ...ADD, future: 1 });
    assert.deepEqual(parsed.ok && parsed.value, {
      containerId: ADD.containerId,
      ifName: 'eth0',
      netnsPath: '/var/run/netns/cni-1',
      pod: ADD.args,
      ips: ['10.0.0.1', 'fd00::1'],
    });
    for (const uid of [undefined, null, '']) {
      const other = parseAdd({ ...ADD, args: { ...ADD.args, uid } });
      assert.equal(other.ok && other.value.pod.uid, null);
    }
  });

  const refused: readonly (readonly [string, object | null | string | number])[] = [
    ['not a JSON object', null],
    ['not a JSON object', []],
    ['not a JSON object', 'x'],
    ['containerId is missing', { ...ADD, containerId: undefined }],
    ['containerId', { ...ADD, containerId: '../x' }],
    ['containerId', { ...ADD, containerId: 'a'.repeat(2_000) }],
    ['ifName', { ...ADD, ifName: 'a/b' }],
    ['ifName', { ...ADD, ifName: '..' }],
    ['ifName', { ...ADD, ifName: 'sixteen-letters!' }],
    ['ifName is not a string', { ...ADD, ifName: 1 }],
    ['netns', { ...ADD, netns: 'relative' }],
    ['netns contains ..', { ...ADD, netns: '/var/run/netns/../../etc' }],
    ['netns', { ...ADD, netns: '/var/run/netns/a\n' }],
    ['netns', { ...ADD, netns: '/var/run/netns/a\0b' }],
    ['args is not an object', { ...ADD, args: 'a=b' }],
    ['args.namespace', { ...ADD, args: { ...ADD.args, namespace: 'Default' } }],
    ['args.namespace', { ...ADD, args: { ...ADD.args, namespace: '' } }],
    ['args.name', { ...ADD, args: { ...ADD.args, name: 'a b' } }],
    ['args.name', { ...ADD, args: { ...ADD.args, name: 'a'.repeat(254) } }],
    ['args.uid', { ...ADD, args: { ...ADD.args, uid: 'a;b' } }],
    ['ips is not a list', { ...ADD, ips: '10.0.0.1' }],
    ['ips has 0 addresses', { ...ADD, ips: [] }],
    ['ips has 17 addresses', { ...ADD, ips: Array.from({ length: 17 }, (_, n) => `10.0.0.${n}`) }],
    ['which is not an IP address', { ...ADD, ips: ['10.0.0.1/24'] }],
    ['which is not an IP address', { ...ADD, ips: ['10.0.0.1 -j ACCEPT'] }],
    ['which is not an IP address', { ...ADD, ips: [{}] }],
  ];
  for (const [reason, body] of refused) {
    test(`refused: ${reason}: ${JSON.stringify(body)?.slice(0, 60)}`, () => {
      const parsed = parseAdd(body);
      assert.equal(parsed.ok, false);
      assert.equal(!parsed.ok && parsed.error.code, 'INVALID_REQUEST');
      assert.ok(!parsed.ok && parsed.error.message.includes(reason), parsed.ok ? '' : parsed.error.message);
    });
  }

  test('DEL needs container and interface only; CHECK takes the namespace when given', () => {
    const { containerId, ifName, args } = ADD;
    assert.ok(parseDel({ containerId, ifName }).ok);
    assert.ok(!parseDel({ containerId }).ok);
    const [plain, named] = [parseCheck({ containerId, ifName }), parseCheck({ containerId, ifName, args })];
    assert.equal(plain.ok && plain.value.namespace, null);
    assert.equal(named.ok && named.value.namespace, 'default');
  });

  test('GC: the spec’s spelling; an empty list is one, an absent list is not', () => {
    const parsed = parseGc({ validAttachments: [{ containerID: 'a', ifname: 'eth0' }] });
    assert.deepEqual(parsed.ok && parsed.value, [{ containerId: 'a', ifName: 'eth0' }]);
    assert.ok(parseGc({ validAttachments: [] }).ok);
    for (const body of [{}, { validAttachments: null }, { validAttachments: {} }, { validAttachments: [1] }, null]) {
      assert.ok(!parseGc(body).ok);
    }
  });
});
