/**
 * The last good mesh configuration: every resource the controller sent and the workers took, with its version, in memory
 * and on disk (STATE_DIR/snapshot.json, mode 0600), so that an agent starts and goes on without the controller.
 *
 *   const store = new SnapshotStore(`${stateDir}/snapshot.json`, { log });
 *   const loaded = store.load();            // synchronous, never throws
 *   if (loaded.error !== null) log it       // corrupt or unreadable: the store is empty, a corrupt file was set aside
 *   await mesh.apply({ upserts: loaded.resources, removals: [] });
 *   const client = new ControlClient({ ..., store });   // records every applied change here
 *   await store.close();                    // writes what is pending
 *
 * The file: one line of JSON with format, checksum and length, then the JSON they are about. Payloads are the wire's bytes
 * (base64), read back through the wire's own checks, so a damaged or hostile file cannot put anything into the mesh that a
 * controller could not.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { MeshKind, MeshResource, ResourceKey } from '../../mesh/model.ts';
import { keyOf } from '../../mesh/model.ts';
import {
  decodeResource,
  encodeResource,
  TYPE_URLS,
  typeUrlOf,
  WIRE_REVISION,
  wireNameOf,
} from '../../mesh/wire/resource.ts';
import { limits } from '../limits.ts';

export interface LoadedSnapshot {
  readonly resources: readonly MeshResource[];
  /** What is wrong with the file and what was done; null: loaded, or there was no file yet. */
  readonly error: string | null;
}

/** A resource as the controller versions it. */
export interface VersionedResource {
  readonly version: string;
  readonly resource: MeshResource;
}

export type ControlLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

export interface SnapshotStoreOptions {
  readonly log: ControlLog;
}

const FORMAT = 'weir-snapshot-1';
/** The version reported for content that an older agent decoded: never one of the controller's, so all is sent again. */
const OUTDATED = 'outdated';

interface FileHead {
  readonly format: string;
  readonly sha256: string;
  readonly bytes: number;
}

export class SnapshotStore {
  readonly #path: string;
  readonly #log: ControlLog;
  readonly #types = new Map<string, Map<string, VersionedResource>>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #dirty = false;
  #closed = false;
  /** Another agent keeps the file for now: changes are remembered, not written. */
  #held = false;

  constructor(path: string, options: SnapshotStoreOptions) {
    this.#path = path;
    this.#log = options.log;
    for (const typeUrl of TYPE_URLS) this.#types.set(typeUrl, new Map());
  }

  /** Reads the file. A corrupt one is renamed to `.corrupt` and the store starts empty. Never throws. */
  load(): LoadedSnapshot {
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { resources: [], error: null };
      return { resources: [], error: `${this.#path} cannot be read: ${message(error)}; starting without a snapshot` };
    }
    const problem = this.#parse(bytes);
    if (problem === null) return { resources: this.resources(), error: null };
    for (const resources of this.#types.values()) resources.clear();
    return { resources: [], error: `${this.#path} ${problem}; ${this.#setAside()}, starting without a snapshot` };
  }

  /** Forgets everything and reads the file again, because another agent may have written it meanwhile. */
  reload(): { readonly upserts: readonly MeshResource[]; readonly removals: readonly ResourceKey[] } & LoadedSnapshot {
    const before = this.resources().map(keyOf);
    for (const resources of this.#types.values()) resources.clear();
    const loaded = this.load();
    const removals = before.filter((key) => !this.#types.get(typeUrlOf(key.kind))?.has(wireNameOf(key)));
    return { ...loaded, upserts: loaded.resources, removals };
  }

  /** Leaves the file to another agent until release(). */
  hold(): void {
    this.#held = true;
  }

  /** The file is this agent's (again); what changed meanwhile is written soon. */
  release(): void {
    this.#held = false;
    if (this.#dirty) this.#schedule();
  }

  resources(): MeshResource[] {
    return [...this.#types.values()].flatMap((type) => [...type.values()].map((entry) => entry.resource));
  }

  /** Name → version of everything held under a type URL, as the control protocol wants it. */
  versions(typeUrl: string): Record<string, string> {
    const versions: Record<string, string> = {};
    for (const [name, { version }] of this.#types.get(typeUrl) ?? []) versions[name] = version;
    return versions;
  }

  /** The resource behind a name of the control protocol; undefined when none is held. */
  get(typeUrl: string, name: string): VersionedResource | undefined {
    return this.#types.get(typeUrl)?.get(name);
  }

  /** Resources held, per kind. */
  counts(): Record<MeshKind, number> {
    const counts: Record<MeshKind, number> = {
      workload: 0,
      service: 0,
      serviceEntry: 0,
      httpRoute: 0,
      tlsRoute: 0,
      tcpRoute: 0,
      destinationRule: 0,
      sidecarScope: 0,
      authorizationPolicy: 0,
      peerAuthentication: 0,
      requestAuthentication: 0,
      networkPolicy: 0,
      meshSettings: 0,
    };
    for (const type of this.#types.values()) for (const { resource } of type.values()) counts[resource.kind] += 1;
    return counts;
  }

  /** Takes an applied change in and writes the file soon (limits.snapshotDelayMs): a burst is written once. */
  record(upserts: readonly VersionedResource[], removals: readonly ResourceKey[]): void {
    for (const key of removals) this.#types.get(typeUrlOf(key.kind))?.delete(wireNameOf(key));
    for (const entry of upserts) {
      const key = keyOf(entry.resource);
      this.#types.get(typeUrlOf(key.kind))?.set(wireNameOf(key), entry);
    }
    this.#dirty = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null || this.#closed || this.#held) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, limits.snapshotDelayMs);
  }

  /** Writes what is not on disk yet; a failure is logged and the next change tries again. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (!this.#dirty || this.#held) return;
      this.#dirty = false;
      try {
        await this.#write();
      } catch (error) {
        this.#dirty = true;
        this.#log('error', `snapshot not written: ${message(error)}; the agent would restart from an older one`, {
          path: this.#path,
        });
      }
    });
    return this.#writing;
  }

  /** Writes what is pending and stops. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.flush();
  }

  /** tmp + fsync + rename + fsync of the folder: after a power failure the file is the old or the new one, whole. */
  async #write(): Promise<void> {
    const body = Buffer.from(JSON.stringify({ revision: WIRE_REVISION, resources: this.#rows() }));
    const head: FileHead = { format: FORMAT, sha256: sha256(body), bytes: body.length };
    const folder = dirname(this.#path);
    const temporary = `${this.#path}.tmp`;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Whatever stands there, a link included, is not written through.
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(head)}\n`);
      await file.writeFile(body);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    const directory = await open(folder, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #rows(): [string, string, string, string][] {
    const rows: [string, string, string, string][] = [];
    for (const [typeUrl, resources] of this.#types) {
      for (const [name, { version, resource }] of resources) {
        rows.push([typeUrl, name, version, Buffer.from(encodeResource(resource)).toString('base64')]);
      }
    }
    return rows;
  }

  /** Fills the store from the file's bytes; answers what is wrong with them, or null. */
  #parse(bytes: Buffer): string | null {
    const lineEnd = bytes.indexOf(0x0a);
    const head = parseJson(bytes.subarray(0, Math.max(0, lineEnd))) as Partial<FileHead> | null;
    if (lineEnd < 0 || typeof head !== 'object' || head === null) return 'has no header line';
    if (head.format !== FORMAT) return `has the format ${JSON.stringify(head.format ?? null)}, not ${FORMAT}`;
    const body = bytes.subarray(lineEnd + 1);
    if (body.length !== head.bytes) return `is ${body.length} octets long, its header says ${String(head.bytes)}`;
    if (sha256(body) !== head.sha256) return 'does not match its checksum';
    const content = parseJson(body) as { revision?: unknown; resources?: unknown } | null;
    const rows = content?.resources;
    if (!Array.isArray(rows)) return 'holds no list of resources';
    for (const [index, row] of rows.entries()) {
      if (!isRow(row)) return `has a malformed row ${index}`;
      const [typeUrl, name, version, value] = row;
      const decoded = decodeResource(typeUrl, name, Buffer.from(value, 'base64'));
      if (!decoded.ok) return `holds ${name}, whose ${decoded.problem.field} ${decoded.problem.reason}`;
      const known = content?.revision === WIRE_REVISION ? version : OUTDATED;
      this.#types.get(typeUrl)?.set(name, { version: known, resource: decoded.resource });
    }
    return null;
  }

  #setAside(): string {
    const aside = `${this.#path}.corrupt`;
    try {
      renameSync(this.#path, aside);
      return `it was moved to ${aside}`;
    } catch (error) {
      return `it could not be moved away (${message(error)})`;
    }
  }
}

function isRow(row: unknown): row is [string, string, string, string] {
  return Array.isArray(row) && row.length === 4 && row.every((part) => typeof part === 'string');
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // The caller words the problem; null is never valid here.
    return null;
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
