import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { prepareAddress } from '../../agent/engine/address.ts';
import * as errno from '../../agent/engine/errno.ts';
import { NetworkNamespace } from '../../agent/engine/netns.ts';
import * as socket from '../../agent/engine/socket.ts';
import { ok, waitFor } from '../integration/engine-loopback.ts';
import type { TestPod } from './engine-pods.ts';
import { makePods, removePods } from './engine-pods.ts';

const BRIDGE = 'br-ns';
let pods: TestPod[] = [];

function pod(index: number): TestPod {
  const found = pods[index];
  assert.ok(found);
  return found;
}

/** The namespace this thread is in, as the kernel names it. */
function here(): string {
  return readlinkSync('/proc/thread-self/ns/net');
}

before(() => {
  pods = makePods(BRIDGE, ['ns-a', 'ns-b']);
});
after(() => removePods(BRIDGE, pods));

test('a listener opened inside run() belongs to the pod, and run() comes back', () => {
  const home = here();
  const listener = pod(0).namespace.run(() => {
    assert.equal(here(), `net:[${pod(0).namespace.inode()}]`);
    return ok(socket.openListener({ ip: '0.0.0.0', port: 15001, reusePort: true, backlog: 8 }));
  });
  assert.equal(here(), home);
  assert.notEqual(`net:[${pod(0).namespace.inode()}]`, home);

  // Same port in two other namespaces: they do not meet.
  const others = [
    ok(socket.openListener({ ip: '0.0.0.0', port: 15001, reusePort: false, backlog: 8 })),
    pod(1).namespace.run(() => ok(socket.openListener({ ip: '0.0.0.0', port: 15001, reusePort: false, backlog: 8 }))),
  ];
  const client = pod(1).namespace.run(() =>
    ok(socket.openStream({ family: 2, mark: 0, transparent: false, source: null })),
  );
  assert.equal(socket.connectTo(client, prepareAddress({ ip: pod(0).v4, port: 15001 })), -errno.EINPROGRESS);
  waitFor(listener, 1);
  const accepted = ok(socket.acceptConnection(listener));
  assert.equal(socket.lastPeer().ip, pod(1).v4);
  for (const fd of [listener, client, accepted, ...others]) socket.closeFd(fd);
});

test('runs nest, and each returns to where it was called', () => {
  const home = here();
  const seen: string[] = [];
  pod(0).namespace.run(() => {
    pod(1).namespace.run(() => seen.push(here()));
    seen.push(here());
    pod(0).namespace.run(() => seen.push(here()));
  });
  const [a, b] = pods.map(({ namespace }) => `net:[${namespace.inode()}]`);
  assert.deepEqual(seen, [b, a, a]);
  assert.equal(here(), home);
});

test('an exception inside run() comes out after the way back', () => {
  const home = here();
  assert.throws(
    () =>
      pod(0).namespace.run(() => {
        throw new Error('inside');
      }),
    /inside/,
  );
  assert.equal(here(), home);
});

test('an async function is refused, because it would go on outside', async () => {
  const home = here();
  let promise: Promise<void> | undefined;
  assert.throws(
    () =>
      pod(0).namespace.run(() => {
        promise = Promise.resolve();
        return promise;
      }),
    /async/,
  );
  await promise;
  assert.equal(here(), home);
});

test('handles may be closed inside run() and twice; a closed one cannot be entered', () => {
  const home = here();
  const outer = NetworkNamespace.open(pod(0).netnsPath);
  const inner = NetworkNamespace.open(pod(1).netnsPath);
  outer.run(() => {
    inner.run(() => {
      inner.close();
      outer.close(); // still needed for the way back
      outer.close();
    });
    assert.equal(here(), `net:[${pod(0).namespace.inode()}]`);
  });
  assert.equal(here(), home);
  for (const handle of [outer, inner]) assert.throws(() => handle.run(() => 0), /after close/);
});

test('current() is the thread’s namespace, also inside run()', () => {
  const inside = pod(0).namespace.run(() => NetworkNamespace.current());
  assert.equal(inside.inode(), pod(0).namespace.inode());
  inside.close();
});

test('open refuses what is no network namespace, naming the path', () => {
  assert.throws(() => NetworkNamespace.open('/proc/self/ns/mnt'), /\/proc\/self\/ns\/mnt/);
  assert.throws(() => NetworkNamespace.open('/dev/null'), /\/dev\/null/);
  assert.throws(() => NetworkNamespace.open('/run/netns/absent'), /absent/);
});

test('a process that cannot come back aborts instead of staying in the pod', () => {
  const script = `
    import { closeSync, readdirSync, readlinkSync } from 'node:fs';
    const { NetworkNamespace } = await import(process.env.NETNS_MODULE);
    const pod = NetworkNamespace.open(process.env.NETNS_PATH);
    const home = readlinkSync('/proc/thread-self/ns/net');
    pod.run(() => {
      for (const fd of readdirSync('/proc/self/fd')) {
        let target = '';
        try { target = readlinkSync('/proc/self/fd/' + fd); } catch (error) { if (error.code !== 'ENOENT') throw error; }
        if (target === home) closeSync(Number(fd));
      }
      process.stdout.write('inside');
    });
    process.stdout.write('survived');
  `;
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', script],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        NETNS_MODULE: new URL('../../agent/engine/netns.ts', import.meta.url).href,
        NETNS_PATH: pod(0).netnsPath,
      },
    },
  );
  assert.equal(stdout, 'inside', stderr);
  assert.equal(status, null);
  assert.equal(signal, 'SIGABRT');
  assert.match(stderr, /cannot leave network namespace \/run\/netns\/ns-a/);
});
