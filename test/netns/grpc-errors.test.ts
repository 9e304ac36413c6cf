/** What a gRPC client sees when weir itself answers or ends a call, and when an endpoint does. */
import assert from 'node:assert/strict';
import * as http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { DEFAULT_CAPS } from '../../agent/ipc/caps.ts';
import type { WrittenRule } from '../unit/mesh/resources.ts';
import { until } from '../harness/hang.ts';
import type { Call } from '../harness/grpc/interop-channel.ts';
import { InteropClient, startServer } from '../harness/grpc/interop-lab.ts';
import { accept, eachRequest } from '../harness/http2-accept.ts';
import { block, data, END_HEADERS, headers, rstStream } from '../harness/http2-frames.ts';
import { httpRoute, type LabPod, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const INTEROP = '10.96.0.80:80';
const EMPTY = '10.96.0.81:80';
const DEAD = '10.96.0.82:80';
const ROUTED = '10.96.0.83:80';
const ODD = '10.96.0.84:80';
const RESETTING = '10.96.0.85:80';
const REQUESTS_MAX = 4;

type Handler = (stream: http2.ServerHttp2Stream) => void;

let lab: WorkerLab;
let client: InteropClient;
let b: LabPod;
/** What the server behind RESETTING resets streams with that it has answered in part. */
let resetCode = 0;
/** The server behind ODD. */
let handle: Handler;

before(async () => {
  const caps = { ...DEFAULT_CAPS, pod: { ...DEFAULT_CAPS.pod, requests: REQUESTS_MAX } };
  lab = await WorkerLab.start('all', null, caps);
  await lab.addPod('a');
  b = await lab.addPod('b');
  const to = (targetPort: number): { servicePort: number; targetPort: number }[] => [{ servicePort: 80, targetPort }];
  await lab.mesh([
    service('interop', '10.96.0.80', 80, 'grpc'),
    service('empty', '10.96.0.81', 80, 'grpc'),
    service('dead', '10.96.0.82', 80, 'grpc'),
    service('routed', '10.96.0.83', 80, 'grpc'),
    service('odd', '10.96.0.84', 80, 'grpc'),
    service('resetting', '10.96.0.85', 80, 'grpc'),
    workload(
      b,
      { app: 'b' },
      {
        'default/interop': to(8080),
        'default/dead': to(9),
        'default/routed': to(8080),
        'default/odd': to(8081),
        'default/resetting': to(8082),
      },
    ),
    httpRoute('routed', 'routed', [rule('/grpc.testing.TestService/EmptyCall', true), rule('/broken', false)]),
  ]);
  const server = http2.createServer().on('stream', (stream) => {
    stream.on('error', () => undefined);
    handle(stream);
  });
  await lab.serve('b', 8081, (socket) => server.emit('connection', socket));
  await lab.serve('b', 8082, (socket) => {
    void accept(socket).then((peer) =>
      eachRequest(peer, ({ stream }) => {
        const head = block([
          [':status', '200'],
          ['content-type', 'application/grpc'],
        ]);
        peer.send(headers(stream, head, END_HEADERS), data(stream, Buffer.alloc(5)), rstStream(stream, resetCode));
      }),
    );
  });
  [, client] = await Promise.all([startServer(lab, 'b', 8080), InteropClient.start(lab, 'a')]);
});
after(() => lab.stop());

function rule(prefix: string, valid: boolean): WrittenRule {
  return {
    name: null,
    matches: [{ path: { type: 'prefix', value: prefix }, method: null, headers: [], queryParams: [] }],
    filters: [],
    backends: [{ namespace: 'default', name: 'routed', port: 80, weight: 1, filters: [], valid }],
  };
}

async function call(name: string, target: string): Promise<Call<unknown>> {
  return (await client.run(name, target)) as Call<unknown>;
}

function reason(ended: Call<unknown>): string | undefined {
  // The client library shows the fields of an answer without a body as trailing or as initial metadata.
  return ended.trailing['x-weir-reason'] ?? ended.initial['x-weir-reason'];
}

async function expect(name: string, target: string, code: number, why: string): Promise<void> {
  const ended = await call(name, target);
  assert.equal(ended.code, code, `${ended.code} ${ended.details}`);
  assert.equal(reason(ended), why);
  assert.match(ended.details, new RegExp(`^${why}: `));
  if (why === 'HEAD_TOO_LARGE') return; // nothing is known of the request that could be logged
  const lines = (): { reason: string; protocol: string; grpcStatus: number }[] =>
    lab.accessLines.map((each) => JSON.parse(each)).filter((each) => each.reason?.startsWith(why));
  await until(async () => lines().length > 0);
  assert.deepEqual(
    lines().map(({ protocol, grpcStatus }) => [protocol, grpcStatus]),
    lines().map(() => ['grpc', code]),
  );
}

describe('weir answers', () => {
  test('no endpoint: UNAVAILABLE', () => expect('call', EMPTY, status.UNAVAILABLE, 'NO_HEALTHY_UPSTREAM'));

  test('an endpoint that refuses connections: UNAVAILABLE', () =>
    expect('call', DEAD, status.UNAVAILABLE, 'UPSTREAM_CONNECT_FAILED'));

  test('no route: UNIMPLEMENTED', () => expect('call', ROUTED, status.UNIMPLEMENTED, 'NO_ROUTE'));

  test('a route without a backend: UNAVAILABLE', async () => {
    await lab.mesh([httpRoute('routed', 'routed', [rule('/', false)])]);
    await expect('call', ROUTED, status.UNAVAILABLE, 'NO_VALID_BACKEND');
  });

  test('metadata beyond the bounds: RESOURCE_EXHAUSTED', () =>
    expect('large_metadata', INTEROP, status.RESOURCE_EXHAUSTED, 'HEAD_TOO_LARGE'));

  test('policy: PERMISSION_DENIED', async () => {
    await lab.mesh([policy('no', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/grpc.testing.TestService/Unary*'] }] }])]);
    await expect('call', INTEROP, status.PERMISSION_DENIED, 'RBAC_DENIED');
    await client.run('empty_unary', INTEROP);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/no' }]);
  });

  test('more calls than the pod may have in flight: UNAVAILABLE, and no more than that', async () => {
    const freed: (() => void)[] = [];
    const full = new Promise<void>((resolve) => {
      handle = (stream) => {
        freed.push(() => {
          stream.respond(
            { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' },
            { endStream: true },
          );
        });
        if (freed.length === REQUESTS_MAX) resolve();
      };
    });
    const held = Array.from({ length: REQUESTS_MAX }, () => call('call', ODD));
    await full;
    await expect('call', ODD, status.UNAVAILABLE, 'POD_LIMIT_REQUESTS');
    for (const free of freed) free();
    assert.deepEqual(
      (await Promise.all(held)).map(({ code }) => code),
      Array.from({ length: REQUESTS_MAX }, () => status.NOT_FOUND),
    );
  });
});

describe('a call that has begun', () => {
  test('is told when policy ends it: PERMISSION_DENIED in its trailers', async () => {
    const watching = call('watch', INTEROP);
    await until(async () => (await lab.stats()).pods.some(({ requestsActive }) => requestsActive === 1));
    await lab.mesh([policy('late', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/grpc.testing.TestService/Full*'] }] }])]);
    const ended = await watching;
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/late' }]);
    assert.equal(ended.code, status.PERMISSION_DENIED, ended.details);
    assert.equal(reason(ended), 'RBAC_DENIED');
  });

  test('is told when its endpoint is gone: UNAVAILABLE in its trailers', async () => {
    handle = (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write(Buffer.from([0, 0, 0, 0, 0]), () => stream.session?.destroy());
    };
    const ended = await call('watch', ODD);
    assert.equal(ended.code, status.UNAVAILABLE, ended.details);
    assert.equal(ended.messages.length, 1);
    assert.equal(reason(ended), 'UPSTREAM_RESET');
  });

  for (const [code, means] of [
    [http2.constants.NGHTTP2_CANCEL, status.CANCELLED],
    [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, status.RESOURCE_EXHAUSTED],
    [http2.constants.NGHTTP2_INADEQUATE_SECURITY, status.PERMISSION_DENIED],
    [http2.constants.NGHTTP2_INTERNAL_ERROR, status.INTERNAL],
  ] as const) {
    test(`is reset with code ${code} when its endpoint does so: status ${means}`, async () => {
      resetCode = code;
      assert.equal((await call('watch', RESETTING)).code, means);
    });
  }
});
