/** `weir controller`: its flags; the controller itself is loaded when it runs. */
import { type Command, Option } from 'commander';
import type { ControllerOptions } from '../controlplane/options.ts';
import { CliError, EXIT } from './output.ts';

interface ControllerFlags {
  readonly source?: readonly string[];
  readonly listen?: readonly string[];
  readonly adminSocket: string;
  readonly rootNamespace: string;
  readonly trustDomain: string;
  readonly logLevel: ControllerOptions['logLevel'];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
}

/** Collects a flag that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

/** Adds `weir controller`. */
export function registerControllerCommand(program: Command): void {
  program
    .command('controller')
    .description('run the controller: reads Kubernetes objects, feeds every agent what its node needs')
    .option('--source <path>', 'file or folder of YAML to read and watch (repeatable)', collect)
    .option('--listen <address>', 'where agents connect: unix:PATH or HOST:PORT (repeatable)', collect)
    .option('--admin-socket <path>', 'unix socket of the admin API, mode 0600', '/run/weir/controller.sock')
    .option('--root-namespace <name>', 'policies in this namespace apply to the whole mesh', 'istio-system')
    .option('--trust-domain <domain>', 'trust domain of workload identities', 'cluster.local')
    .addOption(
      new Option('--log-level <level>', 'least severe message to log')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .option('--tls-cert <file>', 'PEM certificate for agents that connect over the network')
    .option('--tls-key <file>', 'its PEM key')
    .option('--client-ca <file>', 'PEM certificates: agents must present one signed by these')
    .addHelpText(
      'after',
      `
Examples:
  weir controller --source /etc/weir/objects --listen unix:/run/weir/xds.sock
  weir controller --source mesh.yaml --listen 0.0.0.0:15012 --tls-cert tls.crt --tls-key tls.key --client-ca ca.crt`,
    )
    .action(async (flags: ControllerFlags) => {
      const options = toOptions(flags);
      const { runController } = await import('../controlplane/main.ts');
      await runController(options);
    });
}

function toOptions(flags: ControllerFlags): ControllerOptions {
  const { source = [], listen = [] } = flags;
  if (source.length === 0) throw new CliError('give at least one --source PATH (a file or folder of YAML)', EXIT.usage);
  if (listen.length === 0)
    throw new CliError('give at least one --listen ADDRESS (unix:PATH or HOST:PORT)', EXIT.usage);
  if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined)) {
    throw new CliError('--tls-cert and --tls-key belong together: give both, or neither', EXIT.usage);
  }
  if (flags.clientCa !== undefined && flags.tlsCert === undefined) {
    throw new CliError('--client-ca needs --tls-cert and --tls-key: only TLS has client certificates', EXIT.usage);
  }
  return {
    sources: source,
    listen,
    adminSocket: flags.adminSocket,
    rootNamespace: flags.rootNamespace,
    trustDomain: flags.trustDomain,
    logLevel: flags.logLevel,
    tlsCert: flags.tlsCert ?? null,
    tlsKey: flags.tlsKey ?? null,
    clientCa: flags.clientCa ?? null,
  };
}
