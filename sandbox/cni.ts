/**
 * The CNI chain, driven as libcni and a runtime drive it (CNI spec 1.0 section 4): each plugin gets its own configuration
 * with name, cniVersion and the previous plugin's result on stdin; DEL runs in reverse with the result of ADD. Plugins are
 * executables on CNI_PATH, started inside the node's network namespace.
 */
import { mkdirSync, appendFileSync, chmodSync, existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { NodeNetwork } from './network.ts';
import type { SandboxPaths } from './paths.ts';
import { distFile, findExecutable, run, type Tools } from './processes.ts';
import { isFields } from './source.ts';

export const CNI_VERSION = '1.0.0';
const NETWORK_NAME = 'weir-sandbox';
/** A runtime has no bound of its own; a plugin that hangs must not hang the sandbox. */
const PLUGIN_TIMEOUT_MS = 60_000;
/** `builtin`: use weir's own bridge plugin although the standard ones are installed. */
const BRIDGE_VARIABLE = 'WEIR_SANDBOX_BRIDGE';
const PLUGIN_FOLDERS = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];

/** One pod's attachment to the network, as the runtime names it. */
export interface Attachment {
  readonly containerId: string;
  readonly netns: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
}

/** What ADD gave the pod. */
export interface AttachResult {
  /** Addresses without prefix length, in the order of the result (v4 first here). */
  readonly addresses: readonly string[];
  /** The result as the last plugin printed it; DEL wants it back. */
  readonly result: unknown;
}

/** A plugin that failed: its name and its own error (spec section 5). */
export class CniError extends Error {
  readonly code: number;
  constructor(plugin: string, command: string, code: number, text: string) {
    super(`CNI ${command}: ${plugin}: ${text} (code ${code})`);
    this.name = 'CniError';
    this.code = code;
  }
}

/** Puts the plugins that weir brings itself on disk as executables; returns the folders of CNI_PATH. */
export function preparePlugins(paths: SandboxPaths, env: NodeJS.ProcessEnv): string[] {
  const installed = [...(env['CNI_PATH'] ?? '').split(':').filter(Boolean), ...PLUGIN_FOLDERS];
  mkdirSync(paths.bin, { recursive: true, mode: 0o700 });
  writeWrapper(paths.bin, 'weir-cni', 'cni-plugin/weir-cni.js');
  const standard = ['bridge', 'host-local'].every(
    (plugin) => findExecutable(plugin, installed.join(':'), '/') !== null,
  );
  if (standard && env[BRIDGE_VARIABLE] !== 'builtin')
    return [...installed.filter((folder) => existsSync(folder)), paths.bin];
  // Without containernetworking-plugins: a minimal bridge with its own address management, first on the path.
  writeWrapper(paths.bin, 'bridge', 'sandbox/builtin-bridge.js');
  return [paths.bin, ...installed.filter((folder) => existsSync(folder))];
}

/** A shell script that runs one of weir's own files with the Node that runs now. */
export function writeWrapper(folder: string, name: string, file: string): void {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\nexec ${shellQuote(process.execPath)} ${shellQuote(distFile(file))} "$@"\n`);
  chmodSync(path, 0o700);
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The network configuration list of a node, as an administrator would put it into /etc/cni/net.d. */
export function conflist(node: NodeNetwork, paths: SandboxPaths, mesh: boolean): Record<string, unknown> {
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: false,
    hairpinMode: true,
    ipam: {
      type: 'host-local',
      dataDir: paths.ipamData(node.name),
      ranges: node.podCidrs.map((subnet) => [{ subnet }]),
      routes: node.podCidrs.map((cidr) => ({ dst: cidr.includes(':') ? '::/0' : '0.0.0.0/0' })),
    },
  };
  const weir = {
    type: 'weir-cni',
    agentSocket: paths.cniSocket(node.name),
    excludeNamespaces: ['kube-system'],
    logLevel: 'info',
  };
  return { cniVersion: CNI_VERSION, name: NETWORK_NAME, plugins: mesh ? [bridge, weir] : [bridge] };
}

/** Runs the chain of one node. */
export class CniChain {
  readonly #tools: Tools;
  readonly #node: NodeNetwork;
  readonly #searchPath: readonly string[];
  readonly #log: string;
  readonly #plugins: readonly Record<string, unknown>[];

  constructor(tools: Tools, node: NodeNetwork, paths: SandboxPaths, searchPath: readonly string[], mesh: boolean) {
    this.#tools = tools;
    this.#node = node;
    this.#searchPath = searchPath;
    this.#log = paths.cniLog(node.name);
    const list = conflist(node, paths, mesh);
    this.#plugins = list['plugins'] as Record<string, unknown>[];
    const file = paths.cniConfig(node.name);
    for (const folder of [dirname(file), dirname(this.#log)]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${JSON.stringify(list, null, 2)}\n`, { mode: 0o600 });
  }

  /** Attaches a pod. Throws CniError; the runtime then calls delete() and may try again. */
  async add(attachment: Attachment): Promise<AttachResult> {
    let previous: unknown;
    for (const plugin of this.#plugins) previous = await this.#invoke('ADD', plugin, attachment, previous);
    return { addresses: addressesOf(previous), result: previous };
  }

  /** Detaches a pod, all plugins even if one fails; throws the first failure afterwards. */
  async delete(attachment: Attachment, result: unknown): Promise<void> {
    let failure: Error | null = null;
    for (const plugin of [...this.#plugins].reverse()) {
      try {
        await this.#invoke('DEL', plugin, attachment, result);
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    if (failure !== null) throw failure;
  }

  async #invoke(
    command: 'ADD' | 'DEL',
    plugin: Record<string, unknown>,
    attachment: Attachment,
    previous: unknown,
  ): Promise<unknown> {
    const type = String(plugin['type']);
    const executable = findExecutable(type, this.#searchPath.join(':'), '/');
    if (executable === null) throw new CniError(type, command, 6, `no such plugin in ${this.#searchPath.join(':')}`);
    const config = {
      ...plugin,
      name: NETWORK_NAME,
      cniVersion: CNI_VERSION,
      ...(previous === undefined || previous === null ? {} : { prevResult: previous }),
    };
    const started = Date.now();
    const { status, stdout, stderr } = await run([this.#tools.nsenter, `--net=${this.#node.netns}`, executable], {
      input: JSON.stringify(config),
      env: { ...process.env, ...this.#environment(command, attachment) },
      timeoutMs: PLUGIN_TIMEOUT_MS,
    });
    const pod = `${attachment.podNamespace}/${attachment.podName}`;
    const took = `${Date.now() - started} ms`;
    appendFileSync(
      this.#log,
      `${new Date(started).toISOString()} ${command} ${type} ${pod} status ${status} ${took}\n${stderr}`,
    );
    const answer = parseJson(stdout);
    if (status !== 0)
      throw pluginError(type, command, answer, stderr.trim() || stdout.trim() || `exit status ${status}`);
    if (command === 'DEL') return null;
    if (!isFields(answer)) throw new CniError(type, command, 6, `printed no result: ${stdout.slice(0, 200)}`);
    return answer;
  }

  #environment(command: string, attachment: Attachment): NodeJS.ProcessEnv {
    const { containerId, netns, podNamespace, podName, podUid } = attachment;
    const args = {
      IgnoreUnknown: '1',
      K8S_POD_NAMESPACE: podNamespace,
      K8S_POD_NAME: podName,
      K8S_POD_INFRA_CONTAINER_ID: containerId,
      K8S_POD_UID: podUid,
    };
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: netns,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: Object.entries(args)
        .map(([key, value]) => `${key}=${value}`)
        .join(';'),
      CNI_PATH: this.#searchPath.join(':'),
    };
  }
}

function pluginError(type: string, command: string, answer: unknown, fallback: string): CniError {
  if (!isFields(answer) || typeof answer['msg'] !== 'string') return new CniError(type, command, 999, fallback);
  const details = typeof answer['details'] === 'string' && answer['details'] !== '' ? `: ${answer['details']}` : '';
  return new CniError(type, command, Number(answer['code'] ?? 999), answer['msg'] + details);
}

/** `ips[].address` of a result (spec section 5.1), without prefix lengths. */
function addressesOf(result: unknown): string[] {
  const ips = isFields(result) && Array.isArray(result['ips']) ? (result['ips'] as readonly unknown[]) : [];
  return ips.flatMap((ip) =>
    isFields(ip) && typeof ip['address'] === 'string' ? [ip['address'].replace(/\/.*$/, '')] : [],
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // plugins also fail with plain text, or with nothing
  }
}
