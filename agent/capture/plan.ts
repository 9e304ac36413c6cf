/**
 * The rules of a pod's network namespace, as text for iptables-restore and `ip -batch`. Pure: what is there already
 * (iptables-save) is an argument.
 *
 * The path of a packet, in the order of the hooks:
 *
 *   OUTPUT       raw     WEIR_UNTRACKED what stays in the pod is not tracked, so the tables of nat do not see it
 *                raw     WEIR_ZONE      the agent's own connections get a conntrack zone of their own (see CONNTRACK_ZONE)
 *                nat     WEIR_OUTBOUND  other TCP → REDIRECT 15001
 *   PREROUTING   mangle  WEIR_MARK_IN   what the agent sends to this pod with a client's address arrives with REPLY_MARK
 *                nat     WEIR_INBOUND   other TCP → REDIRECT 15006
 *   INPUT        filter  WEIR_GUARD     15001 and 15006 are reached by redirection only
 *
 * In interception mode TPROXY (form `tproxy`), where routing.ts leads the application's connections through lo:
 *
 *   PREROUTING   mangle  WEIR_TPROXY    to an address elsewhere → the listener on 15001, whose socket has that address
 *                mangle  WEIR_ARRIVED   what comes from outside is marked, so that the validation of its source asks the pod's own routing
 *
 * What does not go there (a socket bound to a device, an
 * excluded port) meets WEIR_OUTBOUND as in the other mode: routing saves work, capture does not depend on it.
 *
 * Where the mesh lets destinations bypass the agent (form `bypass`), also:
 *
 *   OUTPUT       nat     WEIR_OUTBOUND  … destination in the set → BYPASSED_MARK on the connection, not redirected
 *   PREROUTING   nat     WEIR_INBOUND   … own address and port in the set → the same
 *   OUTPUT       filter  WEIR_BYPASS_OUT  a marked connection whose destination is not in the set any more → RST
 *   INPUT        filter  WEIR_BYPASS_IN   the same, for what arrives
 *
 * So taking an entry out of the set captures new connections and cuts live ones in the same moment (nat chains see only the first
 * packet of a connection). An empty set is no bypass at all. An address of a Service is translated by the node, after the pod's
 * namespace: here its packets have the address that is in the set, both ways.
 *
 * The agent's socket (mark 0x539, IP_TRANSPARENT, the client's address as source) connects to the pod's own address, so
 * its SYN leaves through lo and comes back in through lo with its mark (a mark survives lo and no other device). There it becomes
 * 0x111, which the application's socket takes over (pod-settings.ts): its answers, addressed to a client that is elsewhere, are routed by table 100
 * to lo, where the agent's socket is, and by that table's route do not pace (docs/adr/0019-marks-of-accepted-sockets.md). Hence no packet of
 * the agent may arrive with the agent's own mark: an application must never inherit that.
 *
 * Where the kernel's settings cannot be written (`repliesMarked: false`) the connection is tracked and has the mark instead, and every packet of
 * an answer is given it and routed again (WEIR_MARK_OUT).
 *
 * Known limits: a process with CAP_NET_RAW or CAP_NET_ADMIN in the pod may set the mark itself and pass its own outbound
 * capture (kernel ≥ 5.17, socket(7) SO_MARK); the destination's inbound capture still holds, as marks do not leave a
 * namespace. Table 100 is also the first that the CNI plugin `sbr` picks.
 */
import {
  ARRIVED_MARK,
  BYPASS_MARK,
  BYPASSED_MARK,
  HBONE_PORT,
  INBOUND_PORT,
  MARK_MASK,
  OUTBOUND_PORT,
  PROBE_SOURCE_V4,
  PROBE_SOURCE_V6,
  REPLY_MARK,
} from '../../mesh/ports.ts';
import type { Exclusions, PortRange } from './exclusions.ts';
import { masked } from './marks.ts';
import { planReplyRouting, planTproxyRouting, type RoutingPlan } from './routing.ts';

export type Family = 4 | 6;
/**
 * `bypass`: the rules that look at the set, which must exist. `tproxy`: outbound connections are routed to the agent rather than redirected
 * (interception.ts). All forms capture whatever is not in the set.
 */
export type RuleForm = 'plain' | 'bypass' | 'tproxy';
export type Table = 'raw' | 'mangle' | 'filter' | 'nat';

/**
 * Conntrack zone (original direction only) of the agent's connections. Without it the agent's connection to
 * `pod:port` from the client's address may pick the very port of another live client connection, whose conntrack entry
 * (redirected to 15006) would then swallow its SYN: Istio issue 38982.
 */
export const CONNTRACK_ZONE = BYPASS_MARK;

/** The tables that are used, in the order they are committed: nat last, so that capture begins when all else is in place. */
const TABLES: readonly Table[] = ['raw', 'mangle', 'filter', 'nat'];

/** A chain of ours: where it is jumped to from, and its rules (what follows `-A CHAIN `), in iptables-save's spelling. */
export interface PlannedChain {
  readonly table: Table;
  readonly name: string;
  readonly hook: 'PREROUTING' | 'INPUT' | 'OUTPUT';
  readonly jump: string;
  readonly rules: readonly string[];
}

/** All that a pod's namespace must hold for one family. */
export interface CapturePlan {
  readonly family: Family;
  readonly chains: readonly PlannedChain[];
  readonly routing: RoutingPlan;
}

/** Of ours. */
const ALL_BITS = `0x${MARK_MASK.toString(16)}`;
const SYN = '-m tcp --tcp-flags FIN,SYN,RST,ACK SYN';

const AGENT = `-m mark --mark ${masked(BYPASS_MARK)}`;
const NOT_AGENT = `-m mark ! --mark ${masked(BYPASS_MARK)}`;

const NOT_REPLY = `-m mark ! --mark ${masked(REPLY_MARK)}`;

const BYPASSED = `-m connmark --mark ${masked(BYPASSED_MARK)}`;

/** Name of the set of a pod's namespace (ipset(8), hash:ip,port): what bypasses the agent. */
export function bypassSet(family: Family): string {
  return `WEIR-BYPASS${family}`;
}

/** What of a pod's namespace decides about its rules, beside its exclusions. */
export interface Variant {
  readonly form: RuleForm;
  /** For the form `tproxy`, the pod's only address of this family; null: it has not one alone, so this family is redirected. */
  readonly source: string | null;
  /** Answers of applications get the mark of what they answer (pod-settings.ts); else a connection's mark has to bring them back. */
  readonly repliesMarked: boolean;
}

const USUAL: Variant = { form: 'plain', source: null, repliesMarked: true };

/** What one family of a pod's namespace must hold. */
export function planCapture(family: Family, exclusions: Exclusions, variant: Partial<Variant> = {}): CapturePlan {
  const { form, source, repliesMarked } = { ...USUAL, ...variant };
  const routed = form === 'tproxy' ? source : null;
  // All that an application answers is routed to lo in the first case, and what it answers the agent in the second.
  const untracked = routed !== null || repliesMarked;
  return {
    family,
    chains: [
      ...zoneChains(untracked),
      ...markChains(untracked),
      ...(routed === null ? [] : [tproxyChain(family), arrivedChain()]),
      // SYN only: a reserved number may be the local port of some outgoing connection, whose replies must pass.
      chain('filter', 'WEIR_GUARD', 'INPUT', `-p tcp ${SYN}`, [
        guard(OUTBOUND_PORT, 'outbound port is not for dialling'),
        guard(INBOUND_PORT, 'inbound port is not for dialling'),
      ]),
      ...(form === 'bypass'
        ? [
            chain('filter', 'WEIR_BYPASS_OUT', 'OUTPUT', `-p tcp ${BYPASSED}`, stillBypassed(family)),
            chain('filter', 'WEIR_BYPASS_IN', 'INPUT', `-p tcp ${BYPASSED}`, stillBypassed(family)),
          ]
        : []),
      chain('nat', 'WEIR_OUTBOUND', 'OUTPUT', '-p tcp', outboundRules(family, exclusions, form)),
      chain('nat', 'WEIR_INBOUND', 'PREROUTING', '-p tcp', inboundRules(family, exclusions, form)),
    ],
    routing: routed === null ? planReplyRouting() : planTproxyRouting(family, exclusions, routed),
  };
}

function zoneChains(untracked: boolean): readonly PlannedChain[] {
  // What most packets do not match stands in the jump: a chain that is not entered costs nothing.
  const zone = chain('raw', 'WEIR_ZONE', 'OUTPUT', `-p tcp ${AGENT}`, [
    rule('-p tcp', 'agent connections in a zone of their own', `CT --zone-orig ${CONNTRACK_ZONE}`),
  ]);
  if (!untracked) return [zone];
  // From port 15001: answers to what was redirected, which only connection tracking leads back.
  const local = chain('raw', 'WEIR_UNTRACKED', 'OUTPUT', `-o lo -p tcp -m tcp ! --sport ${OUTBOUND_PORT}`, [
    rule('-p tcp', 'what stays in the pod is not tracked', 'CT --notrack'),
  ]);
  // Jumps are put first one after the other, so the last one comes first.
  return [zone, local];
}

function markChains(untracked: boolean): readonly PlannedChain[] {
  // Whatever conntrack thinks of it.
  const noInheritance = rule(
    '-p tcp',
    'no application inherits the mark of the agent',
    `MARK --set-xmark ${masked(REPLY_MARK)}`,
  );
  const markIn = (rules: readonly string[]): PlannedChain =>
    chain('mangle', 'WEIR_MARK_IN', 'PREROUTING', `-i lo -p tcp ${AGENT}`, rules);
  if (untracked) return [markIn([noInheritance])];
  return [
    markIn([
      rule(
        '-p tcp -m conntrack --ctdir ORIGINAL',
        'remember connections the agent opens to this pod',
        `CONNMARK --set-xmark ${masked(REPLY_MARK)}`,
      ),
      noInheritance,
    ]),
    chain('mangle', 'WEIR_MARK_OUT', 'OUTPUT', `-p tcp ${NOT_AGENT} ${NOT_REPLY}`, [
      // The agent's own packets need no new route, and those of a marked socket have theirs: leaving them out saves a route look-up each.
      rule(
        `-p tcp -m connmark --mark ${masked(REPLY_MARK)}`,
        'replies go back to the agent',
        `CONNMARK --restore-mark --nfmask ${ALL_BITS} --ctmask ${ALL_BITS}`,
      ),
    ]),
  ];
}

/**
 * What comes through lo for an address that is not the pod's own was routed there (routing.ts). Not the SYN alone: with SYN cookies it is an ACK that
 * makes the socket. What has a mark is an answer to a connection of the agent.
 */
function tproxyChain(family: Family): PlannedChain {
  const target = `TPROXY --on-port ${OUTBOUND_PORT} --on-ip ${family === 4 ? '0.0.0.0' : '::'} --tproxy-mark 0x0/0x0`;
  const routed = `-i lo -p tcp -m mark --mark ${masked(0)} -m addrtype ! --dst-type LOCAL`;
  return chain('mangle', 'WEIR_TPROXY', 'PREROUTING', routed, [rule('-p tcp', 'outbound to the agent', target)]);
}

/**
 * The kernel validates the source of what arrives by asking how an answer would be routed (fib_validate_source), and answers of applications are
 * routed to lo. A mark takes that question to the pod's own routing (net.ipv4.conf.all.src_valid_mark).
 */
function arrivedChain(): PlannedChain {
  return chain('mangle', 'WEIR_ARRIVED', 'PREROUTING', '! -i lo -p tcp', [
    rule('-p tcp', 'came from elsewhere, and answers go there', `MARK --set-xmark ${masked(ARRIVED_MARK)}`),
  ]);
}

function outboundRules(family: Family, exclusions: Exclusions, form: RuleForm): readonly string[] {
  return [
    rule(`-p tcp ${AGENT}`, 'agent connections pass', 'RETURN'),
    // Whatever the address, a self-call leaves through lo.
    rule('-o lo -p tcp', 'calls to itself pass', 'RETURN'),
    rule(`-d ${family === 4 ? '127.0.0.0/8' : '::1/128'} -p tcp`, 'loopback passes', 'RETURN'),
    // IPv6 link-local needs a scope that a redirected connection no longer has. Inbound stays captured (fails closed).
    ...(family === 6 ? [rule('-d fe80::/10 -p tcp', 'link-local passes', 'RETURN')] : []),
    ...exclusions.outboundCidrs
      .filter((cidr) => cidr.family === family)
      .map((cidr) => rule(`-d ${cidr.text} -p tcp`, `excluded outbound ${cidr.text}`, 'RETURN')),
    ...exclusions.outboundPorts.map((range) => excludedPort('outbound', range)),
    ...(form === 'bypass' ? bypassRules(family) : []),
    rule('-p tcp', 'outbound to the agent', `REDIRECT --to-ports ${OUTBOUND_PORT}`),
  ];
}

function inboundRules(family: Family, exclusions: Exclusions, form: RuleForm): readonly string[] {
  const probeSource = family === 4 ? `${PROBE_SOURCE_V4}/32` : `${PROBE_SOURCE_V6}/128`;
  return [
    rule(`-s ${probeSource} -p tcp`, 'node probes pass', 'RETURN'),
    // The agent's own SYNs come back through lo, so a mark need not be looked at here, and a mark from elsewhere (a device
    // that does not clear it) is worth nothing.
    rule('-i lo -p tcp', 'calls to itself pass', 'RETURN'),
    rule(`-p tcp -m tcp --dport ${HBONE_PORT}`, 'mesh port is not redirected', 'RETURN'),
    // Left to WEIR_GUARD, which refuses them: redirected, the agent would be asked to dial itself.
    rule(`-p tcp -m tcp --dport ${OUTBOUND_PORT}`, 'outbound port is not redirected', 'RETURN'),
    rule(`-p tcp -m tcp --dport ${INBOUND_PORT}`, 'inbound port is not redirected', 'RETURN'),
    ...exclusions.inboundPorts.map((range) => excludedPort('inbound', range)),
    ...(form === 'bypass' ? bypassRules(family) : []),
    rule('-p tcp', 'inbound to the agent', `REDIRECT --to-ports ${INBOUND_PORT}`),
  ];
}

/** The mark comes first: whatever passes here is known to WEIR_BYPASS_OUT and WEIR_BYPASS_IN. */
function bypassRules(family: Family): readonly string[] {
  const inSet = `-m set --match-set ${bypassSet(family)} dst,dst`;
  return [
    rule(`-p tcp ${inSet}`, 'may bypass', `CONNMARK --set-xmark ${masked(BYPASSED_MARK)}`),
    rule(`-p tcp ${BYPASSED}`, 'bypasses the agent', 'RETURN'),
  ];
}

/** Either direction of a connection, on either hook: the set has the address and port that the connection was opened to. */
function stillBypassed(family: Family): readonly string[] {
  const set = `-m set --match-set ${bypassSet(family)}`;
  return [
    // A reset carries no data, and tells the other end that the connection was cut.
    rule('-p tcp -m tcp --tcp-flags RST RST', 'resets pass', 'RETURN'),
    rule(`-p tcp -m conntrack --ctdir ORIGINAL ${set} dst,dst`, 'may still bypass', 'RETURN'),
    rule(`-p tcp -m conntrack --ctdir REPLY ${set} src,src`, 'may still bypass', 'RETURN'),
    rule('-p tcp', 'may not bypass any more', 'REJECT --reject-with tcp-reset'),
  ];
}

function excludedPort(direction: 'inbound' | 'outbound', range: PortRange): string {
  const text = range.first === range.last ? `${range.first}` : `${range.first}:${range.last}`;
  return rule(`-p tcp -m tcp --dport ${text}`, `excluded ${direction} port ${text}`, 'RETURN');
}

function guard(port: number, comment: string): string {
  return rule(`-p tcp -m tcp --dport ${port} -m conntrack ! --ctstate DNAT`, comment, 'REJECT --reject-with tcp-reset');
}

function rule(match: string, comment: string, target: string): string {
  return `${match} -m comment --comment "weir: ${comment}" -j ${target}`;
}

function chain(
  table: Table,
  name: string,
  hook: PlannedChain['hook'],
  match: string,
  rules: readonly string[],
): PlannedChain {
  return { table, name, hook, jump: `${match} -m comment --comment "weir: capture" -j ${name}`, rules };
}

/**
 * Input of one `iptables-restore --noflush`: own chains are emptied and filled, jumps to them are taken out wherever
 * `saved` (iptables-save of that namespace) has them and put first. Applying it twice equals applying it once.
 */
export function captureRestore(plan: CapturePlan, saved: string): string {
  const present = findOwn(saved);
  const lines: string[] = [];
  for (const table of TABLES) {
    const chains = plan.chains.filter((entry) => entry.table === table);
    const stale = present.chains.filter((own) => own.table === table && !chains.some(({ name }) => name === own.name));
    lines.push(`*${table}`);
    // Declaring a user chain empties it, if it is there (iptables-restore(8), --noflush).
    for (const { name } of [...chains, ...stale]) lines.push(`:${name} - [0:0]`);
    for (const jump of present.jumps.filter((own) => own.table === table)) lines.push(`-D ${jump.rule}`);
    for (const { name, rules } of chains) for (const text of rules) lines.push(`-A ${name} ${text}`);
    for (const { hook, jump } of chains) lines.push(`-I ${hook} 1 ${jump}`);
    for (const { name } of stale) lines.push(`-X ${name}`);
    lines.push('COMMIT');
  }
  return `${lines.join('\n')}\n`;
}

/** Input of `iptables-restore --noflush` that takes out every chain and jump of ours; null when `saved` has none. */
export function captureTeardown(saved: string): string | null {
  const present = findOwn(saved);
  const lines: string[] = [];
  // The other way round: nat first, so that nothing is redirected while the rest goes.
  for (const table of [...TABLES].reverse()) {
    const jumps = present.jumps.filter((own) => own.table === table);
    const chains = present.chains.filter((own) => own.table === table);
    if (jumps.length === 0 && chains.length === 0) continue;
    lines.push(`*${table}`);
    for (const { name } of chains) lines.push(`:${name} - [0:0]`);
    for (const jump of jumps) lines.push(`-D ${jump.rule}`);
    for (const { name } of chains) lines.push(`-X ${name}`);
    lines.push('COMMIT');
  }
  return lines.length === 0 ? null : `${lines.join('\n')}\n`;
}

interface OwnRules {
  readonly chains: readonly { readonly table: string; readonly name: string }[];
  /** `rule`: chain and rule, as after `-A `. */
  readonly jumps: readonly { readonly table: string; readonly rule: string }[];
}

/**
 * Input of one `iptables-restore --noflush` for a namespace that never held our rules, which is most of them: it saves an
 * iptables-save. `-N` fails where the chain is there already, before its table is touched; captureRestore is for that.
 */
export function captureRestoreFresh(plan: CapturePlan): string {
  return captureRestore(plan, '').replaceAll(/^:(WEIR_\S+) - \[0:0\]$/gm, '-N $1');
}

/** Our chains, and the jumps to them from chains that are not ours, in an iptables-save text. */
function findOwn(saved: string): OwnRules {
  const chains: { table: string; name: string }[] = [];
  const jumps: { table: string; rule: string }[] = [];
  let table = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const declared = /^:(WEIR_[A-Z0-9_]+) /.exec(line)?.[1];
    if (declared !== undefined) chains.push({ table, name: declared });
    if (/^-A (?!WEIR_)\S+ .*-j WEIR_[A-Z0-9_]+$/.test(line)) jumps.push({ table, rule: line.slice('-A '.length) });
  }
  return { chains, jumps };
}
