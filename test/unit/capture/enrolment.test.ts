/** Enrolment: order of steps, rollback, repetition, address reuse, restarts and concurrency. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Enrolment } from '../../../agent/capture/enrolment.ts';
import { type CaptureErrorCode, failure, type Result, success } from '../../../agent/capture/result.ts';
import { FakeNode } from './enrolment-fakes.ts';

const MODE = 'weir.dev/interception-mode';

let node: FakeNode;
let enrolment: Enrolment;

beforeEach(async () => {
  node = new FakeNode();
  enrolment = node.make();
  await enrolment.start();
});
afterEach(() => node.close());

function codeOf(result: Result<unknown>): CaptureErrorCode | 'ok' {
  return result.ok ? 'ok' : result.error.code;
}

function stored(): readonly { containerId: string }[] {
  return (JSON.parse(readFileSync(join(node.stateDir, 'pods.json'), 'utf8')) as { pods: { containerId: string }[] })
    .pods;
}

describe('ADD', () => {
  test('identity, listeners, rules and probes, file: in that order; pods.json is 0600', async () => {
    const added = await enrolment.add(node.request('a', '10.0.0.1'));
    assert.ok(added.ok && added.value.outcome === 'enrolled');
    assert.equal(added.value.enrolled.index, 1);
    assert.deepEqual(node.calls, ['identity a', 'listen 1 a', 'apply /run/netns/a', 'probes + 10.0.0.1']);
    assert.deepEqual(
      stored().map(({ containerId }) => containerId),
      ['container-a'],
    );
    assert.equal(statSync(join(node.stateDir, 'pods.json')).mode & 0o777, 0o600);
  });

  test('before start and after close: NOT_READY', async () => {
    const early = node.make();
    assert.equal(codeOf(await early.add(node.request('a', '10.0.0.1'))), 'NOT_READY');
    await enrolment.close();
    assert.equal(codeOf(await enrolment.add(node.request('a', '10.0.0.1'))), 'NOT_READY');
    assert.equal(codeOf(enrolment.status()), 'NOT_READY');
  });

  test('an excluded namespace: success, nothing done', async () => {
    const request = node.request('a', '10.0.0.1', { pod: { namespace: 'kube-system', name: 'a', uid: null } });
    const added = await enrolment.add(request);
    assert.deepEqual(added.ok && added.value, { outcome: 'exempt' });
    assert.deepEqual(node.calls, []);
  });

  test('the interception mode: the pod’s own, else the agent’s; a pod keeps the one it was added with', async () => {
    const modes = (): (string | undefined)[] => enrolment.list().map(({ annotations }) => annotations[MODE]);
    const isCaptured = (name: string, ip: string): Promise<boolean> =>
      enrolment.add(node.request(name, ip)).then(({ ok }) => ok);
    node.annotations.set('own', { [MODE]: 'TPROXY' });
    assert.ok((await isCaptured('own', '10.0.0.1')) && (await isCaptured('plain', '10.0.0.2')));
    await enrolment.close();
    enrolment = node.make({ interceptionMode: 'TPROXY' });
    await enrolment.start();
    node.annotations.set('other', { [MODE]: 'REDIRECT' });
    assert.ok((await isCaptured('late', '10.0.0.3')) && (await isCaptured('other', '10.0.0.4')));
    assert.deepEqual(modes(), ['TPROXY', undefined, 'TPROXY', undefined]);
    assert.ok(node.calls.includes('apply /run/netns/late TPROXY'));
  });

  test('an interception mode that cannot be had: REDIRECT, with a warning, and so it stays', async () => {
    node.annotations.set('a', { [MODE]: 'TPROXY' });
    node.rules = async () => success({ backend: 'fake', ipv6Skipped: null, redirectedBecause: 'no xt_TPROXY' });
    assert.ok((await enrolment.add(node.request('a', '10.0.0.1'))).ok);
    assert.deepEqual(enrolment.list()[0]?.annotations, {});
    assert.ok(node.logs.some((line) => line.includes('TPROXY cannot be had') && line.includes('no xt_TPROXY')));
    assert.doesNotMatch(readFileSync(join(node.stateDir, 'pods.json'), 'utf8'), /TPROXY/);
  });

  const failures: readonly (readonly [string, CaptureErrorCode, () => void])[] = [
    [
      'identity unknown',
      'IDENTITY_UNKNOWN',
      () => (node.identity = async () => failure('IDENTITY_UNKNOWN', 'who?', true)),
    ],
    [
      'a malformed annotation',
      'INVALID_ANNOTATION',
      () => node.annotations.set('a', { 'weir.dev/exclude-inbound-ports': 'x' }),
    ],
    [
      'an interception mode that does not exist',
      'INVALID_ANNOTATION',
      () => node.annotations.set('a', { 'weir.dev/interception-mode': 'NONE' }),
    ],
    [
      'a malformed list of PROXY ports',
      'INVALID_ANNOTATION',
      () => node.annotations.set('a', { 'weir.dev/proxy-protocol-ports': '80-90' }),
    ],
    [
      'a listener that fails',
      'LISTENERS_FAILED',
      () => (node.listen = async () => failure('LISTENERS_FAILED', 'EMFILE')),
    ],
    ['rules that fail', 'RULES_FAILED', () => (node.rules = async () => failure('RULES_FAILED', 'no nat'))],
    ['probe rules that fail', 'RULES_FAILED', () => (node.probes = async () => failure('RULES_FAILED', 'no owner'))],
    ['no namespace', 'NETNS_UNUSABLE', () => node.namespaces.clear()],
    ['a state folder that cannot be written', 'STATE_UNWRITABLE', () => node.spoilStateDir()],
  ];
  for (const [what, code, arrange] of failures) {
    test(`${what}: fails as ${code}, nothing is left, and the next ADD succeeds`, async () => {
      const request = node.request('a', '10.0.0.1');
      const { identity, listen, rules, probes } = node;
      arrange();
      assert.equal(codeOf(await enrolment.add(request)), code);
      assert.deepEqual(node.left(), []);
      assert.deepEqual(enrolment.list(), []);
      Object.assign(node, { identity, listen, rules, probes });
      node.annotations.clear();
      node.mendStateDir();
      node.request('a', '10.0.0.1');
      const added = await enrolment.add(node.request('a', '10.0.0.1'));
      assert.ok(added.ok && added.value.outcome === 'enrolled');
      assert.equal(added.value.enrolled.index, 1, 'the index was given back');
    });
  }

  test('listeners that never open: LISTENERS_FAILED at the deadline, and unlisten is asked', async () => {
    const impatient = node.make({ readyWaitMs: 20 });
    await impatient.start();
    node.listen = () => new Promise(() => {});
    assert.equal(codeOf(await impatient.add(node.request('a', '10.0.0.1'))), 'LISTENERS_FAILED');
    assert.ok(node.calls.includes('unlisten 1'));
    assert.deepEqual(node.left(), []);
  });

  test('repeated for the same container: success, same index, put right again', async () => {
    const request = node.request('a', '10.0.0.1');
    await enrolment.add(request);
    node.ruled.clear();
    const again = await enrolment.add(request);
    assert.ok(again.ok && again.value.outcome === 'enrolled');
    assert.equal(again.value.enrolled.index, 1);
    assert.deepEqual([...node.ruled], ['/run/netns/a']);
    assert.equal(enrolment.list().length, 1);
  });

  test('repeated with another uid: enrolled anew, never under the old identity', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    const pod = { namespace: 'default', name: 'a', uid: 'other' };
    const again = await enrolment.add(node.request('a', '10.0.0.1', { pod }));
    assert.ok(again.ok && again.value.outcome === 'enrolled');
    assert.equal(again.value.enrolled.pod.uid, 'other');
    assert.equal(enrolment.list().length, 1);
  });

  test('an address reused without DEL: the old pod is evicted before the new one listens', async () => {
    await enrolment.add(node.request('old', '10.0.0.1'));
    node.calls.length = 0;
    const added = await enrolment.add(node.request('new', '10.0.0.1'));
    assert.ok(added.ok);
    const [evicted, listened] = [node.calls.indexOf('unlisten 1'), node.calls.indexOf('listen 2 new')];
    assert.ok(evicted >= 0 && evicted < listened, node.calls.join());
    assert.deepEqual(
      enrolment.list().map(({ pod }) => pod.name),
      ['new'],
    );
    assert.ok(node.probed.has('10.0.0.1'), 'the address is still the new pod’s');
    assert.match(node.logs.join('\n'), /warn: evicted: its address now belongs to pod default\/new/);
    assert.equal(codeOf(await enrolment.remove({ containerId: 'container-old', ifName: 'eth0' })), 'ok');
    assert.equal(enrolment.list().length, 1);
  });

  test('two ADDs at once with one address: one pod at most has it, and nothing of the other is left', async () => {
    const results = await Promise.all([
      enrolment.add(node.request('x', '10.0.0.1')),
      enrolment.add(node.request('y', '10.0.0.1')),
    ]);
    assert.equal(results.filter((result) => result.ok).length, 1);
    const [winner] = enrolment.list();
    assert.equal(enrolment.list().length, 1);
    assert.deepEqual([...node.ruled], [winner?.netnsPath]);
    assert.deepEqual([...node.listening.keys()], [winner?.index]);
    const released = node.calls.filter((call) => call.startsWith('unlisten'));
    assert.equal(released.length, 1, 'an index is given back once: it may be another pod’s by then');
  });

  test('pods in parallel get different indices', async () => {
    const names = Array.from({ length: 50 }, (_, number) => `p${number}`);
    const results = await Promise.all(
      names.map((name, number) => enrolment.add(node.request(name, `10.0.1.${number}`))),
    );
    assert.ok(results.every((result) => result.ok));
    assert.deepEqual(
      enrolment.list().map(({ index }) => index),
      names.map((_, number) => number + 1),
    );
    assert.equal(stored().length, 50);
  });

  test('ADDs of different pods do not wait for each other', async () => {
    let release = (): void => {};
    node.identity = (pod) =>
      pod.name === 'slow'
        ? new Promise((resolve) => {
            release = () => resolve(success({ uid: 'uid-slow', serviceAccount: 'sa', annotations: {} }));
          })
        : Promise.resolve(success({ uid: `uid-${pod.name}`, serviceAccount: 'sa', annotations: {} }));
    const slow = enrolment.add(node.request('slow', '10.0.0.1'));
    assert.ok((await enrolment.add(node.request('fast', '10.0.0.2'))).ok);
    release();
    assert.ok((await slow).ok);
  });
});

describe('DEL', () => {
  const attachment = { containerId: 'container-a', ifName: 'eth0' };

  test('takes everything out, listeners before rules; twice is success; unknown is success', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    node.calls.length = 0;
    assert.equal(codeOf(await enrolment.remove(attachment)), 'ok');
    assert.deepEqual(node.calls, ['unlisten 1', 'remove /run/netns/a']);
    assert.deepEqual(node.left(), []);
    assert.deepEqual(stored(), []);
    assert.equal(codeOf(await enrolment.remove(attachment)), 'ok');
    assert.equal(codeOf(await enrolment.remove({ containerId: 'nobody', ifName: 'eth0' })), 'ok');
  });

  test('of another interface of the same container changes nothing', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    assert.equal(codeOf(await enrolment.remove({ containerId: 'container-a', ifName: 'net1' })), 'ok');
    assert.equal(enrolment.list().length, 1);
  });

  test('a path that leads to another namespace now is not touched', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    node.namespaces.set('/run/netns/a', 'another');
    node.calls.length = 0;
    await enrolment.remove(attachment);
    assert.deepEqual(node.calls, ['unlisten 1']);
  });

  test('during an ADD of the same container waits for it and then removes it', async () => {
    const add = enrolment.add(node.request('a', '10.0.0.1'));
    const del = enrolment.remove(attachment);
    assert.ok((await add).ok);
    assert.equal(codeOf(await del), 'ok');
    assert.deepEqual(node.left(), []);
  });
});

describe('CHECK, GC, find', () => {
  test('CHECK: ok, then NOT_CAPTURED naming what is missing; unknown: UNKNOWN_POD', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    const request = { containerId: 'container-a', ifName: 'eth0', namespace: 'default' };
    assert.equal(codeOf(await enrolment.check(request)), 'ok');
    node.listening.clear();
    const result = await enrolment.check(request);
    assert.match(
      result.ok ? '' : result.error.message,
      /default\/a is not captured as it should be: IPv4: no listener on port 15001/,
    );
    assert.equal(codeOf(await enrolment.check({ ...request, containerId: 'nobody' })), 'UNKNOWN_POD');
    assert.equal(codeOf(await enrolment.check({ ...request, containerId: 'nobody', namespace: 'kube-system' })), 'ok');
  });

  test('GC drops what is not listed and keeps the rest', async () => {
    for (const [number, name] of ['a', 'b', 'c'].entries()) await enrolment.add(node.request(name, `10.0.0.${number}`));
    const dropped = await enrolment.gc([{ containerId: 'container-b', ifName: 'eth0' }]);
    assert.deepEqual(dropped.ok && dropped.value.map(({ containerId }) => containerId), ['container-a', 'container-c']);
    assert.deepEqual(
      enrolment.list().map(({ pod }) => pod.name),
      ['b'],
    );
    assert.deepEqual([...node.ruled], ['/run/netns/b']);
  });

  test('find: namespace/name, name.namespace, uid, and a bare name that is unique', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    for (const text of ['default/a', 'a.default', 'uid-a', 'a']) assert.equal(enrolment.find(text)?.index, 1, text);
    assert.equal(enrolment.find('b'), null);
  });
});

describe('after a restart', () => {
  test('pods come back with index and identity, without a controller; listeners before rules', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    await enrolment.close();
    node.listening.clear();
    node.ruled.clear();
    node.calls.length = 0;
    const next = node.make();
    await next.start();
    assert.deepEqual(node.calls, ['listen 1 a', 'apply /run/netns/a']);
    const [pod] = next.list();
    assert.deepEqual([pod?.index, pod?.pod.uid, pod?.problem], [1, 'uid-a', null]);
    assert.deepEqual([...node.probed], ['10.0.0.1']);
    assert.match(node.logs.join('\n'), /info: pod repaired in place; missing were: IPv4: rules/);
  });

  test('a namespace that is gone, or another under the same path, is dropped', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    await enrolment.add(node.request('b', '10.0.0.2'));
    await enrolment.close();
    node.namespaces.delete('/run/netns/a');
    node.namespaces.set('/run/netns/b', 'another');
    node.ruled.clear();
    const next = node.make();
    await next.start();
    assert.deepEqual(next.list(), []);
    assert.deepEqual([...node.ruled], [], 'the other namespace was not touched');
    assert.deepEqual(stored(), []);
  });

  test('listeners that fail leave the pod listed with its problem; repair() mends it', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    await enrolment.close();
    node.listening.clear();
    const { listen } = node;
    node.listen = async () => failure('LISTENERS_FAILED', 'worker 0: EMFILE');
    const next = node.make();
    await next.start();
    assert.equal(next.list()[0]?.problem, 'worker 0: EMFILE');
    node.listen = listen;
    assert.equal((await next.repair()).length, 1);
    assert.equal(next.list()[0]?.problem, null);
    assert.equal((await next.repair()).length, 0);
  });

  test('a pods.json that is not one is kept aside and said so; malformed records are left out, the rest is used', async () => {
    await enrolment.add(node.request('a', '10.0.0.1'));
    await enrolment.close();
    const path = join(node.stateDir, 'pods.json');
    const text = readFileSync(path, 'utf8');
    const value = JSON.parse(text) as { pods: unknown[] };
    value.pods.push({ containerId: '../../etc' }, null);
    writeFileSync(path, JSON.stringify(value));
    const next = node.make();
    await next.start();
    assert.equal(next.list().length, 1);
    assert.match(node.logs.join('\n'), /pods\.json, pod 2: .*left out/);
    await next.close();
    writeFileSync(path, text.slice(0, 40));
    const last = node.make();
    await last.start();
    assert.deepEqual(last.list(), []);
    assert.equal(readFileSync(`${path}.refused`, 'utf8'), text.slice(0, 40));
  });
});
