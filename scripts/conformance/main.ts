/**
 * `npm run conformance:gateway-api`: the Gateway API's mesh conformance cases through a real sandbox. It runs twice: outside it starts
 * the sandbox from the corpus' manifests with itself as the command; inside (`--inside`) it applies each test's manifests, sends the
 * requests from the pods the originals send them from, and compares.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CLI, getPods, type Pod, weir } from '../demonstration/sandbox.ts';
import { differences, type PodAnswer, weightDifferences } from './compare.ts';
import { type ConformanceCase, type ConformanceTest, corpusFolder, readCorpus, SHARED_MANIFESTS } from './corpus.ts';
import { POD_ADDRESS } from './originals.ts';
import { PodSession } from './pod-session.ts';
import { type CaseResult, reportOf, reportText, type TestResult } from './report.ts';

const USAGE = `npm run conformance:gateway-api -- [CORPUS] [--only TEST] [-o table|json]

  CORPUS        folder with cases.json and the manifests (default: $WEIR_GATEWAY_API_CORPUS, else ../shared/corpora/gateway-api-mesh)
  --only TEST   only tests whose name contains TEST
  -o, --output  table (default) or json

Exit status: 0 every case passed, 1 one did not or was not run, 2 it could not start.
`;
const IMAGE = 'registry.k8s.io/gateway-api/conformance/echo-advanced:v0.1.0';
/** What the official suite calls consistent: this many answers in a row. Here none before them may differ either. */
const REPEATS = 3;
/** Requests of a case about weights, as in the official suite. */
const WEIGHT_REQUESTS = 500;
/** Chance misses the tolerance of weights in 1.5 % of the runs; five in a row are no chance. The official suite tries ten times. */
const WEIGHT_TRIES = 5;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

interface Options {
  readonly folder: string;
  readonly only: string;
  readonly output: 'table' | 'json';
}

/** Outside: starts the sandbox; resolves to its exit code. */
function launch({ folder, only, output }: Options): Promise<number> {
  const node = `'${process.execPath.replaceAll("'", `'\\''`)}' '${file('echo-server.mjs').replaceAll("'", `'\\''`)}'`;
  const sandbox = ['sandbox', '-q', '-f', join(folder, SHARED_MANIFESTS), '--image', `${IMAGE}=${node}`];
  const inside = [
    process.execPath,
    ...process.execArgv,
    file('main.ts'),
    folder,
    '--inside',
    '--only',
    only,
    '-o',
    output,
  ];
  const child = spawn(process.execPath, [CLI, ...sandbox, '--', ...inside], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** Inside: runs every test and prints the report; resolves to the exit code. */
async function runAll({ folder, only, output }: Options): Promise<number> {
  const tests = readCorpus(folder).tests.filter(({ name }) => name.includes(only));
  const lab = new Lab(await getPods());
  const results: TestResult[] = [];
  try {
    for (const test of tests) results.push(await runTest(lab, test));
  } finally {
    lab.close();
  }
  const report = reportOf(results);
  process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
  return report.passed ? 0 : 1;
}

/** The pods, and a client in each of those that ask. */
class Lab {
  readonly #pods: readonly Pod[];
  readonly #sessions = new Map<string, PodSession>();

  constructor(pods: readonly Pod[]) {
    this.#pods = pods;
  }

  session({ version, namespace }: ConformanceCase['client']): PodSession {
    const pod = this.#pod(`echo-${version}`, namespace);
    const name = `${pod.name}.${pod.namespace}`;
    const open = this.#sessions.get(name) ?? new PodSession(name);
    this.#sessions.set(name, open);
    return open;
  }

  /** The host with the pod's address filled in, as a URL writes it. */
  host(host: string, namespace: string): string {
    if (!host.includes(POD_ADDRESS)) return host;
    const ip = this.#pod('echo-v2', namespace).ip ?? '';
    return host.replace(POD_ADDRESS, ip.includes(':') ? `[${ip}]` : ip);
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close();
  }

  #pod(prefix: string, namespace: string): Pod {
    const pod = this.#pods.find((each) => each.namespace === namespace && each.name.startsWith(`${prefix}-`));
    if (pod === undefined) throw new Error(`there is no pod of ${prefix} in ${namespace}`);
    return pod;
  }
}

/** Manifests are applied before and deleted after; a refused one fails every case. */
async function runTest(lab: Lab, { name, features, manifests, cases }: ConformanceTest): Promise<TestResult> {
  const flags = manifests.flatMap((path) => ['-f', path]);
  const applied = flags.length === 0 ? null : await weir('sandbox', 'apply', ...flags);
  const results: CaseResult[] = [];
  for (const each of cases) {
    const refused = applied !== null && applied.code !== 0 ? [`apply failed: ${applied.output.trim()}`] : null;
    results.push({ name: each.name, differences: refused ?? (await runCase(lab, each)) });
  }
  const deleted = flags.length === 0 ? null : await weir('sandbox', 'delete', ...flags);
  if (deleted !== null && deleted.code !== 0) {
    results.push({ name: 'its manifests are deleted', differences: [deleted.output.trim()] });
  }
  return { name, features, cases: results };
}

async function runCase(lab: Lab, each: ConformanceCase): Promise<readonly string[]> {
  const { request, client, weights } = each;
  const host = lab.host(request.host, client.namespace);
  // What is said of the host in an expectation is said in the same words.
  const forwarded =
    each.forwarded === null ? null : { ...each.forwarded, host: lab.host(each.forwarded.host, client.namespace) };
  const expected = { ...each, forwarded };
  const ask = (times: number): Promise<readonly PodAnswer[]> =>
    lab.session(client).ask({
      protocol: request.protocol,
      address: /:\d+$/.test(host) ? host : `${host}:80`,
      method: request.method,
      path: request.path,
      headers: request.protocol === 'http' ? { Host: host, ...request.headers } : request.headers,
      times,
    });
  const found =
    (await ask(REPEATS)).map((answer) => differences(expected, answer)).find((list) => list.length > 0) ?? [];
  if (found.length > 0 || weights === null) return found;
  let last: readonly string[] = [];
  for (let tries = 0; tries < WEIGHT_TRIES; tries++) {
    last = weightDifferences(weights, await ask(WEIGHT_REQUESTS));
    if (last.length === 0) return [];
  }
  return last;
}

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o', default: 'table' },
        only: { type: 'string', default: '' },
        inside: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    const { output, only } = values;
    if (output !== 'table' && output !== 'json') throw new Error(`-o ${output}: write table or json`);
    const options = { folder: corpusFolder(positionals[0]), only, output } as const;
    readCorpus(options.folder); // what cannot be read is said before anything is started
    return await (values.inside ? runAll(options) : launch(options));
  } catch (error) {
    process.stderr.write(`conformance: ${(error as Error).message}\n`);
    return 2;
  }
}

process.exitCode = await main();
