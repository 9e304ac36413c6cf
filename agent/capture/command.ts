/**
 * Runs one program to its end inside a network namespace, without blocking: iptables-restore, iptables-save, ip.
 *
 * spawn() forks on the calling thread, so the child is born in the namespace that thread is in at that moment; the thread
 * is back home before the child has run its first instruction of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { NetworkNamespace } from '../engine/netns.ts';
import { limits } from '../limits.ts';

/** How a program ended. `spawnError`: it never ran (ENOENT: not installed). `status` is null when it was killed. */
export interface CommandOutcome {
  readonly command: string;
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly spawnError: string | null;
  readonly timedOut: boolean;
}

// iptables and ip are in sbin, which is not in everyone's PATH. LC_ALL: their messages are read below.
const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`,
  LC_ALL: 'C',
};

let running = 0;
const waiting: (() => void)[] = [];

/** Runs a program inside `netns` (null: this process's own); never rejects. At most limits.ruleCommandsAtOnce run at a time. */
export async function runCommand(
  netns: NetworkNamespace | null,
  command: string,
  args: readonly string[],
  stdin: string,
): Promise<CommandOutcome> {
  if (running >= limits.ruleCommandsAtOnce) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  try {
    return await execute(netns, command, args, stdin);
  } finally {
    // The slot goes straight to the next in line, so that nobody can overtake it.
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

function execute(
  netns: NetworkNamespace | null,
  command: string,
  args: readonly string[],
  stdin: string,
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    const start = (): ChildProcess => spawn(command, args, { env: ENVIRONMENT, stdio: 'pipe' });
    let child: ChildProcess;
    try {
      child = netns === null ? start() : netns.run(start);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      resolve({ command, status: null, stdout: '', stderr: '', spawnError: cause, timedOut: false });
      return;
    }
    collect(child, command, stdin, resolve);
  });
}

function collect(
  child: ChildProcess,
  command: string,
  stdin: string,
  resolve: (outcome: CommandOutcome) => void,
): void {
  let spawnError: string | null = null;
  let timedOut = false;
  const stdout = bounded(child.stdout);
  const stderr = bounded(child.stderr);
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, limits.ruleCommandTimeoutMs);
  child.on('error', (error: NodeJS.ErrnoException) => {
    spawnError = error.code === 'ENOENT' ? 'not installed' : error.message;
  });
  // EPIPE: the program ended before it had read everything; its exit status says why.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  child.on('close', (status) => {
    clearTimeout(timer);
    resolve({
      command,
      status: spawnError === null ? status : null,
      stdout: stdout(),
      stderr: stderr(),
      spawnError,
      timedOut,
    });
  });
}

/** Keeps the first limits.ruleOutputBytesMax of a stream; the rest is read and dropped, so that the program can end. */
function bounded(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (length < limits.ruleOutputBytesMax) chunks.push(chunk);
    length += chunk.length;
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

/** One line for a person: what the program said, or how it ended. */
export function describeOutcome(outcome: CommandOutcome): string {
  if (outcome.spawnError !== null) return `${outcome.command}: ${outcome.spawnError}`;
  if (outcome.timedOut) return `${outcome.command}: not finished after ${limits.ruleCommandTimeoutMs} ms, killed`;
  const said = outcome.stderr
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .slice(0, 500);
  return `${outcome.command}: exit status ${outcome.status ?? 'none (killed)'}${said === '' ? '' : `: ${said}`}`;
}
