/** STATE_DIR/pods.json: the pods that were enrolled, so that the next agent finds them. Replaced atomically, mode 0600. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnrolledPod } from '../ipc/messages.ts';
import { parseDel, parseIps, parseNetnsPath, parsePod } from './cni-request.ts';
import { done, failure, type Result, success } from './result.ts';

/** One enrolled pod as it is kept. `netnsInode`: decimal; a path that now leads to another inode is another pod's namespace. */
export interface PodRecord {
  readonly containerId: string;
  readonly ifName: string;
  readonly index: number;
  readonly pod: EnrolledPod;
  readonly netnsPath: string;
  readonly netnsInode: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly enrolledAtMs: number;
}

/** What load() found; `complaints`: records or a whole file that had to be left out. */
export interface LoadedPods {
  readonly records: readonly PodRecord[];
  readonly complaints: readonly string[];
}

const FORMAT = 1;

/** Reads and writes pods.json of one state folder. Writes must not overlap (SerialWriter). */
export class PodsStore {
  readonly path: string;
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = stateDir;
    this.path = join(stateDir, 'pods.json');
  }

  /** Never rejects: an unreadable file is moved to pods.json.refused and complained about; no file is no pods. */
  async load(): Promise<LoadedPods> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { records: [], complaints: [] };
      return { records: [], complaints: [`${this.path}: ${messageOf(error)}`] };
    }
    const loaded = parsePods(text);
    if (loaded !== null) return loaded;
    const aside = `${this.path}.refused`;
    const moved = await rename(this.path, aside).then(() => `kept as ${aside}`, messageOf);
    return {
      records: [],
      complaints: [`${this.path}: not a list of pods of format ${FORMAT} (${moved}); starting with none`],
    };
  }

  /** The records of a file that another agent keeps: nothing is moved or repaired. NOT_READY when they cannot be told. */
  async read(): Promise<Result<readonly PodRecord[]>> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return success([]);
      return failure('NOT_READY', `${this.path}: ${messageOf(error)}`, true);
    }
    const parsed = parsePods(text);
    if (parsed === null) return failure('NOT_READY', `${this.path} is not a list of pods of format ${FORMAT}`);
    if (parsed.complaints.length > 0) return failure('NOT_READY', parsed.complaints.join('; '));
    return success(parsed.records);
  }

  /** STATE_UNWRITABLE when the file on disk could not be replaced; it then still is the previous one. */
  async save(records: readonly PodRecord[]): Promise<Result<void>> {
    const temporary = join(this.#folder, '.pods.json.new');
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const file = await open(temporary, 'w', 0o600);
      try {
        await file.writeFile(`${JSON.stringify({ format: FORMAT, pods: records })}\n`);
        // Before the rename: after a power cut the name must not lead to an empty file.
        await file.datasync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
      return done;
    } catch (error) {
      const remedy = 'the agent needs a writable --state-dir with free space';
      return failure('STATE_UNWRITABLE', `${this.path}: ${messageOf(error)}; ${remedy}`, true);
    }
  }
}

/** The records of a pods.json text; null when it is not one at all. Pure. */
export function parsePods(text: string): LoadedPods | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  if (!isFields(value) || value['format'] !== FORMAT || !Array.isArray(value['pods'])) return null;
  const records: PodRecord[] = [];
  const complaints: string[] = [];
  for (const [position, entry] of (value['pods'] as readonly unknown[]).entries()) {
    const record = parseRecord(entry);
    if (record.ok) records.push(record.value);
    else complaints.push(`pods.json, pod ${position + 1}: ${record.error.message}; left out`);
  }
  return { records, complaints };
}

function parseRecord(entry: unknown): Result<PodRecord> {
  const attachment = parseDel(entry);
  if (!attachment.ok) return attachment;
  const fields = entry as Fields;
  const netnsPath = parseNetnsPath(fields['netnsPath']);
  if (!netnsPath.ok) return netnsPath;
  const pod = fields['pod'];
  const reference = parsePod(pod);
  if (!reference.ok) return reference;
  const addresses = parseIps((pod as Fields)['addresses']);
  if (!addresses.ok) return addresses;
  const { index, netnsInode, annotations, enrolledAtMs } = fields;
  const serviceAccount = (pod as Fields)['serviceAccount'];
  const { namespace, name, uid } = reference.value;
  if (uid === null || typeof serviceAccount !== 'string' || !isStrings(annotations))
    return malformed('pod or annotations');
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 1) return malformed('index');
  if (typeof netnsInode !== 'string' || typeof enrolledAtMs !== 'number')
    return malformed('netnsInode or enrolledAtMs');
  const value: PodRecord = {
    ...attachment.value,
    index,
    pod: { uid, namespace, name, serviceAccount, addresses: addresses.value },
    netnsPath: netnsPath.value,
    netnsInode,
    annotations,
    enrolledAtMs,
  };
  return { ok: true, value };
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is Readonly<Record<string, string>> {
  return isFields(value) && Object.values(value).every((entry) => typeof entry === 'string');
}

function malformed(field: string): Result<never> {
  return failure('INVALID_REQUEST', `${field} malformed`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
