/** A controller and agents' control clients in this process, over unix sockets in a folder of their own. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ApplyDelta, ControlClient } from '../../agent/control/client.ts';
import { SnapshotStore } from '../../agent/control/snapshot-store.ts';
import { type RunningController, startController } from '../../controlplane/controller.ts';
import type { Logger } from '../../controlplane/log.ts';
import type { MeshDelta } from '../../mesh/model.ts';
import { MeshState } from '../../mesh/state.ts';

/** Nothing here takes long; the deadline only ends a test that would hang. */
const DEADLINE_MS = 20_000;

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export class TestAgent {
  readonly mesh = new MeshState();
  /** Every change that was handed to `apply`, also those it refused. */
  readonly deltas: MeshDelta[] = [];
  readonly store: SnapshotStore;
  readonly client: ControlClient;
  readonly loadError: string | null;
  /** Replace it to refuse a change. */
  apply: ApplyDelta = async (delta) => this.mesh.apply(delta);

  constructor(target: string, snapshotPath: string, node = 'node-1') {
    this.store = new SnapshotStore(snapshotPath, { log: () => {} });
    const loaded = this.store.load();
    this.loadError = loaded.error;
    this.mesh.apply({ upserts: loaded.resources, removals: [] });
    this.client = new ControlClient({
      target,
      node,
      tls: null,
      store: this.store,
      apply: async (delta) => {
        this.deltas.push(delta);
        return this.apply(delta);
      },
      random: () => 0,
      log: () => {},
    });
  }

  /** `kind key` of every resource, sorted. */
  names(): string[] {
    const kinds = [
      'workload',
      'service',
      'httpRoute',
      'tlsRoute',
      'tcpRoute',
      'authorizationPolicy',
      'meshSettings',
    ] as const;
    return kinds
      .flatMap((kind) => this.mesh.list(kind))
      .map((resource) => `${resource.kind} ${resource.namespace}/${resource.name}`)
      .sort();
  }

  async close(): Promise<void> {
    await this.client.stop();
    await this.store.close();
  }
}

export class ControlBench {
  readonly folder = mkdtempSync(join(tmpdir(), 'weir-control-'));
  readonly objects = join(this.folder, 'objects.d');
  readonly target = `unix:${join(this.folder, 'xds.sock')}`;
  readonly adminSocket = join(this.folder, 'controller.sock');
  readonly #agents: TestAgent[] = [];
  #controller: RunningController | null = null;
  #temporary = 0;

  get controller(): RunningController {
    if (this.#controller === null) throw new Error('the controller is not running');
    return this.#controller;
  }

  async startController(sources: readonly string[] = [this.objects]): Promise<void> {
    this.#controller = await startController(
      {
        sources,
        listen: [this.target],
        adminSocket: this.adminSocket,
        rootNamespace: 'istio-system',
        trustDomain: 'cluster.local',
        logLevel: 'error',
        tlsCert: null,
        tlsKey: null,
        clientCa: null,
      },
      silent,
    );
  }

  async stopController(): Promise<void> {
    await this.#controller?.close();
    this.#controller = null;
  }

  agent(node = 'node-1'): TestAgent {
    const agent = new TestAgent(this.target, join(this.folder, `${node}.json`), node);
    this.#agents.push(agent);
    return agent;
  }

  /** Writes a file as the sandbox does: whole, by rename. */
  write(name: string, text: string): void {
    const temporary = join(this.folder, `.write-${++this.#temporary}`);
    writeFileSync(temporary, text);
    renameSync(temporary, join(this.objects, name));
  }

  remove(name: string): void {
    rmSync(join(this.objects, name));
  }

  /** Reads the sources and waits until every agent has answered. */
  async settle(): Promise<void> {
    const { version } = await this.controller.sync();
    const outcome = await this.controller.wait(version, DEADLINE_MS);
    if (outcome === 'timeout') throw new Error(`agents did not answer version ${version}`);
  }

  admin(method: string, path: string): Promise<{ status: number; body: Record<string, unknown> }> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.adminSocket, method, path }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => {
          const body = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>;
          resolve({ status: response.statusCode ?? 0, body });
        });
      });
      call.on('error', reject);
      call.end();
    });
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) await agent.close();
    await this.stopController();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function pod(name: string, ip: string, labels = 'app: echo'): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: demo, uid: uid-${name}, labels: {${labels}}}
spec: {nodeName: node-1, serviceAccountName: echo, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIP: ${ip}, conditions: [{type: Ready, status: "True"}]}
`;
}

export const service = `apiVersion: v1
kind: Service
metadata: {name: echo, namespace: demo}
spec: {clusterIP: 10.96.0.10, selector: {app: echo}, ports: [{name: http, port: 80, targetPort: web}]}
`;

export function policy(name: string, namespaces: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: demo}
spec:
  action: ALLOW
  rules:
    - from:
        - source: {namespaces: [${namespaces}]}
`;
}

export function route(name: string, port: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: demo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  rules:
    - backendRefs: [{name: echo, port: ${port}}]
`;
}
