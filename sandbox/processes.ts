/**
 * Starting, waiting for and signalling processes. Namespaces are entered with nsenter(1), unshare(1) and setpriv(1) of
 * util-linux and configured with ip(8): what an operator would type, and nothing native of our own.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { isAbsolute, resolve } from 'node:path';

/** Longest output of a helper command that is kept; more is cut off, nothing here needs it. */
const OUTPUT_BYTES_MAX = 1_048_576;

/** Absolute paths of the programs the sandbox is made of, found once: a container's PATH must not decide them. */
export interface Tools {
  readonly ip: string;
  readonly mount: string;
  readonly nsenter: string;
  readonly setpriv: string;
  readonly sh: string;
  readonly unshare: string;
}

const PACKAGES: Readonly<Record<keyof Tools, string>> = {
  ip: 'iproute2',
  mount: 'mount',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  sh: 'dash',
  unshare: 'util-linux',
};

/** Finds the tools; throws naming what is missing and the Debian packages that have it. */
export function locateTools(path: string): Tools {
  const search = `${path}:/usr/sbin:/sbin:/usr/bin:/bin`;
  const names = Object.keys(PACKAGES) as (keyof Tools)[];
  const found = names.map((name) => [name, findExecutable(name, search, '/')] as const);
  const missing = found.filter(([, file]) => file === null).map(([name]) => name);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((name) => PACKAGES[name]))].join(' ');
    throw new Error(`weir sandbox needs ${missing.join(', ')}; install it, on Debian: apt-get install ${packages}`);
  }
  return Object.fromEntries(found) as Record<keyof Tools, string>;
}

/** The file execvp(3) would run for this word, or null. */
export function findExecutable(word: string, path: string, workingDir: string): string | null {
  const candidates = word.includes('/')
    ? [isAbsolute(word) ? word : resolve(workingDir, word)]
    : path.split(':').map((folder) => resolve(workingDir, folder === '' ? '.' : folder, word));
  return candidates.find(isExecutableFile) ?? null;
}

function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // not there, or not for us
  }
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Then it is killed and counts as failed. Default 60 s. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  /** 128 + n after signal n; 127 when it could not be started. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a helper to its end, off the user's terminal; never throws. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((done) => {
    const child = spawn(argv[0] ?? '', argv.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // Ctrl-C is for the user's command; helpers finish
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    const output = { stdout: '', stderr: '' };
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        if (output[name].length < OUTPUT_BYTES_MAX) output[name] += chunk;
      });
    }
    child.on('error', (error) => {
      clearTimeout(timer);
      done({ status: 127, stdout: '', stderr: error.message });
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      done({ status: exitStatus(code, signal), ...output });
    });
    // A helper that exits without reading its input closes the pipe: its exit status says what is to be known.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Runs a helper that must succeed; throws with what it was for and what it said. */
export async function runOrThrow(purpose: string, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.status !== 0) {
    const said = result.stderr.trim() || result.stdout.trim() || `exit status ${result.status}`;
    throw new Error(`${purpose}: ${said}`);
  }
  return result.stdout;
}

/** A shell's view of how a process ended: its status, or 128 + the signal's number. */
export function exitStatus(code: number | null, signal: NodeJS.Signals | null): number {
  if (code !== null) return code;
  return 128 + (signal === null ? 0 : osConstants.signals[signal]);
}

/** Process ids of the children, oldest first; empty when there is no such process. */
export function childrenOf(pid: number): number[] {
  try {
    return numbers(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  } catch {
    return scanForChildren(pid); // kernel without CONFIG_PROC_CHILDREN
  }
}

function numbers(text: string): number[] {
  return text.split(' ').filter(Boolean).map(Number);
}

function scanForChildren(pid: number): number[] {
  return allProcesses().filter((candidate) => parentOf(candidate) === pid);
}

/** Every process id that /proc shows here. */
export function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Parent's process id, or null when the process is gone. */
export function parentOf(pid: number): number | null {
  const value = statusField(pid, 'PPid');
  return value === null ? null : Number(value);
}

/** A field of /proc/PID/status as written there, or null when the process is gone. */
export function statusField(pid: number, field: string): string | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? null;
  } catch {
    return null; // gone
  }
}

/** Sends a signal; false when there is no such process any more. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // ESRCH: that is what was wanted
  }
}

/** True when the process has a handler of its own for the signal (SigCgt of proc_pid_status(5)). */
export function catchesSignal(pid: number, signal: NodeJS.Signals): boolean {
  const mask = statusField(pid, 'SigCgt');
  return mask !== null && (BigInt(`0x${mask}`) & (1n << BigInt(osConstants.signals[signal] - 1))) !== 0n;
}

/** Resolves after the delay, or at once when the signal is aborted. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal?.aborted === true) return done();
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      done();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });
}

/** How long something may take (Date.now() when it is over), and how it is given up before. */
export interface Patience {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Asks again and again (every `stepMs`) until the answer is true; false when the deadline passed or it was aborted. */
export async function waitUntil(
  check: () => boolean | Promise<boolean>,
  deadlineMs: number,
  stepMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  for (;;) {
    if (await check()) return true;
    if (Date.now() >= deadlineMs || signal?.aborted === true) return false;
    await delay(stepMs, signal);
  }
}

/** What went wrong, for a message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The compiled file of another part of weir, beside this one in dist/ (also when this file runs from its source). */
export function distFile(path: string): string {
  const base = import.meta.url.endsWith('.ts') ? '../dist/' : '../';
  return new URL(base + path, import.meta.url).pathname;
}
