/**
 * The pods of this node that are captured: ADD, DEL, CHECK, GC, and finding them again after an agent restart.
 *
 * An ADD, in order: identity → exclusions → an older pod with the same address is evicted → listeners in every worker →
 * rules in the pod's namespace and probe rules on the node → pods.json → success. Any failure takes back what was done, so a pod
 * never runs half captured. Operations on one container run one after the other, on different containers at the same time.
 *
 * Removing goes the other way for the pod's safety: listeners first, then rules, so whatever still runs there is refused, never
 * uncaptured. How it is wired: enrolment-types.ts.
 */
import type { EnrolledPod } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { CheckRequest } from './cni-request.ts';
import type {
  AddOutcome,
  AddRequest,
  Attachment,
  Enrolled,
  EnrolmentDeps,
  EnrolmentOptions,
} from './enrolment-types.ts';
import {
  captureAnnotations,
  type Entry,
  enrolledOf,
  isEnrolled,
  isRule,
  isSame,
  nameOf,
  overlaps,
  recordOf,
  strangers,
  withoutMode,
} from './enrolment-entry.ts';
import { parseExclusions } from './exclusions.ts';
import { parseInterceptionMode } from './interception.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { type PodRecord, PodsStore } from './pods-store.ts';
import { PROXY_PROTOCOL_PORTS, parseProxyPorts } from '../proxy-protocol/ports.ts';
import { done, failure, type Result, success } from './result.ts';
import { SerialWriter } from './serial-writer.ts';

/** How many pods are brought back or verified at the same time. */
const AT_ONCE = 4;

/** See the head of this file, and enrolment-types.ts for the contract. */
export class Enrolment {
  readonly #options: EnrolmentOptions;
  readonly #deps: EnrolmentDeps;
  readonly #store: PodsStore;
  readonly #writer: SerialWriter<Result<void>>;
  readonly #entries = new Map<string, Entry>();
  /** Indices in use, also by pods that are leaving: reused only when unlisten has resolved. */
  readonly #indices = new Set<number>();
  readonly #containers = new KeyedQueue();
  #phase: 'new' | 'following' | 'running' | 'yielded' | 'closed' = 'new';

  constructor(options: EnrolmentOptions, deps: EnrolmentDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#store = new PodsStore(options.stateDir);
    this.#writer = new SerialWriter(() => {
      // A successor that could not wait for this agent keeps the file now.
      if (!deps.inCharge())
        return Promise.resolve(failure('NOT_READY', 'another agent has taken this node over', true));
      return this.#store.save([...this.#entries.values()].filter(isEnrolled).map(recordOf));
    });
  }

  /** Loads pods.json and brings back every pod whose namespace is still the same: listeners, then rules. Never fails as a whole. */
  async start(): Promise<void> {
    const { records, complaints } = await this.#store.load();
    for (const complaint of complaints) this.#deps.log('error', complaint, {});
    for (const record of records) this.#adopt(record);
    this.#phase = 'running';
    await forEach([...this.#entries.values()], AT_ONCE, (entry) =>
      this.#exclusive(entry, () => this.#bringBack(entry)),
    );
    const probes = await this.#deps.probeRules.reconcile(
      [...this.#entries.values()].flatMap(({ pod }) => pod.addresses),
    );
    if (!probes.ok) this.#deps.log('error', probes.error.message, {});
    await this.#save();
  }

  /**
   * Beside an agent that is in charge: listens for its pods as pods.json has them now, and changes nothing else anywhere. Called
   * again, it follows what that agent has enrolled and removed meanwhile. A failure names the pods whose listeners could not be
   * opened: taking over would leave them without.
   */
  async follow(): Promise<Result<void>> {
    const records = await this.#store.read();
    if (!records.ok) return records;
    this.#phase = 'following';
    const gone = strangers(this.#entries.values(), records.value);
    for (const entry of gone) this.#entries.delete(entry.containerId);
    // Before the rest: an index that was given back may be another pod's by now.
    await forEach(gone, AT_ONCE, async (entry) => {
      await this.#deps.unlisten(entry.index);
      this.#indices.delete(entry.index);
    });
    for (const record of records.value) if (!this.#entries.has(record.containerId)) this.#adopt(record);
    const deaf: string[] = [];
    await forEach([...this.#entries.values()], AT_ONCE, async (entry) => {
      const inode = this.#deps.podRules.inode(entry.netnsPath);
      if (!inode.ok || inode.value !== entry.netnsInode) return; // it has just gone
      const listening = await this.#listen(entry, this.#options.readyWaitMs ?? limits.cniReadyWaitMs);
      if (!listening.ok) deaf.push(listening.error.message);
    });
    return deaf.length === 0 ? done : failure('LISTENERS_FAILED', deaf.join('; '), true);
  }

  /** From following to being in charge: the file is final, listeners are open. What is missing, repair() finds. */
  async takeCharge(): Promise<Result<void>> {
    const followed = await this.follow();
    this.#phase = 'running';
    return followed;
  }

  /** Waits for operations in flight and writes the file for a successor; later calls are refused until resume(). */
  async yieldCharge(): Promise<void> {
    if (this.#phase === 'running') this.#phase = 'yielded';
    await this.#containers.idle();
    await this.#save();
  }

  /** The successor did not come. */
  resume(): void {
    if (this.#phase === 'yielded') this.#phase = 'running';
  }

  /** CNI ADD. Idempotent per container. Fails closed: on failure nothing is left behind. */
  add(request: AddRequest): Promise<Result<AddOutcome>> {
    return this.#containers.run(request.containerId, async () => {
      const refused = this.#unlessRunning();
      if (refused !== null) return refused;
      if (this.#options.excludeNamespaces.includes(request.pod.namespace)) return success({ outcome: 'exempt' });
      const inode = this.#deps.podRules.inode(request.netnsPath);
      if (!inode.ok) return inode;
      const existing = this.#entries.get(request.containerId);
      if (existing !== undefined && isSame(existing, request, inode.value)) return this.#addAgain(existing);
      if (existing !== undefined) {
        this.#log('warn', 'ADD with other particulars than before: enrolling anew', existing);
        await this.#drop(existing);
      }
      return this.#addNew(request, inode.value);
    });
  }

  /** CNI DEL. Unknown containers, and other interfaces of known ones, are success. */
  remove(attachment: Attachment): Promise<Result<void>> {
    return this.#containers.run(attachment.containerId, async () => {
      const refused = this.#unlessRunning();
      if (refused !== null) return refused;
      const entry = this.#entries.get(attachment.containerId);
      if (entry === undefined || entry.ifName !== attachment.ifName) return done;
      await this.#drop(entry);
      this.#log('info', 'pod removed', entry);
      return this.#save();
    });
  }

  /** CNI CHECK: NOT_CAPTURED names what is missing. */
  check(request: CheckRequest): Promise<Result<void>> {
    return this.#containers.run(request.containerId, async () => {
      const refused = this.#unlessRunning();
      if (refused !== null) return refused;
      if (request.namespace !== null && this.#options.excludeNamespaces.includes(request.namespace)) return done;
      const entry = this.#entries.get(request.containerId);
      if (entry === undefined) {
        const remedy = 'it was not added through this agent; recreate the pod';
        return failure('UNKNOWN_POD', `container ${request.containerId}: ${remedy}`);
      }
      const missing = await this.#missing(entry);
      if (!missing.ok) return missing;
      if (missing.value.length === 0) return done;
      const what = `pod ${nameOf(entry)} is not captured as it should be: ${missing.value.join('; ')}`;
      return failure('NOT_CAPTURED', `${what}. The agent repairs it at its next round; see weir capture verify.`);
    });
  }

  /** CNI STATUS: would ADD be served? */
  status(): Result<void> {
    return this.#unlessRunning() ?? this.#deps.readiness();
  }

  /** CNI GC: drops every pod that is not among the valid attachments; resolves with what was dropped. */
  async gc(valid: readonly Attachment[]): Promise<Result<readonly Attachment[]>> {
    const refused = this.#unlessRunning();
    if (refused !== null) return refused;
    const keys = new Set(valid.map(({ containerId, ifName }) => `${containerId}/${ifName}`));
    // An ADD in flight may be younger than the runtime's list.
    const stale = [...this.#entries.values()].filter(
      (entry) => isEnrolled(entry) && !keys.has(`${entry.containerId}/${entry.ifName}`),
    );
    await forEach(stale, AT_ONCE, (entry) =>
      this.#exclusive(entry, async () => {
        await this.#drop(entry);
        this.#log('info', 'pod dropped: the runtime does not know it any more', entry);
      }),
    );
    const saved = await this.#save();
    return saved.ok ? success(stale.map(({ containerId, ifName }) => ({ containerId, ifName }))) : saved;
  }

  /** Verifies every pod in place and repairs what is missing; resolves with the pods that needed it. Call it on a timer. */
  async repair(): Promise<readonly Enrolled[]> {
    if (this.#unlessRunning() !== null) return [];
    const repaired: Enrolled[] = [];
    const entries = [...this.#entries.values()].filter(isEnrolled);
    await forEach(entries, AT_ONCE, (entry) =>
      this.#exclusive(entry, async () => {
        const missing = await this.#missing(entry);
        if (missing.ok && missing.value.length === 0 && entry.problem === null) return;
        if (await this.#bringBack(entry)) repaired.push(enrolledOf(entry));
      }),
    );
    if (entries.some((entry) => !this.#isCurrent(entry))) await this.#save();
    await this.#reconcileProbes();
    return repaired;
  }

  /** Snapshot, ordered by index. */
  list(): readonly Enrolled[] {
    return [...this.#entries.values()]
      .filter(isEnrolled)
      .map(enrolledOf)
      .sort((a, b) => a.index - b.index);
  }

  /** By `name.namespace`, `namespace/name`, uid, or a name that only one pod has; null when unknown. */
  find(text: string): Enrolled | null {
    const pods = this.list();
    const exact = pods.find(
      ({ pod }) =>
        text === `${pod.namespace}/${pod.name}` || text === `${pod.name}.${pod.namespace}` || text === pod.uid,
    );
    if (exact !== undefined) return exact;
    const named = pods.filter(({ pod }) => pod.name === text);
    return named.length === 1 ? (named[0] ?? null) : null;
  }

  /** Waits for operations in flight; later calls are refused with NOT_READY. Leaves rules and listeners alone. */
  async close(): Promise<void> {
    const wasInCharge = this.#phase === 'running';
    this.#phase = 'closed';
    await this.#containers.idle();
    if (wasInCharge) await this.#save();
  }

  async #addNew(request: AddRequest, netnsInode: string): Promise<Result<AddOutcome>> {
    const startedMs = this.#deps.now();
    const { identityWaitMs = limits.cniIdentityWaitMs, readyWaitMs = limits.cniReadyWaitMs } = this.#options;
    const identity = await this.#deps.identityOf(request.pod, identityWaitMs);
    if (!identity.ok) return identity;
    const { uid, serviceAccount } = identity.value;
    const { namespace, name } = request.pod;
    const mode = parseInterceptionMode(
      identity.value.annotations,
      `${namespace}/${name}`,
      this.#options.interceptionMode ?? 'REDIRECT',
    );
    if (!mode.ok) return mode;
    const annotations = captureAnnotations(identity.value.annotations, mode.value);
    const exclusions = parseExclusions(annotations, `${namespace}/${name}`);
    if (!exclusions.ok) return exclusions;
    const proxied = parseProxyPorts(identity.value.annotations);
    if (!proxied.ok) {
      const message = `pod ${namespace}/${name}: annotation ${PROXY_PROTOCOL_PORTS}: ${proxied.reason}. Nothing was changed; correct it and recreate the pod.`;
      return failure('INVALID_ANNOTATION', message);
    }
    const pod: EnrolledPod = { uid, namespace, name, serviceAccount, addresses: request.ips };
    const entry = await this.#reserve(request, netnsInode, pod, annotations);
    if (!entry.ok) return entry;
    const leftMs = limits.cniAddTotalMs - (this.#deps.now() - startedMs);
    const captured = await this.#capture(entry.value, Math.min(readyWaitMs, Math.max(1, leftMs)));
    if (!captured.ok) {
      this.#log('error', `ADD failed: ${captured.error.message}`, entry.value);
      await this.#drop(entry.value);
      return captured;
    }
    this.#log('info', 'pod enrolled', entry.value);
    this.#deps.onEnrolled?.();
    return success({ outcome: 'enrolled', enrolled: enrolledOf(entry.value) });
  }

  /** Takes index and addresses. Whoever had one of the addresses before is gone: an address leads to one pod. */
  async #reserve(
    request: AddRequest,
    netnsInode: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Result<Entry>> {
    const index = this.#freeIndex();
    if (index === null) {
      return failure(
        'LIMIT_REACHED',
        `this node has ${limits.podsPerNodeMax} captured pods (limit podsPerNodeMax)`,
        true,
      );
    }
    this.#indices.add(index);
    const { containerId, ifName, netnsPath } = request;
    const enrolledAtMs = this.#deps.now();
    const evicted = [...this.#entries.values()].filter((other) => overlaps(other.pod, pod));
    const record: PodRecord = { containerId, ifName, index, pod, netnsPath, netnsInode, annotations, enrolledAtMs };
    const entry: Entry = { ...record, state: 'adding', problem: null, released: null };
    this.#entries.set(containerId, entry);
    for (const other of evicted) {
      this.#log('warn', `evicted: its address now belongs to pod ${nameOf(entry)}, without a DEL in between`, other);
      // Its rules stay: if it still runs, it is refused rather than uncaptured.
      this.#entries.delete(other.containerId);
      await this.#release(other);
    }
    return success(entry);
  }

  async #capture(entry: Entry, readyWaitMs: number): Promise<Result<void>> {
    const evicted = failure(
      'NETNS_UNUSABLE',
      `pod ${nameOf(entry)}: its address was given to another pod meanwhile`,
      true,
    );
    if (!this.#isCurrent(entry)) return evicted;
    const listening = await this.#listen(entry, readyWaitMs);
    if (!listening.ok) return listening;
    const [rules, probes] = await Promise.all([
      this.#deps.podRules.apply(entry.netnsPath, entry.pod, entry.annotations, true),
      this.#deps.probeRules.add(entry.pod.addresses),
    ]);
    if (!rules.ok) return rules;
    if (!probes.ok) return probes;
    if (rules.value.redirectedBecause !== undefined) {
      entry.annotations = withoutMode(entry.annotations);
      this.#log(
        'warn',
        `interception mode TPROXY cannot be had, REDIRECT it is: ${rules.value.redirectedBecause}`,
        entry,
      );
    }
    if (rules.value.ipv6Skipped !== null) this.#log('debug', `IPv6 not captured: ${rules.value.ipv6Skipped}`, entry);
    if (!this.#isCurrent(entry)) return evicted;
    entry.state = 'enrolled';
    return this.#save();
  }

  async #listen(entry: Entry, waitMs: number): Promise<Result<void>> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Result<void>>((resolve) => {
      const message = `pod ${nameOf(entry)}: its listeners are not open after ${waitMs} ms; are the workers running? See weir status.`;
      timer = setTimeout(() => resolve(failure('LISTENERS_FAILED', message, true)), waitMs);
    });
    const listening = await Promise.race([this.#deps.listen(entry.index, entry.pod, entry.netnsPath), late]);
    clearTimeout(timer);
    return listening;
  }

  /** ADD of a container that is enrolled already: true again, by repairing it where needed. */
  async #addAgain(entry: Entry): Promise<Result<AddOutcome>> {
    const listening = await this.#listen(entry, this.#options.readyWaitMs ?? limits.cniReadyWaitMs);
    if (!listening.ok) return listening;
    const rules = await this.#deps.podRules.apply(entry.netnsPath, entry.pod, entry.annotations);
    if (!rules.ok) return rules;
    entry.problem = null;
    return success({ outcome: 'enrolled', enrolled: enrolledOf(entry) });
  }

  /** A pod of a previous run: in the table with its index, not yet looked at. */
  #adopt(record: PodRecord): void {
    const usable = record.index <= limits.podsPerNodeMax && !this.#indices.has(record.index);
    const index = usable ? record.index : this.#freeIndex();
    if (index === null || this.#entries.has(record.containerId)) {
      this.#deps.log('error', `pods.json: container ${record.containerId} is repeated or one too many; left out`, {});
      return;
    }
    this.#indices.add(index);
    this.#entries.set(record.containerId, { ...record, index, state: 'enrolled', problem: null, released: null });
  }

  /** Listeners, then rules, in place; false: it was as it should be, or it is gone. */
  async #bringBack(entry: Entry): Promise<boolean> {
    const inode = this.#deps.podRules.inode(entry.netnsPath);
    if (!inode.ok || inode.value !== entry.netnsInode) {
      const why = inode.ok ? 'its path leads to another namespace now' : inode.error.message;
      this.#log('info', `pod dropped: its network namespace is gone (${why})`, entry);
      await this.#drop(entry);
      return false;
    }
    const before = await this.#missing(entry);
    const problem = await this.#restore(entry, before);
    entry.problem = problem;
    if (problem !== null) this.#log('error', `pod is not captured as it should be: ${problem}`, entry);
    else if (!before.ok || before.value.length > 0) {
      const what = before.ok ? before.value.join('; ') : before.error.message;
      this.#log('info', `pod repaired in place; missing were: ${what}`, entry);
    }
    return !before.ok || before.value.length > 0;
  }

  /** What is wrong after the attempt; null: nothing. */
  async #restore(entry: Entry, before: Result<readonly string[]>): Promise<string | null> {
    const listening = await this.#listen(entry, this.#options.readyWaitMs ?? limits.cniReadyWaitMs);
    if (!listening.ok) return listening.error.message;
    if (!before.ok || before.value.some(isRule)) {
      const rules = await this.#deps.podRules.apply(entry.netnsPath, entry.pod, entry.annotations);
      if (!rules.ok) return rules.error.message;
    }
    const after = await this.#missing(entry);
    if (!after.ok) return after.error.message;
    if (after.value.length === 0) return null;
    // The workers believe they listen and the kernel says otherwise: the next round begins from the start.
    if (!after.value.every(isRule) && this.#isCurrent(entry)) await this.#deps.unlisten(entry.index);
    return after.value.join('; ');
  }

  async #reconcileProbes(): Promise<void> {
    const probes = await this.#deps.probeRules.reconcile(
      [...this.#entries.values()].flatMap(({ pod }) => pod.addresses),
    );
    if (!probes.ok) this.#deps.log('error', probes.error.message, {});
  }

  #missing(entry: Entry): Promise<Result<readonly string[]>> {
    return this.#deps.podRules.missing(entry.netnsPath, entry.pod, entry.annotations);
  }

  /** Takes a pod out: listeners, rules of its namespace if that is still the same, probe rules. Failures are logged. */
  async #drop(entry: Entry): Promise<void> {
    if (this.#isCurrent(entry)) this.#entries.delete(entry.containerId);
    const release = this.#release(entry);
    const inode = this.#deps.podRules.inode(entry.netnsPath);
    await release;
    if (!inode.ok || inode.value !== entry.netnsInode) return;
    const removed = await this.#deps.podRules.remove(entry.netnsPath);
    if (!removed.ok) this.#log('warn', `rules could not be removed: ${removed.error.message}`, entry);
  }

  /** Closes the listeners and gives index and addresses back, once. */
  #release(entry: Entry): Promise<void> {
    entry.released ??= this.#releaseOnce(entry);
    return entry.released;
  }

  async #releaseOnce(entry: Entry): Promise<void> {
    const stillUsed = new Set([...this.#entries.values()].flatMap(({ pod }) => pod.addresses));
    const [, probes] = await Promise.all([
      this.#deps.unlisten(entry.index),
      this.#deps.probeRules.remove(entry.pod.addresses.filter((address) => !stillUsed.has(address))),
    ]);
    this.#indices.delete(entry.index);
    if (!probes.ok) this.#log('warn', probes.error.message, entry);
  }

  #save(): Promise<Result<void>> {
    return this.#writer.request();
  }

  /** Runs after whatever else goes on with this container, and only if the entry is still the one. */
  #exclusive(entry: Entry, operation: () => Promise<unknown>): Promise<void> {
    return this.#containers.run(entry.containerId, async () => {
      if (this.#isCurrent(entry)) await operation();
    });
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.containerId) === entry;
  }

  #freeIndex(): number | null {
    for (let index = 1; index <= limits.podsPerNodeMax; index++) if (!this.#indices.has(index)) return index;
    return null;
  }

  #unlessRunning(): Result<never> | null {
    if (this.#phase === 'running') return null;
    const why = this.#phase === 'new' || this.#phase === 'following' ? 'starting' : 'stopping';
    return failure('NOT_READY', `the agent is ${why}; the runtime tries again`, true);
  }

  #log(level: 'debug' | 'info' | 'warn' | 'error', message: string, entry: Entry): void {
    const { containerId, index, netnsPath, pod } = entry;
    this.#deps.log(level, message, { pod: nameOf(entry), uid: pod.uid, containerId, index, netnsPath });
  }
}

/** Runs `operation` for each, `atOnce` at a time. */
async function forEach<T>(items: readonly T[], atOnce: number, operation: (item: T) => Promise<void>): Promise<void> {
  const iterator = items.values();
  const worker = async (): Promise<void> => {
    for (const item of iterator) await operation(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}
