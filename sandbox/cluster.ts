/**
 * The running cluster: takes objects, keeps pods as they should be, tells the controller, and knows when everybody has
 * heard. One change at a time; a change that is refused leaves everything as it was.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { dataLookup, type DesiredState, describeChanges, EMPTY_STATE, evaluate } from './desired-state.ts';
import { failureReport } from './failure-report.ts';
import { hostsFile, type NamedService } from './hosts.ts';
import type { Mesh } from './mesh.ts';
import { generated, ObjectStore, fileNameOf, type StoredObject, type Undo } from './object-store.ts';
import type { SandboxPaths } from './paths.ts';
import { Pod, type PodHost, type PodNode } from './pod.ts';
import type { PodContext } from './pod-spec.ts';
import { delay, messageOf, type Patience, type Tools, waitUntil } from './processes.ts';
import { selects, ServiceAddresses, type ServiceEntry } from './services.ts';
import { formatProblem, keyOfObject, ProblemsError, type SourceObject } from './source.ts';
import { planPods, randomSuffix, RoundRobin } from './workloads.ts';

export interface ClusterOptions {
  readonly tools: Tools;
  readonly paths: SandboxPaths;
  readonly nodes: readonly PodNode[];
  /** null: --no-mesh. */
  readonly mesh: Mesh | null;
  readonly images: PodContext['images'];
  readonly isExecutable: PodContext['isExecutable'];
  readonly workingDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly log: (message: string) => void;
  /** Told when Services or the pods behind them changed. */
  readonly endpointsChanged: () => void;
  /** Resolves when that has taken effect. */
  readonly endpointsSettled: () => Promise<void>;
}

/** Pause between a pod's change and telling the controller: several changes at once become one version. */
const SYNC_DELAY_MS = 15;
const POLL_MS = 20;
/** Answers of the cluster while it settles come after a pause this long when the controller is away. */
const RETRY_MS = 100;

export class Cluster {
  state: DesiredState = EMPTY_STATE;
  readonly #options: ClusterOptions;
  readonly #store: ObjectStore;
  readonly #addresses = new ServiceAddresses();
  readonly #pods = new Map<string, Pod>();
  readonly #placement: RoundRobin;
  readonly #context: PodContext;
  readonly #warned = new Set<string>();
  #queue: Promise<unknown> = Promise.resolve();
  #syncTimer: NodeJS.Timeout | null = null;
  #closing = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#store = new ObjectStore(options.paths.objects);
    const nodes = options.nodes.map((node) => node.network.name);
    this.#placement = new RoundRobin(nodes);
    const warn = (message: string): void => this.#warn(message);
    this.#context = { images: options.images, nodes, isExecutable: options.isExecutable, warn };
    // The controller has something to read, and agents a first version, before the first object is applied.
    this.#writeFiles(evaluate(new Map(), this.#context, this.#addresses).files, []);
  }

  /** Where containers run that do not say. */
  get workingDir(): string {
    return this.#options.workingDir;
  }

  get pods(): readonly Pod[] {
    return [...this.#pods.values()];
  }

  /** Pod by `NAME`, `NAME.NAMESPACE`, `NAMESPACE/NAME`, or the name of the Deployment it belongs to. */
  findPod(text: string): Pod | null {
    const [namespace, name] = text.includes('/') ? text.split('/', 2) : [null, text];
    const live = this.pods.filter((pod) => namespace === null || pod.namespace === namespace);
    const exact = (wanted: string): Pod[] =>
      live.filter((pod) => pod.name === wanted || `${pod.name}.${pod.namespace}` === wanted);
    const ofSet = (wanted: string): Pod[] =>
      live.filter((pod) => pod.set.name === wanted || `${pod.set.name}.${pod.namespace}` === wanted);
    const found = [...exact(name ?? ''), ...ofSet(name ?? '')];
    // Without a namespace `default` is meant first, as in kubectl.
    return (
      found.find((pod) => pod.namespace === 'default' && !pod.isStopping) ??
      found.find((pod) => !pod.isStopping) ??
      found[0] ??
      null
    );
  }

  /**
   * Checks objects without doing anything; throws ProblemsError. Everything the sandbox can see by itself is found here,
   * before a single process starts.
   */
  check(objects: readonly SourceObject[]): void {
    evaluate(merge(this.state, objects), this.#context, new ServiceAddresses());
  }

  /** Adds or changes objects; resolves with one line per object when pods are ready and every agent has acknowledged. */
  apply(objects: readonly SourceObject[], patience: Patience): Promise<string[]> {
    return this.#exclusive(async () => {
      const before = this.state;
      const next = evaluate(merge(before, objects), this.#context, this.#addresses);
      const undo = this.#writeFiles(next.files, before.files);
      try {
        await this.#tellAgents(patience);
      } catch (error) {
        this.#store.restore(undo);
        await this.#options.mesh?.sync().catch((again: unknown) => this.#options.log(messageOf(again)));
        throw error;
      }
      this.state = next;
      await this.#reconcile(patience, new Set(objects.map(keyOfObject)));
      await this.#tellAgents(patience);
      return describeChanges(before, objects, keyOfObject);
    });
  }

  /** Removes objects by key; resolves when their pods are gone and every agent has acknowledged. */
  delete(keys: readonly string[], patience: Patience): Promise<void> {
    return this.#exclusive(async () => {
      const before = this.state;
      const remaining = new Map([...before.objects].filter(([key]) => !keys.includes(key)));
      this.state = evaluate(remaining, this.#context, this.#addresses);
      await this.#reconcile(patience, new Set());
      this.#writeFiles(this.state.files, before.files);
      await this.#tellAgents(patience);
    });
  }

  /** Runs something (a restart of the mesh) while no change is under way. */
  exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#exclusive(work);
  }

  /** Addresses of the pods behind a Service that take traffic now. */
  membersOf(service: ServiceEntry): Pod[] {
    const { namespace, selector, publishNotReady } = service;
    return this.pods.filter(
      (pod) => pod.namespace === namespace && selects(selector, pod.labels) && (pod.ready || publishNotReady),
    );
  }

  /** Ends all pods quickly, without telling anybody: the whole cluster goes. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    if (this.#syncTimer !== null) clearTimeout(this.#syncTimer);
    const containers = this.pods.flatMap((pod) => [...pod.initContainers, ...pod.containers]);
    await Promise.all(containers.map((container) => container.stop(graceMs)));
  }

  /** Starts and ends pods; waits for the new ones and for those of the objects that were applied. */
  async #reconcile(patience: Patience, applied: ReadonlySet<string>): Promise<void> {
    for (const pod of this.pods) this.#updateMetadata(pod);
    this.#refreshNames();
    const existing = this.pods
      .filter((pod) => !pod.isStopping)
      .map((pod) => ({
        uid: pod.uid,
        name: pod.name,
        namespace: pod.namespace,
        owner: pod.set.key,
        hash: pod.set.hash,
        ready: pod.ready,
      }));
    const plan = planPods(this.state.sets, existing, () => randomSuffix(randomBytes(5)));
    await this.#stopPods(plan.removeFirst);
    const host = this.#podHost();
    const created = new Set<Pod>();
    for (const wanted of plan.create) {
      const nodeName = this.#placement.pick(wanted.set.spec.node);
      const node = this.#options.nodes.find((candidate) => candidate.network.name === nodeName);
      if (node === undefined) throw new Error(`there is no node ${nodeName}`);
      const pod = new Pod(wanted, randomUUID(), node, host);
      this.#pods.set(pod.uid, pod);
      created.add(pod);
      this.#podChanged(pod);
      pod.start();
    }
    await this.#waitForPods((pod) => created.has(pod) || applied.has(pod.set.key), patience);
    await this.#stopPods(plan.removeLast);
  }

  /** Labels and annotations change in place; anything else makes a new pod (planPods compares the hashes). */
  #updateMetadata(pod: Pod): void {
    const set = this.state.sets.find((candidate) => candidate.key === pod.set.key);
    if (set === undefined || set.hash !== pod.set.hash) return;
    pod.set = set;
    this.#podChanged(pod);
  }

  async #stopPods(uids: readonly string[]): Promise<void> {
    await Promise.all(
      uids.map(async (uid) => {
        const pod = this.#pods.get(uid);
        if (pod === undefined) return;
        await pod.stop();
        this.#pods.delete(uid);
        this.#store.remove(fileNameOf(podIdentity(pod)));
        this.#refreshNames();
        this.#scheduleSync();
      }),
    );
  }

  async #waitForPods(concerns: (pod: Pod) => boolean, patience: Patience): Promise<void> {
    const unsettled = (pod: Pod): boolean => !pod.isStopping && !pod.ready && pod.phase !== 'Succeeded';
    const waiting = (): Pod[] => this.pods.filter((pod) => concerns(pod) && unsettled(pod));
    const hopeless = (): boolean => waiting().some((pod) => pod.phase === 'Failed');
    await waitUntil(() => waiting().length === 0 || hopeless(), patience.deadlineMs, POLL_MS, patience.signal);
    const unready = waiting();
    if (unready.length > 0) throw new Error(failureReport(unready, this.#options.paths));
  }

  /** Has the controller read everything and waits for the agents; throws what was refused. A controller that restarts is waited for. */
  async #tellAgents(patience: Patience): Promise<void> {
    const { mesh } = this.#options;
    await this.#options.endpointsSettled();
    if (mesh === null) return;
    for (;;) {
      const result = await mesh.sync().catch((error: unknown) => {
        if (Date.now() > patience.deadlineMs || patience.signal.aborted) throw error;
        return null;
      });
      if (result === null) {
        await delay(RETRY_MS, patience.signal);
        continue;
      }
      for (const warning of result.warnings) this.#warn(`warning: ${formatProblem(warning)}`);
      if (result.errors.length > 0) throw new ProblemsError(result.errors);
      return await mesh.waitAcknowledged(result.version, patience);
    }
  }

  /** Writes the wanted files, removes those that are no longer wanted; returns how to take it back. */
  #writeFiles(wanted: readonly StoredObject[], before: readonly StoredObject[]): Undo {
    const undo = new Map<string, string | null>();
    const names = new Set(wanted.map((file) => file.name));
    for (const file of wanted) {
      const old = this.#store.write(file);
      if (old !== undefined) undo.set(file.name, old);
    }
    for (const file of before) if (!names.has(file.name)) undo.set(file.name, this.#store.remove(file.name));
    return undo;
  }

  #podHost(): PodHost {
    const { tools, paths, workingDir, environment, log } = this.#options;
    return {
      tools,
      paths,
      workingDir,
      environment,
      lookup: (namespace) => dataLookup(this.state, namespace),
      hosts: (pod) => this.#hostsOf(pod),
      changed: (pod) => this.#podChanged(pod),
      log: (pod, message) => log(`pod ${pod.namespace}/${pod.name}: ${message}`),
    };
  }

  #podChanged(pod: Pod): void {
    if (this.#closing || !this.#pods.has(pod.uid)) return;
    const identity = podIdentity(pod);
    const changed = this.#store.write(generated(pod.object(), identity, pod.set));
    if (changed === undefined) return;
    this.#refreshNames();
    this.#scheduleSync();
  }

  #scheduleSync(): void {
    const { mesh } = this.#options;
    if (mesh === null || this.#syncTimer !== null || this.#closing) return;
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = null;
      // The controller also watches the folder, and reads all of it when it starts: a failure here only costs time.
      mesh.sync().catch(() => undefined);
    }, SYNC_DELAY_MS);
  }

  #refreshNames(): void {
    for (const pod of this.#pods.values()) pod.refreshHosts();
    this.#options.endpointsChanged();
  }

  #hostsOf(pod: Pod): string {
    const services = this.state.services.map((service) => this.#named(service));
    const others = this.pods.filter((other) => other.addresses.length > 0);
    const { namespace, name, hostname, addresses } = pod;
    return hostsFile({ namespace, name, hostname, addresses }, services, others);
  }

  #named(service: ServiceEntry): NamedService {
    const { namespace, name, clusterIps, externalName } = service;
    if (clusterIps.length > 0) return { namespace, name, addresses: clusterIps };
    // A name of this cluster is all an ExternalName can lead to here: the machine's own DNS answers for the rest, not for pods.
    const other = this.state.services.find(
      (each) => externalName === `${each.name}.${each.namespace}.svc.cluster.local`,
    );
    if (other !== undefined) return { namespace, name, addresses: other.clusterIps };
    return { namespace, name, addresses: this.membersOf(service).flatMap((pod) => pod.addresses) };
  }

  #warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.log(message);
  }

  #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined); // its caller hears of it; the next one must not wait for ever
    return result;
  }
}

function merge(state: DesiredState, objects: readonly SourceObject[]): Map<string, SourceObject> {
  return new Map([...state.objects, ...objects.map((object) => [keyOfObject(object), object] as const)]);
}

function podIdentity(pod: Pod): Parameters<typeof fileNameOf>[0] {
  return { apiVersion: 'v1', kind: 'Pod', namespace: pod.namespace, name: pod.name };
}
