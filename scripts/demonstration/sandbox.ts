/** The demo's view of the sandbox it runs in: the `weir` command and what it prints. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command-line tool, as built. */
export const CLI = fileURLToPath(new URL('../../dist/cli/weir.js', import.meta.url));
/** Longest a single command may take; 500 requests take about a second. */
const COMMAND_TIMEOUT_MS = 60_000;

/** What a command printed, and how it ended. */
export interface Answer {
  readonly code: number;
  readonly output: string;
}

/** A row of `weir sandbox get pods -o json`. */
export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly ip: string | null;
  /** All addresses, IPv4 and IPv6. */
  readonly ips: readonly string[];
}

/** Runs `weir ARGS`; resolves with its exit code and everything it printed, whatever they are. */
export function weir(...args: readonly string[]): Promise<Answer> {
  return new Promise((resolve) => {
    const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 };
    execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, output: stdout + stderr });
    });
  });
}

/** Runs a command inside a pod (`name.namespace`). */
export function execInPod(pod: string, command: readonly string[]): Promise<Answer> {
  return weir('sandbox', 'exec', pod, '--', ...command);
}

/** Throws an Error with the command's own words when it fails. */
export async function getPods(): Promise<readonly Pod[]> {
  const answer = await weir('sandbox', 'get', 'pods', '-o', 'json');
  if (answer.code !== 0) throw new Error(`weir sandbox get pods: ${answer.output.trim()}`);
  return JSON.parse(answer.output) as readonly Pod[];
}
