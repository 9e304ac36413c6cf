/** Enrolment beside another agent's: it follows that one's pods, changes nothing, and takes charge without losing one. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Enrolment } from '../../../agent/capture/enrolment.ts';
import { failure } from '../../../agent/capture/result.ts';
import { FakeNode } from './enrolment-fakes.ts';

/** Two agents of one node: the namespaces are the same, what they have asked for is kept apart. */
let oldNode: FakeNode;
let newNode: FakeNode;
let before: Enrolment;
let after: Enrolment;

beforeEach(async () => {
  oldNode = new FakeNode();
  newNode = new FakeNode();
  before = oldNode.make();
  await before.start();
  after = new Enrolment({ stateDir: oldNode.stateDir, excludeNamespaces: [] }, { ...newNode.deps, podRules });
});
afterEach(() => {
  oldNode.close();
  newNode.close();
});

/** The kernel's view is one: what the old agent sees is there for the new one too. */
const podRules: FakeNode['deps']['podRules'] = {
  inode: (path) => oldNode.deps.podRules.inode(path),
  apply: (path, pod, annotations) => newNode.deps.podRules.apply(path, pod, annotations),
  remove: (path) => newNode.deps.podRules.remove(path),
  missing: (path, pod, annotations) => oldNode.deps.podRules.missing(path, pod, annotations),
};

async function add(name: string, ip: string): Promise<void> {
  const added = await before.add(oldNode.request(name, ip));
  assert.ok(added.ok);
}

function del(name: string): ReturnType<Enrolment['remove']> {
  return before.remove({ containerId: `container-${name}`, ifName: 'eth0' });
}

function stored(): string {
  return readFileSync(join(oldNode.stateDir, 'pods.json'), 'utf8');
}

test('following opens listeners and touches no rule, no probe, no file', async () => {
  await add('a', '10.0.0.1');
  await add('b', '10.0.0.2');
  const file = stored();
  assert.ok((await after.follow()).ok);
  assert.deepEqual(newNode.calls.sort(), ['listen 1 a', 'listen 2 b']);
  assert.equal(stored(), file);
  const refused = await after.add(oldNode.request('c', '10.0.0.3'));
  assert.equal(refused.ok ? 'ok' : refused.error.code, 'NOT_READY');
  await after.close();
  assert.equal(stored(), file, 'one that gives up writes nothing');
});

test('following again: new pods are listened for, removed ones are let go, also when their index or address is another’s', async () => {
  await add('a', '10.0.0.1');
  await add('b', '10.0.0.2');
  assert.ok((await after.follow()).ok);
  await del('a');
  await add('c', '10.0.0.1');
  newNode.calls.length = 0;
  assert.ok((await after.follow()).ok);
  assert.deepEqual(
    newNode.calls,
    ['unlisten 1', 'listen 2 b', 'listen 1 c'].sort((x, y) => order(x) - order(y)),
  );
  assert.deepEqual(newNode.probed.size, 0);
  assert.deepEqual([...newNode.listening.values()].sort(), ['/run/netns/b', '/run/netns/c']);
});

function order(call: string): number {
  return call.startsWith('unlisten') ? 0 : call.endsWith('b') ? 1 : 2;
}

test('taking charge: the last ADD is there, DELs and ADDs go on with the new agent, the file is its own', async () => {
  await add('a', '10.0.0.1');
  assert.ok((await after.follow()).ok);
  await add('late', '10.0.0.9');
  await before.yieldCharge();
  const late = await before.add(oldNode.request('later', '10.0.0.10'));
  assert.equal(late.ok ? 'ok' : late.error.code, 'NOT_READY');
  assert.ok((await after.takeCharge()).ok);
  assert.deepEqual(
    after.list().map(({ pod, index }) => [pod.name, index]),
    [
      ['a', 1],
      ['late', 2],
    ],
  );
  assert.ok((await after.remove({ containerId: 'container-a', ifName: 'eth0' })).ok);
  oldNode.inCharge = false;
  await before.close();
  assert.doesNotMatch(stored(), /container-a/);
  assert.match(stored(), /container-late/);
});

test('yielded and resumed: the old agent goes on as if nothing had been', async () => {
  await before.yieldCharge();
  before.resume();
  await add('a', '10.0.0.1');
  assert.match(stored(), /container-a/);
});

test('an agent that was displaced writes nothing, and its ADD fails without a trace', async () => {
  await add('a', '10.0.0.1');
  const file = stored();
  oldNode.inCharge = false;
  const refused = await before.add(oldNode.request('b', '10.0.0.2'));
  assert.deepEqual(refused.ok ? null : [refused.error.code, refused.error.retryable], ['NOT_READY', true]);
  assert.deepEqual([...oldNode.listening.keys()], [1]);
  await before.close();
  assert.equal(stored(), file);
});

test('a pod whose listeners cannot be opened is named, and one whose namespace has just gone is not', async () => {
  await add('a', '10.0.0.1');
  await add('b', '10.0.0.2');
  oldNode.namespaces.delete('/run/netns/b');
  newNode.listen = () => Promise.resolve(failure('LISTENERS_FAILED', 'port 15001 of default/a is taken', true));
  const followed = await after.follow();
  assert.equal(followed.ok ? '' : followed.error.message, 'port 15001 of default/a is taken');
  newNode.listen = () => Promise.resolve({ ok: true, value: undefined });
  assert.ok((await after.follow()).ok);
  assert.deepEqual([...newNode.listening.values()], ['/run/netns/a']);
});

test('a file of another format is not followed, and stays where it is', async () => {
  writeFileSync(join(oldNode.stateDir, 'pods.json'), '{"format":2,"pods":{}}');
  const followed = await after.follow();
  assert.match(followed.ok ? '' : followed.error.message, /pods\.json is not a list of pods of format 1/);
  assert.equal(stored(), '{"format":2,"pods":{}}');
});
