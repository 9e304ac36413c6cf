import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { FileChange } from '../../controlplane/config/object-store.ts';
import { FileSource } from '../../controlplane/sources/file-source.ts';
import { ControlBench, pod, policy, route, service, until } from './control-harness.ts';

/** A bench whose agent has seen a first configuration. */
async function running(t: TestContext): Promise<{ control: ControlBench; names: () => string[] }> {
  const control = new ControlBench();
  mkdirSync(control.objects);
  t.after(() => control.close());
  control.write('echo.yaml', service);
  control.write('policy.yaml', policy('only-web', 'web'));
  await control.startController();
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === 2);
  await control.settle();
  return { control, names: () => agent.names() };
}

test('files that are renamed into place, written in place, deleted and in new folders are noticed without being told', async (t) => {
  const { control, names } = await running(t);
  control.write('a.yaml', pod('a', '10.0.0.1'));
  await until('a file renamed into place', () => names().includes('workload demo/a'));
  writeFileSync(join(control.objects, 'b.yml'), pod('b', '10.0.0.2'));
  await until('a file written in place', () => names().includes('workload demo/b'));
  mkdirSync(join(control.objects, 'more'));
  writeFileSync(
    join(control.objects, 'more', 'c.json'),
    JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'c' }, spec: {} }),
  );
  await until('a file in a new folder', () => names().includes('service default/c'));
  control.remove('a.yaml');
  await until('a deleted file', () => !names().includes('workload demo/a'));
  rmSync(join(control.objects, 'more'), { recursive: true });
  await until('a deleted folder', () => !names().includes('service default/c'));
});

test('a typo changes nothing that worked: not in the file, not elsewhere', async (t) => {
  const { control, names } = await running(t);
  const before = names();
  const typos: readonly string[] = [
    'apiVersion: [unclosed',
    policy('only-web', 'web').replace('rules:', 'rule:'),
    policy('only-web', 'web').replace('kind: Auth', 'kind: auth'),
    policy('only-web', 'web').replace('metadata:', 'metdata:'),
    policy('only-web', 'web').replace('name: only-web', 'nam: only-web'),
    policy('only-web', 'web').replace('security.istio.io', 'security.istio.oi'),
    policy('only-web', 'web').replace('namespaces: [web]', 'namespaces: []'),
    policy('only-web', 'web').replace('security.istio.io/v1', 'security.istio.io/v9'),
    `${policy('only-web', 'web')}---\n- not\n- an object\n---\n{{ template }}\n`,
    policy('only-web', 'web').replace('ALLOW', 'ALOW'),
    `${'['.repeat(30_000)}`,
    '\u0000',
  ];
  for (const typo of typos) {
    control.write('policy.yaml', typo);
    control.write('new.yaml', pod('new', '10.0.0.7'));
    await control.settle();
    assert.deepEqual(names(), [...before, 'workload demo/new'].sort(), typo.slice(0, 200));
    assert.notDeepEqual((await control.controller.sync()).findings, [], typo.slice(0, 200));
    control.remove('new.yaml');
    control.write('policy.yaml', policy('only-web', 'web'));
    await control.settle();
    assert.deepEqual((await control.controller.sync()).findings, []);
  }
  control.write('policy.yaml', '');
  await control.settle();
  assert.deepEqual(names(), ['service demo/echo'], 'an empty file defines nothing');
});

test('a file that is being rewritten in place is not read half', async (t) => {
  const { control, names } = await running(t);
  const path = join(control.objects, 'many.yaml');
  const documents = [pod('a', '10.0.0.1'), pod('b', '10.0.0.2'), route('split', 80)].join('---\n');
  control.write('many.yaml', documents);
  await until('all three', () => names().length === 5);
  const everyChange: string[][] = [];
  const watchdog = setInterval(() => everyChange.push(names()), 2);
  writeFileSync(path, '');
  for (const part of documents.split(/(?<=---\n)/)) {
    appendFileSync(path, part);
    await new Promise((resolve) => setTimeout(resolve, 350));
  }
  await control.settle();
  clearInterval(watchdog);
  assert.ok(everyChange.length > 10);
  assert.ok(everyChange.every((state) => state.length === 5));
});

test('an object that moves from one file to another is never away', async (t) => {
  const { control, names } = await running(t);
  renameSync(join(control.objects, 'policy.yaml'), join(control.objects, 'renamed.yaml'));
  await control.settle();
  assert.deepEqual(names(), ['authorizationPolicy demo/only-web', 'service demo/echo']);
});

test('the first file by name wins an object that two define, and says so; the other takes over when it goes', async (t) => {
  const { control } = await running(t);
  control.write('zz.yaml', policy('only-web', 'other'));
  const { findings } = await control.controller.sync();
  assert.deepEqual(
    findings.map(({ code, object, file }) => [code, object, file]),
    [['DUPLICATE_OBJECT', 'AuthorizationPolicy demo/only-web', join(control.objects, 'zz.yaml')]],
  );
  const version = control.controller.status().version;
  control.remove('policy.yaml');
  assert.equal((await control.controller.sync()).version, version + 1);
});

interface SourceBench {
  readonly source: FileSource;
  readonly changes: FileChange[];
  readonly folder: string;
}

async function sourceOf(t: TestContext, prepare: (folder: string) => readonly string[]): Promise<SourceBench> {
  const control = new ControlBench();
  const changes: FileChange[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const sources = prepare(control.folder);
  const source = new FileSource({ sources, log, onChanges: (found) => changes.push(...found) });
  t.after(async () => {
    await source.close();
    await control.close();
  });
  await source.start();
  return { source, changes, folder: control.folder };
}

test('a missing source is a finding, is read when it comes, and keeps its objects when it goes', async (t) => {
  const { source, changes, folder } = await sourceOf(t, (below) => [join(below, 'objects')]);
  assert.deepEqual(
    changes.map(({ type }) => type),
    ['broken'],
  );
  mkdirSync(join(folder, 'objects'));
  writeFileSync(join(folder, 'objects', 'a.yaml'), service);
  await source.sync();
  assert.deepEqual(
    changes.map(({ type }) => type),
    ['broken', 'gone', 'parsed'],
  );
  changes.length = 0;
  renameSync(join(folder, 'objects'), join(folder, 'elsewhere'));
  await source.sync();
  assert.deepEqual(
    changes.map(({ type, file }) => [type, file]),
    [['broken', join(folder, 'objects')]],
  );
});

test('a source that is a file is removed with the file; a ConfigMap mounted by links is followed', async (t) => {
  const { source, changes, folder } = await sourceOf(t, (below) => {
    writeFileSync(join(below, 'single'), service);
    mkdirSync(join(below, 'mount', '..v1'), { recursive: true });
    writeFileSync(join(below, 'mount', '..v1', 'a.yaml'), service);
    symlinkSync('..v1', join(below, 'mount', '..data'));
    symlinkSync(join('..data', 'a.yaml'), join(below, 'mount', 'a.yaml'));
    return [join(below, 'single'), join(below, 'mount')];
  });
  const files = (): string[] => changes.splice(0).map(({ type, file }) => `${type} ${file.slice(folder.length + 1)}`);
  assert.deepEqual(files(), ['parsed mount/a.yaml', 'parsed single']);
  rmSync(join(folder, 'single'));
  mkdirSync(join(folder, 'mount', '..v2'));
  writeFileSync(join(folder, 'mount', '..v2', 'a.yaml'), pod('a', '10.0.0.1'));
  symlinkSync('..v2', join(folder, 'mount', '..tmp'));
  renameSync(join(folder, 'mount', '..tmp'), join(folder, 'mount', '..data'));
  await source.sync();
  assert.deepEqual(files().sort(), ['gone single', 'parsed mount/a.yaml']);
});

test('a file that cannot be read, is too large or is not UTF-8 is a finding with its line', async (t) => {
  const { changes } = await sourceOf(t, (below) => {
    writeFileSync(join(below, 'large.yaml'), Buffer.alloc(4 * 1024 * 1024 + 1, '#'));
    writeFileSync(join(below, 'latin1.yaml'), Buffer.from('a: 1\nb: 2\nc: "caf\xe9"\n', 'latin1'));
    mkdirSync(join(below, 'folder.yaml'));
    return [below];
  });
  const found = changes.flatMap((change) =>
    change.type === 'broken' ? [[change.problem.code, change.problem.position.line]] : [],
  );
  assert.deepEqual(found, [
    ['FILE_TOO_LARGE', 0],
    ['NOT_UTF8', 3],
  ]);
});
