/**
 * Rows of `weir sandbox get`. Their fields are an interface for scripts and tests: add to them, never rename. Process ids and
 * paths are those inside the sandbox; translate.ts turns them into the caller's.
 */
import type { Cluster } from './cluster.ts';
import type { ContainerState } from './container.ts';
import type { Mesh } from './mesh.ts';
import type { SandboxPaths } from './paths.ts';
import type { Pod, PodNode } from './pod.ts';
import { describeObject } from './source.ts';

export interface ContainerRow {
  readonly name: string;
  readonly image: string;
  readonly init: boolean;
  readonly state: ContainerState['kind'];
  /** Reason while waiting, exit status after the end. */
  readonly detail: string;
  readonly pid: number | null;
  readonly ready: boolean;
  readonly restarts: number;
  readonly log: string;
}

export interface PodRow {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly node: string;
  readonly phase: string;
  readonly status: string;
  readonly ready: boolean;
  readonly restarts: number;
  readonly ip: string | null;
  readonly ips: readonly string[];
  readonly netns: string;
  /** First process of the first running container; of the pod itself when none runs. */
  readonly pid: number | null;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `Deployment/NAME`, or null. */
  readonly owner: string | null;
  readonly containers: readonly ContainerRow[];
}

export interface ServiceRow {
  readonly name: string;
  readonly namespace: string;
  readonly type: string;
  /** null: headless. */
  readonly clusterIP: string | null;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly { name: string; port: number; targetPort: number | string; protocol: string }[];
  readonly selector: Readonly<Record<string, string>> | null;
  /** Ready pods behind it, `namespace/name`. */
  readonly pods: readonly string[];
}

export interface NodeRow {
  readonly name: string;
  readonly ip: string | null;
  readonly ips: readonly string[];
  readonly podCIDRs: readonly string[];
  readonly netns: string;
  readonly pods: number;
  /** null with --no-mesh. */
  readonly agent: {
    readonly pid: number | null;
    readonly restarts: number;
    readonly socket: string;
    readonly runDir: string;
    readonly stateDir: string;
    readonly log: string;
  } | null;
}

export interface DeploymentRow {
  readonly name: string;
  readonly namespace: string;
  readonly replicas: number;
  readonly ready: number;
}

export interface ObjectRow {
  readonly kind: string;
  readonly apiVersion: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly source: string;
}

/** Everything `get` can show. */
export interface ClusterListing {
  readonly pods: readonly PodRow[];
  readonly services: readonly ServiceRow[];
  readonly nodes: readonly NodeRow[];
  readonly deployments: readonly DeploymentRow[];
  readonly objects: readonly ObjectRow[];
  readonly controller: { readonly pid: number | null; readonly restarts: number; readonly log: string } | null;
}

export function listCluster(
  cluster: Cluster,
  nodes: readonly PodNode[],
  mesh: Mesh | null,
  paths: SandboxPaths,
): ClusterListing {
  const pods = [...cluster.pods].sort(byName);
  const { state } = cluster;
  return {
    pods: pods.map((pod) => podRow(pod, paths)),
    services: [...state.services].sort(byName).map((service) => ({
      name: service.name,
      namespace: service.namespace,
      type: service.type,
      clusterIP: service.clusterIps[0] ?? null,
      clusterIPs: service.clusterIps,
      ports: service.ports.map(({ name, port, targetPort, protocol }) => ({ name, port, targetPort, protocol })),
      selector: service.selector,
      pods: cluster.membersOf(service).map((pod) => `${pod.namespace}/${pod.name}`),
    })),
    nodes: nodes.map((node) => nodeRow(node, pods, mesh, paths)),
    deployments: state.sets
      .filter((set) => set.kind === 'deployment')
      .sort(byName)
      .map(({ name, namespace, replicas, key }) => {
        return { name, namespace, replicas, ready: pods.filter((pod) => pod.set.key === key && pod.ready).length };
      }),
    objects: [...state.objects.values()]
      .map(({ kind, apiVersion, namespace, name, file, line }) => ({
        kind,
        apiVersion,
        namespace,
        name,
        source: `${file}:${line}`,
      }))
      .sort((a, b) => describeObject(a).localeCompare(describeObject(b))),
    controller: mesh && { pid: mesh.controller.pid, restarts: mesh.controller.restarts, log: paths.controllerLog },
  };
}

function podRow(pod: Pod, paths: SandboxPaths): PodRow {
  const containers = [
    ...pod.initContainers.map((container) => ({ container, init: true })),
    ...pod.containers.map((container) => ({ container, init: false })),
  ].map(({ container: { spec, state, ready, restarts }, init }) => ({
    name: spec.name,
    image: spec.image,
    init,
    state: state.kind,
    detail: state.kind === 'waiting' ? state.reason : state.kind === 'terminated' ? String(state.status) : '',
    pid: state.kind === 'running' ? state.pid : null,
    ready,
    restarts,
    log: paths.containerLog(pod.uid, spec.name),
  }));
  return {
    name: pod.name,
    namespace: pod.namespace,
    uid: pod.uid,
    node: pod.node.network.name,
    phase: pod.phase,
    status: pod.status,
    ready: pod.ready,
    restarts: pod.restarts,
    ip: pod.addresses[0] ?? null,
    ips: pod.addresses,
    netns: pod.netns,
    pid: containers.find((container) => container.pid !== null && !container.init)?.pid ?? pod.pausePid,
    serviceAccount: pod.set.spec.serviceAccount,
    labels: pod.labels,
    owner: pod.set.kind === 'deployment' ? `Deployment/${pod.set.name}` : null,
    containers,
  };
}

function nodeRow(node: PodNode, pods: readonly Pod[], mesh: Mesh | null, paths: SandboxPaths): NodeRow {
  const { name, addresses, podCidrs, netns } = node.network;
  const agent = mesh?.agents.get(name);
  return {
    name,
    ip: addresses[0] ?? null,
    ips: addresses,
    podCIDRs: podCidrs,
    netns,
    pods: pods.filter((pod) => pod.node === node).length,
    agent:
      agent === undefined
        ? null
        : {
            pid: agent.pid,
            restarts: agent.restarts,
            socket: paths.agentSocket(name),
            runDir: paths.agentRunDir(name),
            stateDir: paths.agentStateDir(name),
            log: paths.agentLog(name),
          },
  };
}

function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  return a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name);
}
