/** `weir sandbox exec`: runs a command in a container's namespaces with the caller's stdin, stdout, stderr and terminal. */
import { spawn } from 'node:child_process';
import { askSandbox } from './client.ts';
import { enterArgv } from './container-process.ts';
import type { LocateRequest, Location } from './control-api.ts';
import { childrenOf, exitStatus, locateTools, signalProcess } from './processes.ts';
import { type FoundSandbox, isInside } from './registry.ts';
import { translationFor } from './translate.ts';

/** Runs the command to its end; resolves with its status, 128 + n after signal n. Throws when there is no such container. */
export async function execInPod(
  sandbox: FoundSandbox,
  request: LocateRequest,
  command: readonly string[],
): Promise<number> {
  const tools = locateTools(process.env['PATH'] ?? '');
  const location = await askSandbox<Location>(sandbox, 'locate', request);
  const pid = translationFor(sandbox).pid(location.pid);
  if (pid === null) throw new Error(`the process of pod ${request.pod} is gone; try again`);
  const { workingDir, capabilities } = location;
  const enter = { pid, workingDir, capabilities, userNamespace: !isInside(sandbox.record) };
  // However this process ends, what it started in the pod ends too.
  const argv = [tools.setpriv, '--pdeathsig', 'KILL', '--', ...enterArgv(tools, enter, command)];
  const terminal = process.env['TERM'];
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: 'inherit',
    env: { ...location.env, ...(terminal === undefined ? {} : { TERM: terminal }) },
  });
  // The terminal's own signals reach the command directly, it is in the same process group; the others are passed on.
  const pass = (signal: NodeJS.Signals): void => {
    const inPod = child.pid === undefined ? undefined : childrenOf(child.pid)[0];
    if (inPod !== undefined) signalProcess(inPod, signal);
  };
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) process.on(signal, pass);
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, process.stdin.isTTY ? () => undefined : pass);
  return await new Promise<number>((done, fail) => {
    child.on('error', fail);
    child.on('exit', (code, signal) => done(exitStatus(code, signal)));
  });
}
