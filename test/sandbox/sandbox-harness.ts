/**
 * Starts and asks real sandboxes through the built `weir` command, as a user does from a shell. Each test file gets a state
 * folder of its own, so that it neither sees nor disturbs other sandboxes on the machine.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onHang } from '../harness/hang.ts';

const WEIR = fileURLToPath(new URL('../../dist/cli/weir.js', import.meta.url));
export const ECHO = fileURLToPath(new URL('fixtures/echo.mjs', import.meta.url));
/** What everything may take on a loaded machine; a hang, not a performance check. */
const PATIENCE_MS = 60_000;

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that was started, with what it has printed so far. */
export class Running {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly finished: Promise<Finished>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stdout += chunk;
    });
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.stderr += chunk;
    });
    this.finished = new Promise((done, fail) => {
      child.on('error', fail);
      child.on('close', (status, signal) => done({ status, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  /** Ends it with SIGKILL; does not wait for what may still hold its output open. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((done) => {
      child.on('exit', done);
    });
    child.kill('SIGKILL');
    await exited;
    child.stdout?.destroy();
    child.stderr?.destroy();
  }

  /** Resolves when both outputs together match; fails with them when it ends or the time is over before. */
  async printed(pattern: RegExp): Promise<void> {
    await eventually(`output matching ${pattern}`, () => {
      const text = this.stdout + this.stderr;
      if (pattern.test(text)) return true;
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`it ended with: ${text}`);
      return false;
    });
  }
}

/** One file's corner of the machine: a temporary folder for YAML and for the sandboxes' state. */
export class Corner {
  readonly folder = mkdtempSync(join(tmpdir(), 'weir-test-'));
  readonly #running: Running[] = [];
  readonly #prefix: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #endWitness = onHang(() => this.#unfinished());

  constructor(environment: NodeJS.ProcessEnv = {}, prefix: readonly string[] = []) {
    this.#prefix = prefix;
    mkdirSync(join(this.folder, 'run'), { mode: 0o700 });
    this.#environment = { XDG_RUNTIME_DIR: join(this.folder, 'run'), ...environment };
  }

  /** Writes a file and returns its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Starts `weir` with these words. */
  start(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
    const argv = [...this.#prefix, process.execPath, WEIR, ...words];
    const {
      WEIR_SANDBOX: _name,
      WEIR_SOCKET: _socket,
      WEIR_CONTROLLER_SOCKET: _controller,
      ...inherited
    } = process.env;
    const child = spawn(argv[0] ?? '', argv.slice(1), {
      cwd: this.folder,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...inherited, ...this.#environment, ...environment },
    });
    const running = new Running(child);
    this.#running.push(running);
    return running;
  }

  /** Runs `weir` to its end. */
  async run(words: readonly string[], input = '', environment: NodeJS.ProcessEnv = {}): Promise<Finished> {
    const running = this.start(words, environment);
    running.child.stdin?.end(input);
    const timer = setTimeout(() => running.child.kill('SIGKILL'), PATIENCE_MS);
    const finished = await running.finished;
    clearTimeout(timer);
    return finished;
  }

  /** Runs `weir` and expects success; returns its stdout. */
  async ok(words: readonly string[], input = ''): Promise<string> {
    const { status, stdout, stderr } = await this.run(words, input);
    assert.equal(status, 0, `weir ${words.join(' ')}\n${stdout}${stderr}`);
    return stdout;
  }

  /** `weir … -o json`, parsed. */
  async json<Row>(words: readonly string[]): Promise<Row[]> {
    return JSON.parse(await this.ok([...words, '-o', 'json'])) as Row[];
  }

  /** Asks a URL from inside a pod; the echo server's answer. */
  async fetchFrom(pod: string, url: string, ...curl: readonly string[]): Promise<EchoAnswer> {
    const text = await this.ok([
      'sandbox',
      'exec',
      pod,
      '--',
      'curl',
      '-sS',
      '--fail',
      '--max-time',
      '10',
      ...curl,
      url,
    ]);
    return JSON.parse(text) as EchoAnswer;
  }

  /** What runs, and the last of what it printed. */
  #unfinished(): string {
    const live = this.#running.filter(({ child }) => child.exitCode === null && child.signalCode === null);
    const lines = live.map(
      ({ child, stdout, stderr }) => `${child.spawnargs.join(' ')}\n${(stdout + stderr).slice(-1_000)}`,
    );
    return `started and not finished:\n${lines.join('\n')}`;
  }

  /** Ends what still runs and removes the folder. */
  async close(): Promise<void> {
    this.#endWitness();
    for (const running of this.#running) await running.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What fixtures/echo.mjs answers. */
export interface EchoAnswer {
  readonly pod: string;
  readonly from: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Fields of `weir sandbox get pods -o json` that tests read. */
export interface PodRow {
  readonly name: string;
  readonly namespace: string;
  readonly node: string;
  readonly uid: string;
  readonly ready: boolean;
  readonly restarts: number;
  readonly ip: string;
  readonly ips: readonly string[];
  readonly netns: string;
  readonly pid: number;
  readonly containers: readonly {
    readonly name: string;
    readonly pid: number;
    readonly log: string;
    readonly restarts: number;
  }[];
}

/** Asks again until the answer is true; fails with what was waited for. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS / 1_000} s in vain for ${what}`);
    await new Promise((done) => {
      setTimeout(done, 50);
    });
  }
}

/** Process ids that live in this PID namespace (`pid:[…]`), as far as this process can see. */
export function processesIn(pidNamespaces: ReadonlySet<string>): number[] {
  return numericEntries().filter((pid) => {
    try {
      return (
        pidNamespaces.has(readlinkSync(`/proc/${pid}/ns/pid`)) &&
        !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
      );
    } catch {
      return false; // gone meanwhile
    }
  });
}

/** True when a mount of any visible process keeps this network namespace (inode number) alive. */
export function isNetnsMounted(inode: number): boolean {
  return numericEntries().some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(`net:[${inode}]`);
    } catch {
      return false; // gone meanwhile
    }
  });
}

/** PID namespaces of a process and everything below it. */
export function pidNamespacesBelow(root: number): Set<string> {
  const found = new Set<string>();
  const below = new Set([root]);
  // A child may have a smaller number than its parent: go round until nothing is added.
  for (let size = 0; size !== below.size; ) {
    size = below.size;
    for (const pid of numericEntries()) {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        if (!below.has(parent) && pid !== root) continue;
        below.add(pid);
        if (pid !== root) found.add(readlinkSync(`/proc/${pid}/ns/pid`));
      } catch {
        continue; // gone meanwhile
      }
    }
  }
  found.delete(readlinkSync('/proc/self/ns/pid'));
  return found;
}

function numericEntries(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}
