/**
 * Rules of the node's own namespace: what a process of the node (kubelet) sends to an enrolled pod comes from PROBE_SOURCE, an
 * address nobody else has, which the pod's rules let pass. So probes pass any policy, and nothing else does.
 *
 *   nat POSTROUTING -p tcp, has a socket here, not marked → WEIR_PROBES_xxxxxxxx → SNAT, one rule per pod address
 *
 * A forwarded packet (another pod's) has no socket in this namespace; `weir capture verify` marks its own. The chain's name carries
 * the node's, so that several agents can share one host namespace (weir sandbox). One change at a
 * time, one iptables-restore per family; changes that come meanwhile are taken together.
 *
 * Known limit: any process of the node is taken for kubelet, also a hostNetwork pod's (as in Istio ambient).
 */
import { createHash } from 'node:crypto';
import { BYPASS_MARK, MARK_MASK, PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from '../../mesh/ports.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import { runCommand } from './command.ts';
import type { ProbeRulesPort } from './enrolment-types.ts';
import { BACKENDS, type Backend, restoreRules } from './iptables-backend.ts';
import type { Family } from './plan.ts';
import { legacyTablesExist, withNetns } from './pod-netns.ts';
import { done, failure, type Result, success } from './result.ts';
import { SerialWriter } from './serial-writer.ts';

/** Chain name for a node: at most 28 characters (iptables' own limit). */
export function probeChain(node: string): string {
  return `WEIR_PROBES_${createHash('sha256').update(node).digest('hex').slice(0, 8).toUpperCase()}`;
}

/** The rule in POSTROUTING. */
export function probeJump(chain: string): string {
  const mark = `0x${BYPASS_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
  const comment = '-m comment --comment "weir: node processes to pods"';
  return `-p tcp -m owner --socket-exists -m mark ! --mark ${mark} ${comment} -j ${chain}`;
}

/** Input of `iptables-restore --noflush`: exactly these addresses of the family; `hasJump`: POSTROUTING has the jump already. */
export function probeRestore(family: Family, chain: string, addresses: readonly string[], hasJump: boolean): string {
  const rules = addresses.map((address) => `-A ${probeRule(family, chain, address)}`);
  // First: before what would masquerade the packet under another address.
  const jump = hasJump ? [] : [`-I POSTROUTING 1 ${probeJump(chain)}`];
  return `${['*nat', `:${chain} - [0:0]`, ...rules, ...jump, 'COMMIT'].join('\n')}\n`;
}

/**
 * Input of `iptables-restore --noflush` that changes a chain from some addresses to others. Adding rules is quick; taking rules out
 * makes the kernel wait for every processor (RCU), about 15 ms on a small node, so a chain is not written anew for one more pod.
 */
export function probeChange(family: Family, chain: string, from: ReadonlySet<string>, to: readonly string[]): string {
  const added = to.filter((address) => !from.has(address));
  const removed = [...from].filter((address) => !to.includes(address));
  const lines = [
    ...removed.map((address) => `-D ${probeRule(family, chain, address)}`),
    ...added.map((address) => `-A ${probeRule(family, chain, address)}`),
  ];
  return lines.length === 0 ? '' : `${['*nat', ...lines, 'COMMIT'].join('\n')}\n`;
}

function probeRule(family: Family, chain: string, address: string): string {
  const source = family === 4 ? PROBE_SOURCE_V4 : PROBE_SOURCE_V6;
  const to = `${address}/${family === 4 ? 32 : 128}`;
  return `${chain} -d ${to} -p tcp -m comment --comment "weir: probes" -j SNAT --to-source ${source}`;
}

/** Input of `iptables-restore --noflush` that takes the chain out. */
export function probeTeardown(chain: string, hasJump: boolean): string {
  const jump = hasJump ? [`-D POSTROUTING ${probeJump(chain)}`] : [];
  return `${['*nat', `:${chain} - [0:0]`, ...jump, `-X ${chain}`, 'COMMIT'].join('\n')}\n`;
}

/** The node's probe rules: add at enrolment, remove at DEL, reconcile at start. */
export class ProbeRules implements ProbeRulesPort {
  readonly #netnsPath: string;
  readonly #chain: string;
  readonly #candidates: readonly Backend[];
  #backend: Backend | null = null;
  readonly #addresses = new Set<string>();
  /** What the chain of a family held after the last write; a family that is not here is written anew, jump included. */
  readonly #written = new Map<Family, ReadonlySet<string>>();
  #anew = true;
  readonly #writer = new SerialWriter(() => withNetns(this.#netnsPath, (netns) => this.#writeIn(netns)));

  /** `hostNetnsPath`: the node's namespace (--host-netns); `node`: its name. */
  constructor(hostNetnsPath: string, node: string, candidates: readonly Backend[] = BACKENDS) {
    this.#netnsPath = hostNetnsPath;
    this.#chain = probeChain(node);
    this.#candidates = candidates;
  }

  add(addresses: readonly string[]): Promise<Result<void>> {
    for (const address of addresses) this.#addresses.add(address);
    return this.#writer.request();
  }

  remove(addresses: readonly string[]): Promise<Result<void>> {
    for (const address of addresses) this.#addresses.delete(address);
    return this.#writer.request();
  }

  reconcile(addresses: readonly string[]): Promise<Result<void>> {
    this.#addresses.clear();
    // Somebody may have flushed the table. (A write that is running now would remember its own result: so only noted here.)
    this.#anew = true;
    return this.add(addresses);
  }

  /** Takes chain and jump out of the node's namespace (uninstall). Call it when no add or remove is in flight. */
  removeAll(): Promise<Result<void>> {
    this.#addresses.clear();
    this.#written.clear();
    return withNetns(this.#netnsPath, async (netns) => {
      const backend = await this.#choose(netns);
      if (!backend.ok) return backend;
      const [four] = await Promise.all(
        ([4, 6] as const).map(async (family) => {
          const hasJump = await this.#hasJump(netns, backend.value, family);
          return restoreRules(netns, backend.value, family, probeTeardown(this.#chain, hasJump));
        }),
      );
      return four ?? done;
    });
  }

  async #writeIn(netns: NetworkNamespace): Promise<Result<void>> {
    const chosen = await this.#choose(netns);
    if (!chosen.ok) return chosen;
    const backend = chosen.value;
    if (this.#anew) this.#written.clear();
    this.#anew = false;
    const v6 = [...this.#addresses].filter((address) => address.includes(':'));
    const v4 = [...this.#addresses].filter((address) => !address.includes(':'));
    const [four, six] = await Promise.all([
      this.#writeFamily(netns, backend, 4, v4),
      this.#writeFamily(netns, backend, 6, v6),
    ]);
    // A node without IPv6 has no probes over it.
    const failed = !four.ok ? four : !six.ok && v6.length > 0 ? six : null;
    if (failed === null) return done;
    return failure('RULES_FAILED', `rules for kubelet's probes on the node: ${failed.error.message}`, true);
  }

  async #writeFamily(
    netns: NetworkNamespace,
    backend: Backend,
    family: Family,
    addresses: string[],
  ): Promise<Result<void>> {
    const written = this.#written.get(family);
    if (written !== undefined) {
      const change = probeChange(family, this.#chain, written, addresses);
      const changed = change === '' ? done : await restoreRules(netns, backend, family, change);
      if (changed.ok) {
        this.#written.set(family, new Set(addresses));
        return done;
      }
      // Somebody has changed the chain: all of it anew.
    }
    this.#written.delete(family);
    const hasJump = await this.#hasJump(netns, backend, family);
    const restored = await restoreRules(netns, backend, family, probeRestore(family, this.#chain, addresses, hasJump));
    if (restored.ok) this.#written.set(family, new Set(addresses));
    return restored;
  }

  async #hasJump(netns: NetworkNamespace, backend: Backend, family: Family): Promise<boolean> {
    // -C, not iptables-save: a node under kube-proxy may have 50,000 rules.
    const args = ['-w', '4', '-t', 'nat', '-C', 'POSTROUTING', ...argumentsOf(probeJump(this.#chain))];
    return (await runCommand(netns, backend.program[family], args, '')).status === 0;
  }

  /**
   * kubelet leaves the chain KUBE-IPTABLES-HINT in mangle of whichever interface the node uses (Kubernetes KEP-3178): use the
   * same, because nat hooks of both interfaces in one namespace hide each other's decisions. Without a hint: the first that works.
   */
  async #choose(netns: NetworkNamespace): Promise<Result<Backend>> {
    if (this.#backend !== null) return success(this.#backend);
    const found = (await this.#hinted(netns)) ?? (await this.#firstInstalled(netns));
    if (found === null) return failure('RULES_FAILED', 'no iptables can be run on the node; install iptables', true);
    this.#backend = found;
    return success(found);
  }

  async #hinted(netns: NetworkNamespace): Promise<Backend | null> {
    const legacyInUse = legacyTablesExist(netns);
    for (const backend of this.#candidates) {
      // Looking through the legacy interface would create its tables on a node that has none.
      if (backend.name === 'iptables-legacy' && !legacyInUse) continue;
      const args = ['-w', '4', '-t', 'mangle', '-S', 'KUBE-IPTABLES-HINT'];
      if ((await runCommand(netns, backend.program[4], args, '')).status === 0) return backend;
    }
    return null;
  }

  async #firstInstalled(netns: NetworkNamespace): Promise<Backend | null> {
    for (const backend of this.#candidates) {
      if ((await runCommand(netns, backend.program[4], ['-V'], '')).status === 0) return backend;
    }
    return null;
  }
}

/** Splits a rule of ours into arguments; quotes stand around comments only. */
function argumentsOf(rule: string): string[] {
  return (rule.match(/"[^"]*"|\S+/g) ?? []).map((token) => token.replaceAll('"', ''));
}
