/**
 * Puts the plan into a pod's namespace, takes it out, and looks whether it is there. The only place where pods' rules are written.
 *
 * Four programs at once for a new pod (iptables-restore and ip, two families), about 10 ms; where rules of ours are already, an
 * iptables-save comes in between.
 * IPv6 may be absent (kernel, image, namespace): then it is left out and reported, unless the pod has an IPv6 address.
 */
import type { NetworkNamespace } from '../engine/netns.ts';
import type { EnrolledPod } from '../ipc/messages.ts';
import { describeOutcome, runCommand } from './command.ts';
import type { AppliedRules, PodRulesPort } from './enrolment-types.ts';
import { type Exclusions, parseExclusions } from './exclusions.ts';
import { BACKENDS, type Backend, restoreRules, saveRules } from './iptables-backend.ts';
import { missingListeners } from './listeners.ts';
import {
  type CapturePlan,
  captureRestore,
  captureRestoreFresh,
  captureTeardown,
  type Family,
  planCapture,
  routingSetup,
  routingTeardown,
} from './plan.ts';
import { ipv6Skipped, legacyTablesExist, openNetns, withNetns } from './pod-netns.ts';
import { done, failure, type Result, success } from './result.ts';
import { missingRouting, missingRules } from './verify-rules.ts';

/** Rules of pods' namespaces. One instance per agent; remembers which iptables works here. */
export class PodRules implements PodRulesPort {
  /** null until an apply has succeeded. */
  #proven: Backend | null = null;
  readonly #candidates: readonly Backend[];

  /** `candidates`: in order of preference (tests name one). */
  constructor(candidates: readonly Backend[] = BACKENDS) {
    this.#candidates = candidates;
  }

  /** Which iptables is in use; null before the first pod. */
  get backend(): string | null {
    return this.#proven?.name ?? null;
  }

  inode(netnsPath: string): Result<string> {
    const opened = openNetns(netnsPath);
    if (!opened.ok) return opened;
    const inode = opened.value.inode().toString();
    opened.value.close();
    return success(inode);
  }

  apply(
    netnsPath: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Result<AppliedRules>> {
    const exclusions = parseExclusions(annotations, `${pod.namespace}/${pod.name}`);
    if (!exclusions.ok) return Promise.resolve(exclusions);
    return withNetns(netnsPath, async (netns) => {
      const failures: string[] = [];
      for (const backend of this.#inOrder()) {
        const applied = await this.#applyWith(netns, backend, pod, exclusions.value);
        if (applied.ok) {
          this.#proven = backend;
          await this.#removeFromOthers(netns, backend);
          return applied;
        }
        failures.push(applied.error.message);
        // Half of it may stand (one family, one table): the next candidate must find the namespace clean.
        await removeWith(netns, backend);
      }
      const remedy =
        'the agent needs CAP_NET_ADMIN over the pod, iptables and iproute2, and a kernel with nat, conntrack and CT';
      return failure('RULES_FAILED', `pod ${pod.namespace}/${pod.name}: ${failures.join(' | ')}; ${remedy}`, true);
    });
  }

  async #applyWith(
    netns: NetworkNamespace,
    backend: Backend,
    pod: EnrolledPod,
    exclusions: Exclusions,
  ): Promise<Result<AppliedRules>> {
    const skipped = ipv6Skipped(netns);
    const [v4, v6] = await Promise.all([
      applyFamily(netns, backend, planCapture(4, exclusions)),
      skipped === null ? applyFamily(netns, backend, planCapture(6, exclusions)) : failure('RULES_FAILED', skipped),
    ]);
    if (!v4.ok) return v4;
    if (v6.ok) return success({ backend: backend.name, ipv6Skipped: null });
    if (pod.addresses.some((address) => address.includes(':'))) return v6;
    return success({ backend: backend.name, ipv6Skipped: v6.error.message });
  }

  /** After a change of image or configuration, the other interface may still hold rules of an earlier agent. */
  async #removeFromOthers(netns: NetworkNamespace, current: Backend): Promise<void> {
    if (current.name === 'iptables-nft' && !legacyTablesExist(netns)) return;
    for (const other of this.#candidates) {
      if (other.name !== current.name && other.name !== 'iptables') await removeWith(netns, other, 'rules only');
    }
  }

  #inOrder(): readonly Backend[] {
    const proven = this.#proven;
    return proven === null ? this.#candidates : [proven, ...this.#candidates.filter((other) => other !== proven)];
  }

  remove(netnsPath: string): Promise<Result<void>> {
    if (!this.inode(netnsPath).ok) return Promise.resolve(done);
    return withNetns(netnsPath, async (netns) => {
      let failed: Result<void> = done;
      for (const backend of this.#proven === null ? this.#candidates : [this.#proven]) {
        const removed = await removeWith(netns, backend);
        if (!removed.ok) failed = removed;
      }
      return this.#proven === null ? done : failed;
    });
  }

  missing(
    netnsPath: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Result<readonly string[]>> {
    const exclusions = parseExclusions(annotations, `${pod.namespace}/${pod.name}`);
    if (!exclusions.ok) return Promise.resolve(exclusions);
    return withNetns(netnsPath, async (netns) => {
      const families: Family[] = ipv6Skipped(netns) === null ? [4, 6] : [4];
      const v6Matters = pod.addresses.some((address) => address.includes(':'));
      const perFamily = await Promise.all(
        families.map(async (family) => {
          const found = await this.#missingOf(netns, planCapture(family, exclusions.value));
          // No IPv6 address and no ip6tables: nothing to miss.
          return family === 6 && !v6Matters && !found.ok ? success([]) : found;
        }),
      );
      const lines: string[] = [];
      for (const found of perFamily) {
        if (!found.ok) return found;
        lines.push(...found.value);
      }
      lines.push(...missingListeners(netns, families));
      return success(lines);
    });
  }

  async #missingOf(netns: NetworkNamespace, plan: CapturePlan): Promise<Result<readonly string[]>> {
    let last: Result<readonly string[]> = failure('RULES_FAILED', 'no iptables is installed');
    let best: readonly string[] | null = null;
    for (const backend of this.#inOrder()) {
      const saved = await saveRules(netns, backend, plan.family);
      if (!saved.ok) {
        last = last.ok ? last : saved;
        continue;
      }
      const lines = missingRules(plan, saved.value);
      if (best === null || lines.length < best.length) best = lines;
      if (lines.length === 0 || this.#proven !== null) break;
    }
    if (best === null) return last;
    const [rules, routes] = await Promise.all([
      runCommand(netns, 'ip', [`-${plan.family}`, 'rule', 'show'], ''),
      runCommand(netns, 'ip', [`-${plan.family}`, 'route', 'show', 'table', 'all'], ''),
    ]);
    const failedCommand = [rules, routes].find((outcome) => outcome.status !== 0);
    if (failedCommand !== undefined)
      return failure('RULES_FAILED', `${netns.path}: ${describeOutcome(failedCommand)}`, true);
    return success([...best, ...missingRouting(plan, rules.stdout, routes.stdout)]);
  }
}

async function applyFamily(netns: NetworkNamespace, backend: Backend, plan: CapturePlan): Promise<Result<void>> {
  const [restored, routed] = await Promise.all([
    restoreCapture(netns, backend, plan),
    ipBatch(netns, plan.family, routingSetup(plan.routing), /File exists/),
  ]);
  return restored.ok ? routed : restored;
}

async function restoreCapture(netns: NetworkNamespace, backend: Backend, plan: CapturePlan): Promise<Result<void>> {
  const fresh = await restoreRules(netns, backend, plan.family, captureRestoreFresh(plan));
  if (fresh.ok) return fresh;
  // Rules of ours are there already, or it cannot be done here: the second attempt tells.
  const saved = await saveRules(netns, backend, plan.family);
  return saved.ok ? restoreRules(netns, backend, plan.family, captureRestore(plan, saved.value)) : saved;
}

async function removeWith(
  netns: NetworkNamespace,
  backend: Backend,
  what: 'all' | 'rules only' = 'all',
): Promise<Result<void>> {
  const results = await Promise.all(
    ([4, 6] as const).map(async (family): Promise<Result<void>> => {
      const saved = await saveRules(netns, backend, family);
      const text = saved.ok ? captureTeardown(saved.value) : null;
      const removed = text === null ? done : await restoreRules(netns, backend, family, text);
      if (what === 'rules only') return removed;
      const { routing } = planCapture(family, { outboundPorts: [], inboundPorts: [], outboundCidrs: [] });
      const routed = await ipBatch(
        netns,
        family,
        routingTeardown(routing),
        /No such (process|file or directory)|does not exist|not supported/,
      );
      return removed.ok ? routed : removed;
    }),
  );
  return results.find((result) => !result.ok) ?? done;
}

/** Runs `ip` commands; lines of its complaints that match `harmless` are no failure. */
async function ipBatch(
  netns: NetworkNamespace,
  family: Family,
  batch: string,
  harmless: RegExp,
): Promise<Result<void>> {
  const outcome = await runCommand(netns, 'ip', [`-${family}`, '-force', '-batch', '-'], batch);
  if (outcome.status === 0) return done;
  const complaints = outcome.stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('Command failed'));
  const ended = outcome.status !== null && complaints.length > 0;
  if (ended && complaints.every((line) => harmless.test(line))) return done;
  return failure('RULES_FAILED', `network namespace ${netns.path}: ${describeOutcome(outcome)}`, true);
}
