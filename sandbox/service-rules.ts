/**
 * kube-proxy's work, in little: ClusterIPs by iptables DNAT, on every node and on the host side. A real node has them too, and
 * that is the point: what slips past the mesh must succeed here as it would there, or tests would take a bypass for a refusal.
 */
import type { Cluster } from './cluster.ts';
import type { PodNode } from './pod.ts';
import { findExecutable, run, type Tools } from './processes.ts';
import type { ServiceEntry } from './services.ts';

/** Several changes in a row become one set of rules. */
const UPDATE_DELAY_MS = 30;

type Family = 'v4' | 'v6';

export class ServiceRules {
  readonly #tools: Tools;
  readonly #nodes: readonly PodNode[];
  readonly #log: (message: string) => void;
  readonly #applied = new Map<Family, string>();
  readonly #hooked = new Set<Family>();
  #timer: NodeJS.Timeout | null = null;
  #working: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(tools: Tools, nodes: readonly PodNode[], log: (message: string) => void) {
    this.#tools = tools;
    this.#nodes = nodes;
    this.#log = log;
  }

  /** Brings the rules up to date soon. */
  update(cluster: Cluster): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.flush(cluster);
    }, UPDATE_DELAY_MS).unref();
  }

  /** Brings the rules up to date; resolves when they are, never rejects. */
  flush(cluster: Cluster): Promise<void> {
    this.#working = this.#working.then(() => this.#apply(cluster));
    return this.#working;
  }

  async #apply(cluster: Cluster): Promise<void> {
    const { services } = cluster.state;
    for (const family of ['v4', 'v6'] as const) {
      const rules = serviceRules(services, (service) => backends(cluster, service, family), family);
      if (this.#failed || this.#applied.get(family) === rules) continue;
      await this.#restore(family, rules);
      this.#applied.set(family, rules);
    }
  }

  async #restore(family: Family, rules: string): Promise<void> {
    const program = family === 'v4' ? 'iptables-restore' : 'ip6tables-restore';
    const restore = findExecutable(program, `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, '/');
    if (restore === null) return this.#complain(`${program} is not installed`);
    const places = [
      { words: [] as string[], cidr: null },
      ...this.#nodes.flatMap(({ network }) => {
        const cidr = network.podCidrs.find((candidate) => candidate.includes(':') === (family === 'v6'));
        return cidr === undefined ? [] : [{ words: [this.#tools.nsenter, `--net=${network.netns}`], cidr }];
      }),
    ];
    for (const { words, cidr } of places) {
      const hooks = this.#hooked.has(family) ? [] : [hookRules(cidr)];
      for (const input of [...hooks, rules]) {
        const result = await run([...words, restore, '-w', '--noflush'], { input });
        if (result.status !== 0) return this.#complain(result.stderr.trim());
      }
    }
    this.#hooked.add(family);
  }

  #complain(reason: string): void {
    if (!this.#failed) this.#log(`ClusterIPs work only through the mesh: ${reason}`);
    this.#failed = true;
  }
}

/**
 * Once per namespace: enter the chain. The host side has no pods of its own (cidr null). Two pods of one node would answer
 * each other directly over the bridge, past the translation, so what goes back where it came from is masqueraded.
 */
function hookRules(cidr: string | null): string {
  const lines = ['*nat', ':WEIR-SERVICES - [0:0]', '-A OUTPUT -j WEIR-SERVICES'];
  if (cidr !== null) {
    lines.push('-A PREROUTING -j WEIR-SERVICES');
    lines.push(`-A POSTROUTING -s ${cidr} -d ${cidr} -m conntrack --ctstate DNAT -j MASQUERADE`);
  }
  return `${lines.join('\n')}\nCOMMIT\n`;
}

interface Backend {
  readonly address: string;
  readonly port: number;
}

type BackendsOf = (service: ServiceEntry) => (port: ServiceEntry['ports'][number]) => readonly Backend[];

function backends(cluster: Cluster, service: ServiceEntry, family: Family): ReturnType<BackendsOf> {
  const members = cluster.membersOf(service);
  return (port) =>
    members.flatMap((pod) => {
      const address = pod.addresses.find((candidate) => candidate.includes(':') === (family === 'v6'));
      const target = typeof port.targetPort === 'number' ? port.targetPort : pod.namedPort(port.targetPort);
      return address === undefined || target === null ? [] : [{ address, port: target }];
    });
}

/** Input of iptables-restore --noflush that replaces the chain WEIR-SERVICES: each backend takes its share at random. */
export function serviceRules(services: readonly ServiceEntry[], backendsOf: BackendsOf, family: Family): string {
  const lines = ['*nat', ':WEIR-SERVICES - [0:0]'];
  for (const service of services) {
    const address = service.clusterIps.find((candidate) => candidate.includes(':') === (family === 'v6'));
    if (address === undefined) continue;
    for (const port of service.ports) lines.push(...portRules(address, port, backendsOf(service)(port)));
  }
  return `${lines.join('\n')}\nCOMMIT\n`;
}

function portRules(address: string, port: ServiceEntry['ports'][number], targets: readonly Backend[]): string[] {
  const protocol = port.protocol.toLowerCase();
  const match = `-A WEIR-SERVICES -d ${address} -p ${protocol} -m ${protocol} --dport ${port.port}`;
  return targets.map((target, index) => {
    const left = targets.length - index;
    const chance = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(5)}`;
    const host = target.address.includes(':') ? `[${target.address}]` : target.address;
    return `${match}${chance} -j DNAT --to-destination ${host}:${target.port}`;
  });
}
