import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DataLookup, type PodFacts, resolveCommand } from '../../../sandbox/environment.ts';
import { pod, workload } from './objects.ts';

const FACTS: PodFacts = {
  name: 'echo-1',
  namespace: 'shop',
  uid: 'u-1',
  labels: { app: 'echo', 'x.io/tier': 'web' },
  annotations: { note: 'n' },
  podIps: ['10.244.0.2', 'fd00:10:244::2'],
  hostIps: ['172.30.0.10'],
  node: 'node-0',
  serviceAccount: 'robot',
};

const LOOKUP: DataLookup = (source, name) => {
  if (source === 'ConfigMap' && name === 'settings') return { color: 'blue', size: '9' };
  return source === 'Secret' && name === 'token' ? { key: 's3' } : null;
};

function resolve(container: string): ReturnType<typeof resolveCommand> {
  const { set, problems } = workload(pod(container));
  assert.deepEqual(problems, []);
  const spec = set?.spec.containers[0];
  assert.ok(spec !== undefined);
  return resolveCommand(spec, FACTS, { PATH: '/bin', COLOR: 'base' }, LOOKUP);
}

function env(entries: string): Readonly<Record<string, string>> {
  const result = resolve(`{name: c, image: echo, ${entries}}`);
  assert.ok(result.ok, JSON.stringify(result));
  return result.env;
}

test('downward API: every supported field', () => {
  const table: Record<string, string> = {
    'metadata.name': 'echo-1',
    'metadata.namespace': 'shop',
    'metadata.uid': 'u-1',
    "metadata.labels['app']": 'echo',
    "metadata.labels['x.io/tier']": 'web',
    "metadata.labels['none']": '',
    "metadata.annotations['note']": 'n',
    'status.podIP': '10.244.0.2',
    'status.podIPs': '10.244.0.2,fd00:10:244::2',
    'status.hostIP': '172.30.0.10',
    'spec.nodeName': 'node-0',
    'spec.serviceAccountName': 'robot',
  };
  for (const [path, expected] of Object.entries(table)) {
    assert.equal(env(`env: [{name: V, valueFrom: {fieldRef: {fieldPath: "${path}"}}}]`)['V'], expected, path);
  }
});

test('a reference sees what was declared before it, and only that', () => {
  const found = env(
    'env: [{name: EARLY, value: "$(LATE)"}, {name: LATE, value: l}, {name: BOTH, value: "$(LATE)-$(PATH)"}]',
  );
  assert.equal(found['EARLY'], '$(LATE)');
  assert.equal(found['BOTH'], 'l-$(PATH)');
});

test('command and args expand with the container environment', () => {
  const result = resolve(
    '{name: c, image: echo, command: [sh, "$(WHO)"], args: ["$$(WHO)"], env: [{name: WHO, value: me}]}',
  );
  assert.ok(result.ok);
  assert.deepEqual(result.argv, ['sh', 'me', '$(WHO)']);
});

test('ConfigMaps and Secrets: by key, whole, with a prefix; env wins over envFrom, both over the base', () => {
  assert.equal(env('env: [{name: C, valueFrom: {configMapKeyRef: {name: settings, key: color}}}]')['C'], 'blue');
  assert.equal(env('env: [{name: S, valueFrom: {secretKeyRef: {name: token, key: key}}}]')['S'], 's3');
  const all = env(
    'envFrom: [{prefix: P_, configMapRef: {name: settings}}], env: [{name: P_size, value: "1"}, {name: COLOR, value: own}]',
  );
  assert.deepEqual([all['P_color'], all['P_size'], all['COLOR'], all['PATH']], ['blue', '1', 'own', '/bin']);
});

test('what is missing is an error unless it is optional', () => {
  const missing = resolve(
    '{name: c, image: echo, env: [{name: C, valueFrom: {configMapKeyRef: {name: settings, key: none}}}]}',
  );
  assert.deepEqual(missing, { ok: false, reason: 'env C: ConfigMap shop/settings is not given or has no key none' });
  const whole = resolve('{name: c, image: echo, envFrom: [{secretRef: {name: none}}]}');
  assert.deepEqual(whole, { ok: false, reason: 'envFrom: there is no Secret shop/none' });
  assert.equal(
    env('env: [{name: C, valueFrom: {configMapKeyRef: {name: none, key: k, optional: true}}}]')['C'],
    undefined,
  );
  env('envFrom: [{secretRef: {name: none, optional: true}}]');
});
