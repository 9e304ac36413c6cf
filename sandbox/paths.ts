/**
 * Where a sandbox keeps its state. Outside /run, because the sandbox covers /run with its own tmpfs and other shells must
 * see the sockets:
 *
 *   BASE/weir-sandbox-UID/NAME/        BASE = XDG_RUNTIME_DIR, TMPDIR or /tmp; 0700
 *     sandbox.json                     who runs it (registry.ts)
 *     control.sock                     `weir sandbox …` from other shells
 *     controller.sock  xds.sock        admin API and agents' stream of the controller
 *     objects/                         one file per Kubernetes object, the controller's source
 *     pods/UID/{hosts,hostname,…}      what is mounted into a pod; logs/CONTAINER.log
 *     node-N/{run,state,cni,logs}      the agent's sockets and files, CNI configuration, agent.log
 *     bin/                             CNI plugins as executables, `weir` for COMMAND
 *     logs/controller.log
 */
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** sockaddr_un.sun_path is 108 octets with its terminating NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Longest path below a sandbox's folder that is a socket: node-NNN/run/agent.sock, with room to grow. */
const SOCKET_SUFFIX_BYTES = 32;

/** Names are used in paths and host names (RFC 1123 label, shorter because of sun_path). */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$/;
const NAME_BYTES_MAX = 24;

/** Tells COMMAND and what it starts where its own sandbox is: the user id inside is 0, whoever the user is outside. */
export const STATE_VARIABLE = 'WEIR_SANDBOX_DIR';

/**
 * Folders that hold the caller's sandboxes, most preferred first; those too deep for a socket path are left out. The last one
 * is for finding them from a shell without XDG_RUNTIME_DIR (cron, su).
 */
export function candidateRoots(env: NodeJS.ProcessEnv = process.env): string[] {
  const uid = process.getuid?.() ?? 0;
  const own = env[STATE_VARIABLE];
  const bases = [env['XDG_RUNTIME_DIR'], env['TMPDIR'], tmpdir(), '/tmp', `/run/user/${uid}`];
  const roots = bases
    .filter((base) => base?.startsWith('/'))
    .map((base) => join(base ?? '', `weir-sandbox-${uid}`))
    .filter((root) => Buffer.byteLength(root) + 1 + NAME_BYTES_MAX + SOCKET_SUFFIX_BYTES <= SOCKET_PATH_BYTES_MAX);
  return [...new Set(own?.startsWith('/') ? [dirname(own), ...roots] : roots)];
}

/** Every path of one sandbox, from its folder. */
export class SandboxPaths {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }
  get record(): string {
    return join(this.root, 'sandbox.json');
  }
  get controlSocket(): string {
    return join(this.root, 'control.sock');
  }
  get controllerSocket(): string {
    return join(this.root, 'controller.sock');
  }
  get streamSocket(): string {
    return join(this.root, 'xds.sock');
  }
  get objects(): string {
    return join(this.root, 'objects');
  }
  get bin(): string {
    return join(this.root, 'bin');
  }
  get logs(): string {
    return join(this.root, 'logs');
  }
  get controllerLog(): string {
    return join(this.logs, 'controller.log');
  }
  get pods(): string {
    return join(this.root, 'pods');
  }
  pod(uid: string): string {
    return join(this.pods, uid);
  }
  podLogs(uid: string): string {
    return join(this.pods, uid, 'logs');
  }
  containerLog(uid: string, container: string): string {
    return join(this.podLogs(uid), `${container}.log`);
  }
  node(name: string): string {
    return join(this.root, name);
  }
  agentRunDir(node: string): string {
    return join(this.root, node, 'run');
  }
  agentStateDir(node: string): string {
    return join(this.root, node, 'state');
  }
  agentSocket(node: string): string {
    return join(this.agentRunDir(node), 'agent.sock');
  }
  cniSocket(node: string): string {
    return join(this.agentRunDir(node), 'cni.sock');
  }
  agentLog(node: string): string {
    return join(this.root, node, 'logs', 'agent.log');
  }
  cniLog(node: string): string {
    return join(this.root, node, 'logs', 'cni.log');
  }
  cniConfig(node: string): string {
    return join(this.root, node, 'cni', 'net.d', '10-weir.conflist');
  }
  cniCache(node: string): string {
    return join(this.root, node, 'cni', 'cache');
  }
  ipamData(node: string): string {
    return join(this.root, node, 'cni', 'ipam');
  }
}
