/** The CNI socket: who may use it, what it answers, and what it does not accept. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, linkSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CniServer } from '../../../agent/capture/cni-server.ts';
import { limits } from '../../../agent/limits.ts';
import { FakeNode } from './enrolment-fakes.ts';

interface Answer {
  readonly status: number;
  readonly body: {
    readonly code?: number;
    readonly msg?: string;
    readonly details?: string;
    readonly outcome?: string;
  };
}

let folder: string;
let path: string;
let node: FakeNode;
let server: CniServer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'weir-cni-'));
  path = join(folder, 'run', 'cni.sock');
  node = new FakeNode();
  const enrolment = node.make();
  await enrolment.start();
  server = new CniServer(enrolment, path);
  await server.listen();
});
afterEach(async () => {
  await server.close();
  node.close();
  rmSync(folder, { recursive: true });
});

function ask(route: string, body: string | object, method = 'POST'): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: path, path: route, method, agent: false }, (response) => {
      let received = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        received += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(received) as Answer['body'] }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

const ADD = {
  containerId: 'container-a',
  ifName: 'eth0',
  netns: '/run/netns/a',
  args: { namespace: 'default', name: 'a', uid: 'uid-a' },
  ips: ['10.0.0.1'],
};

describe('CNI socket', () => {
  test('is 0600 from the start, whatever the umask', () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('add, check, del, status, gc', async () => {
    node.request('a', '10.0.0.1');
    assert.deepEqual(await ask('/add', ADD), { status: 200, body: { outcome: 'enrolled' } });
    assert.equal((await ask('/check', ADD)).status, 200);
    assert.equal((await ask('/status', {})).status, 200);
    assert.equal(
      (await ask('/gc', { validAttachments: [{ containerID: 'container-a', ifname: 'eth0' }] })).status,
      200,
    );
    assert.equal((await ask('/check', ADD)).status, 200);
    assert.equal((await ask('/del', ADD)).status, 200);
    assert.equal((await ask('/del', ADD)).status, 200);
    const gone = await ask('/check', ADD);
    assert.deepEqual([gone.status, gone.body.code], [404, 107]);
  });

  test('a failure carries a CNI code, a message and our code', async () => {
    const failed = await ask('/add', ADD);
    assert.deepEqual(
      [failed.status, failed.body.code, failed.body.msg, failed.body.details],
      [422, 102, '/run/netns/a is gone', 'NETNS_UNUSABLE'],
    );
  });

  test('what is not a request of ours: 400, 404, 405', async () => {
    assert.equal((await ask('/add', '{')).status, 400);
    assert.equal((await ask('/add', '')).status, 400);
    assert.equal((await ask('/add', { ...ADD, ips: ['x'] })).body.code, 7);
    assert.equal((await ask('/pods', {})).status, 404);
    assert.equal((await ask('/add', '', 'GET')).status, 405);
    const long = await ask('/add', ' '.repeat(limits.localRequestBytesMax + 1));
    assert.match(long.body.msg ?? '', /longer than/);
  });

  test('a client that leaves in the middle does no harm', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(path, () => {
        socket.write('POST /add HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"a"');
        socket.destroy();
      });
      socket.on('close', () => resolve());
    });
    assert.equal((await ask('/status', {})).status, 200);
  });

  test('a socket that somebody serves is not taken; one that nobody serves is', async () => {
    const second = new CniServer(node.make(), path);
    await assert.rejects(second.listen(), /another agent serves this socket/);
    const stale = join(folder, 'stale.sock');
    linkSync(path, stale);
    await server.close();
    const third = new CniServer(node.make(), stale);
    await third.listen();
    assert.equal(statSync(stale).mode & 0o777, 0o600);
    await third.close();
    assert.equal(existsSync(stale), false);
  });

  test('taken over: requests wait for the successor to be ready, those of the old one are answered by it', async () => {
    node.request('a', '10.0.0.1');
    let identify = (): void => undefined;
    const known = new Promise<void>((resolve) => {
      identify = resolve;
    });
    const { identity } = node;
    node.identity = async (pod) => {
      await known;
      return identity(pod);
    };
    const inWork = ask('/add', ADD);
    const next = new FakeNode();
    const enrolment = next.make();
    const successor = new CniServer(enrolment, path);
    await successor.listenInstead();
    let answered = false;
    const waiting = ask('/status', {}).finally(() => {
      answered = true;
    });
    const closed = server.close();
    identify();
    assert.deepEqual(await inWork, { status: 200, body: { outcome: 'enrolled' } });
    await closed;
    assert.equal(answered, false);
    await enrolment.start();
    successor.release();
    assert.equal((await waiting).status, 200);
    assert.equal((await ask('/status', {})).status, 200, 'the name is still there after the old server closed');
    await successor.close();
    next.close();
  });
});
