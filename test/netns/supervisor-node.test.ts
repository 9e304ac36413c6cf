/**
 * One node with real pods' namespaces: the agent's supervisor and workers, the real controller, CNI requests as the plugin sends
 * them. What supervisor and workers owe each other: listeners come back, counters never fall, nothing runs uncaptured.
 */
import assert from 'node:assert/strict';
import type { Server } from 'node:net';
import { after, before, test } from 'node:test';
import type { PodDocument, RequestsDocument, VerifyDocument } from '../../agent/admin/api.ts';
import type { Decision } from '../../mesh/explain.ts';
import { ask, Place } from '../integration/fixtures/agent-process.ts';
import { waitUntil } from '../integration/fixtures/wait-until.ts';
import { dial, Lab, type LabPod, openSocket, serve, sh } from './capture-lab.ts';

const NODE = 'node-1';
const VIP = '10.96.0.10';

let lab: Lab;
let place: Place;
let client: LabPod;
let web: LabPod;
let agent: ReturnType<Place['agent']>;
let backend: string;
let application: Server;

function podObject(pod: LabPod): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${pod.name}, namespace: lab, uid: uid-${pod.name}, labels: { app: ${pod.name} } }
spec: { nodeName: ${NODE}, serviceAccountName: sa, containers: [{ name: app, image: app }] }
status:
  podIP: ${pod.v4}
  podIPs: [{ ip: "${pod.v4}" }, { ip: "${pod.v6}" }]
  conditions: [{ type: Ready, status: "True" }]
`;
}

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: lab }
spec:
  clusterIP: ${VIP}
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;

function cni(path: string, pod: LabPod): ReturnType<typeof ask> {
  const body = {
    containerId: `container-${pod.name}`,
    netns: pod.netnsPath,
    ifName: 'eth0',
    args: { namespace: 'lab', name: pod.name, uid: `uid-${pod.name}` },
    ips: [pod.v4, pod.v6],
  };
  return ask(place.cniSocketOf(NODE), 'POST', path, JSON.stringify(body));
}

/** One request of the client pod to the Service; the body, or the error. */
async function get(): Promise<string> {
  const seen = await dial(client.netns, VIP, 80, {
    say: 'GET / HTTP/1.1\r\nHost: web.lab\r\nConnection: close\r\n\r\n',
  });
  return seen.error ?? seen.text;
}

async function metric(name: string, ...labels: readonly string[]): Promise<number> {
  const { body } = await ask(place.socketOf(NODE), 'GET', '/metrics');
  const line = body
    .split('\n')
    .find((text) => text.startsWith(`${name}{`) && labels.every((label) => text.includes(label)));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(' ') + 1));
}

function allServing(): Promise<unknown> {
  return place.until(NODE, ({ ready, workers }) => ready && workers.every(({ state }) => state === 'serving'));
}

before(async () => {
  lab = new Lab();
  place = new Place();
  client = lab.addPod('client');
  web = lab.addPod('web');
  application = await serve(web.netns, '0.0.0.0', 8080, (socket) => {
    socket.once('data', () => {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello');
    });
  });
  place.object('web-service', SERVICE);
  place.startController();
  agent = place.agent(NODE, '--access-log', 'all');
  await allServing();
});

after(async () => {
  await place.close();
  application.close();
  lab.close();
});

test('ADD waits for the identity of a pod the controller does not have yet, and then captures it', async () => {
  const added = cni('/add', client);
  place.object('client', podObject(client));
  place.object('web', podObject(web));
  for (const answer of [await added, await cni('/add', web)]) assert.equal(answer.status, 200, answer.body);
  backend = (await place.status(NODE)).iptables.backend ?? 'unknown';
  const pods = JSON.parse((await ask(place.socketOf(NODE), 'GET', '/pods')).body) as PodDocument[];
  assert.deepEqual(
    pods.map(({ namespace, name, captured, problem, principal }) => [namespace, name, captured, problem, principal]),
    [
      ['lab', 'client', true, null, 'cluster.local/ns/lab/sa/sa'],
      ['lab', 'web', true, null, 'cluster.local/ns/lab/sa/sa'],
    ],
  );
});

test('a request is served, counted and in the access log', async () => {
  await waitUntil(async () => (await get()).endsWith('hello'));
  await waitUntil(async () => (await metric('istio_requests_total', 'reporter="source"', 'response_code="200"')) > 0);
  assert.ok((await metric('istio_requests_total', 'reporter="destination"', 'destination_service_name="web"')) > 0);
  assert.ok((await metric('weir_pod_requests_total', 'pod="client"')) > 0);
  assert.ok((await metric('weir_pod_bytes_total', 'pod="client"', 'direction="in"')) > 0);
  await waitUntil(() => agent.out.includes('"status":200'));
  const tail = await place.command(['logs', '--access', '--tail', '1'], [place.socketOf(NODE)]);
  assert.match(tail.out, /^\{"time":.*"service":.*\}\n$/);
});

test('a logged request can be asked for by its id', async () => {
  const [line = ''] = /^\{"time":.*"id":"[^"]+".*"status":200.*\}$/m.exec(agent.out) ?? [];
  const { id } = JSON.parse(line) as { id: string };
  const found = await ask(place.socketOf(NODE), 'GET', `/requests?id=${id}`);
  const { requests } = JSON.parse(found.body) as RequestsDocument;
  assert.deepEqual(
    requests.map((request) => [request.id, request.status, request.sourcePod, request.headers !== null]),
    [[id, 200, 'lab/client', true]],
  );
  const all = JSON.parse((await ask(place.socketOf(NODE), 'GET', '/requests')).body) as RequestsDocument;
  assert.ok(all.requests.some((request) => request.id === id));
  const unknown = await ask(place.socketOf(NODE), 'GET', '/requests?id=w9-none');
  assert.deepEqual([unknown.status, /UNKNOWN_REQUEST/.test(unknown.body)], [404, true]);
});

test('POST /explain answers as the agent decides, and every hostile body with what to send', async () => {
  const explained = (body: string): ReturnType<typeof ask> => ask(place.socketOf(NODE), 'POST', '/explain', body);
  const asked = {
    from: 'lab/client',
    to: 'web.lab:80',
    method: 'GET',
    path: '/',
    host: '',
    sni: '',
    headers: [],
    tcp: false,
  };
  const line = {
    id: 'q',
    source: { principal: null, namespace: null, serviceAccount: null, ip: client.v4, remoteIp: null },
    destination: { namespace: 'lab', labels: { app: 'web' }, ip: web.v4, port: 8080, serviceHost: '' },
    connection: { protocol: 'http', tls: 'none', sni: null },
    http: { method: 'GET', path: '/', host: 'web', headers: [], jwt: null },
  };
  const decided = async (body: unknown): Promise<readonly Decision[]> => {
    const answer = await explained(JSON.stringify(body));
    assert.equal(answer.status, 200, answer.body);
    return (JSON.parse(answer.body) as { decisions: Decision[] }).decisions;
  };
  assert.deepEqual(
    [await decided({ asked }), await decided({ lines: [JSON.stringify(line)] })].map(([one]) => [
      one?.verdict,
      one?.error,
    ]),
    [
      ['allow', null],
      ['allow', null],
    ],
  );
  assert.match(await get(), /hello$/);

  const deep = '['.repeat(20_000) + ']'.repeat(20_000);
  const refused: [body: string, status: number, code: string][] = [
    ['', 400, 'INVALID_VALUE'],
    ['null', 400, 'INVALID_VALUE'],
    ['[]', 400, 'INVALID_VALUE'],
    ['"lines"', 400, 'INVALID_VALUE'],
    ['{"lines": {"length": 1}}', 400, 'INVALID_VALUE'],
    ['{"lines": [1]}', 400, 'INVALID_VALUE'],
    [`{"lines": ${deep}}`, 400, 'INVALID_VALUE'],
    [JSON.stringify({ asked: { ...asked, headers: [['a']] } }), 400, 'INVALID_VALUE'],
    [JSON.stringify({ asked: { ...asked, tcp: 'no' } }), 400, 'INVALID_VALUE'],
    ['{"__proto__": {"lines": []}}', 400, 'INVALID_VALUE'],
    ['{"lines": [', 400, 'BODY_NOT_JSON'],
    [JSON.stringify({ lines: Array.from({ length: 257 }, () => '{}') }), 413, 'TOO_MANY'],
    [`{"lines": ["${'x'.repeat(1_048_576)}"]}`, 413, 'BODY_TOO_LARGE'],
  ];
  for (const [body, status, code] of refused) {
    const answer = await explained(body);
    assert.equal(answer.status, status, body.slice(0, 60));
    assert.equal((JSON.parse(answer.body) as { error: { code: string } }).error.code, code, body.slice(0, 60));
  }

  const questions = [
    '',
    'null',
    '7',
    '{',
    deep,
    '{"id": {}}',
    JSON.stringify({ ...line, http: { ...line.http, path: 'a b' } }),
  ];
  const broken = [
    { ...line, destination: { ...line.destination, labels: JSON.parse('{"__proto__": "x"}') as unknown } },
    { ...line, source: { ...line.source, ip: '10.0.0.999' } },
    { ...line, destination: { ...line.destination, port: 1e99 } },
    { ...line, http: { ...line.http, headers: Array.from({ length: 100_000 }, () => 0) } },
  ].map((one) => JSON.stringify(one));
  const decisions = await decided({ lines: [...questions, ...broken] });
  assert.equal(decisions.length, questions.length + broken.length);
  assert.deepEqual(
    decisions.filter(({ verdict }) => verdict === 'allow'),
    [],
  );
  const nobody = await decided({ asked: { ...asked, from: 'lab/nobody', to: '\u0000:0' } });
  assert.notEqual(nobody[0]?.error, null);
  assert.match(await get(), /hello$/, 'the agent goes on');
});

test('weir capture verify proves each pod, each way', async () => {
  const { code, out, err } = await place.command(['capture', 'verify', '--all'], [place.socketOf(NODE)]);
  assert.equal(code, 0, out + err);
  for (const pod of ['lab/client', 'lab/web']) {
    for (const check of ['rules', 'outbound v4', 'inbound v4', 'outbound v6', 'inbound v6']) {
      assert.match(out, new RegExp(`^${pod} +${check} +ok`, 'm'));
    }
  }
});

test('kill -9 of each worker: the pods are captured again, traffic goes on, counters do not fall', async () => {
  const requests = (): Promise<number> => metric('istio_requests_total', 'reporter="source"', 'response_code="200"');
  const open = (): Promise<number> => metric('weir_pod_connections', 'pod="client"');
  const held = openSocket(client.netns, VIP, 80);
  assert.ok(typeof held !== 'string');
  held.on('error', () => held.destroy()).write('GET /');
  await waitUntil(async () => (await open()) === 1);
  for (const worker of [0, 1]) {
    const before = await requests();
    const { workers } = await place.status(NODE);
    process.kill(workers[worker]?.pid ?? 0, 'SIGKILL');
    await place.until(
      NODE,
      (status) => status.workers[worker]?.restarts === 1 && status.workers[worker].state === 'serving',
    );
    assert.ok((await requests()) >= before);
    const { pods } = await place.status(NODE);
    assert.deepEqual(pods, { count: 2, captured: 2, unhealthy: 0 });
    for (let i = 0; i < 10; i++) assert.match(await get(), /hello$/);
    assert.ok((await requests()) >= before + 10);
  }
  await waitUntil(async () => (await open()) === 0, 'connections of a dead worker are not counted as open');
  assert.match(agent.err, /"connectionsLost":\{"lab\/client":1\}/);
  assert.match(agent.err, /"pods":\["lab\/client","lab\/web"\].*"message":"worker 0 died"/);
});

test('an agent that ends leaves its pods captured and refused; the next one, without a controller, serves them again', async () => {
  await place.stopController();
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const code = await agent.end(signal);
    assert.equal(code, signal === 'SIGTERM' ? 0 : null);
    await waitUntil(
      async () => (await dial(client.netns, web.v4, 8080)).error === 'ECONNREFUSED',
      'refused, never uncaptured',
    );
    agent = place.agent(NODE);
    await allServing();
    const { pods, controller } = await place.until(NODE, (status) => status.pods.captured === 2);
    assert.deepEqual([pods.count, controller.connected], [2, false]);
    await waitUntil(async () => (await get()).endsWith('hello'));
  }
});

test('an access log that nobody reads any more costs lines, not the agent', async () => {
  assert.equal((await ask(place.socketOf(NODE), 'PUT', '/access-log', '{"mode":"all"}')).status, 200);
  const { pid } = await place.status(NODE);
  agent.child.stdout?.destroy();
  const dropped = async (): Promise<number> => {
    const { body } = await ask(place.socketOf(NODE), 'GET', '/metrics');
    return Number(/^weir_access_log_dropped_lines_total (\d+)$/m.exec(body)?.[1]);
  };
  await waitUntil(async () => (await get()).endsWith('hello') && (await dropped()) > 0);
  assert.equal((await place.status(NODE)).pid, pid);
});

test('verify fails with exit 1 and says what is missing when the rules of a pod are gone', async () => {
  sh('ip', 'netns', 'exec', 'web', backend, '-t', 'nat', '-F', 'PREROUTING');
  const answer = await ask(place.socketOf(NODE), 'POST', '/capture/verify?pod=lab/web');
  const document = JSON.parse(answer.body) as VerifyDocument;
  assert.equal(document.ok, false);
  const failed = document.checks.filter(({ ok }) => !ok).map(({ check }) => check);
  assert.ok(failed.includes('rules') && failed.includes('inbound v4'), failed.join(', '));
  const { code, err } = await place.command(['capture', 'verify', 'web.lab'], [place.socketOf(NODE)]);
  assert.equal(code, 1);
  assert.match(err, /not captured as they should be: lab\/web/);
});

test('DEL closes the listeners and forgets the pod', async () => {
  assert.equal((await cni('/del', client)).status, 200);
  assert.equal((await cni('/del', client)).status, 200, 'the runtime sends it twice');
  const { pods } = await place.status(NODE);
  assert.equal(pods.count, 1);
  assert.equal((await dial(client.netns, client.v4, 15_001)).error, 'ECONNREFUSED');
});
