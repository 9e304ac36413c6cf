/**
 * weir as a contestant: pods of a `weir sandbox`, reached through real capture, with what a mesh is used for switched on
 * (a route table of 20 rules, an L7 policy, metrics). This file describes the pods and finds the processes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HTTP_PORT, TCP_PORT } from './backend.ts';
import { LOAD_CORE, run, until } from './commands.ts';
import type { Contestant } from './contestant.ts';

export const CLI = fileURLToPath(new URL('../../dist/cli/weir.js', import.meta.url));
const NAMESPACE = 'bench';
const SERVICE_PORTS = { http: 80, tcp: TCP_PORT } as const;
const ROUTE_RULES = 20;

/** The objects of the sandbox: a client that sleeps, a server that runs `backend`, Service, HTTPRoute and policy. */
export function sandboxManifest(backend: readonly string[]): string {
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    pod('client', ['sleep', 'infinity'], {}),
    pod('server', ['taskset', '-c', `${LOAD_CORE}`, ...backend], {
      ports: [{ containerPort: HTTP_PORT }, { containerPort: TCP_PORT }],
      readinessProbe: { tcpSocket: { port: HTTP_PORT }, periodSeconds: 1 },
    }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'echo', namespace: NAMESPACE },
      spec: {
        selector: { app: 'server' },
        ports: [
          { name: 'http', port: SERVICE_PORTS.http, targetPort: HTTP_PORT },
          { name: 'tcp-bulk', port: SERVICE_PORTS.tcp, targetPort: TCP_PORT },
        ],
      },
    },
    route(),
    policy(),
  ];
  // YAML is a superset of JSON.
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

function pod(name: string, command: readonly string[], more: object): object {
  const container = { name: 'main', image: 'local', command, ...more };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: name } },
    spec: { nodeName: 'node-0', serviceAccountName: 'default', containers: [container] },
  };
}

/** The rule that matches is the least specific one, so that the whole table is looked at. */
function route(): object {
  const backendRefs = [{ name: 'echo', port: SERVICE_PORTS.http }];
  const special = Array.from({ length: ROUTE_RULES - 1 }, (_, index) => ({
    matches: [
      {
        path: { type: 'PathPrefix', value: `/api/v${index + 2}` },
        headers: [{ name: 'x-team', value: `team-${index}` }],
      },
      { path: { type: 'Exact', value: `/service-${index}/items` }, method: 'POST' },
    ],
    backendRefs,
  }));
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'echo', namespace: NAMESPACE },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'echo', port: SERVICE_PORTS.http }],
      rules: [...special, { matches: [{ path: { type: 'PathPrefix', value: '/' } }], backendRefs }],
    },
  };
}

/** Plain TCP needs a rule without HTTP fields: on such a port an ALLOW rule that has some never matches. */
function policy(): object {
  const from = [{ source: { namespaces: [NAMESPACE] } }];
  const http = { methods: ['GET', 'HEAD'], paths: ['/api/*', '/static/*'], ports: [`${HTTP_PORT}`] };
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'server', namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: { app: 'server' } },
      action: 'ALLOW',
      rules: [
        { from, to: [{ operation: http }] },
        { from, to: [{ operation: { ports: [`${TCP_PORT}`] } }] },
      ],
    },
  };
}

interface NodeStatus {
  readonly pid: number;
  readonly workers: readonly { readonly pid: number }[];
}

/** The mesh of the sandbox this process runs in, once its data plane answers. */
export async function findWeir(): Promise<Contestant> {
  const services = (await weirJson('sandbox', 'get', 'services')) as readonly { name: string; clusterIP: string }[];
  const address = services.find((each) => each.name === 'echo')?.clusterIP;
  if (address === undefined) throw new Error('the sandbox has no Service named echo');
  const nodes = (await weirJson('status')) as readonly NodeStatus[];
  const dataPlanePids = nodes.flatMap((node) => node.workers.map((worker) => worker.pid));
  for (const pid of dataPlanePids) assertIsWorker(pid);
  const contestant: Contestant = {
    name: 'weir',
    dataPlanePids,
    controlPids: nodes.map((node) => node.pid),
    url: (layer) => `http://${address}:${SERVICE_PORTS[layer]}`,
    loadCommand: (command) => [
      process.execPath,
      CLI,
      'sandbox',
      'exec',
      `client.${NAMESPACE}`,
      '--',
      'taskset',
      '-c',
      `${LOAD_CORE}`,
      ...command,
    ],
  };
  const probe = contestant.loadCommand(['curl', '-sSf', '-o', '/dev/null', `${contestant.url('http')}/api/v1/items`]);
  await until('an answer through weir', 15_000, () => run(probe));
  await assertPolicyHolds(contestant);
  return contestant;
}

/** The policy refuses POST: were it answered, the benchmark would measure a mesh that decides nothing. */
async function assertPolicyHolds(weir: Contestant): Promise<void> {
  const post = [
    'curl',
    '-sS',
    '-X',
    'POST',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    `${weir.url('http')}/api/v1/items`,
  ];
  const status = await run(weir.loadCommand(post));
  if (status !== '403') throw new Error(`a POST that the policy refuses was answered with ${status}, not 403`);
}

async function weirJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await run([process.execPath, CLI, ...args, '-o', 'json'])) as unknown;
}

/** A pid means nothing in another PID namespace: never measure a stranger. */
function assertIsWorker(pid: number): void {
  const command = readdirSync('/proc').includes(`${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
  if (!command.includes('worker'))
    throw new Error(`process ${pid} is not a weir worker here: ${command.replaceAll('\0', ' ')}`);
}
