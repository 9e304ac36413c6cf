/** What is measured: each item is one kind of work, done by weir and by its peers over the same path. */

export type ContestantName = 'weir' | 'nginx' | 'haproxy' | 'nginx, two hops';

export interface Item {
  readonly name: string;
  readonly title: string;
  /** Requested from the backend; its body has `bodyBytes` octets. */
  readonly path: string;
  readonly bodyBytes: number;
  readonly connections: number;
  /** A new TCP connection for each request. */
  readonly closeEach: boolean;
  /** `tcp`: the proxies are told nothing of HTTP. */
  readonly layer: 'http' | 'tcp';
  /** What CPU time is divided by. */
  readonly per: 'request' | 'KiB';
  readonly contestants: readonly ContestantName[];
  /** Largest acceptable weir/peer ratio of CPU (design.md, Budgets); shown, not enforced. */
  readonly budget: Readonly<Partial<Record<ContestantName, number>>>;
}

const SINGLE_HOP: readonly ContestantName[] = ['weir', 'nginx', 'haproxy'];
const PLAIN = {
  path: '/api/v1/items',
  bodyBytes: 128,
  connections: 64,
  closeEach: false,
  layer: 'http',
  per: 'request',
} as const;

export const ITEMS: readonly Item[] = [
  {
    ...PLAIN,
    name: 'keep-alive',
    title: 'HTTP/1.1, kept-alive connections, body of 128 bytes',
    contestants: SINGLE_HOP,
    budget: { nginx: 1.0, haproxy: 1.0 },
  },
  {
    ...PLAIN,
    name: 'new-connection',
    title: 'HTTP/1.1, a new connection per request, body of 128 bytes',
    connections: 32,
    closeEach: true,
    contestants: SINGLE_HOP,
    budget: {},
  },
  {
    ...PLAIN,
    name: 'body-64k',
    title: 'HTTP/1.1, kept-alive connections, body of 64 KiB',
    path: '/static/64k',
    bodyBytes: 65_536,
    connections: 32,
    contestants: SINGLE_HOP,
    budget: {},
  },
  {
    ...PLAIN,
    name: 'tcp-relay',
    title: 'TCP relay, bulk transfer in answers of 1 MiB',
    path: '/static/1m',
    bodyBytes: 1_048_576,
    connections: 8,
    layer: 'tcp',
    per: 'KiB',
    contestants: SINGLE_HOP,
    budget: { nginx: 0.6 },
  },
  {
    ...PLAIN,
    name: 'same-node',
    title: 'Pod to pod on one node, the whole path: weir once, against a sidecar proxy on each side',
    contestants: ['weir', 'nginx, two hops'],
    budget: { 'nginx, two hops': 0.6 },
  },
];
