/**
 * The demo behind scripts/demo. It runs twice: outside it starts a sandbox of two nodes from manifests/demo with itself as
 * the command; inside (`--inside`) it sends the traffic, compares, and prints the mesh's own view.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CHECKS, type Outcome } from './checks.ts';
import { CLI, execInPod, getPods, weir } from './sandbox.ts';

const USAGE = `scripts/demo [--keep]

  --keep   leave the sandbox running after the checks, to explore it from another shell; Ctrl-C ends it
`;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Outside: starts the sandbox; resolves to its exit code. */
function launch(keep: boolean): Promise<number> {
  const inside = [process.execPath, ...process.execArgv, file('main.ts'), '--inside', ...(keep ? ['--keep'] : [])];
  const sandbox = ['sandbox', '-f', file('../../manifests/demo'), '--nodes', '2', '--name', 'demo'];
  const image = (name: string, program: string): string[] => [
    '--image',
    `weir-demo/${name}=${quote(process.execPath)} ${quote(file(program))}`,
  ];
  const images = [...image('echo', 'echo-server.mjs'), ...image('ledger', 'line-server.mjs')];
  const child = spawn(process.execPath, [CLI, ...sandbox, ...images, '--', ...inside], { stdio: 'inherit' });
  // The sandbox hears Ctrl-C itself and takes everything down; this process only waits for it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Inside: runs the checks and prints what was expected beside what was seen; resolves to the exit code. */
async function checkAll(keep: boolean): Promise<number> {
  const pods = await getPods();
  const tools = {
    node: process.execPath,
    httpClient: file('http-client.mjs'),
    grpcClient: file('grpc-client.mjs'),
    lineClient: file('line-client.mjs'),
  };
  const rows: { subject: string; expected: string; outcome: Outcome }[] = [];
  for (const check of CHECKS) {
    rows.push({ subject: check.subject, expected: check.expected, outcome: await check.run(execInPod, pods, tools) });
  }
  const width = (of: (row: (typeof rows)[number]) => string): number => Math.max(...rows.map((row) => of(row).length));
  const [subjectWidth, expectedWidth] = [width((row) => row.subject), width((row) => row.expected)];
  console.log('\nExpected and seen\n');
  for (const { subject, expected, outcome } of rows) {
    const verdict = outcome.ok ? 'ok  ' : 'FAIL';
    console.log(
      `${verdict}  ${subject.padEnd(subjectWidth)}  ${expected.padEnd(expectedWidth)}  seen: ${outcome.seen}`,
    );
  }
  const viewsOk = await printViews();
  const failed = rows.filter((row) => !row.outcome.ok).length + (viewsOk ? 0 : 1);
  console.log(
    failed === 0 ? `\ndemo: all ${rows.length} expectations were met` : `\ndemo: ${failed} expectations were NOT met`,
  );
  if (keep) await explore();
  return failed === 0 ? 0 : 1;
}

/** The mesh's own view of what has just happened. */
async function printViews(): Promise<boolean> {
  let ok = true;
  for (const view of ['status', 'stats']) {
    const answer = await weir(view);
    ok &&= answer.code === 0;
    console.log(`\nweir ${view}\n\n${answer.output.trimEnd()}`);
  }
  return ok;
}

/** Waits until Ctrl-C, having said what can be tried. */
function explore(): Promise<void> {
  const say = (command: string, why: string): void =>
    console.log(`  node dist/cli/weir.js ${command.padEnd(64)} # ${why}`);
  console.log('\nThe sandbox stays. From another shell, in this folder:\n');
  say('sandbox get pods', 'who runs where');
  say('sandbox exec frontend.shop -- curl -s http://echo.shop/', 'send something');
  say('sandbox exec visitor.guest -- curl -si http://echo.shop/private', 'be refused, and see why');
  say('routes', 'what the agents route by; also: pods, services, policies, connections');
  say('capture verify frontend.shop', 'prove that its traffic cannot bypass the mesh');
  say('sandbox apply -f FILE', 'change something while it runs (see manifests/demo)');
  say('sandbox restart agent --kill', 'break something');
  console.log('\nCtrl-C ends it and removes everything.');
  return new Promise((resolve) => {
    // A pending signal handler alone does not keep Node alive.
    const alive = setInterval(() => undefined, 60_000);
    const end = (): void => {
      clearInterval(alive);
      resolve();
    };
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
  });
}

async function main(): Promise<number> {
  try {
    const { values } = parseArgs({
      options: {
        keep: { type: 'boolean', default: false },
        inside: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    return await (values.inside ? checkAll(values.keep) : launch(values.keep));
  } catch (error) {
    process.stderr.write(`demo: ${(error as Error).message}\n`);
    return 2;
  }
}

process.exitCode = await main();
