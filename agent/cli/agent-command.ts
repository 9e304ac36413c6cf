/** `weir agent`: flags to AgentOptions. The agent itself is loaded only when it runs, so that --help stays quick. */
import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CliError, EXIT } from '../../cli/output.ts';
import { ACCESS_LOG_MODES, LOG_LEVELS } from '../admin/choices.ts';
import { INTERCEPTION_MODES } from '../capture/interception.ts';
import { limits } from '../limits.ts';
import type { AgentOptions, ControllerTls } from '../supervisor/options.ts';
import { addCapFlags, type CapFlags, capsOf } from './cap-flags.ts';

/** What commander makes of the flags. */
interface Flags extends CapFlags {
  readonly node?: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly controller?: string;
  readonly workers: number;
  readonly trustDomain: string;
  readonly accessLog: AgentOptions['accessLog'];
  readonly accessLogFile?: string;
  readonly logLevel: AgentOptions['logLevel'];
  readonly metricsListen?: { readonly host: string; readonly port: number };
  readonly hostNetns: string;
  readonly controllerCa?: string;
  readonly controllerCert?: string;
  readonly controllerKey?: string;
  readonly excludeNamespaces: readonly string[];
  readonly interceptionMode: AgentOptions['interceptionMode'];
  readonly dnsServers: readonly string[];
  readonly drainDeadline: number;
  readonly instance?: string;
  readonly whenSuperseded: AgentOptions['whenSuperseded'];
}

const WORKERS_MAX = 256;

function parseWorkers(text: string): number {
  const workers = Number(text);
  if (Number.isInteger(workers) && workers >= 1 && workers <= WORKERS_MAX) return workers;
  throw new InvalidArgumentError(`write a number from 1 to ${WORKERS_MAX}`);
}

/** `HOST:PORT`, `[V6]:PORT` or `:PORT` (every address). */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535)
    throw new InvalidArgumentError('write HOST:PORT, e.g. 127.0.0.1:15020 or [::1]:15020');
  return { host: match[1] ?? (match[2] || '::'), port };
}

/** Seconds, fractions allowed, as ms. */
function parseDrainDeadline(text: string): number {
  const ms = Number(text) * 1_000;
  if (text.trim() !== '' && ms >= 0 && ms <= limits.drainDeadlineMaxMs) return Math.round(ms);
  throw new InvalidArgumentError(`write seconds, from 0 to ${limits.drainDeadlineMaxMs / 1_000}`);
}

/** Comma separated `IP`, `IP:PORT` or `[V6]:PORT`. */
export function parseDnsServers(text: string): readonly string[] {
  const servers = text.split(',').filter((server) => server !== '');
  const wrong = servers.find((server) => {
    const port = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(server);
    return isIP(port === null ? server : (port[1] ?? port[2] ?? '')) === 0 || Number(port?.[3] ?? 53) > 65_535;
  });
  if (wrong === undefined) return servers;
  throw new InvalidArgumentError(`${wrong}: write an address, with a port such as 10.96.0.10:5353 or [fd00::a]:5353`);
}

function parseNamespaces(text: string): readonly string[] {
  return text.split(',').filter((namespace) => namespace !== '');
}

function controllerTls(flags: Flags): ControllerTls | null {
  const { controllerCa, controllerCert, controllerKey } = flags;
  if ((controllerCert === undefined) !== (controllerKey === undefined)) {
    throw new CliError('--controller-cert and --controller-key belong together: give both, or neither', EXIT.usage);
  }
  if (controllerCa === undefined) {
    if (controllerCert === undefined) return null;
    throw new CliError(
      '--controller-cert needs --controller-ca: the agent must know whom it shows its certificate',
      EXIT.usage,
    );
  }
  return { caFile: controllerCa, certFile: controllerCert ?? null, keyFile: controllerKey ?? null };
}

/** Checks what commander cannot; throws CliError (usage). */
export function agentOptions(flags: Flags): AgentOptions {
  if (flags.node === undefined || flags.node === '') {
    throw new CliError('--node is missing: give the name of this node in Kubernetes, or set NODE_NAME', EXIT.usage);
  }
  if (flags.controller === undefined || flags.controller === '') {
    throw new CliError(
      '--controller is missing: give host:port, or unix:PATH for a controller on this machine',
      EXIT.usage,
    );
  }
  return {
    node: flags.node,
    runDir: flags.runDir,
    stateDir: flags.stateDir,
    controller: flags.controller,
    controllerTls: controllerTls(flags),
    workers: flags.workers,
    trustDomain: flags.trustDomain,
    accessLog: flags.accessLog,
    accessLogFile: flags.accessLogFile ?? null,
    logLevel: flags.logLevel,
    metricsListen: flags.metricsListen ?? null,
    hostNetns: flags.hostNetns,
    excludeNamespaces: flags.excludeNamespaces,
    interceptionMode: flags.interceptionMode,
    dnsServers: flags.dnsServers,
    caps: capsOf(flags),
    drainDeadlineMs: flags.drainDeadline,
    instance: flags.instance ?? randomUUID(),
    whenSuperseded: flags.whenSuperseded,
  };
}

/** Adds `weir agent`. It exits the process itself: 0 after SIGTERM or SIGINT, EXIT.failure when it cannot start. */
export function registerAgentCommand(program: Command): void {
  const command = program
    .command('agent')
    .description("run this node's agent: captures pods, carries their traffic, enforces routes and policies")
    .addOption(new Option('--node <name>', "this node's name in Kubernetes").env('NODE_NAME'))
    .addOption(new Option('--controller <address>', 'the controller: host:port or unix:PATH').env('WEIR_CONTROLLER'))
    .option('--run-dir <dir>', 'sockets: agent.sock (for `weir status` and the like), cni.sock', '/run/weir')
    .option('--state-dir <dir>', 'what survives a restart: pods.json, snapshot.json, names.json', '/var/lib/weir')
    .option('--workers <count>', 'data-plane processes', parseWorkers, availableParallelism())
    .option('--trust-domain <domain>', "the mesh's trust domain", 'cluster.local')
    .addOption(
      new Option('--access-log <mode>', 'one JSON line per request').choices(ACCESS_LOG_MODES).default('errors'),
    )
    .option('--access-log-file <path>', 'append the access log to a file instead of stdout')
    .addOption(new Option('--log-level <level>', 'JSON on stderr').choices(LOG_LEVELS).default('info'))
    .option('--metrics-listen <host:port>', 'serve /metrics and /healthz over TCP too', parseListen)
    .option('--host-netns <path>', "the node's network namespace", '/proc/self/ns/net')
    .option('--controller-ca <file>', "CA of the controller's certificate, PEM; without it the connection is plaintext")
    .option('--controller-cert <file>', 'certificate to show to the controller, PEM')
    .option('--controller-key <file>', 'its key, PEM')
    .option('--exclude-namespaces <names>', 'never capture pods of these, comma separated', parseNamespaces, [
      'kube-system',
    ])
    .addOption(
      new Option(
        '--interception-mode <mode>',
        'how new pods are captured unless they say so (weir.dev/interception-mode)',
      )
        .choices(INTERCEPTION_MODES)
        .default('REDIRECT')
        .env('WEIR_INTERCEPTION_MODE'),
    )
    .option(
      '--dns-servers <addresses>',
      'who is asked for the host names of ServiceEntries, comma separated (default: those of /etc/resolv.conf)',
      parseDnsServers,
      [],
    )
    .option(
      '--drain-deadline <seconds>',
      `when the agent ends, how long connections may go on (default: ${limits.drainDeadlineMs / 1_000})`,
      parseDrainDeadline,
      limits.drainDeadlineMs,
    )
    .addOption(
      new Option('--instance <id>', 'tells agents of one node apart, e.g. the uid of its pod').env('WEIR_INSTANCE'),
    )
    .addOption(
      new Option('--when-superseded <action>', 'when another agent has taken over and this one has drained')
        .choices(['exit', 'wait'])
        .default('exit'),
    )
    .addHelpText(
      'after',
      `
Examples:
  weir agent --node node-1 --controller weir-controller.weir-system.svc:15012
  weir agent --node dev --controller unix:/run/weir/xds.sock --access-log all --log-level debug

A second agent with the same --run-dir and --state-dir takes over from the first: it listens for the same pods, then the first
stops accepting, drains and exits 0; no connection is refused. Without a second one, SIGTERM drains and ends it; the pods stay
captured and refuse connections until an agent is back.`,
    );
  addCapFlags(command).action(async (flags: Flags) => {
    const options = agentOptions(flags);
    const { runAgent } = await import('../main.ts');
    try {
      await runAgent(options);
    } catch (error) {
      process.stderr.write(`weir agent: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(EXIT.failure);
    }
    process.exit(EXIT.ok);
  });
}
