/**
 * The machines' side of the network: a fabric bridge on the host side, one namespace per node behind it, routes between
 * the nodes' pod ranges, no NAT. What a pod gets is the CNI chain's business (cni.ts).
 *
 *   host side ── weir0 (172.30.0.1) ──┬── node-0 eth0 172.30.0.10 ── cni0 10.244.0.1 ── pods 10.244.0.0/24
 *                                     └── node-1 eth0 172.30.0.11 ── cni0 10.244.1.1 ── pods 10.244.1.0/24
 * and the same in IPv6: fd00:172:30::/64 and fd00:10:244:N::/64.
 */
import { existsSync } from 'node:fs';
import { SERVICE_CIDR_V4, SERVICE_CIDR_V6 } from './services.ts';
import { run, runOrThrow, type Tools } from './processes.ts';

export const HOST_ADDRESSES = ['172.30.0.1', 'fd00:172:30::1'] as const;
const FABRIC = 'weir0';

/** A node and the addresses that are its own. */
export interface NodeNetwork {
  readonly index: number;
  readonly name: string;
  /** Path of the namespace, valid inside the sandbox. */
  readonly netns: string;
  /** v4 first; v6 only where the kernel has it. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
}

/** False when the kernel was booted without IPv6: the sandbox is then IPv4 only. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6');
}

export function describeNode(index: number, ipv6: boolean): NodeNetwork {
  const hex = index.toString(16);
  return {
    index,
    name: `node-${index}`,
    netns: netnsPath(`node-${index}`),
    addresses: [`172.30.0.${10 + index}`, ...(ipv6 ? [`fd00:172:30::${(10 + index).toString(16)}`] : [])],
    podCidrs: [`10.244.${index}.0/24`, ...(ipv6 ? [index === 0 ? 'fd00:10:244::/64' : `fd00:10:244:${hex}::/64`] : [])],
  };
}

/** Where ip-netns(8) keeps the namespace of that name. */
export function netnsPath(name: string): string {
  return `/run/netns/${name}`;
}

/** Prepares the host side and the namespaces of all nodes; throws with the command's own words. */
export async function createNetwork(tools: Tools, nodes: readonly NodeNetwork[], ipv6: boolean): Promise<void> {
  await runOrThrow('preparing the network of the host side', [tools.sh, '-ec', sysctls(true)]);
  await batch(tools, null, [
    'link set lo up',
    `link add name ${FABRIC} type bridge forward_delay 0 mcast_snooping 0`,
    `address add ${HOST_ADDRESSES[0]}/16 dev ${FABRIC}`,
    ...(ipv6 ? [`-6 address add ${HOST_ADDRESSES[1]}/64 dev ${FABRIC} nodad`] : []),
    `link set ${FABRIC} up`,
    // ClusterIPs need a route to be sent at all, before service-rules.ts translates them.
    `route add ${SERVICE_CIDR_V4} dev ${FABRIC}`,
    ...(ipv6 ? [`-6 route add ${SERVICE_CIDR_V6} dev ${FABRIC}`] : []),
  ]);
  for (const node of nodes) await createNode(tools, node, nodes);
  await batch(tools, null, nodes.flatMap(routesTo));
}

async function createNode(tools: Tools, node: NodeNetwork, nodes: readonly NodeNetwork[]): Promise<void> {
  await createNetns(tools, node.name, true);
  await batch(tools, null, [
    `link add name ${FABRIC}-${node.index} type veth peer name eth0 netns ${node.name}`,
    `link set ${FABRIC}-${node.index} master ${FABRIC} up`,
  ]);
  await batch(tools, node.name, [
    ...node.addresses.map(
      (address) => `${ipFamily(address)} address add ${address}/${address.includes(':') ? '64' : '16'} dev eth0`,
    ),
    'link set eth0 up',
    ...node.addresses.map((address, family) => `${ipFamily(address)} route add default via ${HOST_ADDRESSES[family]}`),
    ...nodes.filter((other) => other !== node).flatMap(routesTo),
  ]);
}

function routesTo(node: NodeNetwork): string[] {
  return node.podCidrs.map((cidr, family) => `${ipFamily(cidr)} route add ${cidr} via ${node.addresses[family]}`);
}

/** An empty namespace with its loopback up, addresses usable at once (no duplicate address detection). */
export async function createNetns(tools: Tools, name: string, forwarding: boolean): Promise<void> {
  await runOrThrow(`creating the network namespace ${name}`, [tools.ip, 'netns', 'add', name]);
  const inside = [tools.nsenter, `--net=${netnsPath(name)}`, tools.sh, '-ec'];
  await runOrThrow(`preparing the network namespace ${name}`, [
    ...inside,
    `${sysctls(forwarding)}; ${tools.ip} link set lo up`,
  ]);
}

/** Removes a namespace's name; the kernel frees it when its last process and socket are gone. */
export async function deleteNetns(tools: Tools, name: string): Promise<void> {
  await run([tools.ip, 'netns', 'delete', name]);
}

function sysctls(forwarding: boolean): string {
  const values = [
    ...['all', 'default'].map((scope) => `net/ipv6/conf/${scope}/accept_dad=0`),
    ...(forwarding ? ['net/ipv4/ip_forward=1', 'net/ipv6/conf/all/forwarding=1'] : []),
  ];
  return values
    .map((line) => line.split('='))
    .map(([key, value]) => `if [ -e /proc/sys/${key} ]; then echo ${value} > /proc/sys/${key}; fi`)
    .join('; ');
}

/** `ip -batch` knows no family per line, so lines that need one are prefixed here and grouped. */
function ipFamily(address: string): '-4' | '-6' {
  return address.includes(':') ? '-6' : '-4';
}

async function batch(tools: Tools, netns: string | null, lines: readonly string[]): Promise<void> {
  const where = netns === null ? [] : ['-n', netns];
  for (const family of ['-4', '-6'] as const) {
    const own = lines
      .filter((line) => (line.startsWith('-6 ') ? '-6' : '-4') === family)
      .map((line) => line.replace(/^-[46] /, ''));
    if (own.length === 0) continue;
    const input = `${own.join('\n')}\n`;
    await runOrThrow(
      `configuring the network${netns === null ? '' : ` of ${netns}`}`,
      [tools.ip, family, ...where, '-batch', '-'],
      { input },
    );
  }
}
