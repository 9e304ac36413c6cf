/** A worker between endpoints that speak by hand: HTTP/2 in pod b (`web`), HTTP/1.1 in pod c (`mixed` leads there). */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { DEFAULT_CAPS } from '../../agent/ipc/caps.ts';
import type { HeaderModifier } from '../../mesh/route-model.ts';
import type { WrittenRule } from '../unit/mesh/resources.ts';
import { Http2Endpoint, type ReceivedRequest } from '../harness/http2-endpoint.ts';
import * as h2 from '../harness/http2-frames.ts';
import { httpRoute, service, WorkerLab, workload } from '../harness/worker-lab.ts';

export const WEB = '10.96.0.60';
export const MIXED = '10.96.0.61';
/** Flags of HEADERS that do not end the stream. */
export const MORE = h2.END_HEADERS;

type Answer = (endpoint: Http2Endpoint, request: ReceivedRequest) => void;

/** What is there now, and what the endpoints do; replaced by tests. */
export const state = {
  lab: null as unknown as WorkerLab,
  endpoints: [] as Http2Endpoint[],
  answer: null as unknown as Answer,
  /** What the HTTP/1.1 server in pod c does with octets, and its connections. */
  plain: null as unknown as (socket: Socket, text: string) => void,
  plainSockets: [] as Socket[],
};

export const ok: Answer = (endpoint, { stream }) =>
  endpoint.send(h2.headers(stream, status('200'), MORE), h2.data(stream, 'ok', h2.END_STREAM));

export function status(code: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return h2.block([[':status', code], ...more]);
}

function rule(prefix: string, name: string, modifiers: Partial<HeaderModifier>[] = []): WrittenRule {
  const none = { type: 'requestHeaderModifier', set: [], add: [], remove: [] } as const;
  return {
    name: null,
    matches: [{ path: { type: 'prefix', value: prefix }, method: null, headers: [], queryParams: [] }],
    filters: modifiers.map((modifier) => ({ ...none, ...modifier })),
    backends: [{ namespace: 'default', name, port: 80, weight: 1, filters: [], valid: true }],
  };
}

export async function start(caps = DEFAULT_CAPS): Promise<void> {
  state.lab = await WorkerLab.start('off', null, caps);
  await state.lab.addPod('a');
  const b = await state.lab.addPod('b');
  const c = await state.lab.addPod('c');
  const large = Array.from({ length: 30 }, (_, i) => ({ name: `x-large-${i}`, value: 'v'.repeat(4_096) }));
  await state.lab.mesh([
    service('web', WEB, 80, 'http2'),
    service('mixed', MIXED, 80, 'http2'),
    service('plain', '10.96.0.62', 80, 'http'),
    workload(
      b,
      { app: 'b' },
      {
        'default/web': [{ servicePort: 80, targetPort: 8080 }],
        'default/mixed': [{ servicePort: 80, targetPort: 8080 }],
      },
    ),
    workload(c, { app: 'c' }, { 'default/plain': [{ servicePort: 80, targetPort: 8081 }] }),
    httpRoute('web', 'web', [
      rule('/bad-host', 'web', [{ set: [{ name: 'host', value: 'not a host' }] }]),
      rule('/', 'web'),
    ]),
    httpRoute('mixed', 'mixed', [rule('/large', 'plain', [{ add: large }]), rule('/', 'plain')]),
  ]);
  await state.lab.serve('b', 8080, (socket) => {
    state.endpoints.push(new Http2Endpoint(socket, (endpoint, received) => state.answer(endpoint, received)));
  });
  await state.lab.serve('c', 8081, (socket) => {
    state.plainSockets.push(socket);
    socket.on('data', (chunk: Buffer) => state.plain(socket, chunk.toString('latin1')));
    socket.on('end', () => socket.end());
  });
}

export function resetHandlers(): void {
  state.answer = ok;
  state.plain = (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  for (const endpoint of state.endpoints) endpoint.close();
  for (const socket of state.plainSockets) socket.destroy();
  state.endpoints = [];
  state.plainSockets = [];
}

/** A client by hand whose handshake is over. */
export async function client(ip: string, ...settings: [number, number][]): Promise<h2.Http2Client> {
  const made = new h2.Http2Client(state.lab.dial('a', ip, 80));
  await made.handshake(...settings);
  return made;
}

interface Response {
  readonly status: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  /** The code of RST_STREAM; −1: ended without. */
  readonly reset: number;
}

/** All that comes on a stream, until it ends. */
export async function response(from: h2.Http2Client, stream: number): Promise<Response> {
  let fields = new Map<string, string>();
  let body = '';
  for (;;) {
    const frame = await from.until(`the end of stream ${stream}`, (each) => each.stream === stream);
    if (frame.type === h2.RST_STREAM) {
      return { status: fields.get(':status') ?? '', fields, body, reset: frame.payload.readUInt32BE(0) };
    }
    if (frame.type === h2.HEADERS) fields = new Map(from.fields(frame).map(({ name, value }) => [name, value]));
    if (frame.type === h2.DATA) body += frame.payload.toString('latin1');
    if ((frame.flags & h2.END_STREAM) !== 0) return { status: fields.get(':status') ?? '', fields, body, reset: -1 };
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${what} did not come to be`);
}

/** One HTTP/1.1 exchange with `web`; all octets until the connection ends or `enough` says so. */
export function plainExchange(text: string, enough: (text: string) => boolean): Promise<string> {
  return state.lab.exchange('a', WEB, 80, text, enough);
}

export const whole = (text: string): boolean =>
  /\r\n\r\n(?:.*\n)?(?:ok|0\r\n\r\n)/s.test(text) || /503|502|500/.test(text);
