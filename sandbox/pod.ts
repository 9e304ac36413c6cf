/**
 * One pod, from namespaces to containers, as kubelet and runtime do it together: pod sandbox (network namespace, pause
 * process, CNI ADD), init containers one after the other, containers, and on the way back CNI DEL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AttachResult, Attachment, CniChain } from './cni.ts';
import { Container, type ContainerHost } from './container.ts';
import { type DataLookup, type PodFacts, resolveCommand } from './environment.ts';
import { createNetns, deleteNetns, netnsPath, type NodeNetwork } from './network.ts';
import type { SandboxPaths } from './paths.ts';
import { pauseArgv, preparePodFiles, rewriteHosts } from './pod-files.ts';
import type { ContainerSpec } from './pod-spec.ts';
import type { ProbeSpec } from './probe-spec.ts';
import { delay, messageOf, type Tools } from './processes.ts';
import type { ProberPool } from './prober-pool.ts';
import type { Fields } from './source.ts';
import { podMetadata, type PodToCreate, type WorkloadSet } from './workloads.ts';

/** What a pod needs of its cluster. */
export interface PodHost {
  readonly tools: Tools;
  readonly paths: SandboxPaths;
  readonly workingDir: string;
  /** Variables every container gets before its own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly lookup: (namespace: string) => DataLookup;
  readonly hosts: (pod: Pod) => string;
  /** Called after every change of state, addresses or readiness. */
  readonly changed: (pod: Pod) => void;
  readonly log: (pod: Pod, message: string) => void;
}

/** The node a pod runs on. */
export interface PodNode {
  readonly network: NodeNetwork;
  readonly chain: CniChain;
  readonly prober: ProberPool;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** Pause between attempts to set up a pod; a kubelet takes 11 s and more. */
const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5_000;
/** A host name is at most 63 octets (RFC 1123), a pod's name may be longer: Kubernetes cuts it. */
const HOSTNAME_BYTES_MAX = 63;

export class Pod {
  readonly uid: string;
  readonly name: string;
  readonly node: PodNode;
  readonly hostname: string;
  readonly created = new Date();
  /** Metadata may be replaced while it runs; the rest never is. */
  set: WorkloadSet;
  addresses: readonly string[] = [];
  /** Why it is not running yet; '' when nothing is wrong. */
  failure = '';
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly netnsName: string;
  readonly #host: PodHost;
  #pause: ChildProcess | null = null;
  #attached: { attachment: Attachment; result: unknown } | null = null;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #ended: PodPhase | null = null;
  #settingUp = true;
  #hostsText = '';

  constructor(plan: PodToCreate, uid: string, node: PodNode, host: PodHost) {
    this.uid = uid;
    this.set = plan.set;
    this.name = plan.name;
    this.node = node;
    this.#host = host;
    this.hostname = (plan.set.spec.hostname ?? plan.name).slice(0, HOSTNAME_BYTES_MAX).replace(/[-.]+$/, '');
    this.netnsName = `pod-${uid.slice(0, 13)}`;
    const make = (spec: ContainerSpec): Container => new Container(spec, this.#containerHost(spec));
    this.initContainers = plan.set.spec.initContainers.map(make);
    this.containers = plan.set.spec.containers.map(make);
  }

  get namespace(): string {
    return this.set.namespace;
  }

  /** Labels as the API server shows them, pod-template-hash included. */
  get labels(): Readonly<Record<string, string>> {
    const metadata = podMetadata({ set: this.set, name: this.name }, this.uid, '');
    return metadata['labels'] as Readonly<Record<string, string>>;
  }

  /** containerPort of that name in any container, or null. */
  namedPort(name: string): number | null {
    return (
      this.set.spec.containers.map((container) => container.namedPorts.get(name)).find((port) => port !== undefined) ??
      null
    );
  }

  get netns(): string {
    return netnsPath(this.netnsName);
  }

  /** Process that holds the namespaces; null before there are any. */
  get pausePid(): number | null {
    return this.#pause?.pid ?? null;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  get ready(): boolean {
    return !this.isStopping && this.addresses.length > 0 && this.containers.every((container) => container.ready);
  }

  get restarts(): number {
    return [...this.initContainers, ...this.containers].reduce((sum, container) => sum + container.restarts, 0);
  }

  get phase(): PodPhase {
    if (this.#ended !== null) return this.#ended;
    return this.containers.some((container) => container.state.kind !== 'waiting' || container.restarts > 0)
      ? 'Running'
      : 'Pending';
  }

  /** One word as kubectl prints it: Running, Completed, CrashLoopBackOff, ContainerCreating, Terminating, … */
  get status(): string {
    if (this.isStopping) return 'Terminating';
    if (this.#ended === 'Succeeded') return 'Completed';
    if (this.#ended === 'Failed') return 'Error';
    if (this.#settingUp) return this.failure === '' ? 'ContainerCreating' : 'NetworkNotReady';
    for (const container of [...this.initContainers, ...this.containers]) {
      if (container.state.kind === 'waiting' && container.state.reason !== 'ContainerCreating')
        return container.state.reason;
    }
    return this.phase === 'Pending' ? 'PodInitializing' : 'Running';
  }

  /** Starts it; returns at once, `changed` tells what happens. */
  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      this.failure = messageOf(error);
      this.#ended = 'Failed';
      this.#host.changed(this);
    });
  }

  /** Ends it: containers, network, namespaces. Resolves when all is gone; safe to call twice. */
  async stop(graceMs: number = this.set.spec.gracePeriodSeconds * 1_000): Promise<void> {
    this.#stopping.abort();
    this.#host.changed(this);
    await Promise.all([...this.initContainers, ...this.containers].map((container) => container.stop(graceMs)));
    await this.#running;
    await this.#tearDown();
  }

  /** Brings /etc/hosts up to date. */
  refreshHosts(): void {
    const text = this.#host.hosts(this);
    if (text === this.#hostsText) return;
    this.#hostsText = text;
    rewriteHosts(this.#host.paths, this.uid, text);
  }

  /** The Pod object as the API server would show it, as far as anything reads it. */
  object(): Fields {
    const { network } = this.node;
    const condition = (type: string, holds: boolean): Fields => ({ type, status: holds ? 'True' : 'False' });
    const deleting = this.isStopping ? { deletionTimestamp: new Date().toISOString() } : {};
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        ...podMetadata({ set: this.set, name: this.name }, this.uid, this.created.toISOString()),
        ...deleting,
      },
      spec: { ...this.set.spec.fields, nodeName: network.name, serviceAccountName: this.set.spec.serviceAccount },
      status: {
        phase: this.phase,
        hostIP: network.addresses[0],
        hostIPs: network.addresses.map((ip) => ({ ip })),
        ...(this.addresses.length === 0
          ? {}
          : { podIP: this.addresses[0], podIPs: this.addresses.map((ip) => ({ ip })) }),
        conditions: [
          condition('PodScheduled', true),
          condition('ContainersReady', this.ready),
          condition('Ready', this.ready),
        ],
      },
    };
  }

  /** Command and environment of one of its containers, as it is now. */
  resolve(spec: ContainerSpec): ReturnType<typeof resolveCommand> {
    const base = { ...this.#host.environment, HOSTNAME: this.hostname };
    return resolveCommand(spec, this.#facts(), base, this.#host.lookup(this.namespace));
  }

  async #run(): Promise<void> {
    this.#hostsText = this.#host.hosts(this);
    preparePodFiles(this.#host.paths, this.uid, this.hostname, this.#hostsText);
    await this.#setUpUntilItWorks();
    if (this.isStopping) return;
    this.#settingUp = false;
    this.failure = '';
    this.#host.changed(this);
    const { restartPolicy } = this.set.spec;
    for (const container of this.initContainers) {
      const status = await container.runByPolicy(restartPolicy === 'Never' ? 'Never' : 'OnFailure');
      if (this.isStopping) return;
      if (status !== 0) {
        this.failure = `init container ${container.spec.name} ended with status ${status}`;
        this.#ended = 'Failed';
        return this.#host.changed(this);
      }
    }
    const statuses = await Promise.all(this.containers.map((container) => container.runByPolicy(restartPolicy)));
    if (this.isStopping) return;
    this.#ended = statuses.every((status) => status === 0) ? 'Succeeded' : 'Failed';
    this.#host.changed(this);
  }

  async #setUpUntilItWorks(): Promise<void> {
    let pauseMs = RETRY_FIRST_MS;
    while (!this.isStopping) {
      try {
        return await this.#setUp();
      } catch (error) {
        this.failure = messageOf(error);
        this.#host.log(this, `${this.failure}; trying again in ${pauseMs / 1_000} s`);
        this.#host.changed(this);
        await this.#tearDown();
      }
      await delay(pauseMs, this.#stopping.signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    }
  }

  async #setUp(): Promise<void> {
    await createNetns(this.#host.tools, this.netnsName, false);
    await this.#startPause();
    const attachment = {
      containerId: randomBytes(32).toString('hex'),
      netns: this.netns,
      podNamespace: this.namespace,
      podName: this.name,
      podUid: this.uid,
    };
    // Noted before ADD: a failed ADD is followed by DEL (CNI spec section 4).
    this.#attached = { attachment, result: null };
    const attached: AttachResult = await this.node.chain.add(attachment);
    this.#attached = { attachment, result: attached.result };
    this.addresses = attached.addresses;
  }

  #startPause(): Promise<void> {
    const argv = pauseArgv(this.#host.tools, this.netns, this.#host.paths, this.uid, this.hostname);
    const pause = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.#pause = pause;
    return new Promise((done, fail) => {
      let said = '';
      pause.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        said = (said + chunk).slice(-2_000);
      });
      pause.stdout.setEncoding('utf8').on('data', () => done());
      pause.stdin.on('error', () => undefined); // it ended: 'exit' says so
      pause.on('error', fail);
      pause.on('exit', () =>
        fail(new Error(`preparing the pod's namespaces: ${said.trim() || 'the pause process ended'}`)),
      );
    });
  }

  async #tearDown(): Promise<void> {
    const attached = this.#attached;
    this.#attached = null;
    this.addresses = [];
    if (attached !== null) {
      await this.node.chain.delete(attached.attachment, attached.result).catch((error: unknown) => {
        this.#host.log(this, messageOf(error)); // the namespace goes away in any case
      });
    }
    const pause = this.#pause;
    this.#pause = null;
    if (pause !== null && pause.exitCode === null && pause.signalCode === null) {
      const gone = new Promise<void>((done) => {
        pause.on('exit', () => done());
      });
      pause.kill('SIGKILL');
      await gone;
    }
    await deleteNetns(this.#host.tools, this.netnsName);
    if (this.isStopping) {
      for (const name of ['hosts', 'hostname', 'resolv.conf'])
        rmSync(join(this.#host.paths.pod(this.uid), name), { force: true });
    }
  }

  #facts(): PodFacts {
    return {
      name: this.name,
      namespace: this.namespace,
      uid: this.uid,
      labels: this.labels,
      annotations: this.set.annotations,
      podIps: this.addresses,
      hostIps: this.node.network.addresses,
      node: this.node.network.name,
      serviceAccount: this.set.spec.serviceAccount,
    };
  }

  #containerHost(spec: ContainerSpec): ContainerHost {
    const host = this.#host;
    const pausePid = (): number | null => this.pausePid;
    return {
      tools: host.tools,
      get pausePid(): number {
        const pid = pausePid();
        if (pid === null) throw new Error('a container starts after its pod');
        return pid;
      },
      logFile: host.paths.containerLog(this.uid, spec.name),
      defaultWorkingDir: host.workingDir,
      gracePeriodMs: this.set.spec.gracePeriodSeconds * 1_000,
      resolve: () => this.resolve(spec),
      ask: (probe: ProbeSpec) => this.#ask(probe),
      changed: () => host.changed(this),
      log: (message) => host.log(this, message),
    };
  }

  async #ask(probe: ProbeSpec): Promise<{ success: boolean; detail: string }> {
    const { action } = probe;
    if (action.type === 'exec') return { success: false, detail: 'exec probes are asked in the container' };
    const host = action.host ?? this.addresses[0] ?? '';
    const http = action.type === 'http' ? action : { path: '', scheme: 'http' as const, headers: [] };
    const { path, scheme, headers } = http;
    const timeoutMs = probe.timeoutSeconds * 1_000;
    return await this.node.prober.ask({ type: action.type, host, port: action.port, path, scheme, headers, timeoutMs });
  }
}
