/** `weir sandbox`: flags, help and printing. What it does is in sandbox/, loaded when it is done. */
import type { FoundSandbox } from '../sandbox/registry.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect } from './controller-command.ts';
import { CliError, EXIT, OUTPUT_FORMATS, parseOutputFormat, print, write } from './output.ts';
import { LISTED_KINDS, printKind } from './sandbox-tables.ts';
import type { CommandLine } from './program.ts';

interface RunFlags {
  readonly filename?: readonly string[];
  readonly nodes: number;
  readonly image?: readonly string[];
  readonly name?: string;
  readonly workers?: number;
  readonly accessLog: string;
  readonly logLevel: string;
  readonly drainDeadline?: number;
  readonly mesh: boolean;
  readonly timeout: number;
  readonly quiet?: boolean;
}

/** What every command on a running sandbox takes. */
interface ClientFlags {
  readonly name?: string;
  readonly timeout: number;
}

/** A routing table of nodes², and a machine that is not a datacentre. */
const NODES_MAX = 64;
const WORKERS_MAX = 64;

/** Adds `weir sandbox` with all its commands. */
export function registerSandboxCommand(program: Command, line: CommandLine): void {
  const sandbox = registerRun(program, line);
  registerExec(sandbox, line);
  registerChanges(sandbox);
  registerMeshControl(sandbox);
  registerLooking(sandbox);
}

function registerRun(program: Command, line: CommandLine): Command {
  return program
    .command('sandbox')
    .description("run a cluster's YAML on this machine: nodes, pods and the mesh, without a cluster and without root")
    .usage(
      '-f PATH... [options] [-- COMMAND...]\n       weir sandbox exec|apply|delete|get|logs|restart|scale|stop|list …',
    )
    .enablePositionalOptions()
    .option('-f, --filename <path>', 'YAML file or folder, or - for stdin (repeatable)', collect)
    .option('--nodes <n>', 'how many nodes', wholeNumber(1, NODES_MAX), 1)
    .option(
      '--image <image=command>',
      'what runs instead of a container image, as a command line (repeatable)',
      collect,
      [],
    )
    .option('--name <name>', 'name of the sandbox (default: sandbox, or sandbox-2, …)')
    .option(
      '--workers <n>',
      'data-plane workers per node (default: the cores, shared by the nodes)',
      wholeNumber(1, WORKERS_MAX),
    )
    .addOption(
      new Option('--access-log <mode>', 'what the agents log').choices(['off', 'errors', 'all']).default('errors'),
    )
    .addOption(
      new Option('--log-level <level>', 'of agents and controller')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option(
      '--drain-deadline <seconds>',
      'how long a replaced agent may finish its connections (default: 20)',
      wholeNumber(0, 86_400),
    )
    .option('--no-mesh', 'a plain cluster without weir, to compare with')
    .option('--timeout <seconds>', 'how long pods and agents may take to become ready', wholeNumber(1, 86_400), 120)
    .option('-q, --quiet', 'no progress on stderr')
    .addHelpText(
      'after',
      `
Examples:
  weir sandbox -f shop.yaml --image shop:1='node shop.js'           run until Ctrl-C
  weir sandbox -f k8s/ --nodes 2 -- ./test.sh                       run test.sh when all is ready, exit with its status
  weir sandbox exec client -- curl -s http://shop/                  a command inside a pod, from another shell or COMMAND
  weir sandbox apply -f canary-route.yaml                           returns when every agent has acknowledged
  weir sandbox get pods -o json

COMMAND runs on the sandbox's host side: it reaches pods, ClusterIPs and the agents (weir status), not the outside world.
In its environment: WEIR_SANDBOX, the name; WEIR_SOCKET, the agents' admin sockets; WEIR_CONTROLLER_SOCKET, the controller's.
Exit status: COMMAND's (128 + n after signal n); 1 when the sandbox does not become ready; 2 for wrong usage.`,
    )
    .action(async (flags: RunFlags, command: Command) => {
      refuseArguments(command);
      process.exitCode = await runSandbox(flags, line);
    })
    .allowExcessArguments(true);
}

async function runSandbox(flags: RunFlags, line: CommandLine): Promise<number> {
  const { filename = [], image = [] } = flags;
  if (filename.length === 0) {
    throw new CliError('give what to run: weir sandbox -f PATH (weir sandbox --help shows examples)', EXIT.usage);
  }
  if (line.rest?.length === 0)
    throw new CliError('a command must follow --; without a command leave -- out', EXIT.usage);
  const images = await parseImages(image);
  const { availableParallelism } = await import('node:os');
  const { launchSandbox } = await import('../sandbox/launch.ts');
  const options = {
    paths: filename,
    nodes: flags.nodes,
    images,
    workers: flags.workers ?? Math.max(1, Math.floor(availableParallelism() / flags.nodes)),
    accessLog: flags.accessLog,
    logLevel: flags.logLevel,
    drainDeadlineMs: flags.drainDeadline === undefined ? null : flags.drainDeadline * 1_000,
    mesh: flags.mesh,
    timeoutMs: flags.timeout * 1_000,
    command: line.rest ?? [],
    quiet: flags.quiet === true,
  };
  return await explain(() => launchSandbox(flags.name ?? null, options));
}

/** `IMAGE=COMMAND`, split at the first `=` (an image name has none). */
async function parseImages(flags: readonly string[]): Promise<(readonly [string, readonly string[]])[]> {
  const { splitShellWords } = await import('../sandbox/shell-words.ts');
  return flags.map((flag) => {
    const at = flag.indexOf('=');
    const image = flag.slice(0, at);
    try {
      const words = splitShellWords(flag.slice(at + 1));
      if (at < 1 || words.length === 0) throw new RangeError('write IMAGE=COMMAND');
      return [image, words] as const;
    } catch (error) {
      throw new CliError(
        `--image ${flag}: ${(error as Error).message}, e.g. --image shop:1='node shop.js'`,
        EXIT.usage,
      );
    }
  });
}

function registerExec(sandbox: Command, line: CommandLine): void {
  client(sandbox.command('exec <pod>'), 'run a command in a pod: POD, POD.NAMESPACE, or the name of its Deployment')
    .usage('POD[.NAMESPACE] [-c CONTAINER] -- COMMAND...')
    .option('-c, --container <name>', 'which container (default: the first)')
    .action(async (pod: string, flags: ClientFlags & { container?: string }) => {
      const command = line.rest ?? [];
      if (command.length === 0)
        throw new CliError('give the command after --: weir sandbox exec POD -- COMMAND', EXIT.usage);
      const { execInPod } = await import('../sandbox/exec.ts');
      const found = await find(flags);
      process.exitCode = await explain(() => execInPod(found, { pod, container: flags.container ?? null }, command));
    });
}

function registerChanges(sandbox: Command): void {
  client(
    sandbox.command('apply'),
    'add or change objects; returns when pods are ready and every agent has acknowledged',
  )
    .requiredOption('-f, --filename <path>', 'YAML file or folder, or - for stdin (repeatable)', collect)
    .addHelpText(
      'after',
      '\nWhat is refused is printed as FILE:LINE: object: field: reason; nothing is changed then, and the status is 1.',
    )
    .action(async (flags: ClientFlags & { filename: readonly string[] }) => {
      await change(flags, 'apply', { files: await readFiles(flags.filename) });
    });
  client(sandbox.command('delete [kind] [name]'), 'remove objects by file, or one by kind and name')
    .option('-f, --filename <path>', 'YAML file or folder, or - for stdin (repeatable)', collect)
    .option('-n, --namespace <name>', 'namespace of KIND NAME', 'default')
    .action(
      async (
        kind: string | undefined,
        name: string | undefined,
        flags: ClientFlags & { filename?: readonly string[]; namespace: string },
      ) => {
        const { filename = [] } = flags;
        if ((kind === undefined || name === undefined) === (filename.length === 0)) {
          throw new CliError('give either -f PATH, or KIND and NAME: weir sandbox delete httproute shop', EXIT.usage);
        }
        const named = kind === undefined || name === undefined ? null : { kind, name, namespace: flags.namespace };
        await change(flags, 'delete', { files: await readFiles(filename), named });
      },
    );
  client(
    sandbox.command('scale <deployment>'),
    'change the number of pods: weir sandbox scale deployment/NAME --replicas N',
  )
    .requiredOption('--replicas <n>', 'how many pods', wholeNumber(0, 200))
    .option('-n, --namespace <name>', 'its namespace', 'default')
    .action(async (target: string, flags: ClientFlags & { replicas: number; namespace: string }) => {
      const deployment = target.replace(/^deploy(ment)?(s)?\//, '');
      await change(flags, 'scale', { deployment, namespace: flags.namespace, replicas: flags.replicas });
    });
}

function registerMeshControl(sandbox: Command): void {
  client(sandbox.command('restart <what>'), 'restart the agent(s) or the controller; returns when they are ready again')
    .usage('agent|controller [--node NODE] [--hard | --kill]')
    .option('--node <node>', 'only the agent of this node: node-0 or 0 (default: one after the other)')
    .option('--hard', 'end it with SIGTERM before the new one starts, instead of letting a new agent take over')
    .option('--kill', 'end it with SIGKILL before the new one starts')
    .addHelpText(
      'after',
      `
An agent is replaced: a new one starts beside it, takes over its pods, and the old one finishes the connections it has, until its
drain deadline. No connection fails. With --hard or --kill, connections fail until the new agent serves.`,
    )
    .action(async (what: string, flags: ClientFlags & { node?: string; hard?: boolean; kill?: boolean }) => {
      if (what !== 'agent' && what !== 'controller')
        throw new CliError(`restart ${what}: write agent or controller`, EXIT.usage);
      if (what === 'controller' && flags.node !== undefined)
        throw new CliError('the controller is not on a node: leave --node out', EXIT.usage);
      await change(flags, 'restart', {
        what,
        node: flags.node ?? null,
        kill: flags.kill === true,
        hard: flags.hard === true,
      });
    });
  client(sandbox.command('stop'), 'end a sandbox and everything in it').action(async (flags: ClientFlags) => {
    const { waitUntilGone } = await import('../sandbox/wait-gone.ts');
    const found = await find(flags);
    await change(flags, 'stop', {});
    if (!(await waitUntilGone(found, flags.timeout * 1_000))) {
      throw new CliError(`sandbox ${found.record.name} has not ended yet (process ${found.record.pid})`);
    }
  });
}

function registerLooking(sandbox: Command): void {
  client(sandbox.command('get <kind> [name]'), `show ${LISTED_KINDS.join(', ')}`)
    .option('-n, --namespace <name>', 'only of this namespace (default: all)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(OUTPUT_FORMATS).default('table'))
    .addHelpText(
      'after',
      '\nProcess ids and netns paths are valid where the command is run: inside the sandbox or in another shell.',
    )
    .action(
      async (kind: string, name: string | undefined, flags: ClientFlags & { namespace?: string; output: string }) => {
        const format = parseOutputFormat(flags.output);
        const { askSandbox } = await import('../sandbox/client.ts');
        const { translateListing, translationFor } = await import('../sandbox/translate.ts');
        const found = await find(flags);
        const raw = await explain(() => askSandbox<Parameters<typeof translateListing>[0]>(found, 'get', {}));
        const listing = translateListing(raw, translationFor(found));
        await printKind(listing, kind, { name: name ?? null, namespace: flags.namespace ?? null }, format);
      },
    );
  client(
    sandbox.command('logs [what]'),
    'print logs of POD[.NAMESPACE], agent, controller or cni (default: everything)',
  )
    .option('-c, --container <name>', 'only this container')
    .option('--node <node>', 'only of this node (agent, cni)')
    .option('--tail <n>', 'only the last lines of each log', wholeNumber(0, 1_000_000))
    .option('-f, --follow', 'go on until Ctrl-C')
    .action(
      async (
        what: string | undefined,
        flags: ClientFlags & { container?: string; node?: string; tail?: number; follow?: boolean },
      ) => {
        const { printLogs } = await import('../sandbox/logs.ts');
        const found = await find(flags);
        const choice = {
          what: what ?? null,
          container: flags.container ?? null,
          node: flags.node ?? null,
          tail: flags.tail ?? null,
          follow: flags.follow === true,
        };
        await explain(() => printLogs(found, choice, (text) => write(process.stdout, text)));
      },
    );
  sandbox
    .command('list')
    .description('show the sandboxes that run')
    .addOption(new Option('-o, --output <format>', 'output format').choices(OUTPUT_FORMATS).default('table'))
    .action(async (flags: { output: string }) => {
      const { runningSandboxes } = await import('../sandbox/registry.ts');
      const rows = runningSandboxes().map(({ record, paths }) => {
        return { name: record.name, pid: record.pid, nodes: record.nodes, mesh: record.mesh, folder: paths.root };
      });
      const columns = [
        { header: 'name', value: (row: (typeof rows)[number]) => row.name },
        { header: 'pid', value: (row: (typeof rows)[number]) => row.pid },
        { header: 'nodes', value: (row: (typeof rows)[number]) => row.nodes.length },
        { header: 'folder', value: (row: (typeof rows)[number]) => row.folder },
      ];
      await print({ rows, columns, empty: 'no sandbox is running' }, parseOutputFormat(flags.output));
    });
}

/** Options that every command on a running sandbox has. */
function client(command: Command, description: string): Command {
  return command
    .description(description)
    .option('--name <name>', 'which sandbox (default: the one this runs in, or the only one)')
    .option('--timeout <seconds>', 'how long it may take', wholeNumber(1, 86_400), 120)
    .configureHelp({ showGlobalOptions: false });
}

async function find(flags: ClientFlags): Promise<FoundSandbox> {
  const { findSandbox } = await import('../sandbox/client.ts');
  return await explain(async () => findSandbox(flags.name ?? null));
}

async function change(flags: ClientFlags, operation: string, body: object): Promise<void> {
  const { askSandbox } = await import('../sandbox/client.ts');
  const found = await find(flags);
  const timeoutMs = flags.timeout * 1_000;
  // The sandbox gives up by itself and says why; the connection is given longer.
  const answer = await explain(() =>
    askSandbox<{ lines: readonly string[] }>(found, operation, { ...body, timeoutMs }, timeoutMs + 30_000),
  );
  await write(process.stdout, answer.lines.map((text) => `${text}\n`).join(''));
}

async function readFiles(paths: readonly string[]): Promise<readonly { path: string; text: string }[]> {
  const { readYamlFiles } = await import('../sandbox/yaml-files.ts');
  return await explain(async () => readYamlFiles(paths));
}

/** Every failure of the sandbox is a message for people, not a bug with a stack. */
async function explain<Result>(work: () => Promise<Result>): Promise<Result> {
  const { SandboxUnreachable } = await import('../sandbox/client.ts');
  try {
    return await work();
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError((error as Error).message, error instanceof SandboxUnreachable ? EXIT.unreachable : EXIT.failure);
  }
}

/** `weir sandbox aply` must not start anything. */
function refuseArguments(command: Command): void {
  const [word] = command.args;
  if (word === undefined) return;
  const names = command.commands.map((known) => known.name()).join(', ');
  throw new CliError(
    `weir sandbox ${word}: no such command; there are ${names}. A command to run goes after --`,
    EXIT.usage,
  );
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
  };
}
