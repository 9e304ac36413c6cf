/** The controller as one object: sources → objects → mesh → agents. main.ts gives it a process. */
import { readFileSync } from 'node:fs';
import type { MeshResource } from '../mesh/model.ts';
import type { RouteStatus } from '../mesh/route-status.ts';
import { keyFromWireName } from '../mesh/wire/resource.ts';
import { heldKeys } from './config/link/registry.ts';
import { MeshLinker } from './config/linker.ts';
import { type FileChange, ObjectStore } from './config/object-store.ts';
import { compareFindings, type Finding, formatFinding } from './finding.ts';
import { limits } from './limits.ts';
import type { Logger } from './log.ts';
import type { ControllerOptions } from './options.ts';
import type { Rejected } from './push/agent-stream.ts';
import { holdOn, ResourceCache } from './push/resource-cache.ts';
import { type TlsFiles, XdsServer } from './push/xds-server.ts';
import { FileSource } from './sources/file-source.ts';
import { type AdminBackend, type ControllerStatus, startAdminServer } from './status/admin-server.ts';
import { AgentRegistry } from './status/agent-registry.ts';
import { routeStatuses } from './status/route-status.ts';
import { claimSocketPath, restrictSocket } from './status/socket-path.ts';

/** A controller that runs in this process. */
export interface RunningController {
  /** The addresses agents may use, with real ports. */
  readonly addresses: readonly string[];
  readonly status: () => ControllerStatus;
  /** Reads all sources now. */
  readonly sync: AdminBackend['sync'];
  readonly wait: AdminBackend['wait'];
  /** Ends streams, sockets and watches. Idempotent. */
  close(): Promise<void>;
}

/** Starts a controller: reads every source, then lets agents in. Rejects when it cannot listen or read its TLS files. */
export async function startController(options: ControllerOptions, log: Logger): Promise<RunningController> {
  const tls = readTls(options);
  // Versions of a later process are larger than those of an earlier one: one per second at most, over its whole life.
  const cache = new ResourceCache(Math.floor(Date.now() / 1000));
  const registry = new AgentRegistry(() => Date.now(), describeRejected);
  const mesh = new MeshPipeline(options.rootNamespace, cache, log);
  const source = new FileSource({ sources: options.sources, log, onChanges: (changes) => mesh.apply(changes) });
  const server = new XdsServer(cache, registry, tls, log);
  const status = (): ControllerStatus => mesh.status(registry);
  const sync = async (): Promise<{ version: number; findings: readonly Finding[] }> => {
    await source.sync();
    return { version: cache.version, findings: mesh.findings().slice(0, limits.findingsMax) };
  };
  const wait = (version: number, timeoutMs: number) => registry.wait(version, timeoutMs);
  const objects = (): readonly MeshResource[] => mesh.resources();
  const routes = (): readonly RouteStatus[] => mesh.routes();
  let admin: { close(): Promise<void> } | null = null;
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      registry.close();
      await source.close();
      await server.close();
      await admin?.close();
    })();
    return closing;
  };
  try {
    await source.start();
    const addresses: string[] = [];
    for (const address of options.listen) addresses.push(await listen(server, address, tls, log));
    admin = await startAdminServer(options.adminSocket, { status, objects, routes, sync, wait }, log);
    const { adminSocket, trustDomain } = options;
    log.info({ addresses, adminSocket, trustDomain, version: cache.version }, 'controller is ready');
    return { addresses, status, sync, wait, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function listen(server: XdsServer, address: string, tls: TlsFiles | null, log: Logger): Promise<string> {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
  if (path !== null) {
    await claimSocketPath(path);
    const umask = process.umask(0o177);
    try {
      await server.listen(address);
    } finally {
      process.umask(umask);
    }
    restrictSocket(path);
    return address;
  }
  if (tls === null && !/^(127\.|localhost:|\[::1\])/.test(address)) {
    log.warn(
      { address },
      'agents are served without TLS beyond this machine; give --tls-cert, --tls-key and --client-ca',
    );
  }
  const port = await server.listen(address);
  return address.replace(/:\d+$/, `:${port}`);
}

function readTls(options: ControllerOptions): TlsFiles | null {
  const { tlsCert, tlsKey, clientCa } = options;
  if (tlsCert === null && tlsKey === null && clientCa === null) return null;
  if (tlsCert === null || tlsKey === null) throw new Error('--tls-cert and --tls-key belong together; give both');
  return {
    cert: readFileSync(tlsCert),
    key: readFileSync(tlsKey),
    clientCa: clientCa === null ? null : readFileSync(clientCa),
  };
}

function describeRejected(rejected: Rejected): string {
  const key = keyFromWireName(rejected.typeUrl, rejected.name);
  return key === null ? rejected.name : `${key.kind} ${key.key}`;
}

/** Files in, cache out, with everything that is wrong on the way. */
class MeshPipeline {
  readonly #store: ObjectStore;
  readonly #linker: MeshLinker;
  readonly #cache: ResourceCache;
  readonly #log: Logger;
  #reported: ReadonlySet<string> = new Set();

  constructor(rootNamespace: string, cache: ResourceCache, log: Logger) {
    this.#store = new ObjectStore({ rootNamespace });
    this.#linker = new MeshLinker(rootNamespace);
    this.#cache = cache;
    this.#log = log;
  }

  apply(changes: readonly FileChange[]): void {
    const link = this.#linker.update(this.#store.apply(changes));
    const hold = holdOn(this.#store.unresolved().flatMap(heldKeys), this.#store.hasUnreadFiles);
    for (const key of this.#cache.publish(link, hold)) this.#log.error({ ...key }, 'resource is too large to be sent');
    this.#logFindings();
  }

  findings(): Finding[] {
    return [...this.#store.findings(), ...this.#linker.findings()].sort(compareFindings);
  }

  resources(): MeshResource[] {
    return this.#cache.all().map((cached) => cached.resource);
  }

  routes(): RouteStatus[] {
    return routeStatuses(this.#store.accepted.values(), this.#store.refusedObjects(), this.#linker.view);
  }

  status(registry: AgentRegistry): ControllerStatus {
    const all = this.findings();
    const findings = all.slice(0, limits.findingsMax);
    return {
      version: this.#cache.version,
      objects: {
        accepted: this.#store.accepted.size,
        refused: findings.filter((finding) => finding.severity === 'error'),
        warnings: findings.filter((finding) => finding.severity === 'warning'),
        findingsOmitted: all.length - findings.length,
      },
      agents: registry.list(),
    };
  }

  /** Each finding is logged once, when it comes up. */
  #logFindings(): void {
    const now = new Set<string>();
    for (const finding of this.findings().slice(0, limits.findingsMax)) {
      const line = formatFinding(finding);
      now.add(line);
      if (this.#reported.has(line)) continue;
      this.#log[finding.severity === 'error' ? 'warn' : 'info']({ ...finding }, line);
    }
    this.#reported = now;
  }
}
