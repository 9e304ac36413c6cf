/** The interception mode: what annotations say, and which families of a pod it can concern. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERCEPTION_MODE, parseInterceptionMode, tproxySource } from '../../../agent/capture/interception.ts';

test('the annotation, else the default of the agent', () => {
  for (const [value, otherwise, mode] of [
    ['TPROXY', 'REDIRECT', 'TPROXY'],
    [' REDIRECT ', 'TPROXY', 'REDIRECT'],
    ['', 'TPROXY', 'TPROXY'],
    ['', 'REDIRECT', 'REDIRECT'],
  ] as const) {
    assert.deepEqual(parseInterceptionMode({ [INTERCEPTION_MODE]: value }, 'a/b', otherwise), {
      ok: true,
      value: mode,
    });
  }
  assert.deepEqual(parseInterceptionMode({}, 'a/b', 'TPROXY'), { ok: true, value: 'TPROXY' });
});

test('anything else is refused with pod, annotation, value and remedy', () => {
  for (const value of ['tproxy', 'NONE', 'TPROXY;REDIRECT', `x${'y'.repeat(500)}`]) {
    const parsed = parseInterceptionMode({ [INTERCEPTION_MODE]: value }, 'a/b', 'REDIRECT');
    assert.ok(!parsed.ok);
    assert.equal(parsed.error.code, 'INVALID_ANNOTATION');
    assert.match(parsed.error.message, /^pod a\/b: annotation weir\.dev\/interception-mode=".*recreate the pod\.$/);
    assert.ok(parsed.error.message.length < 300);
  }
});

test('a family is routed when the pod has one address of it', () => {
  const pod = { uid: 'u', namespace: 'a', name: 'b', serviceAccount: 's' };
  assert.equal(tproxySource({ ...pod, addresses: ['10.0.0.1', 'fd00::1'] }, 4), '10.0.0.1');
  assert.equal(tproxySource({ ...pod, addresses: ['10.0.0.1', 'fd00::1'] }, 6), 'fd00::1');
  assert.equal(tproxySource({ ...pod, addresses: ['10.0.0.1'] }, 6), null);
  assert.equal(tproxySource({ ...pod, addresses: ['10.0.0.1', '10.0.0.2'] }, 4), null);
});
