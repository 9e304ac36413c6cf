/**
 * Keeps the sets of every pod's namespace at what may bypass the agent (mesh/bypass.ts decides; plan.ts has the rules).
 *
 *   tighten   entries that may not bypass any more are taken out of all pods' sets at once; a change of the mesh counts as applied
 *             only after that
 *   loosen    entries are put in, and pods get rules that look at the set, later and one pod after the other
 *
 * It fails closed: an entry is there only while this agent has said so, an empty set is full capture, and where ipset does not work
 * pods keep the plain rules. While no agent runs the sets stay as they were; a policy that comes meanwhile is enforced on bypassed
 * destinations when the agent is back. One pod's operations run one after the other; each looks at what is wanted when it begins.
 */
import {
  type BypassEntry,
  bypassDestinations,
  type BypassList,
  bypassOfPod,
  mayBypass,
  bypassRefusal,
} from '../../mesh/bypass.ts';
import type { MeshState } from '../../mesh/state.ts';
import type { AccessLogMode, ConnectionInfo, LogLevel } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { familiesOf, type PodRules } from './apply.ts';
import { changeSets, entryText, flushSets, rewriteSets } from './bypass-set.ts';
import { type BypassedFlow, cutFlows, readBypassedFlows } from './bypassed-flows.ts';
import { describeOutcome, runCommand } from './command.ts';
import type { Enrolled } from './enrolment-types.ts';
import { interceptionModeOf } from './interception.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { withNetns } from './pod-netns.ts';
import { type CaptureError, done, failure, type Result, success } from './result.ts';

/** What the upkeep needs from the agent. */
export interface BypassDeps {
  readonly mesh: MeshState;
  readonly podRules: Pick<PodRules, 'bypassWanted' | 'bypassProblem' | 'formOf' | 'switchForm'>;
  enrolled(): readonly Enrolled[];
  accessLog(): AccessLogMode;
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
}

/** For `weir status`. */
export interface BypassStatus {
  /** `unavailable`: asked for, and impossible here. */
  readonly state: 'off' | 'on' | 'unavailable';
  /** Why it is not on; null: it is. */
  readonly reason: string | null;
  /** Pods whose rules look at a set, and the entries of all these sets. */
  readonly pods: number;
  readonly entries: number;
  /** Destinations that did not fit into a pod's set. */
  readonly omitted: number;
}

/** What is known of one pod's sets. */
interface PodSets {
  /** What the kernel has; null: not known (agent start, a change that failed). */
  actual: ReadonlySet<string> | null;
  wanted: ReadonlySet<string>;
}

const NOTHING: BypassList = { entries: [], omitted: 0 };
const NO_ENTRIES: ReadonlySet<string> = new Set();

export class BypassSets {
  readonly #deps: BypassDeps;
  readonly #pods = new Map<string, PodSets>();
  readonly #queue = new KeyedQueue();
  #omitted = 0;
  #timer: NodeJS.Timeout | null = null;
  #loosening = false;
  #again = false;
  #closed = false;

  constructor(deps: BypassDeps) {
    this.#deps = deps;
  }

  /**
   * Call it after every change of the mesh, of the pods or of the access log. Resolves when nothing bypasses the agent any more that
   * may not; never rejects. What may bypass it newly does so soon after.
   */
  async request(): Promise<void> {
    if (this.#closed) return;
    const refusal = bypassRefusal(this.#deps.mesh.settings, this.#deps.accessLog());
    this.#deps.podRules.bypassWanted = refusal === null;
    const enrolled = this.#deps.enrolled();
    this.#want(enrolled, refusal === null);
    await Promise.all(enrolled.map((pod) => this.#queue.run(keyOf(pod), () => this.#tighten(pod))));
    this.#loosenSoon(limits.bypassAddDelayMs);
  }

  /** As request, but takes nothing for granted: all sets are written anew, in one step each. Call it on a timer. */
  async repair(): Promise<void> {
    // Somebody may have changed a set, or an agent that is leaving may have written to it last.
    for (const sets of this.#pods.values()) sets.actual = null;
    await this.request();
  }

  status(): BypassStatus {
    const { mesh, podRules } = this.#deps;
    const inUse = this.#deps.enrolled().filter(({ netnsPath }) => podRules.formOf(netnsPath) === 'bypass');
    const entries = inUse.reduce((sum, pod) => sum + (this.#pods.get(keyOf(pod))?.actual?.size ?? 0), 0);
    const counts = { pods: inUse.length, entries, omitted: this.#omitted };
    const refusal = bypassRefusal(mesh.settings, this.#deps.accessLog());
    if (refusal !== null) return { state: 'off', reason: refusal, ...counts };
    const problem = podRules.bypassProblem;
    if (problem === null || inUse.length > 0) return { state: 'on', reason: problem, ...counts };
    return { state: 'unavailable', reason: problem, ...counts };
  }

  /** What a pod may reach, and be reached at, without the agent: `ip,tcp:port`. */
  entriesOf(pod: Enrolled): readonly string[] {
    return [...(this.#pods.get(keyOf(pod))?.actual ?? NO_ENTRIES)];
  }

  /** Live connections that bypass the agent, as far as the kernel shows them; else the destinations to which there may be some. */
  async connections(): Promise<readonly ConnectionInfo[]> {
    const pods = this.#deps.enrolled().filter((pod) => this.entriesOf(pod).length > 0);
    const rows = await Promise.all(pods.map((pod) => this.#rowsOf(pod)));
    return rows.flat();
  }

  /** Ends the upkeep; sets and rules stay as they are. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#queue.idle();
  }

  /** Works out what each pod's sets should be; at once, so that every operation that begins from now on sees it. */
  #want(enrolled: readonly Enrolled[], on: boolean): void {
    const { mesh } = this.#deps;
    const max = limits.bypassEntriesPerPodMax;
    const shared = on ? bypassDestinations(mesh, max) : NOTHING;
    const sharedTexts = shared.entries.map(entryText);
    this.#omitted = shared.omitted;
    const present = new Set(enrolled.map(keyOf));
    for (const key of this.#pods.keys()) if (!present.has(key)) this.#pods.delete(key);
    for (const one of enrolled) {
      const { pod } = one;
      const sets = this.#pods.get(keyOf(one)) ?? { actual: null, wanted: NO_ENTRIES };
      const workload = on ? mesh.workloadByUid(pod.uid) : null;
      const own: readonly BypassEntry[] = workload === null ? [] : bypassOfPod(mesh, workload, pod.addresses);
      const others = mayBypass(mesh, workload) ? sharedTexts : [];
      sets.wanted = on ? new Set([...own.map(entryText), ...others].slice(0, max)) : NO_ENTRIES;
      this.#pods.set(keyOf(one), sets);
    }
  }

  /** Takes out what may not bypass any more. */
  async #tighten(pod: Enrolled): Promise<void> {
    const sets = this.#pods.get(keyOf(pod));
    const form = this.#deps.podRules.formOf(pod.netnsPath);
    if (sets === undefined || form === 'plain' || form === 'tproxy') return;
    const { actual, wanted } = sets;
    if (form === null) {
      // Its rules could not be read since this agent started: an earlier one may have left entries.
      if (actual === null && (await this.#write(pod, flushSets)).ok) sets.actual = NO_ENTRIES;
      return;
    }
    if (actual !== null && isSubset(actual, wanted)) return;
    const kept = new Set([...(actual ?? wanted)].filter((entry) => wanted.has(entry)));
    const changed = await this.#write(pod, (families) =>
      actual === null
        ? rewriteSets(families, [...kept])
        : changeSets(
            families,
            [...actual].filter((entry) => !wanted.has(entry)),
            [],
          ),
    );
    if (changed.ok) {
      sets.actual = kept;
      // Its enforcement has begun; the rest is courtesy and must not keep the change of the mesh waiting.
      void this.#queue.run(keyOf(pod), () => this.#cut(pod, kept));
      return;
    }
    await this.#giveUp(pod, sets, changed.error);
  }

  /** A set that cannot be changed is emptied; one that cannot be emptied either is tried again, and the log says so. */
  async #giveUp(pod: Enrolled, sets: PodSets, error: CaptureError): Promise<void> {
    sets.actual = null;
    // The pod has gone, and its DEL is on its way.
    if (error.code === 'NETNS_UNUSABLE') return;
    const flushed = await this.#write(pod, flushSets);
    if (flushed.ok) sets.actual = NO_ENTRIES;
    const what = flushed.ok
      ? 'what bypasses the agent could not be changed; nothing does now'
      : 'what bypasses the agent could not be changed and may still bypass it';
    this.#deps.log(flushed.ok ? 'warn' : 'error', `${what}: ${error.message}`, {
      pod: nameOf(pod),
      netnsPath: pod.netnsPath,
    });
    if (!flushed.ok) this.#retrySoon();
  }

  #write(pod: Enrolled, textOf: (families: ReturnType<typeof familiesOf>) => string): Promise<Result<void>> {
    return withNetns(pod.netnsPath, async (netns) => {
      const outcome = await runCommand(netns, 'ipset', ['-exist', 'restore'], textOf(familiesOf(netns)));
      return outcome.status === 0 ? done : failure('RULES_FAILED', describeOutcome(outcome), true);
    });
  }

  async #cut(pod: Enrolled, kept: ReadonlySet<string>): Promise<void> {
    await withNetns(pod.netnsPath, async (netns) => {
      const flows = (await readBypassedFlows(netns)) ?? [];
      const stale = flows.filter(({ destination }) => !kept.has(entryText(destination)));
      await cutFlows(netns, stale, pod.pod.addresses);
      return success(undefined);
    });
  }

  #retrySoon(): void {
    if (this.#closed) return;
    setTimeout(() => void this.request(), limits.bypassRetryMs).unref();
  }

  #loosenSoon(delayMs: number): void {
    this.#again = this.#loosening;
    if (this.#timer !== null || this.#loosening || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#loosenAll();
    }, delayMs);
    this.#timer.unref();
  }

  async #loosenAll(): Promise<void> {
    this.#loosening = true;
    const pauseMs = 1_000 / limits.bypassGrowthsPerSecond;
    for (const pod of this.#deps.enrolled()) {
      if (this.#closed) break;
      const worked = await this.#queue.run(keyOf(pod), () => this.#loosen(pod));
      if (worked) await new Promise<void>((resolve) => setTimeout(resolve, pauseMs));
    }
    this.#loosening = false;
    if (this.#again) this.#loosenSoon(0);
  }

  /** Gives the pod the rules that look at its sets, and puts in what may bypass newly. False: there was nothing to do. */
  async #loosen(pod: Enrolled): Promise<boolean> {
    const sets = this.#pods.get(keyOf(pod));
    if (sets === undefined) return false;
    const { podRules } = this.#deps;
    if (!podRules.bypassWanted) return this.#backToPlain(pod, sets);
    // Its connections are routed to the agent: nothing of it bypasses.
    if (interceptionModeOf(pod.annotations) === 'TPROXY') return false;
    if (podRules.formOf(pod.netnsPath) !== 'bypass') {
      const switched = await podRules.switchForm(pod.netnsPath, pod.pod, pod.annotations, 'bypass');
      if (!switched.ok || podRules.formOf(pod.netnsPath) !== 'bypass') return true;
      sets.actual = null;
    }
    const { actual, wanted } = sets;
    if (actual !== null && isSubset(wanted, actual)) return false;
    const added = [...wanted].filter((entry) => actual?.has(entry) !== true);
    const changed = await this.#write(pod, (families) =>
      actual === null ? rewriteSets(families, [...wanted]) : changeSets(families, [], added),
    );
    if (changed.ok) sets.actual = actual === null ? wanted : new Set([...actual, ...added]);
    else await this.#giveUp(pod, sets, changed.error);
    return true;
  }

  /** The rules that cut bypassed connections go only when there is none: an idle one would escape every later policy. */
  async #backToPlain(pod: Enrolled, sets: PodSets): Promise<boolean> {
    const { podRules } = this.#deps;
    if (podRules.formOf(pod.netnsPath) !== 'bypass' || sets.actual?.size !== 0) return false;
    const flows = await withNetns(pod.netnsPath, async (netns) => success(await readBypassedFlows(netns)));
    if (!flows.ok || flows.value === null || flows.value.length > 0) return true;
    await podRules.switchForm(pod.netnsPath, pod.pod, pod.annotations, 'plain');
    sets.actual = null;
    return true;
  }

  async #rowsOf(pod: Enrolled): Promise<readonly ConnectionInfo[]> {
    const flows = await withNetns(pod.netnsPath, async (netns) => success(await readBypassedFlows(netns)));
    if (flows.ok && flows.value !== null) return flows.value.map((flow) => this.#row(pod, flow));
    return this.entriesOf(pod).map((entry) => {
      const at = entry.lastIndexOf(',tcp:');
      const destination = { ip: entry.slice(0, at), port: Number(entry.slice(at + ',tcp:'.length)) };
      return this.#row(pod, { state: 'may bypass', source: { ip: '', port: 0 }, destination });
    });
  }

  #row(pod: Enrolled, { state, source, destination }: BypassedFlow): ConnectionInfo {
    const found = this.#deps.mesh.resolve(destination.ip, destination.port);
    const service = found.kind === 'service' ? found.service : null;
    return {
      worker: -1,
      pod: nameOf(pod),
      direction: pod.pod.addresses.includes(destination.ip) ? 'inbound' : 'outbound',
      protocol: 'bypassed',
      source: source.ip === '' ? '-' : addressText(source),
      destination: addressText(destination),
      service: service === null ? null : `${service.namespace}/${service.name}`,
      upstream: null,
      state: state.toLowerCase(),
      ageMs: 0,
      idleMs: 0,
      bytesFromClient: 0,
      bytesToClient: 0,
      requests: 0,
    };
  }
}

function isSubset(small: ReadonlySet<string>, large: ReadonlySet<string>): boolean {
  for (const entry of small) if (!large.has(entry)) return false;
  return true;
}

/** A container id may come again with another namespace. */
function keyOf({ containerId, enrolledAtMs }: Enrolled): string {
  return `${containerId} ${enrolledAtMs}`;
}

function nameOf({ pod }: Enrolled): string {
  return `${pod.namespace}/${pod.name}`;
}

function addressText({ ip, port }: BypassedFlow['source']): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
