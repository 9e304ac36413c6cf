/**
 * A node in miniature for tests of the data path: pods as network namespaces on a bridge, the real capture rules, and one
 * real worker process spoken to over its IPC socket. Runs inside `unshare -Urnm` (the netns test group).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { prepareAddress } from '../../agent/engine/address.ts';
import { NetworkNamespace } from '../../agent/engine/netns.ts';
import { connectTo, openListener, openStream } from '../../agent/engine/socket.ts';
import { PodRules } from '../../agent/capture/apply.ts';
import { FrameDecoder, encodeFrame } from '../../agent/ipc/frame.ts';
import type { Caps } from '../../agent/ipc/caps.ts';
import type {
  AccessLogMode,
  ConnectionInfo,
  EnrolledPod,
  FromWorker,
  RequestTrace,
  ToWorker,
  WorkerStats,
} from '../../agent/ipc/messages.ts';
import { limits } from '../../agent/limits.ts';
import type { MeshResource, NameAnswer, PortProtocol, Service, Workload } from '../../mesh/model.ts';
import type { AuthorizationPolicy, PolicyCondition, PolicyOperation, PolicySource } from '../../mesh/policy-model.ts';
import { NO_OPERATION, NO_SOURCE } from './policy-parts.ts';
import type { HttpRoute } from '../../mesh/route-model.ts';
import { routeRule, type WrittenRule } from '../unit/mesh/resources.ts';
import { witness } from './lab-witness.ts';
import { tellResets } from './told-resets.ts';

export const NODE = 'node-0';

export interface LabPod {
  readonly name: string;
  readonly index: number;
  readonly ip: string;
  readonly ip6: string;
  readonly enrolled: EnrolledPod;
}

function sh(command: string): string {
  return execFileSync('sh', ['-ec', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

export class WorkerLab {
  readonly pods = new Map<string, LabPod>();
  readonly accessLines: string[] = [];
  readonly processes: ChildProcess[] = [];
  readonly rules = new PodRules();
  #worker: ChildProcess | null = null;
  #ipc: Socket | null = null;
  #waiting: { test: (message: FromWorker) => boolean; resolve: (message: FromWorker) => void }[] = [];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #endWitness = witness(this);
  #sequence = 0;
  #nextIndex = 1;

  /** @param caps what pods may use; left out: the defaults. */
  static async start(accessLog: AccessLogMode = 'all', cpu: number | null = null, caps?: Caps): Promise<WorkerLab> {
    const lab = new WorkerLab();
    sh(`ip link set lo up; ip link add br0 type bridge; ip addr add 10.77.0.1/24 dev br0
      ip -6 addr add fd00:77::1/64 dev br0 nodad; ip link set br0 up; sysctl -qw net.ipv4.ip_forward=1`);
    await lab.startWorker(accessLog, cpu, caps);
    return lab;
  }

  /** Those of dial() and serve() that are not closed. */
  get openSockets(): ReadonlySet<Socket> {
    return this.#sockets;
  }

  get workerPid(): number {
    return this.#worker?.pid ?? 0;
  }

  async startWorker(accessLog: AccessLogMode = 'all', cpu: number | null = null, caps?: Caps): Promise<void> {
    const here = new URL('../../', import.meta.url).pathname;
    const path = here.endsWith('/dist/') ? `${here}agent/worker.js` : `${here}dist/agent/worker.js`;
    const command = cpu === null ? process.execPath : 'taskset';
    const prefix = cpu === null ? [] : ['-c', String(cpu), process.execPath];
    const worker = spawn(command, [...prefix, ...(process.env['WORKER_FLAGS']?.split(' ') ?? []), path], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', 'pipe'],
    });
    this.#worker = worker;
    this.#ipc = worker.stdio[3] as Socket;
    const decoder = new FrameDecoder(limits.ipcFrameBytesMax);
    this.#ipc.on('data', (chunk: Buffer) => {
      decoder.push(chunk, (payload) => this.#onMessage(JSON.parse(payload.toString()) as FromWorker));
    });
    this.#ipc.on('error', () => undefined);
    createInterface({ input: worker.stdio[4] as Socket }).on('line', (line) => this.accessLines.push(line));
    await this.wait((message) => message.type === 'ready');
    const hello = { type: 'hello', worker: 0, node: NODE, trustDomain: 'cluster.local', logLevel: 'info' } as const;
    this.send({ ...hello, accessLog, ...(caps === undefined ? {} : { caps }) });
  }

  send(message: ToWorker): void {
    this.#ipc?.write(encodeFrame(JSON.stringify(message)));
  }

  wait(test: (message: FromWorker) => boolean): Promise<FromWorker> {
    return new Promise((resolve) => this.#waiting.push({ test, resolve }));
  }

  #onMessage(message: FromWorker): void {
    if (message.type === 'log') process.stderr.write(`worker: ${JSON.stringify(message)}\n`);
    const at = this.#waiting.findIndex(({ test }) => test(message));
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.resolve(message);
  }

  async addPod(name: string, labels: Record<string, string> = { app: name }): Promise<LabPod> {
    const index = this.#nextIndex++;
    const ip = `10.77.0.${10 + index}`;
    const ip6 = `fd00:77::${10 + index}`;
    sh(`ip netns add ${name}; ip link add v${name} type veth peer name eth0 netns ${name}
      ip link set v${name} master br0 up; ip -n ${name} addr add ${ip}/24 dev eth0
      ip -n ${name} -6 addr add ${ip6}/64 dev eth0 nodad; ip -n ${name} link set lo up; ip -n ${name} link set eth0 up
      ip -n ${name} route add default via 10.77.0.1; ip -n ${name} -6 route add default via fd00:77::1`);
    const enrolled: EnrolledPod = {
      uid: `uid-${name}`,
      namespace: 'default',
      name,
      serviceAccount: name,
      addresses: [ip, ip6],
    };
    const pod = { name, index, ip, ip6, enrolled };
    this.pods.set(name, pod);
    await this.mesh([workload(pod, labels)]);
    await this.listen(pod);
    const applied = await this.rules.apply(`/run/netns/${name}`, enrolled, {});
    assert.ok(applied.ok, JSON.stringify(applied));
    return pod;
  }

  async listen(pod: LabPod): Promise<void> {
    const listening = this.wait((message) => message.type === 'podListening' && message.index === pod.index);
    this.send({ type: 'podAdd', index: pod.index, pod: pod.enrolled, netnsPath: `/run/netns/${pod.name}` });
    const answer = await listening;
    assert.equal(answer.type === 'podListening' ? answer.error : 'no answer', null);
  }

  async mesh(
    upserts: readonly MeshResource[],
    removals: { kind: MeshResource['kind']; key: string }[] = [],
    answers: readonly NameAnswer[] = [],
  ): Promise<void> {
    const sequence = ++this.#sequence;
    const applied = this.wait((message) => message.type === 'meshApplied' && message.sequence === sequence);
    this.send({ type: 'meshDelta', sequence, delta: { upserts, removals, answers } });
    const answer = await applied;
    assert.equal(answer.type === 'meshApplied' ? answer.error : 'no answer', null);
  }

  async stats(): Promise<WorkerStats> {
    const id = ++this.#sequence;
    const answered = this.wait((message) => message.type === 'stats' && message.id === id);
    this.send({ type: 'query', id, what: 'stats' });
    const answer = await answered;
    assert.ok(answer.type === 'stats');
    return answer.stats;
  }

  /** The worker's live connections, the first of them. */
  async connections(): Promise<readonly ConnectionInfo[]> {
    const id = ++this.#sequence;
    const answered = this.wait((message) => message.type === 'connections' && message.id === id);
    this.send({ type: 'query', id, what: 'connections' });
    const answer = await answered;
    assert.ok(answer.type === 'connections');
    return answer.connections;
  }

  /** The last requests that were logged or refused, newest first; with an id that one. */
  async requests(request: string | null): Promise<readonly RequestTrace[]> {
    const id = ++this.#sequence;
    const answered = this.wait((message) => message.type === 'requests' && message.id === id);
    this.send({ type: 'query', id, what: 'requests', request });
    const answer = await answered;
    assert.ok(answer.type === 'requests');
    return answer.requests;
  }

  /** Starts a process in a pod's namespace and waits for its first line of output when `ready` is set. */
  async run(pod: string, command: string[], ready = true): Promise<ChildProcess> {
    const child = spawn('ip', ['netns', 'exec', pod, ...command], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.processes.push(child);
    if (ready) await once(child.stdout as NodeJS.ReadableStream, 'data');
    return child;
  }

  /** Runs a command in a pod to its end; its output and exit status. */
  async exec(pod: string, command: string[], input = ''): Promise<{ status: number; output: string }> {
    const child = spawn('ip', ['netns', 'exec', pod, ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const [status] = (await once(child, 'close')) as [number | null];
    return { status: status ?? -1, output };
  }

  /** A TCP connection from inside a pod, captured as any of its own would be. */
  dial(pod: string, ip: string, port: number): Socket {
    const namespace = NetworkNamespace.open(`/run/netns/${pod}`);
    const fd = namespace.run(() => {
      const target = prepareAddress({ ip, port });
      const opened = openStream({ family: target.family, mark: 0, transparent: false, source: null });
      if (opened >= 0) connectTo(opened, target);
      return opened;
    });
    namespace.close();
    assert.ok(fd >= 0, `socket in ${pod}: ${fd}`);
    return this.#track(new Socket({ fd, readable: true, writable: true, allowHalfOpen: true }));
  }

  /** A TCP server inside a pod, on all its addresses. */
  async serve(pod: string, port: number, onConnection: (socket: Socket) => void): Promise<Server> {
    const namespace = NetworkNamespace.open(`/run/netns/${pod}`);
    const fd = namespace.run(() => openListener({ ip: '::', port, reusePort: false, backlog: 512, v6Only: false }));
    namespace.close();
    assert.ok(fd >= 0, `listener in ${pod}: ${fd}`);
    const server = createServer({ allowHalfOpen: true }, (socket) => onConnection(this.#track(socket)));
    server.listen({ fd });
    await once(server, 'listening');
    this.#servers.push(server);
    return server;
  }

  #track(socket: Socket): Socket {
    socket.on('error', () => undefined);
    tellResets(socket);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  }

  /** Octets of one HTTP exchange: sends `request`, reads until the peer ends or `until` says it is enough. */
  async exchange(
    pod: string,
    ip: string,
    port: number,
    request: string | Buffer,
    until?: (text: string) => boolean,
  ): Promise<string> {
    const socket = this.dial(pod, ip, port);
    let text = '';
    const done = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (until?.(text) === true) resolve();
      });
      socket.on('end', resolve);
      socket.on('close', () => resolve());
    });
    socket.write(request);
    await done;
    socket.destroy();
    return text;
  }

  /** Resolves with the worker's exit status. */
  async workerEnd(): Promise<number | null> {
    const worker = this.#worker;
    if (worker === null || worker.exitCode !== null) return worker?.exitCode ?? null;
    const [status] = (await once(worker, 'exit')) as [number | null];
    return status;
  }

  async killWorker(signal: NodeJS.Signals): Promise<void> {
    const worker = this.#worker;
    if (worker === null || worker.exitCode !== null || worker.signalCode !== null) return;
    const gone = once(worker, 'exit');
    worker.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    this.#endWitness();
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    for (const child of this.processes) child.kill('SIGKILL');
    this.#ipc?.destroy();
    this.#worker?.kill('SIGKILL');
    for (const name of this.pods.keys()) sh(`ip netns del ${name} || true`);
    sh('ip link del br0 || true');
  }
}

export function workload(pod: LabPod, labels: Record<string, string>, services: Workload['services'] = {}): Workload {
  return {
    kind: 'workload',
    uid: pod.enrolled.uid,
    namespace: pod.enrolled.namespace,
    name: pod.name,
    serviceAccount: pod.enrolled.serviceAccount,
    node: NODE,
    addresses: pod.enrolled.addresses,
    ready: true,
    hostNetwork: false,
    labels,
    annotations: {},
    workloadName: pod.name,
    canonicalName: labels['app'] ?? pod.name,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services,
  };
}

export function service(name: string, vip: string, port: number, protocol: PortProtocol): Service {
  return {
    kind: 'service',
    namespace: 'default',
    name,
    hostname: `${name}.default.svc.cluster.local`,
    addresses: [vip],
    ports: [{ port, name: '', protocol }],
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: null,
    externalName: null,
  };
}

export function httpRoute(name: string, parent: string, rules: readonly WrittenRule[]): HttpRoute {
  return {
    kind: 'httpRoute',
    source: 'HTTPRoute',
    namespace: 'default',
    name,
    createdMs: 0,
    parents: [{ namespace: 'default', name: parent, port: null }],
    clients: ['*'],
    rules: rules.map(routeRule),
  };
}

const NO_CONDITION: PolicyCondition = { key: 'connection.sni', values: [], notValues: [] };

export function policy(
  name: string,
  action: 'ALLOW' | 'DENY',
  selector: Record<string, string>,
  rules: readonly {
    from?: Partial<PolicySource>[];
    to?: Partial<PolicyOperation>[];
    when?: Partial<PolicyCondition>[];
  }[],
): AuthorizationPolicy {
  return {
    kind: 'authorizationPolicy',
    namespace: 'default',
    name,
    action,
    dryRun: false,
    meshWide: false,
    selector,
    targetServices: [],
    rules: rules.map((rule) => ({
      from: (rule.from ?? []).map((source) => ({ ...NO_SOURCE, ...source })),
      to: (rule.to ?? []).map((operation) => ({ ...NO_OPERATION, ...operation })),
      when: (rule.when ?? []).map((condition) => ({ ...NO_CONDITION, ...condition })),
    })),
  };
}
