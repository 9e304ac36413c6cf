/** Two pods on a bridge for the engine's tests: namespaces, veth pairs, IPv4 and IPv6. Needs `unshare -Urnm` and a tmpfs on /run. */
import { execFileSync } from 'node:child_process';
import { NetworkNamespace } from '../../agent/engine/netns.ts';

export interface TestPod {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
  readonly netnsPath: string;
  readonly namespace: NetworkNamespace;
}

/** Runs a command line without a shell; throws with its stderr. */
export function sh(line: string): string {
  const [command = '', ...parameters] = line.split(' ');
  return execFileSync(command, parameters, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs a command line inside a pod's network namespace. */
export function inPod(pod: TestPod, line: string): string {
  return sh(`ip netns exec ${pod.name} ${line}`);
}

/** Makes pods `names` on one bridge, 10.77.0.0/24 and fd77::/64; the first gets .2. */
export function makePods(bridge: string, names: readonly string[]): TestPod[] {
  sh(`ip link add ${bridge} type bridge`);
  sh(`ip link set ${bridge} up`);
  return names.map((name, index) => {
    const v4 = `10.77.0.${index + 2}`;
    const v6 = `fd77::${index + 2}`;
    sh(`ip netns add ${name}`);
    sh(`ip link add v-${name} type veth peer name eth0 netns ${name}`);
    sh(`ip link set v-${name} master ${bridge} up`);
    sh(`ip -n ${name} addr add ${v4}/24 dev eth0`);
    sh(`ip -n ${name} addr add ${v6}/64 dev eth0 nodad`);
    sh(`ip -n ${name} link set eth0 up`);
    sh(`ip -n ${name} link set lo up`);
    const netnsPath = `/run/netns/${name}`;
    return { name, v4, v6, netnsPath, namespace: NetworkNamespace.open(netnsPath) };
  });
}

export function removePods(bridge: string, pods: readonly TestPod[]): void {
  for (const pod of pods) {
    pod.namespace.close();
    sh(`ip netns del ${pod.name}`);
  }
  sh(`ip link del ${bridge}`);
}
