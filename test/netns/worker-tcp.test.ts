/** Connections that are not HTTP, and the ends of connections: FIN, RST, silence, policy changes, reused addresses. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { until } from '../harness/hang.ts';
import { type LabPod, WorkerLab, policy, service, workload } from '../harness/worker-lab.ts';

let lab: WorkerLab;
let b: LabPod;
let onServer: (socket: Socket) => void = () => undefined;

const RAW = '10.96.0.20';
const AUTO = '10.96.0.21';
const PORTS = [{ servicePort: 1, targetPort: 7000 }];

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  b = await lab.addPod('b');
  await lab.mesh([
    service('raw', RAW, 1, 'tcp'),
    service('auto', AUTO, 1, 'detect'),
    workload(b, { app: 'b' }, { 'default/raw': PORTS, 'default/auto': PORTS }),
  ]);
  await lab.serve('b', 7000, (socket) => onServer(socket));
});
after(() => lab.stop());

for (const [name, vip] of [
  ['declared tcp', RAW],
  ['undeclared', AUTO],
] as const) {
  test(`${name}: a server that speaks first is heard at once`, async () => {
    onServer = (socket) => socket.write('220 hello\r\n');
    const socket = lab.dial('a', vip, 1);
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    assert.equal(greeting.toString(), '220 hello\r\n');
    socket.destroy();
  });

  test(`${name}: half-close is passed on and the other direction goes on`, async () => {
    onServer = (socket) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('end', () => socket.end(`got ${text.length}, still talking`));
    };
    const socket = lab.dial('a', vip, 1);
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.end(Buffer.alloc(100_000, 'x'));
    await once(socket, 'end');
    assert.equal(answer, 'got 100000, still talking');
  });

  test(`${name}: a reset by the server reaches the client, and the other way round`, async () => {
    onServer = (socket) => socket.on('data', () => socket.resetAndDestroy());
    const socket = lab.dial('a', vip, 1);
    socket.resume();
    const closed = Promise.race([once(socket, 'error'), once(socket, 'end')]);
    socket.write('\x01\x02\x03');
    await closed;
    socket.destroy();

    const serverEnded = new Promise<void>((resolve) => {
      onServer = (peer) => {
        peer.resume();
        peer.on('error', () => resolve());
        peer.on('end', () => resolve());
      };
    });
    const other = lab.dial('a', vip, 1);
    other.write('\x01\x02\x03');
    await until(async () => (await lab.stats()).pods.some((pod) => pod.name === 'a' && pod.connectionsActive > 0));
    other.resetAndDestroy();
    await serverEnded;
  });
}

test('a zero window stops the sender, and everything arrives once it opens', async () => {
  const size = 24 * 1024 * 1024;
  let server: Socket | null = null;
  onServer = (socket) => {
    server = socket;
    socket.pause();
  };
  const socket = lab.dial('a', RAW, 1);
  const body = Buffer.alloc(size, 'z');
  let flushed = false;
  socket.end(body, () => {
    flushed = true;
  });
  await until(() => server !== null);
  const before = await rssOf(lab.workerPid);
  await until(async () => (await lab.stats()).pods.some((pod) => pod.name === 'a' && pod.bytesOut > 200_000));
  assert.equal(flushed, false, 'the sender was held back');
  assert.ok((await rssOf(lab.workerPid)) - before < 16 * 1024 * 1024, 'what the server does not read is not kept here');
  let received = 0;
  const reader = server as unknown as Socket;
  reader.on('data', (chunk) => {
    received += chunk.length;
  });
  reader.resume();
  await once(reader, 'end');
  assert.equal(received, size);
  reader.end();
  await once(socket, 'close');
});

test('a policy change cuts a live connection that is no longer allowed, and no other', async () => {
  onServer = (socket) => socket.on('data', (chunk) => socket.write(chunk));
  await lab.addPod('c');
  const kept = lab.dial('c', RAW, 1);
  const cut = lab.dial('a', RAW, 1);
  for (const socket of [kept, cut]) {
    socket.write('ping');
    await once(socket, 'data');
  }
  const ended = Promise.race([once(cut, 'error'), once(cut, 'end'), once(cut, 'close')]);
  cut.resume();
  await lab.mesh([policy('no-a', 'DENY', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/a'] }] }])]);
  await ended;
  kept.write('again');
  assert.equal(((await once(kept, 'data')) as [Buffer])[0].toString(), 'again');
  kept.destroy();
  // And a new one is refused before it reaches the server.
  let reached = false;
  onServer = () => {
    reached = true;
  };
  assert.equal(await lab.exchange('a', RAW, 1, 'ping'), '');
  assert.equal(reached, false);
  const refusals = (): number => lab.accessLines.filter((line) => line.includes('RBAC_DENIED')).length;
  await until(() => refusals() >= 2);
  const denied = lab.accessLines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['reason'] === 'RBAC_DENIED');
  assert.ok(denied.length >= 2 && denied.every((line) => line['policy'] === 'default/no-a'), JSON.stringify(denied));
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/no-a' }]);
});

test("an address reused by another pod does not inherit the old pod's identity", async () => {
  onServer = (socket) => socket.end('secret');
  await lab.mesh([policy('only-d', 'ALLOW', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/d'] }] }])]);
  const d = await lab.addPod('d');
  assert.equal(await lab.exchange('d', RAW, 1, ''), 'secret');
  // The pod is deleted, and a pod of another service account gets its very address and namespace path.
  const gone = lab.wait((message) => message.type === 'podGone' && message.index === d.index);
  lab.send({ type: 'podRemove', index: d.index });
  await gone;
  const heir: LabPod = {
    ...d,
    index: d.index,
    enrolled: { ...d.enrolled, uid: 'uid-heir', name: 'heir', serviceAccount: 'heir' },
  };
  await lab.listen(heir);
  // Even while the mesh still describes the old pod at that address:
  assert.equal(await lab.exchange('d', RAW, 1, ''), '');
  await lab.mesh([workload(heir, { app: 'heir' })], [{ kind: 'workload', key: d.enrolled.uid }]);
  assert.equal(await lab.exchange('d', RAW, 1, ''), '');
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/only-d' }]);
});

test("a pod that dials the mesh ports, its own or another pod's, is refused and nothing loops", async () => {
  const a = lab.pods.get('a') as LabPod;
  for (const ip of ['127.0.0.1', a.ip, b.ip]) {
    for (const port of [15001, 15006, 15008]) {
      const { status } = await lab.exec('a', ['curl', '-sS', '-m', '3', '-o', '/dev/null', `http://${ip}:${port}/`]);
      assert.ok(status === 7 || status === 56, `${ip}:${port}: curl exit ${status}`);
    }
  }
});

test('the far side of the node: an unmeshed client is captured inbound, without identity, with its own address', async () => {
  onServer = (socket) => socket.end(`from ${socket.remoteAddress}`);
  const { output } = await lab.exec('b', ['true']);
  assert.equal(output, '');
  await lab.run('b', [
    'node',
    '-e',
    `require('http').createServer((q,s)=>s.end('from '+q.socket.remoteAddress)).listen(7001,()=>console.log('up'))`,
  ]);
  const text = await fetchFromNode(`http://${b.ip}:7001/`);
  assert.match(text, /10\.77\.0\.1$/);
  await lab.mesh([policy('ns', 'ALLOW', { app: 'b' }, [{ from: [{ namespaces: ['default'] }] }])]);
  assert.match(await fetchFromNode(`http://${b.ip}:7001/`), /RBAC_DENIED/);
  assert.match(await fetchFromNode(`http://[${b.ip6}]:7001/`), /RBAC_DENIED/);
  await lab.mesh([policy('ns', 'ALLOW', { app: 'b' }, [{ from: [{ ipBlocks: ['10.77.0.1/32'] }] }])]);
  assert.match(await fetchFromNode(`http://${b.ip}:7001/`), /10\.77\.0\.1$/);
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/ns' }]);
});

test('while no agent runs, connections are refused, never uncaptured; with a new worker they work again', async () => {
  onServer = (socket) => socket.end('reached');
  await lab.killWorker('SIGKILL');
  for (const url of [`http://${b.ip}:7000/`, `http://${RAW}:1/`, `http://[${b.ip6}]:7000/`]) {
    const { status, output } = await lab.exec('a', ['curl', '-gsS', '-m', '3', url]);
    assert.equal(status, 7, `${url}: ${output}`);
  }
  await assert.rejects(fetchFromNode(`http://${b.ip}:7001/`), 'inbound, too');
  await lab.startWorker();
  for (const pod of lab.pods.values()) if (pod.name !== 'd') await lab.listen(pod);
  await lab.mesh([service('raw', RAW, 1, 'tcp'), workload(b, { app: 'b' }, { 'default/raw': PORTS })]);
  assert.equal(await lab.exchange('a', RAW, 1, ''), 'reached');
});

async function fetchFromNode(url: string): Promise<string> {
  const response = await fetch(url);
  return response.text();
}

async function rssOf(pid: number): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

test('inside a node nothing paces: both legs of a relay are without congestion control of their own', async () => {
  onServer = (socket) => socket.write('here');
  const socket = lab.dial('a', RAW, 1);
  await once(socket, 'data');
  const { output } = await lab.exec('a', ['ss', '-tinH', 'sport', '=', ':15001']);
  assert.match(output, /\breno\b/);
  const upstream = await lab.exec('b', ['ss', '-tinH', 'dport', '=', ':7000']);
  assert.match(upstream.output, /\breno\b/);
  socket.destroy();
});
