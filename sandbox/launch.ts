/**
 * The outer half of `weir sandbox`: takes a name, starts the inner half in new namespaces, passes signals on, and removes the
 * state when it is over.
 *
 *   weir sandbox (this) ── setpriv --pdeathsig KILL unshare -Urnmpf --kill-child ── sh (PID 1 inside) ── inside.ts ── the rest
 *
 * Each link ends with the one before it, kill -9 included: pdeathsig from this process to unshare, --kill-child from unshare
 * to PID 1, and the kernel ends a PID namespace with its PID 1.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { childrenOf, distFile, exitStatus, locateTools, type Tools } from './processes.ts';
import {
  claim,
  ownPidNamespace,
  processStartTicks,
  removeDeadSandboxes,
  type SandboxRecord,
  writeRecord,
} from './registry.ts';
import type { SandboxPaths } from './paths.ts';
import type { FromInside, StartOptions, ToInside } from './start-options.ts';

/**
 * PID 1 inside. A tmpfs of our own on /run, because network namespaces' names and locks live there and the user may not
 * write to the machine's; what must stay visible below it is bound back. A shell and not Node, because PID 1 has to collect
 * processes that lost their parent. $0 the state folder, $@ the inner half.
 */
const INIT_SCRIPT = `
set -e
case "$0" in /run/*) exec 9< "$0" ;; esac
if [ -d /run/user ]; then exec 8< /run/user; fi
mount -t tmpfs -o mode=755 tmpfs /run
if [ -e /proc/self/fd/8 ]; then mkdir /run/user; mount --no-canonicalize --rbind /proc/self/fd/8 /run/user; fi
if [ -e /proc/self/fd/9 ] && [ ! -d "$0" ]; then mkdir -p "$0"; mount --no-canonicalize --bind /proc/self/fd/9 "$0"; fi
exec 8<&- 9<&-
set +e
"$@"
exit $?
`;

/** Runs a sandbox from start to end; resolves with the exit status of the command. Throws when it cannot be started. */
export async function launchSandbox(
  wanted: string | null,
  options: Omit<StartOptions, 'name' | 'stateDir'>,
): Promise<number> {
  const tools = locateTools(process.env['PATH'] ?? '');
  removeDeadSandboxes();
  const { record, paths } = claim(wanted, {
    pid: process.pid,
    startTicks: processStartTicks(process.pid) ?? '',
    pidNamespace: ownPidNamespace(),
    initPid: null,
    innerPidNamespace: null,
    nodes: Array.from({ length: options.nodes }, (_, index) => `node-${index}`),
    mesh: options.mesh,
  });
  try {
    return await superviseInside(tools, record, paths, { ...options, name: record.name, stateDir: paths.root });
  } finally {
    rmSync(paths.root, { recursive: true, force: true });
  }
}

async function superviseInside(
  tools: Tools,
  record: SandboxRecord,
  paths: SandboxPaths,
  options: StartOptions,
): Promise<number> {
  const child = startInside(tools, paths);
  const send = (message: ToInside): void => {
    if (child.connected) child.send(message);
  };
  let up = false;
  let asked: number | null = null;
  child.on('message', (message: FromInside) => {
    if (message.type === 'exit') {
      asked = message.status;
      return;
    }
    up = true;
    completeRecord(record, paths, child);
    send({ type: 'start', options });
  });
  const release = passSignals(child, () => up, send);
  const status = await new Promise<number>((done, fail) => {
    child.on('error', fail);
    child.on('exit', (code, signal) => done(exitStatus(code, signal)));
  });
  release();
  if (!up) throw new Error(`the namespaces of the sandbox could not be made${unsharingHint()}`);
  return asked ?? status;
}

function startInside(tools: Tools, paths: SandboxPaths): ChildProcess {
  const argv = [
    tools.setpriv,
    '--pdeathsig',
    'KILL',
    '--',
    tools.unshare,
    '--user',
    '--map-root-user',
    '--net',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--',
    tools.sh,
    '-c',
    INIT_SCRIPT,
    paths.root,
    process.execPath,
    distFile('sandbox/inside.js'),
  ];
  return spawn(argv[0] ?? '', argv.slice(1), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
}

/** What only the outer side knows: the pid of PID 1 inside, as seen from here. */
function completeRecord(record: SandboxRecord, paths: SandboxPaths, child: ChildProcess): void {
  const initPid = child.pid === undefined ? undefined : childrenOf(child.pid)[0];
  if (initPid === undefined) return;
  const innerPidNamespace = readlinkSync(`/proc/${initPid}/ns/pid`);
  writeRecord(paths, { ...record, initPid, innerPidNamespace });
}

/** INT, TERM, HUP and QUIT go inside; before there is an inside they end the attempt. Returns how to stop listening. */
function passSignals(child: ChildProcess, isUp: () => boolean, send: (message: ToInside) => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  const pass = (signal: NodeJS.Signals): void => {
    if (isUp()) send({ type: 'signal', signal, delivered: cameFromTerminal(signal) });
    else child.kill('SIGKILL');
  };
  for (const signal of signals) process.on(signal, pass);
  return () => {
    for (const signal of signals) process.off(signal, pass);
  };
}

/**
 * Ctrl-C and Ctrl-\ go to the terminal's whole foreground process group, COMMAND included: passing them on would deliver
 * them twice. Field 5 of /proc/self/stat is our group, field 8 the terminal's foreground group (-1: no terminal).
 */
function cameFromTerminal(signal: NodeJS.Signals): boolean {
  if (signal !== 'SIGINT' && signal !== 'SIGQUIT') return false;
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[2] === fields[5];
}

/** Why an unprivileged user may not make user namespaces, on the distributions that restrict it. */
function unsharingHint(): string {
  const hints: readonly (readonly [string, string, string])[] = [
    ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
    [
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    ],
    ['/proc/sys/user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=10000'],
  ];
  for (const [file, bad, remedy] of hints) {
    try {
      if (readFileSync(file, 'utf8').trim() === bad) return `: this machine forbids it; as root: ${remedy}`;
    } catch {
      continue; // this kernel has no such switch
    }
  }
  return '; in a container it needs a runtime that allows user namespaces (unshare -Urnmpf true)';
}
