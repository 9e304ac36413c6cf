/**
 * The policy routing of a pod's namespace, as text for `ip -batch`, and what `ip` shows of it. Pure.
 *
 *   100  fwmark 0x111 → table 100             replies to a spoofed client stay in here (plan.ts)
 *
 * With interception mode TPROXY also these, so that an application's connection is routed to lo from its SYN on, where WEIR_TPROXY
 * hands it to the agent; what is not routed there meets WEIR_OUTBOUND as in the other mode, so capture does not depend on them:
 *
 *   101  fwmark 0x539, 0x333 → 110            the agent's own connections, and what came from elsewhere
 *   102  probes, link-local, excluded, and the ports that are answered by or reserved for the agent → 110
 *   103  iif lo ipproto tcp → table 101       all other TCP that begins here
 *   110  nop                                  the pod's own routing goes on
 *
 * Addresses of the pod itself never come this far: the table `local` has priority 0. Table 101 says `src`, because a route of type local
 * would else give a connection its destination as its source address. Needs a kernel from 4.17 on (rules by protocol and port).
 */
import {
  ARRIVED_MARK,
  BYPASS_MARK,
  HBONE_PORT,
  INBOUND_PORT,
  OUTBOUND_PORT,
  PROBE_SOURCE_V4,
  PROBE_SOURCE_V6,
  REPLY_MARK,
  REPLY_TABLE,
  TPROXY_TABLE,
} from '../../mesh/ports.ts';
import type { Exclusions, PortRange } from './exclusions.ts';
import { masked } from './marks.ts';
import type { Family } from './plan.ts';

/** Congestion control (ip-route(8), congctl) of what never leaves the pod: it does not pace, and every kernel has it. As engine/socket.ts. */
const UNPACED = 'reno';

/** `ip rule` priorities: before any rule by source address that another plugin adds. */
const REPLY = 100;
const MARKED = 101;
const EXEMPT = 102;
const CAPTURED = 103;
const END = 110;

/** One `ip rule`; `text` as `ip rule show` writes it. */
interface IpRule {
  readonly priority: number;
  readonly text: string;
}

/** Rules, and routes as arguments of `ip route` without add or del. */
export interface RoutingPlan {
  readonly rules: readonly IpRule[];
  readonly routes: readonly string[];
}

const REPLY_RULE: IpRule = {
  priority: REPLY,
  text: `from all fwmark ${masked(REPLY_MARK)} lookup ${REPLY_TABLE}`,
};

/** What both interception modes need: a route for replies. */
export function planReplyRouting(): RoutingPlan {
  return { rules: [REPLY_RULE], routes: [`local default dev lo table ${REPLY_TABLE} congctl ${UNPACED}`] };
}

/** Mode TPROXY. `source`: the pod's only address of this family. */
export function planTproxyRouting(family: Family, exclusions: Exclusions, source: string): RoutingPlan {
  const reply = planReplyRouting();
  const exempt = exemptions(family, exclusions).map((match) => ({
    priority: EXEMPT,
    text: `from all ${match} goto ${END}`,
  }));
  return {
    rules: [
      ...reply.rules,
      { priority: END, text: 'from all nop' },
      ...[BYPASS_MARK, ARRIVED_MARK].map((mark) => ({
        priority: MARKED,
        text: `from all fwmark ${masked(mark)} goto ${END}`,
      })),
      ...exempt,
      // Last: capture begins when all else is in place.
      { priority: CAPTURED, text: `from all iif lo ipproto tcp lookup ${TPROXY_TABLE}` },
    ],
    routes: [...reply.routes, `local default dev lo table ${TPROXY_TABLE} src ${source} congctl ${UNPACED}`],
  };
}

function exemptions(family: Family, { outboundCidrs, outboundPorts, inboundPorts }: Exclusions): readonly string[] {
  const probeSource = family === 4 ? PROBE_SOURCE_V4 : PROBE_SOURCE_V6;
  return [
    // Answers to what was not captured on its way in, and of the agent to what was.
    `to ${probeSource} ipproto tcp`,
    `ipproto tcp sport ${OUTBOUND_PORT}`,
    `ipproto tcp sport ${INBOUND_PORT}`,
    `ipproto tcp sport ${HBONE_PORT}`,
    ...inboundPorts.map((range) => `ipproto tcp sport ${portText(range)}`),
    // On lo these ports are the agent's (WEIR_GUARD): redirection tells another host's apart.
    `ipproto tcp dport ${OUTBOUND_PORT}`,
    `ipproto tcp dport ${INBOUND_PORT}`,
    ...outboundPorts.map((range) => `ipproto tcp dport ${portText(range)}`),
    // Needs a scope that a connection through lo no longer has.
    ...(family === 6 ? ['to fe80::/10 ipproto tcp'] : []),
    ...outboundCidrs
      .filter((cidr) => cidr.family === family)
      .map(({ text }) => `to ${text.replace(family === 4 ? /\/32$/ : /\/128$/, '')} ipproto tcp`),
  ];
}

function portText({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

/**
 * Input of `ip -force -batch -`. A rule may be there already: iproute2 then says "File exists", which is no failure.
 * Redirection and replies go through lo, which not every runtime has brought up before this plugin's turn.
 */
export function routingSetup({ rules, routes }: RoutingPlan): string {
  return [
    'link set dev lo up',
    ...routes.map((route) => `route replace ${route}`),
    ...rules.map(({ priority, text }) => `rule add priority ${priority} ${text}`),
    '',
  ].join('\n');
}

/** Input of `ip -force -batch -` that takes out what is ours in `rulesShown` (`ip rule show`), and our routes; what is gone is no failure. */
export function routingTeardown(rulesShown: string): string {
  const rules = parseRules(rulesShown).filter(isOwn);
  return [
    // The other way round: routing to the agent ends first.
    ...rules.reverse().map(({ priority, text }) => `rule del priority ${priority} ${text}`),
    ...[TPROXY_TABLE, REPLY_TABLE].map((table) => `route del local default dev lo table ${table}`),
    '',
  ].join('\n');
}

/** Input of `ip -force -batch -` that takes out what is ours and not in the plan, e.g. exclusions of before; '': nothing is. */
export function staleRouting({ rules }: RoutingPlan, rulesShown: string): string {
  return parseRules(rulesShown)
    .filter((shown) => isOwn(shown) && !rules.some(({ text }) => text === shown.text))
    .map(({ priority, text }) => `rule del priority ${priority} ${text}\n`)
    .join('');
}

function isOwn({ priority, text }: IpRule): boolean {
  if (text === REPLY_RULE.text) return true;
  if (priority < MARKED || priority > END) return false;
  return text.endsWith(` goto ${END}`) || text.endsWith(` lookup ${TPROXY_TABLE}`) || text === 'from all nop';
}

/** One line per entry of the plan that is missing, from `ip rule show` and `ip route show table all`. */
export function missingRouting(
  family: Family,
  { rules, routes }: RoutingPlan,
  rulesShown: string,
  routesShown: string,
): readonly string[] {
  const shown = parseRules(rulesShown).map(({ text }) => text);
  const routeLines = routesShown.split('\n').map(words);
  const lines = rules
    .filter(({ text }) => !shown.includes(text))
    .map(({ priority, text }) => `ip rule missing: priority ${priority} ${text}`);
  for (const route of routes) {
    const [table, source] = [/table \d+/.exec(route)?.[0] ?? '', /src \S+/.exec(route)?.[0] ?? ''];
    const found = routeLines.some(
      (line) => line.startsWith(`local default dev lo ${table} `) && (source === '' || line.includes(` ${source} `)),
    );
    if (!found) lines.push(`ip route missing: ${route}`);
  }
  return lines.map((line) => `IPv${family}: ${line}`);
}

function parseRules(shown: string): IpRule[] {
  return shown.split('\n').flatMap((line) => {
    const found = /^(\d+):\s*(.*)$/.exec(line);
    return found === null ? [] : [{ priority: Number(found[1]), text: words(found[2] ?? '').trim() }];
  });
}

/** One blank between words, and at the end. */
function words(line: string): string {
  return `${line.trim().split(/\s+/).join(' ')} `;
}
