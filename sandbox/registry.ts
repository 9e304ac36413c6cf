/**
 * Which sandboxes of this user run: claiming a name, finding the others, removing what a killed one left behind.
 *
 * Light on purpose: node built-ins only, synchronous, because every diagnostics command calls it to find its socket.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { candidateRoots, NAME_PATTERN, SandboxPaths } from './paths.ts';

/** PROC_PID_INIT_INO (linux/proc_ns.h): the namespace from which every process is visible. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** What sandbox.json says. Process ids are those of the shell that started the sandbox. */
export interface SandboxRecord {
  readonly name: string;
  /** The outer process, and when it started in clock ticks since boot: a process id alone is reused. */
  readonly pid: number;
  readonly startTicks: string;
  /** `pid:[…]` of the outer process: a pid means nothing in another PID namespace. */
  readonly pidNamespace: string;
  /** The first process inside, seen from the outer PID namespace; null until it runs. */
  readonly initPid: number | null;
  /** `pid:[…]` inside, so that a command knows on which side it runs; null until it runs. */
  readonly innerPidNamespace: string | null;
  readonly nodes: readonly string[];
  readonly mesh: boolean;
}

/** A sandbox found on disk. */
export interface FoundSandbox {
  readonly record: SandboxRecord;
  readonly paths: SandboxPaths;
}

/** `pid:[4026531836]` of the calling process, or '' where /proc does not say. */
export function ownPidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return ''; // no /proc: comparisons with a recorded namespace then say "elsewhere"
  }
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)), or null when there is no such process. */
export function processStartTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name (field 2) is in parentheses and may contain anything: count from the last one.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null; // gone
  }
}

/** The running sandboxes of this user, by name; broken or dead folders are left out (and removed by claim()). */
export function runningSandboxes(): FoundSandbox[] {
  const found: FoundSandbox[] = [];
  for (const root of candidateRoots()) {
    for (const name of listNames(root)) {
      const paths = new SandboxPaths(join(root, name));
      const record = readRecord(paths);
      if (record !== null && isAlive(record, paths)) found.push({ record, paths });
    }
  }
  return found.sort((a, b) => a.record.name.localeCompare(b.record.name));
}

/**
 * Takes a name: makes the folder (0700) and writes the record. Without a name: `sandbox`, `sandbox-2`, …
 * Throws when the name is malformed or taken, or when another user owns the folder.
 */
export function claim(wanted: string | null, record: Omit<SandboxRecord, 'name'>): FoundSandbox {
  const root = candidateRoots().find((candidate) => existsSync(candidate) || isUsable(dirname(candidate)));
  if (root === undefined) {
    throw new Error(
      'no folder for the state: XDG_RUNTIME_DIR, TMPDIR and /tmp are not writable, or too deep for a socket',
    );
  }
  prepareRoot(root);
  if (wanted !== null) return claimName(root, wanted, record);
  for (let suffix = 1; suffix <= 64; suffix++) {
    const name = suffix === 1 ? 'sandbox' : `sandbox-${suffix}`;
    if (runningSandboxes().some((sandbox) => sandbox.record.name === name)) continue;
    const claimed = removeStale(new SandboxPaths(join(root, name))) ? tryClaim(root, name, record) : null;
    if (claimed !== null) return claimed;
  }
  throw new Error('64 sandboxes run already; stop some (weir sandbox stop --name NAME) or give --name');
}

/** Replaces sandbox.json atomically. */
export function writeRecord(paths: SandboxPaths, record: SandboxRecord): void {
  const temporary = `${paths.record}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, paths.record);
}

/** True when the caller is inside this sandbox (COMMAND and what it starts), where pids and /run are the sandbox's. */
export function isInside(record: SandboxRecord): boolean {
  return record.innerPidNamespace !== null && record.innerPidNamespace === ownPidNamespace();
}

/** Removes the folders of sandboxes that are gone; returns their names. */
export function removeDeadSandboxes(): string[] {
  const removed: string[] = [];
  for (const root of candidateRoots()) {
    for (const name of listNames(root)) {
      const paths = new SandboxPaths(join(root, name));
      const record = readRecord(paths);
      if (record !== null && !isAlive(record, paths) && removeStale(paths)) removed.push(name);
    }
  }
  return removed;
}

function claimName(root: string, name: string, record: Omit<SandboxRecord, 'name'>): FoundSandbox {
  if (!NAME_PATTERN.test(name)) {
    throw new Error(
      `--name ${name}: use 1 to 24 lower-case letters, digits and '-', starting and ending with a letter or digit`,
    );
  }
  const running = runningSandboxes().find((sandbox) => sandbox.record.name === name);
  const paths = new SandboxPaths(join(root, name));
  if (running !== undefined || !removeStale(paths)) {
    const who = running === undefined ? '' : ` (process ${running.record.pid})`;
    throw new Error(
      `a sandbox named ${name} is already running${who}; choose another --name, or end it: weir sandbox stop --name ${name}`,
    );
  }
  const claimed = tryClaim(root, name, record);
  if (claimed !== null) return claimed;
  throw new Error(`another weir sandbox took the name ${name} at the same moment; choose another --name`);
}

/** null: somebody else was faster. */
function tryClaim(root: string, name: string, record: Omit<SandboxRecord, 'name'>): FoundSandbox | null {
  const paths = new SandboxPaths(join(root, name));
  try {
    mkdirSync(paths.root, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return null;
    throw error;
  }
  const full = { ...record, name };
  writeRecord(paths, full);
  return { record: full, paths };
}

/** False when the folder belongs to something that may be alive. */
function removeStale(paths: SandboxPaths): boolean {
  if (!existsSync(paths.root)) return true;
  const record = readRecord(paths);
  if (record === null ? isFresh(paths.root) : isAlive(record, paths)) return false;
  // Moved aside first, and looked at again there: another weir may have replaced it since.
  const aside = join(dirname(paths.root), `.dead-${process.pid}-${basename(paths.root)}`);
  try {
    renameSync(paths.root, aside);
  } catch {
    return !existsSync(paths.root); // another weir is clearing up as well
  }
  const moved = readRecord(new SandboxPaths(aside));
  if (moved !== null && isAlive(moved, new SandboxPaths(aside))) {
    renameSync(aside, paths.root);
    return false;
  }
  rmSync(aside, { recursive: true, force: true });
  return true;
}

/** A folder without a record is being made right now, unless it is a minute old. */
function isFresh(folder: string): boolean {
  return Date.now() - statSync(folder).mtimeMs < 60_000;
}

function isAlive(record: SandboxRecord, paths: SandboxPaths): boolean {
  if (isInside(record)) return true;
  // Started in another PID namespace (a sandbox started by a sandbox's COMMAND, a container), where its pid means something else.
  if (record.pidNamespace !== ownPidNamespace()) {
    if (ownPidNamespace() === INITIAL_PID_NAMESPACE) return namespaceHasProcess(record.pidNamespace);
    // Not everything is visible from here. Removing the state of a running sandbox is worse than a leftover folder.
    return existsSync(paths.controlSocket);
  }
  return processStartTicks(record.pid) === record.startTicks;
}

function namespaceHasProcess(pidNamespace: string): boolean {
  return readdirSync('/proc').some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readlinkSync(`/proc/${entry}/ns/pid`) === pidNamespace;
    } catch {
      return false; // somebody else's process, or gone
    }
  });
}

function readRecord(paths: SandboxPaths): SandboxRecord | null {
  try {
    const parsed: unknown = JSON.parse(readFileSync(paths.record, 'utf8'));
    return isRecord(parsed) ? parsed : null;
  } catch {
    return null; // not there (being made or removed), or not ours to read
  }
}

function isRecord(value: unknown): value is SandboxRecord {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Partial<SandboxRecord>;
  return (
    typeof record.name === 'string' &&
    typeof record.pid === 'number' &&
    typeof record.startTicks === 'string' &&
    typeof record.pidNamespace === 'string' &&
    Array.isArray(record.nodes)
  );
}

function listNames(root: string): string[] {
  try {
    return readdirSync(root).filter((name) => NAME_PATTERN.test(name));
  } catch {
    return []; // nobody has run a sandbox there
  }
}

function isUsable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false; // XDG_RUNTIME_DIR often names a folder that is not there (su, cron)
  }
}

function prepareRoot(root: string): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const owner = statSync(root);
  // /tmp is everybody's: a folder somebody else made beforehand would let them swap our sockets.
  if (owner.uid !== process.getuid?.() || (owner.mode & 0o077) !== 0) {
    throw new Error(`${root} must belong to you with mode 0700; remove it or set TMPDIR to a folder of your own`);
  }
}
