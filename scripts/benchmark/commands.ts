/** Runs programs for the benchmark; every one that stays is ended when the benchmark ends. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';

/** The proxy has this core for itself; load generator and backend share the other one. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

const started: ChildProcess[] = [];

/**
 * A command that runs only when nobody else on its core wants to: SCHED_IDLE (sched(7)), and a session of its own with the least
 * weight, because where CONFIG_SCHED_AUTOGROUP is on, sessions share a core before processes do. The process id stays.
 */
export function lowPriority(command: readonly string[]): readonly string[] {
  const script = '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec chrt --idle 0 "$@"';
  return ['setsid', '-w', 'sh', '-c', script, 'sh', ...command];
}

/** Runs a program to its end; resolves to its standard output, rejects with its error output. */
export function run(command: readonly string[], timeoutMs = 60_000): Promise<string> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: timeoutMs, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(
          new Error(`${command.join(' ')} failed (${error.code ?? error.signal}): ${stderr.trim() || stdout.trim()}`),
        );
    });
  });
}

/** Starts a program that stays. Its output goes to `log`, which must be read: the last of it explains a failure. */
export function start(command: readonly string[], log: (chunk: string) => void): ChildProcess {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk: Buffer) => log(chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => log(chunk.toString('utf8')));
  child.on('error', (error) => log(`${command.join(' ')}: ${error.message}`));
  started.push(child);
  return child;
}

/** Ends what start() started, the last first, and waits: SIGTERM, and SIGKILL for what is still there after 10 s. */
export async function stopAll(): Promise<void> {
  for (const child of started.splice(0).reverse()) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(hard);
  }
}

/** Resolves when `probe` does; tries again until then. Rejects with its last error after `timeoutMs`. */
export async function until<T>(what: string, timeoutMs: number, probe: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
