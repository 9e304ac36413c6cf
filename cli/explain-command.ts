/** `weir explain`: what would become of a request, or why it became what it did; against files, an agent or a controller. */
import { type Command, Option } from 'commander';
import { addAgentOptions, type CommonOptions, describe } from '../agent/cli/command-options.ts';
import { collect } from './controller-command.ts';

/** Its flags. */
export interface ExplainFlags extends CommonOptions {
  readonly file?: readonly string[];
  readonly controller?: string | true;
  readonly rootNamespace: string;
  readonly from?: string;
  readonly to?: string;
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  readonly header?: readonly string[];
  readonly tcp?: boolean;
  readonly sni?: string;
  readonly requests?: string;
}

const OUTPUTS = ['table', 'json', 'yaml', 'jsonl'];

/** Adds `weir explain`. */
export function registerExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .description('why a request goes where it goes, or is refused: the deciding object, rule and clause')
    .argument('[request-id]', 'a request seen in an access log (field `id`) or in the header x-weir-request')
    .option(
      '-f, --file <path>',
      'decide by this file or folder of YAML instead of a running mesh (repeatable; - is stdin)',
      collect,
    )
    .option('--controller [socket]', 'decide by what a controller holds (default socket: /run/weir/controller.sock)')
    .option('--root-namespace <name>', 'with -f: policies in this namespace apply to the whole mesh', 'istio-system')
    .option('--from <client>', 'POD.NAMESPACE, or NAMESPACE/SERVICEACCOUNT; none: a client without identity')
    .option('--to <host:port>', 'a Service, a pod, an external host or an address')
    .option('--method <method>', 'of the request', 'GET')
    .option('--path <path>', 'with query', '/')
    .option('--host <host>', 'the Host header (default: that of --to)')
    .option('--header <name: value>', 'of the request (repeatable)', collect)
    .option('--tcp', 'a connection that carries no HTTP')
    .option('--sni <name>', 'server name of a TLS connection')
    .option('--requests <file>', 'one request per line as JSON (- is stdin); one decision per line with -o jsonl')
    .addOption(new Option('-o, --output <format>', `one of ${OUTPUTS.join(', ')}`).choices(OUTPUTS).default('table'));
  describe(addAgentOptions(command), [
    'weir explain --from frontend.shop --to echo.shop:80 --path /admin',
    'weir explain -f manifests/ --from shop/default --to echo.shop:80 --method POST',
    'weir explain w0-1a2b                               # an id from the access log',
    'weir explain -f manifests/ --requests recorded.jsonl -o jsonl',
  ]).action(async (...given: [string | undefined, ExplainFlags]) =>
    (await import('./explain-run.ts')).runExplain(...given),
  );
}
