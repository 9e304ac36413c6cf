/** The gRPC interop cases, with @grpc/grpc-js in a client pod and two server pods, through a real worker. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import * as http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import type { PortProtocol } from '../../mesh/model.ts';
import { until } from '../harness/hang.ts';
import { serveCompressing } from '../harness/grpc/compressing-server.ts';
import { interopCases } from '../harness/grpc/interop-cases.ts';
import type { Call } from '../harness/grpc/interop-channel.ts';
import { InteropClient, shutDown, startServer } from '../harness/grpc/interop-lab.ts';
import { type LabPod, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const INTEROP = '10.96.0.60:80';
const COMPRESSING = '10.96.0.61:80';
const AGEING = '10.96.0.62:80';
const AS_HTTP = '10.96.0.63:80';
const UNDECLARED = '10.96.0.64:80';
const GZIP = { 'grpc.default_compression_algorithm': 2 };
const PORTS: readonly [string, string, PortProtocol, number][] = [
  ['interop', INTEROP, 'grpc', 8080],
  ['compressing', COMPRESSING, 'grpc', 8081],
  ['ageing', AGEING, 'grpc', 8082],
  ['as-http', AS_HTTP, 'http', 8080],
  ['undeclared', UNDECLARED, 'detect', 8080],
];
const SERVICES = Object.fromEntries(
  PORTS.map(([name, , , targetPort]) => [`default/${name}`, [{ servicePort: 80, targetPort }]]),
);

interface Load {
  readonly succeeded: number;
  readonly failed: readonly string[];
}

let lab: WorkerLab;
let client: InteropClient;
let pods: { b: LabPod; d: LabPod };
let servers: { b: ChildProcess; d: ChildProcess };

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  pods = { b: await lab.addPod('b'), d: await lab.addPod('d') };
  await lab.mesh([
    ...PORTS.map(([name, target, protocol]) => service(name, target.split(':')[0] as string, 80, protocol)),
    ...Object.values(pods).map((pod) => workload(pod, { app: 'interop' }, SERVICES)),
  ]);
  const server = http2.createServer().on('stream', serveCompressing);
  for (const pod of ['b', 'd']) await lab.serve(pod, 8081, (socket) => server.emit('connection', socket));
  const [b, d, started] = await Promise.all([
    startServer(lab, 'b', 8080),
    startServer(lab, 'd', 8080),
    InteropClient.start(lab, 'a'),
  ]);
  servers = { b, d };
  client = started;
});
after(() => lab.stop());

/** Calls of the pair a → service by grpc-status, as the metrics have them. */
async function statuses(name: string): Promise<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const { labels, requests } of (await lab.stats()).http) {
    if (labels['destination_service_name'] !== name || labels['reporter'] !== 'source') continue;
    const key = `${labels['request_protocol']} ${labels['grpc_response_status']}`;
    counted[key] = (counted[key] ?? 0) + requests;
  }
  return counted;
}

describe('interop cases', () => {
  const special = new Set(['pods', 'call', 'call_with_deadline', 'large_metadata', 'watch', 'concurrent_large_unary']);
  for (const name of Object.keys(interopCases).filter((each) => !special.has(each) && !each.includes('compressed'))) {
    test(name, async () => void (await client.run(name, INTEROP)));
  }

  test('concurrent_large_unary', async () => {
    assert.equal(await client.run('concurrent_large_unary', INTEROP), 1_000);
  });

  test('client_compressed_unary', async () => {
    await client.run('client_uncompressed_unary', COMPRESSING);
    await client.run('client_compressed_unary', COMPRESSING, GZIP);
  });
  for (const [name, options] of [
    ['server_compressed_unary', {}],
    ['client_compressed_streaming', GZIP],
    ['server_compressed_streaming', {}],
  ] as const) {
    test(name, async () => void (await client.run(name, COMPRESSING, options)));
  }
});

describe('as a proxy', () => {
  test('calls of one channel are spread over the pods one by one', async () => {
    const answered = (await client.run('pods', INTEROP)) as string[];
    for (const pod of ['b', 'd']) {
      const count = answered.filter((each) => each === pod).length;
      assert.ok(count >= 15, `${pod} answered ${count} of ${answered.length}`);
    }
  });

  test('the deadline is passed on as it was written', async () => {
    const call = (await client.run('call_with_deadline', COMPRESSING)) as Call<unknown>;
    assert.equal(call.code, 0, call.details);
    // The client's own rounding of 60 s, in its own unit: digits and a unit, less than a minute.
    assert.match(call.initial['x-saw-timeout'] ?? '', /^(\d{1,8}m|60S)$/);
  });

  for (const [kind, target] of [
    ['declared as http', AS_HTTP],
    ['not declared', UNDECLARED],
  ] as const) {
    test(`a port that is ${kind} carries gRPC by its preface`, async () => {
      for (const name of ['large_unary', 'ping_pong', 'custom_metadata', 'special_status_message'])
        await client.run(name, target);
      const answered = (await client.run('pods', target)) as string[];
      assert.deepEqual(new Set(answered), new Set(['b', 'd']));
    });
  }

  test('metrics and access log have the status of every call', async () => {
    for (const name of ['empty_unary', 'status_code_and_message', 'unimplemented_method'])
      await client.run(name, AS_HTTP);
    const counted = await statuses('as-http');
    for (const key of ['grpc 0', 'grpc 2', 'grpc 12']) assert.ok((counted[key] ?? 0) > 0, JSON.stringify(counted));
    assert.deepEqual(
      Object.keys(counted).filter((key) => !/^grpc \d+$/.test(key)),
      [],
    );
    const lines = (): { service: string; path: string; protocol: string; status: number; grpcStatus: number }[] =>
      lab.accessLines
        .map((each) => JSON.parse(each))
        .filter(({ service: to, path }) => to === 'default/as-http' && path.endsWith('/UnimplementedCall'));
    await until(() => lines().length > 0);
    assert.deepEqual(
      lines().map(({ protocol, status, grpcStatus }) => ({ protocol, status, grpcStatus })),
      [{ protocol: 'grpc', status: 200, grpcStatus: 12 }],
    );
  });
});

describe('servers that go', () => {
  test('connections that their server ends with GOAWAY again and again: no call fails', async () => {
    await Promise.all([startServer(lab, 'b', 8082, 100), startServer(lab, 'd', 8082, 100)]);
    const loading = client.run('load', AGEING);
    await goAways(60);
    await client.run('stop', AGEING);
    const { succeeded, failed } = (await loading) as Load;
    assert.deepEqual(failed, []);
    assert.ok(succeeded > 100, `${succeeded} calls`);
  });

  test('a server that shuts down gracefully while its pod leaves the service: no call fails', async () => {
    const loading = client.run('load', INTEROP);
    await calls('interop', 2_000);
    await lab.mesh([{ ...workload(pods.b, { app: 'interop' }, SERVICES), ready: false }]);
    await shutDown(servers.b);
    await calls('interop', 2_000);
    await client.run('stop', INTEROP);
    const { succeeded, failed } = (await loading) as Load;
    assert.deepEqual(failed, []);
    assert.ok(succeeded >= 4_000, `${succeeded} calls`);
  });

  /** Until the worker has seen that many GOAWAYs. */
  async function goAways(count: number): Promise<void> {
    await until(async () => ((await lab.stats()).counters['http2_upstream_goaway'] ?? 0) >= count);
  }

  /** Until that many more calls to the service have succeeded. */
  async function calls(name: string, count: number): Promise<void> {
    const first = (await statuses(name))['grpc 0'] ?? 0;
    await until(async () => ((await statuses(name))['grpc 0'] ?? 0) >= first + count);
  }
});
