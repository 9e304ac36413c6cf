/**
 * A pod's /etc/hosts: the cluster's DNS as a file. Services and pods of every namespace by their long names, those of the
 * pod's own namespace by their short names too.
 */

/** A Service and what its name resolves to: ClusterIPs, or the pods of a headless one. */
export interface NamedService {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

/** A pod that has addresses. */
export interface NamedPod {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
}

/** The pod the file is for. */
export interface HostsOwner extends NamedPod {
  readonly hostname: string;
}

/** The whole file; the same input gives the same text. */
export function hostsFile(owner: HostsOwner, services: readonly NamedService[], pods: readonly NamedPod[]): string {
  const lines = [
    '# Written by weir sandbox; kept current while the pod runs.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...owner.addresses.map((address) => `${address}\t${owner.hostname}`),
  ];
  for (const service of [...services].sort(byName)) {
    const names = serviceNames(service, owner.namespace).join(' ');
    for (const address of service.addresses) lines.push(`${address}\t${names}`);
  }
  // A Service's name wins over a pod's: that is what a cluster's DNS would answer.
  const taken = new Set(services.flatMap((service) => serviceNames(service, owner.namespace)));
  for (const pod of [...pods].sort(byName)) {
    const names = podNames(pod, owner.namespace).filter((name) => !taken.has(name));
    if (names.length === 0) continue;
    for (const address of pod.addresses) lines.push(`${address}\t${names.join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

function serviceNames({ namespace, name }: NamedService, own: string): string[] {
  const long = [`${name}.${namespace}.svc.cluster.local`, `${name}.${namespace}.svc`, `${name}.${namespace}`];
  return namespace === own ? [...long, name] : long;
}

function podNames({ namespace, name }: NamedPod, own: string): string[] {
  return namespace === own ? [`${name}.${namespace}`, name] : [`${name}.${namespace}`];
}

function byName(a: NamedPod, b: NamedPod): number {
  return a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name);
}
