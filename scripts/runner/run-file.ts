/**
 * Runs one test file in a process of its own and says what became of it. Nothing counts as success by silence: a file that
 * throws while it is loaded, registers no test, exits early or never ends has failed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestFile } from './discover.ts';
import { HANG_VARIABLE, type ReportLine } from './reporter.ts';

export interface Failure {
  readonly test: string;
  readonly error: string;
}

export interface FileResult {
  readonly file: TestFile;
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly Failure[];
  /** The last of what the process printed; shown when it failed. */
  readonly output: string;
  readonly seconds: number;
}

/** How long a file may take. */
export interface Patience {
  /** As a whole. */
  readonly fileMs: number;
  /** Between two events of its tests: after that it says where it hangs, if it still can. */
  readonly hangMs: number;
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** It was ended because it took too long as a whole, or because it hung and has said so. */
  readonly stopped: 'late' | 'hung' | null;
  readonly output: string;
}

const OUTPUT_CHARACTERS_MAX = 8_000;
/** From SIGTERM to SIGKILL: a sandbox needs a moment to remove what it made. */
const GRACE_MS = 5_000;
/** How often a file's report is looked at for a hang. */
const LOOK_MS = 500;
const running = new Set<ChildProcess>();

/** Ends every test process that is still there; for an interrupted run. */
export function killAll(): void {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

/** Runs `file`; resolves always. When it hangs or takes too long its whole process group is ended and the file has failed. */
export async function runFile(file: TestFile, root: string, patience: Patience): Promise<FileResult> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-test-'));
  const reportPath = join(folder, 'report');
  const started = performance.now();
  try {
    const ending = await runProcess(commandOf(file, reportPath), root, patience, () => hangOf(readReport(reportPath)));
    return resultOf(file, readReport(reportPath), ending, patience, (performance.now() - started) / 1000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function commandOf(file: TestFile, reportPath: string): readonly string[] {
  const node = [
    process.execPath,
    '--import',
    import.meta.resolve('tsx'),
    `--test-reporter=${fileURLToPath(new URL('reporter.ts', import.meta.url))}`,
    `--test-reporter-destination=${reportPath}`,
    file.path,
  ];
  // The network namespace comes second: made together with the user namespace it would belong to nobody, as the uid map is
  // written after that.
  const inside = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"';
  const within = ['unshare', '-n', 'sh', '-c', inside, 'sh', ...node];
  // Namespaces of its own for each file, as root too: whatever it does to interfaces and rules ends with it.
  if (file.group === 'netns') return ['unshare', '-Urmpf', '--kill-child', '--mount-proc', ...within];
  // An agent needs namespaces that it may enter: root has them, a plain user gets his own (with this machine's init, which
  // reaps what a killed agent leaves).
  if (file.group === 'integration' && process.getuid?.() !== 0) return ['unshare', '-Urm', ...within];
  return node;
}

/** @param hang what it says of a hang; null: it has said nothing of one */
function runProcess(
  command: readonly string[],
  root: string,
  patience: Patience,
  hang: () => string | null,
): Promise<Ending> {
  const [program = '', ...args] = command;
  return new Promise((resolve) => {
    const env = { ...process.env, [HANG_VARIABLE]: String(patience.hangMs) };
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], detached: true, env });
    running.add(child);
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARACTERS_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    let stopped: Ending['stopped'] = null;
    const stop = (why: Ending['stopped']): void => {
      if (stopped !== null) return;
      stopped = why;
      signalGroup(child, 'SIGTERM');
      setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS).unref();
    };
    const watchdog = setTimeout(() => stop('late'), patience.fileMs);
    const looking = setInterval(() => hang() !== null && stop('hung'), LOOK_MS);
    const finish = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (!running.delete(child)) return;
      clearTimeout(watchdog);
      clearInterval(looking);
      // What a test left running would disturb the next one, and holds the pipes open.
      signalGroup(child, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, signal, stopped, output });
    };
    child.on('error', (error) => {
      output += `${error.message}\n`;
      finish(127, null);
    });
    // `close` waits for the pipes, which a forgotten grandchild may hold: give it a moment, no more.
    child.on('exit', (code, signal) => {
      const late = setTimeout(() => finish(code, signal), 1_000);
      child.on('close', () => {
        clearTimeout(late);
        finish(code, signal);
      });
    });
  });
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function readReport(path: string): ReportLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  // A killed process may have left half a line at the end.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ReportLine);
}

/** What the test process has said of a hang; null: nothing. */
function hangOf(lines: readonly ReportLine[]): string | null {
  const last = lines.at(-1);
  return last?.type === 'hang' ? last.report : null;
}

function resultOf(
  file: TestFile,
  lines: readonly ReportLine[],
  ending: Ending,
  patience: Patience,
  seconds: number,
): FileResult {
  const failures: Failure[] = [];
  let passed = 0;
  let skipped = 0;
  for (const line of lines) {
    if (line.type === 'pass') passed += 1;
    else if (line.type === 'skip') skipped += 1;
    else if (line.type === 'fail') failures.push({ test: line.name, error: line.error });
  }
  const verdict = verdictOn(file, lines, ending, patience, passed + skipped + failures.length);
  // An ordinary failing test also exits non-zero; that is not a failure of its own.
  if (verdict !== null && (failures.length === 0 || ending.stopped !== null)) failures.push(verdict);
  return { file, passed, skipped, failures, output: ending.output, seconds };
}

/** What is wrong with the file as a whole; null when nothing is. */
function verdictOn(
  file: TestFile,
  lines: readonly ReportLine[],
  ending: Ending,
  patience: Patience,
  tests: number,
): Failure | null {
  const problem = (error: string): Failure => ({ test: '(the file)', error });
  const ended = lines.at(-1)?.type === 'end';
  if (ending.stopped !== null) {
    const busy = lines.filter((line) => line.type === 'running').at(-1);
    const last = busy === undefined ? 'no test had begun' : `the last test that began is "${busy.name}"`;
    const what =
      ending.stopped === 'hung'
        ? `no test began or ended for ${patience.hangMs / 1000} s`
        : `still running after ${patience.fileMs / 1000} s`;
    return problem(
      `${what}, killed; ${last}. If all its tests had passed, it left open what keeps Node alive (socket, timer, child process)\n${hangOf(lines) ?? ''}`,
    );
  }
  if (file.group === 'netns' && lines.length === 0 && ending.code !== 0) {
    return problem(`did not start in namespaces of its own (exit ${ending.code ?? ending.signal}). ${UNSHARE_HINT}`);
  }
  // Without a single test, node:test never starts and writes no report.
  if (tests === 0 && ending.code === 0)
    return problem('has no test, or called process.exit() before the first one ended');
  if (!ended)
    return problem(`ended before its tests did (exit ${ending.code ?? ending.signal}): process.exit() or a crash`);
  if (ending.code !== 0) return problem(`exit ${ending.code ?? ending.signal}: an error outside every test`);
  return null;
}

const UNSHARE_HINT =
  'These tests make their own network namespaces and need `unshare -Urnmpf --mount-proc true` to work: ' +
  'kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0, ' +
  'and in a container a seccomp profile that allows unshare and mount';
