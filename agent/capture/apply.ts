/**
 * Puts the plan into a pod's namespace, takes it out, and looks whether it is there. The only place where pods' rules are written.
 *
 * Four programs at once for a new pod (iptables-restore and ip, two families), about 10 ms; where rules of ours are already, an
 * iptables-save comes in between.
 * IPv6 may be absent (kernel, image, namespace): then it is left out and reported, unless the pod has an IPv6 address.
 *
 * Rules come in two forms (plan.ts). The form that looks at the set of what bypasses the agent needs ipset and xt_set; where one is
 * missing the other form is used and the reason kept. Who fills the sets: bypass.ts.
 */
import type { NetworkNamespace } from '../engine/netns.ts';
import type { EnrolledPod } from '../ipc/messages.ts';
import { describeOutcome, runCommand } from './command.ts';
import { createSets } from './bypass-set.ts';
import type { AppliedRules, PodRulesPort } from './enrolment-types.ts';
import { type Exclusions, parseExclusions } from './exclusions.ts';
import { type InterceptionMode, parseInterceptionMode, tproxySource } from './interception.ts';
import { BACKENDS, type Backend, restoreRules, saveRules } from './iptables-backend.ts';
import { missingListeners } from './listeners.ts';
import {
  bypassSet,
  type CapturePlan,
  captureRestore,
  captureRestoreFresh,
  captureTeardown,
  type Family,
  planCapture,
  type RuleForm,
  type Variant,
} from './plan.ts';
import { ipv6Skipped, legacyTablesExist, openNetns, withNetns } from './pod-netns.ts';
import { canMarkReplies, isOn, markReplies, repliesAreMarked, switchSetting } from './pod-settings.ts';
import { done, failure, type Result, success } from './result.ts';
import { missingRouting, routingSetup, routingTeardown, staleRouting } from './routing.ts';
import { missingRules } from './verify-rules.ts';

/** Rules of pods' namespaces. One instance per agent; remembers which iptables works here. */
export class PodRules implements PodRulesPort {
  /** null until an apply has succeeded. */
  #proven: Backend | null = null;
  readonly #candidates: readonly Backend[];
  /** The form that a namespace was last seen in. */
  readonly #forms = new Map<string, RuleForm>();
  #bypassProblem: string | null = null;
  /** New pods get rules of the form `bypass`, with empty sets; a pod that has them keeps them until `switchForm`. */
  bypassWanted = false;

  /** `candidates`: in order of preference (tests name one). */
  constructor(candidates: readonly Backend[] = BACKENDS) {
    this.#candidates = candidates;
  }

  /** Which iptables is in use; null before the first pod. */
  get backend(): string | null {
    return this.#proven?.name ?? null;
  }

  /** Why the form `bypass` could not be had when it was last tried; null: it could, or never was. */
  get bypassProblem(): string | null {
    return this.#bypassProblem;
  }

  /** null: not looked at yet. */
  formOf(netnsPath: string): RuleForm | null {
    return this.#forms.get(netnsPath) ?? null;
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
    isNew = false,
  ): Promise<Result<AppliedRules>> {
    const mode = parseInterceptionMode(annotations, `${pod.namespace}/${pod.name}`, 'REDIRECT');
    if (!mode.ok) return Promise.resolve(mode);
    if (mode.value === 'TPROXY') return this.switchForm(netnsPath, pod, annotations, 'tproxy', isNew);
    const keep = this.bypassWanted || this.#forms.get(netnsPath) === 'bypass';
    return this.switchForm(netnsPath, pod, annotations, keep ? 'bypass' : 'plain', isNew);
  }

  /**
   * As apply, in the form given, or `plain` where that cannot be had (`tproxy`: only if new). Sets stay as they are, and are empty when
   * made here.
   */
  switchForm(
    netnsPath: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
    wanted: RuleForm,
    isNew = false,
  ): Promise<Result<AppliedRules>> {
    const exclusions = parseExclusions(annotations, `${pod.namespace}/${pod.name}`);
    if (!exclusions.ok) return Promise.resolve(exclusions);
    return withNetns(netnsPath, async (netns) => {
      const before = this.#forms.get(netnsPath);
      const failures: string[] = [];
      for (const backend of this.#inOrder()) {
        let form: RuleForm = wanted === 'bypass' && !(await this.#makeSets(netns)) ? 'plain' : wanted;
        let applied = await this.#applyWith(netns, backend, pod, exclusions.value, form);
        if (!applied.ok && (form === 'bypass' || (form === 'tproxy' && isNew))) {
          // Most likely rules cannot name sets here (no xt_set), or not hand packets to a socket (no xt_TPROXY).
          const reason = applied.error.message;
          if (form === 'bypass') this.#bypassProblem = reason;
          else await removeWith(netns, backend);
          applied = await this.#applyWith(netns, backend, pod, exclusions.value, 'plain');
          if (applied.ok && form === 'tproxy') applied = success({ ...applied.value, redirectedBecause: reason });
          form = 'plain';
        }
        if (applied.ok) {
          this.#proven = backend;
          this.#forms.set(netnsPath, form);
          if (form === 'bypass') this.#bypassProblem = null;
          else if (before === 'bypass') await destroySets(netns);
          await this.#removeFromOthers(netns, backend);
          // After the rules that it needs. Where it cannot be had, the rules are those that bring replies back one by one.
          markReplies(netns, true);
          return applied;
        }
        failures.push(applied.error.message);
        // Half of it may stand (one family, one table): the next candidate must find the namespace clean. Of a pod that runs nothing is taken out:
        // it would run uncaptured, and connections that are routed to the agent would break.
        if (isNew) await removeWith(netns, backend);
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
    form: RuleForm,
  ): Promise<Result<AppliedRules>> {
    const skipped = ipv6Skipped(netns);
    if (form === 'tproxy') {
      const refused = switchSetting(netns, 'ipv4/conf/all/src_valid_mark');
      if (refused !== null) return failure('RULES_FAILED', `net.ipv4.conf.all.src_valid_mark: ${refused}`);
    }
    const repliesMarked = canMarkReplies(netns);
    const variant = (family: Family): Variant => ({ form, source: tproxySource(pod, family), repliesMarked });
    const [v4, v6] = await Promise.all([
      applyFamily(netns, backend, planCapture(4, exclusions, variant(4))),
      skipped === null
        ? applyFamily(netns, backend, planCapture(6, exclusions, variant(6)))
        : failure('RULES_FAILED', skipped),
    ]);
    if (!v4.ok) return v4;
    if (v6.ok) return success({ backend: backend.name, ipv6Skipped: null });
    // The form is that of both families, so that what stands can be told from what is missing.
    if (pod.addresses.some((address) => address.includes(':')) || (form !== 'plain' && skipped === null)) return v6;
    return success({ backend: backend.name, ipv6Skipped: v6.error.message });
  }

  /** False: ipset is not installed, or the kernel lacks ip_set_hash_ipport. */
  async #makeSets(netns: NetworkNamespace): Promise<boolean> {
    const made = await runCommand(netns, 'ipset', ['-exist', 'restore'], createSets(familiesOf(netns)));
    if (made.status !== 0) this.#bypassProblem = describeOutcome(made);
    return made.status === 0;
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
      markReplies(netns, false);
      for (const backend of this.#proven === null ? this.#candidates : [this.#proven]) {
        const removed = await removeWith(netns, backend);
        if (!removed.ok) failed = removed;
      }
      if (this.#forms.get(netnsPath) !== 'plain') await destroySets(netns);
      this.#forms.delete(netnsPath);
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
    const mode = parseInterceptionMode(annotations, `${pod.namespace}/${pod.name}`, 'REDIRECT');
    if (!mode.ok) return Promise.resolve(mode);
    return withNetns(netnsPath, async (netns) => {
      const families = familiesOf(netns);
      const v6Matters = pod.addresses.some((address) => address.includes(':'));
      const perFamily = await Promise.all(
        families.map(async (family) => {
          const variants = variantsOf(netns, mode.value, tproxySource(pod, family));
          const found = await this.#missingOf(netns, family, exclusions.value, variants);
          // No IPv6 address and no ip6tables: nothing to miss.
          return family === 6 && !v6Matters && !found.ok ? success(NOTHING_MISSING) : found;
        }),
      );
      const lines: string[] = [];
      let form: RuleForm = 'plain';
      for (const found of perFamily) {
        if (!found.ok) return found;
        lines.push(...found.value.lines);
        if (found.value.variant.form !== 'plain') form = found.value.variant.form;
      }
      this.#forms.set(netnsPath, form);
      if (form === 'tproxy' && !isOn(netns, 'ipv4/conf/all/src_valid_mark')) {
        lines.push('IPv4: net.ipv4.conf.all.src_valid_mark is off');
      }
      lines.push(...missingListeners(netns, families));
      return success(lines);
    });
  }

  async #missingOf(
    netns: NetworkNamespace,
    family: Family,
    exclusions: Exclusions,
    variants: readonly Variant[],
  ): Promise<Result<Missing>> {
    let last: Result<Missing> = failure('RULES_FAILED', 'no iptables is installed');
    let best: Missing | null = null;
    for (const backend of this.#inOrder()) {
      const saved = await saveRules(netns, backend, family);
      if (!saved.ok) {
        last = last.ok ? last : saved;
        continue;
      }
      const nearer = nearest(family, exclusions, variants, saved.value);
      if (best === null || nearer.lines.length < best.lines.length) best = nearer;
      if (nearer.lines.length === 0 || this.#proven !== null) break;
    }
    if (best === null) return last;
    const [rules, routes] = await Promise.all([
      runCommand(netns, 'ip', [`-${family}`, 'rule', 'show'], ''),
      runCommand(netns, 'ip', [`-${family}`, 'route', 'show', 'table', 'all'], ''),
    ]);
    const failedCommand = [rules, routes].find((outcome) => outcome.status !== 0);
    if (failedCommand !== undefined)
      return failure('RULES_FAILED', `${netns.path}: ${describeOutcome(failedCommand)}`, true);
    const { routing } = planCapture(family, exclusions, best.variant);
    return success({
      ...best,
      lines: [...best.lines, ...missingRouting(family, routing, rules.stdout, routes.stdout)],
    });
  }
}

/** What a namespace lacks of the variant that it is nearest to. */
interface Missing {
  readonly variant: Variant;
  readonly lines: readonly string[];
}

/** What may stand in a pod's namespace: for redirection with or without bypass, as each captures what it should. */
function variantsOf(netns: NetworkNamespace, mode: InterceptionMode, source: string | null): readonly Variant[] {
  const repliesMarked = repliesAreMarked(netns);
  const forms: readonly RuleForm[] = mode === 'TPROXY' ? ['tproxy'] : ['plain', 'bypass'];
  return forms.map((form) => ({ form, source, repliesMarked }));
}

/** The one that is nearest is meant. */
function nearest(family: Family, exclusions: Exclusions, variants: readonly Variant[], saved: string): Missing {
  let best: Missing | null = null;
  for (const variant of variants) {
    const lines = missingRules(planCapture(family, exclusions, variant), saved);
    if (best === null || lines.length < best.lines.length) best = { variant, lines };
  }
  return best ?? NOTHING_MISSING;
}

const NOTHING_MISSING: Missing = { variant: { form: 'plain', source: null, repliesMarked: true }, lines: [] };

/** The families that are captured in a namespace. */
export function familiesOf(netns: NetworkNamespace): readonly Family[] {
  return ipv6Skipped(netns) === null ? [4, 6] : [4];
}

/** Fails quietly where there are none, and where a rule still names them. */
async function destroySets(netns: NetworkNamespace): Promise<void> {
  for (const family of [4, 6] as const) await runCommand(netns, 'ipset', ['destroy', bypassSet(family)], '');
}

async function applyFamily(netns: NetworkNamespace, backend: Backend, plan: CapturePlan): Promise<Result<void>> {
  const [fresh, routed] = await Promise.all([
    restoreRules(netns, backend, plan.family, captureRestoreFresh(plan)),
    ipBatch(netns, plan.family, routingSetup(plan.routing), /File exists/),
  ]);
  if (fresh.ok || !routed.ok) return routed;
  // Rules of ours are there already, or it cannot be done here: the second attempt tells.
  const replaced = await replaceCapture(netns, backend, plan);
  if (!replaced.ok) return replaced;
  const shown = await showRules(netns, plan.family);
  if (!shown.ok) return shown;
  const stale = staleRouting(plan.routing, shown.value);
  return stale === '' ? done : ipBatch(netns, plan.family, stale, NOT_THERE);
}

async function replaceCapture(netns: NetworkNamespace, backend: Backend, plan: CapturePlan): Promise<Result<void>> {
  const saved = await saveRules(netns, backend, plan.family);
  return saved.ok ? restoreRules(netns, backend, plan.family, captureRestore(plan, saved.value)) : saved;
}

/** What `ip` says of something that should go and is not there. */
const NOT_THERE = /No such (process|file or directory)|does not exist|not supported/;

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
      const shown = await showRules(netns, family);
      if (!shown.ok) return shown;
      const routed = await ipBatch(netns, family, routingTeardown(shown.value), NOT_THERE);
      return removed.ok ? routed : removed;
    }),
  );
  return results.find((result) => !result.ok) ?? done;
}

/** What `ip rule show` prints; '' where there is no such family. A failure must not pass for "there are none": what is left would lead nowhere. */
async function showRules(netns: NetworkNamespace, family: Family): Promise<Result<string>> {
  const outcome = await runCommand(netns, 'ip', [`-${family}`, 'rule', 'show'], '');
  if (outcome.status === 0) return success(outcome.stdout);
  if (outcome.status !== null && NOT_THERE.test(outcome.stderr)) return success('');
  return failure('RULES_FAILED', `network namespace ${netns.path}: ${describeOutcome(outcome)}`, true);
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
