import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostsFile } from '../../../sandbox/hosts.ts';

const OWNER = { namespace: 'shop', name: 'web-1', hostname: 'web-1', addresses: ['10.244.0.9', 'fd00::9'] };

/** Name to addresses, as a resolver reads the file. */
function lookup(text: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...rest] = line.replace(/#.*/, '').split(/\s+/).filter(Boolean);
    for (const name of rest) names.set(name, [...(names.get(name) ?? []), address ?? '']);
  }
  return names;
}

test('a service of the own namespace has all four names, one of another namespace the three long ones', () => {
  const services = [
    { namespace: 'shop', name: 'echo', addresses: ['10.96.0.10', 'fd00:10:96::a'] },
    { namespace: 'other', name: 'db', addresses: ['10.96.0.11'] },
  ];
  const names = lookup(hostsFile(OWNER, services, []));
  for (const name of ['echo', 'echo.shop', 'echo.shop.svc', 'echo.shop.svc.cluster.local']) {
    assert.deepEqual(names.get(name), ['10.96.0.10', 'fd00:10:96::a'], name);
  }
  for (const name of ['db.other', 'db.other.svc', 'db.other.svc.cluster.local'])
    assert.deepEqual(names.get(name), ['10.96.0.11'], name);
  assert.equal(names.has('db'), false);
});

test('a headless service resolves to its pods, one without pods to nothing', () => {
  const services = [
    { namespace: 'shop', name: 'head', addresses: ['10.244.0.1', '10.244.1.1'] },
    { namespace: 'shop', name: 'empty', addresses: [] },
  ];
  const names = lookup(hostsFile(OWNER, services, []));
  assert.deepEqual(names.get('head.shop.svc.cluster.local'), ['10.244.0.1', '10.244.1.1']);
  assert.equal(names.has('empty'), false);
});

test('pods have names too, but never a name of a service', () => {
  const services = [{ namespace: 'shop', name: 'echo', addresses: ['10.96.0.10'] }];
  const pods = [
    { namespace: 'shop', name: 'echo', addresses: ['10.244.0.3'] },
    { namespace: 'shop', name: 'client', addresses: ['10.244.0.4'] },
    { namespace: 'other', name: 'client', addresses: ['10.244.0.5'] },
  ];
  const names = lookup(hostsFile(OWNER, services, pods));
  assert.deepEqual(names.get('echo'), ['10.96.0.10']);
  assert.deepEqual(names.get('client'), ['10.244.0.4']);
  assert.deepEqual(names.get('client.shop'), ['10.244.0.4']);
  assert.deepEqual(names.get('client.other'), ['10.244.0.5']);
});

test('localhost and the own host name are there, and the text depends on the content only', () => {
  const names = lookup(hostsFile(OWNER, [], []));
  assert.deepEqual(names.get('localhost'), ['127.0.0.1', '::1']);
  assert.deepEqual(names.get('web-1'), ['10.244.0.9', 'fd00::9']);
  const services = ['b', 'a'].map((name) => ({ namespace: 'shop', name, addresses: ['10.96.0.10'] }));
  assert.equal(hostsFile(OWNER, services, []), hostsFile(OWNER, [...services].reverse(), []));
});
