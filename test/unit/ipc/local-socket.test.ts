/** Unix sockets under two names: what is published, what is taken over, what is left alone. */
import assert from 'node:assert/strict';
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { LocalSocket, privateNameOf } from '../../../agent/ipc/local-socket.ts';

let folder: string;
let path: string;
const open: LocalSocket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-socket-'));
  path = join(folder, 'agent.sock');
});
afterEach(() => {
  for (const socket of open.splice(0)) socket.server.close();
  rmSync(folder, { recursive: true });
});

/** A server that says its name to whoever connects. */
async function listening(name: string): Promise<LocalSocket> {
  const socket = new LocalSocket(
    // A probe hangs up without reading.
    createServer((client) => client.on('error', () => undefined).end(name)),
    path,
  );
  await socket.listen();
  open.push(socket);
  return socket;
}

function whoAnswers(at = path): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    connect(at)
      .on('data', (chunk) => {
        text += chunk.toString();
      })
      .on('end', () => resolve(text))
      .on('error', reject);
  });
}

test('published: 0600 under both names, and the second comes too late', async () => {
  const first = await listening('first');
  assert.equal(await first.publish(), true);
  assert.equal(await first.publish(), true, 'again');
  for (const name of [path, first.privatePath]) assert.equal(statSync(name).mode & 0o777, 0o600);
  const second = await listening('second');
  assert.equal(await second.publish(), false);
  assert.equal(await whoAnswers(), 'first');
  assert.deepEqual([first.owns(), second.owns(), second.isDisplaced()], [true, false, true]);
});

test('taken over: the old one still answers by its own name, and its end leaves the successor alone', async () => {
  const first = await listening('first');
  await first.publish();
  const second = await listening('second');
  second.replace();
  second.replace();
  assert.equal(await whoAnswers(), 'second');
  assert.equal(await whoAnswers(first.privatePath), 'first');
  assert.equal(privateNameOf(path), second.privatePath);
  assert.equal(privateNameOf(join(folder, 'none.sock')), join(folder, 'none.sock'));
  assert.deepEqual([first.owns(), first.isDisplaced(), second.owns()], [false, true, true]);
  first.withdraw();
  await new Promise<void>((done) => {
    first.server.close(() => done());
  });
  assert.equal(await whoAnswers(), 'second');
  second.withdraw();
  assert.deepEqual([existsSync(path), second.isDisplaced()], [false, false]);
});

test('a name that nobody serves is replaced, and what killed agents left behind is removed', async () => {
  const stale = createServer().listen(join(folder, 'x.sock'));
  await new Promise((done) => {
    stale.once('listening', done);
  });
  linkSync(join(folder, 'x.sock'), path);
  linkSync(join(folder, 'x.sock'), join(folder, 'agent-0123ab.sock'));
  linkSync(join(folder, 'x.sock'), join(folder, 'agent-other.sock'));
  await new Promise((done) => {
    stale.close(done);
  });
  const socket = await listening('new');
  assert.equal(await socket.publish(), true);
  assert.equal(await whoAnswers(), 'new');
  const names = readdirSync(folder).filter((name) => join(folder, name) !== socket.privatePath);
  assert.deepEqual(names.sort(), ['agent-other.sock', 'agent.sock']);
});

test('what is not a socket is not touched; a path too long is refused with the remedy', async () => {
  writeFileSync(path, 'precious');
  const socket = await listening('x');
  await assert.rejects(socket.publish(), /exists and is not a socket; move it away/);
  assert.equal(statSync(path).size, 8);
  const deep = join(folder, 'x'.repeat(100));
  mkdirSync(deep);
  const long = new LocalSocket(createServer(), join(deep, 'agent.sock'));
  await assert.rejects(long.listen(), /longer than 107 bytes.*choose a shorter --run-dir/);
});
