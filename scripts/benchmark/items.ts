/** What is measured, and the limits of issue and design: each item is one kind of work, or one property. */
import type { Entry } from './contestant.ts';

/** Client and servers in interception mode TPROXY; all else as `weir`. */
export const ROUTED = 'weir, TPROXY';
export type ContestantName = 'weir' | typeof ROUTED | 'nginx' | 'haproxy' | 'nghttpx' | 'nginx, two hops' | 'direct';

/** What a ratio weir/peer may be at most (a rate: at least), and what is aimed at. `null`: not asked for, only shown. */
export interface Bound {
  readonly limit: number | null;
  readonly goal: number | null;
}

/** CPU per unit of work, beside peers on the same work. */
export interface ProxyItem {
  readonly kind: 'proxy';
  readonly name: string;
  readonly title: string;
  /** wrk speaks HTTP/1.1, h2load HTTP/2 with prior knowledge. */
  readonly generator: 'wrk' | 'h2load';
  /** Requested from the backend; its body has `bodyBytes` octets. */
  readonly path: string;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Requests in flight per connection (HTTP/2). */
  readonly streams: number;
  /** A new TCP connection for each request. */
  readonly closeEach: boolean;
  readonly entry: Exclude<Entry, 'attacked'>;
  /** What CPU time is divided by. */
  readonly per: 'request' | 'KiB';
  readonly contestants: readonly ContestantName[];
  /** CPU weir/peer, at most. */
  readonly cpu: Readonly<Partial<Record<ContestantName, Bound>>>;
  /** Requests per second weir/peer, at least; the proxy's core is the bottleneck there. */
  readonly rate: Readonly<Partial<Record<ContestantName, Bound>>>;
}

/** Measured in a way of its own (latency.ts, hostile.ts, footprint.ts). */
export interface SpecialItem {
  readonly kind: 'latency' | 'hostile' | 'memory' | 'idle';
  readonly name: string;
  readonly title: string;
  readonly contestants: readonly ContestantName[];
}

export type Item = ProxyItem | SpecialItem;

const SINGLE_HOP: readonly ContestantName[] = ['weir', 'nginx', 'haproxy'];
const PLAIN = {
  kind: 'proxy',
  generator: 'wrk',
  path: '/api/v1/items',
  bodyBytes: 128,
  connections: 64,
  streams: 1,
  closeEach: false,
  entry: 'http',
  per: 'request',
  contestants: SINGLE_HOP,
  cpu: {},
  rate: {},
} as const satisfies Partial<ProxyItem>;
const HTTP2 = {
  ...PLAIN,
  generator: 'h2load',
  connections: 16,
  streams: 8,
  contestants: ['weir', 'haproxy', 'nghttpx', 'nginx'],
  cpu: { haproxy: { limit: 1.5, goal: 1.0 } },
} as const satisfies Partial<ProxyItem>;

/** What limits are for; the others are peers. */
export function isWeir(name: ContestantName): boolean {
  return name === 'weir' || name === ROUTED;
}

export const ITEMS: readonly Item[] = [
  {
    ...PLAIN,
    name: 'keep-alive',
    title: 'HTTP/1.1, kept-alive connections, body of 128 bytes',
    cpu: { nginx: { limit: 1.1, goal: 1.0 }, haproxy: { limit: null, goal: 1.0 } },
  },
  {
    ...PLAIN,
    name: 'new-connection',
    title: 'HTTP/1.1, a new connection per request, body of 128 bytes',
    connections: 64,
    closeEach: true,
    contestants: ['weir', ROUTED, 'nginx', 'haproxy'],
    rate: { nginx: { limit: 0.8, goal: 1.0 } },
  },
  {
    ...PLAIN,
    name: 'body-64k',
    title: 'HTTP/1.1, kept-alive connections, body of 64 KiB',
    path: '/static/64k',
    bodyBytes: 65_536,
    connections: 32,
  },
  {
    ...PLAIN,
    name: 'tcp-relay',
    title: 'TCP relay, bulk transfer in answers of 1 MiB',
    path: '/static/1m',
    bodyBytes: 1_048_576,
    connections: 8,
    entry: 'tcp',
    per: 'KiB',
    cpu: { nginx: { limit: 0.6, goal: null } },
  },
  {
    ...PLAIN,
    name: 'same-node',
    title: 'Pod to pod on one node, the whole path: weir once, against a sidecar proxy on each side',
    contestants: ['weir', 'nginx, two hops'],
    cpu: { 'nginx, two hops': { limit: 0.6, goal: null } },
  },
  { ...HTTP2, name: 'http2', title: 'HTTP/2, 16 connections of 8 streams, body of 128 bytes', entry: 'http2' },
  {
    ...HTTP2,
    name: 'grpc',
    title: 'gRPC unary, 16 connections of 8 streams, messages of 16 bytes',
    path: '/bench.Echo/Unary.grpc',
    bodyBytes: 21,
    entry: 'grpc',
    // HAProxy writes each message of a stream that ends with trailers by itself; nghttpx is the stronger peer here.
    cpu: { ...HTTP2.cpu, nghttpx: { limit: 1.5, goal: 1.0 } },
  },
  {
    kind: 'latency',
    name: 'latency',
    title: 'HTTP/1.1 at 1,000 requests/s, open loop: what a proxy adds',
    contestants: ['direct', ...SINGLE_HOP],
  },
  {
    kind: 'hostile',
    name: 'hostile',
    title: 'A quiet pod (200 requests/s) alone, and beside a pod that attacks',
    contestants: SINGLE_HOP,
  },
  { kind: 'memory', name: 'memory', title: 'Memory of the agent (supervisor and 2 workers)', contestants: ['weir'] },
  { kind: 'idle', name: 'idle', title: 'Memory that idle connections take', contestants: ['weir'] },
];

/** The proxies share one sandbox, pinned to one core; footprints are taken in another, of many pods and two workers. */
export type Stage = 'proxies' | 'footprint';

export function stageOf(item: Item): Stage {
  return item.kind === 'memory' || item.kind === 'idle' ? 'footprint' : 'proxies';
}
