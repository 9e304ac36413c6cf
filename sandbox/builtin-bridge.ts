/**
 * A minimal CNI plugin `bridge` with its own address management, for machines without containernetworking-plugins: one
 * Linux bridge, one veth pair per pod, addresses of the configured subnets. It reads the same configuration as the real
 * ones (isGateway, ipam.ranges, ipam.dataDir, ipam.routes) and prints a proper result. Limits: /24-like subnets of at most
 * 252 pods, no VLANs, no masquerading.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalIp } from '../mesh/ip.ts';
import { isFields, type Fields } from './source.ts';

const FIRST_HOST = 2;
const LAST_HOST = 253;

interface Configuration {
  readonly cniVersion: string;
  readonly bridge: string;
  readonly subnets: readonly string[];
  readonly dataDir: string;
  readonly routes: readonly unknown[];
}

/** An error of CNI spec section 5: well-known codes below 100. */
class PluginError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

function main(): void {
  const command = process.env['CNI_COMMAND'];
  if (command === 'VERSION') return answer({ cniVersion: '1.0.0', supportedVersions: ['0.4.0', '1.0.0'] });
  const configuration = readConfiguration(readFileSync(0, 'utf8'));
  const containerId = environment('CNI_CONTAINERID');
  if (command === 'ADD')
    return answer(add(configuration, containerId, environment('CNI_NETNS'), environment('CNI_IFNAME')));
  if (command === 'DEL') return remove(configuration, containerId);
  if (command === 'CHECK') return undefined;
  throw new PluginError(4, `CNI_COMMAND ${command ?? ''} is not supported`);
}

function add(configuration: Configuration, containerId: string, netns: string, ifName: string): Fields {
  const { bridge, subnets } = configuration;
  // /sys shows another namespace's interfaces here, so there is no cheap look before: "exists already" is fine.
  ip(['link', 'add', 'name', bridge, 'type', 'bridge', 'forward_delay', '0'], true);
  for (const subnet of subnets) ip(addressAdd(hostOf(subnet, 1), subnet, bridge), true);
  ip(['link', 'set', bridge, 'up']);
  const host = hostInterface(containerId);
  const addresses = subnets.map((subnet) => reserve(configuration.dataDir, subnet, containerId));
  ip(['link', 'add', host, 'type', 'veth', 'peer', 'name', ifName, 'netns', netns]);
  ip(['link', 'set', host, 'master', bridge, 'up']);
  ip(['link', 'set', host, 'type', 'bridge_slave', 'hairpin', 'on']);
  const inPod = (args: readonly string[]): string =>
    execFileSync('nsenter', [`--net=${netns}`, 'ip', ...args], { encoding: 'utf8' });
  addresses.forEach((address, index) => {
    inPod(addressAdd(address, subnets[index] ?? '', ifName));
  });
  inPod(['link', 'set', ifName, 'up']);
  subnets.forEach((subnet) => inPod(['route', 'add', 'default', 'via', hostOf(subnet, 1), 'dev', ifName]));
  const mac = /link\/ether (\S+)/.exec(inPod(['link', 'show', ifName]))?.[1] ?? '';
  return {
    cniVersion: configuration.cniVersion,
    interfaces: [{ name: bridge }, { name: host }, { name: ifName, mac, sandbox: netns }],
    ips: addresses.map((address, index) => ({
      interface: 2,
      address: address + prefixOf(subnets[index] ?? ''),
      gateway: hostOf(subnets[index] ?? '', 1),
    })),
    routes: configuration.routes,
    dns: {},
  };
}

/** Removing what is not there is success (spec section 4, DEL). */
function remove(configuration: Configuration, containerId: string): void {
  ip(['link', 'delete', hostInterface(containerId)], true);
  if (!existsSync(configuration.dataDir)) return;
  for (const name of readdirSync(configuration.dataDir)) {
    const file = join(configuration.dataDir, name);
    if (!name.startsWith('last') && readFileSync(file, 'utf8') === containerId) rmSync(file, { force: true });
  }
}

/** The address after the last one given, so that one is not used again at once; a file per address is the lock. */
function reserve(dataDir: string, subnet: string, containerId: string): string {
  mkdirSync(dataDir, { recursive: true });
  const lastFile = join(dataDir, `last_${fileName(subnet)}`);
  const last = existsSync(lastFile) ? Number(readFileSync(lastFile, 'utf8')) : FIRST_HOST - 1;
  const count = LAST_HOST - FIRST_HOST + 1;
  for (let step = 0; step < count; step++) {
    const host = FIRST_HOST + ((last + 1 - FIRST_HOST + step) % count);
    const address = hostOf(subnet, host);
    try {
      writeFileSync(join(dataDir, fileName(address)), containerId, { flag: 'wx' });
    } catch {
      continue; // taken
    }
    writeFileSync(lastFile, String(host));
    return address;
  }
  throw new PluginError(100, `no free address in ${subnet}`);
}

/** `10.244.0.0/24`, 5 → 10.244.0.5; `fd00:10:244:1::/64`, 5 → fd00:10:244:1::5 */
function hostOf(subnet: string, host: number): string {
  const network = subnet.replace(/\/.*$/, '');
  const address = network.includes(':') ? `${network}${host.toString(16)}` : network.replace(/\d+$/, String(host));
  return canonicalIp(address) ?? address;
}

function addressAdd(address: string, subnet: string, device: string): string[] {
  const noDetection = address.includes(':') ? ['nodad'] : [];
  return ['address', 'add', address + prefixOf(subnet), 'dev', device, ...noDetection];
}

function prefixOf(subnet: string): string {
  return subnet.slice(subnet.indexOf('/'));
}

function fileName(text: string): string {
  return text.replaceAll(':', '_').replaceAll('/', '-');
}

function hostInterface(containerId: string): string {
  return `veth${createHash('sha256').update(containerId).digest('hex').slice(0, 8)}`;
}

function ip(args: readonly string[], mayFail = false): void {
  try {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    if (!mayFail) throw error;
  }
}

function readConfiguration(text: string): Configuration {
  const config: unknown = JSON.parse(text);
  if (!isFields(config)) throw new PluginError(6, 'the configuration is not a JSON object');
  const ipam = isFields(config['ipam']) ? config['ipam'] : {};
  const ranges: unknown[] = Array.isArray(ipam['ranges']) ? ipam['ranges'].flat() : [];
  const subnets = ranges.flatMap((range) =>
    isFields(range) && typeof range['subnet'] === 'string' ? [range['subnet']] : [],
  );
  if (subnets.length === 0) throw new PluginError(7, 'ipam.ranges is empty: give at least one subnet');
  return {
    cniVersion: typeof config['cniVersion'] === 'string' ? config['cniVersion'] : '1.0.0',
    bridge: typeof config['bridge'] === 'string' ? config['bridge'] : 'cni0',
    subnets,
    dataDir: typeof ipam['dataDir'] === 'string' ? ipam['dataDir'] : '/run/weir-bridge',
    routes: Array.isArray(ipam['routes']) ? (ipam['routes'] as unknown[]) : [],
  };
}

function environment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new PluginError(4, `${name} is not set`);
  return value;
}

function answer(document: Fields): void {
  process.stdout.write(JSON.stringify(document));
}

try {
  main();
} catch (error) {
  const code = error instanceof PluginError ? error.code : 999;
  const msg = error instanceof Error ? error.message : String(error);
  answer({ cniVersion: '1.0.0', code, msg });
  process.exitCode = 1;
}
