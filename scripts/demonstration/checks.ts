/** What the demo expects, each sent as real traffic from inside a pod by curl or by a small Node client. */
import { type Answer, type Pod, weir } from './sandbox.ts';

/** Runs a command in a pod (`name.namespace`). */
export type Exec = (pod: string, command: readonly string[]) => Promise<Answer>;

export interface Outcome {
  readonly ok: boolean;
  readonly seen: string;
}

export interface Check {
  readonly subject: string;
  readonly expected: string;
  run(exec: Exec, pods: readonly Pod[], tools: Tools): Promise<Outcome>;
}

/** Absolute paths of the clients that run inside the pods. */
export interface Tools {
  readonly node: string;
  readonly httpClient: string;
  readonly grpcClient: string;
  readonly lineClient: string;
}

const FRONTEND = 'frontend.shop';
const VISITOR = 'visitor.guest';
/** 90/10 over this many requests: 4 to 16 % is 4.5 standard deviations either way, so chance fails it once in 100,000 runs. */
const SPLIT_REQUESTS = 500;

export const CHECKS: readonly Check[] = [
  {
    subject: 'pods',
    expected: '7 pods ready on node-0 and node-1, each with an address',
    run: async (_exec, pods) => {
      const nodes = [...new Set(pods.map((pod) => pod.node))].sort();
      const addressed = pods.filter((pod) => pod.ip !== null).length;
      return {
        ok: addressed === 7 && nodes.join() === 'node-0,node-1',
        seen: `${addressed} pods on ${nodes.join(' and ')}`,
      };
    },
  },
  {
    subject: 'route: split 90/10',
    expected: `of ${SPLIT_REQUESTS} requests, 4 to 16 % are answered by v2, none fails`,
    run: async (exec, _pods, tools) => {
      const versions = await ask(exec, tools, FRONTEND, SPLIT_REQUESTS, 'http://echo.shop/items');
      const v2 = count(versions, '200 v2 node-0');
      const v1 = count(versions, '200 v1 node-0');
      const share = (100 * v2) / SPLIT_REQUESTS;
      return {
        ok: v1 + v2 === SPLIT_REQUESTS && share >= 4 && share <= 16,
        seen: `v1 ${v1}, v2 ${v2} (${share.toFixed(1)} %)${others(versions, v1 + v2)}`,
      };
    },
  },
  {
    subject: 'route: header canary',
    expected: '40 of 40 requests from Firefox are answered by v2',
    run: async (exec, _pods, tools) => {
      const agent = 'user-agent=Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
      const versions = await ask(exec, tools, FRONTEND, 40, 'http://echo.shop/items', agent);
      const v2 = count(versions, '200 v2 node-0');
      return { ok: v2 === 40, seen: `v2 ${v2}${others(versions, v2)}` };
    },
  },
  {
    subject: 'route: other node',
    expected: '20 of 20 requests to catalog are answered on node-1',
    run: async (exec, _pods, tools) => {
      const versions = await ask(exec, tools, FRONTEND, 20, 'http://catalog.shop/');
      const there = count(versions, '200 catalog node-1');
      return { ok: there === 20, seen: `node-1 ${there}${others(versions, there)}` };
    },
  },
  {
    subject: 'capture: client address',
    expected: "echo sees the frontend's own address, not a proxy's",
    run: async (exec, pods) => {
      const own = pods.find((pod) => pod.name === 'frontend')?.ips ?? [];
      const answer = await exec(FRONTEND, ['curl', '-sS', '--max-time', '10', 'http://echo.shop/']);
      const client = /"client":"([^"]*)"/.exec(answer.output)?.[1] ?? answer.output;
      return { ok: own.includes(client), seen: `${client} (frontend has ${own.join(' and ')})` };
    },
  },
  {
    subject: 'capture: verified',
    expected: "weir capture verify: from inside the frontend's namespace, nothing gets past the agent",
    run: async () => {
      const answer = await weir('capture', 'verify', FRONTEND);
      const proven = answer.output.split('\n').filter((line) => /\sok\s/.test(line)).length;
      return {
        ok: answer.code === 0 && proven > 0,
        seen: answer.code === 0 ? `${proven} checks ok` : answer.output.trim(),
      };
    },
  },
  http('policy: ALLOW by identity', FRONTEND, ['http://echo.shop/private'], 200),
  http('policy: ALLOW by namespace and path', VISITOR, ['http://echo.shop/public/prices'], 200),
  http('policy: ALLOW, another path', VISITOR, ['http://echo.shop/private'], 403),
  http('policy: ALLOW, another method', VISITOR, ['-X', 'POST', 'http://echo.shop/public/prices'], 403),
  http('policy: DENY beats ALLOW', FRONTEND, ['http://echo.shop/admin/users'], 403),
  http('policy: path tricks', FRONTEND, ['--path-as-is', 'http://echo.shop/items/../admin/users'], 403),
  {
    subject: 'policy: no way around',
    expected: 'the visitor gets 403 at the pod’s own address too',
    run: async (exec, pods) => {
      const ip = pods.find((pod) => pod.name.startsWith('echo-v1'))?.ip ?? '';
      const host = ip.includes(':') ? `[${ip}]` : ip;
      return forStatus(await exec(VISITOR, curl([`http://${host}:8080/private`])), 403);
    },
  },
  {
    subject: 'grpc: balanced call by call',
    expected: '60 of 60 calls on one connection are answered, by all three echo pods',
    run: async (exec, _pods, tools) => {
      const answers = await call(exec, tools, FRONTEND, 60, '/shop.Prices/Get');
      const pods = new Set(answers.filter((answer) => answer.startsWith('200 echo-')));
      const good = answers.filter((answer) => pods.has(answer)).length;
      return { ok: good === 60 && pods.size === 3, seen: `${good} answered, by ${pods.size} pods` };
    },
  },
  {
    subject: 'grpc: policy',
    expected: 'the visitor is told PERMISSION_DENIED (7), in gRPC’s own form',
    run: async (exec, _pods, tools) => {
      const seen = (await call(exec, tools, VISITOR, 1, '/shop.Prices/Get')).join(' | ');
      return { ok: seen === '200 grpc 7', seen };
    },
  },
  {
    subject: 'tcp: ledger',
    expected: 'the frontend stores a line and reads it back',
    run: async (exec, _pods, tools) => {
      const answer = await exec(FRONTEND, [
        tools.node,
        tools.lineClient,
        'ledger.shop',
        '7000',
        'PUT tea 4.20',
        'GET tea',
      ]);
      const seen = lines(answer.output).join(' | ');
      return { ok: answer.code === 0 && seen === 'READY ledger | OK | VALUE 4.20', seen };
    },
  },
  {
    subject: 'tcp: policy',
    expected: 'the visitor is cut off before the ledger says a word',
    run: async (exec, _pods, tools) => {
      const answer = await exec(VISITOR, [tools.node, tools.lineClient, 'ledger.shop', '7000', 'GET tea']);
      const seen = lines(answer.output).join(' | ');
      return { ok: answer.code === 1 && ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'closed early'].includes(seen), seen };
    },
  },
];

function http(subject: string, pod: string, args: readonly string[], status: number): Check {
  const method = args.includes('-X') ? args[args.indexOf('-X') + 1] : 'GET';
  const reason = status === 403 ? ', x-weir-reason: RBAC_DENIED' : '';
  return {
    subject,
    expected: `${pod.split('.')[0]} ${method} ${/\/\/[^/]+(.*)/.exec(args.at(-1) ?? '')?.[1] ?? ''}: ${status}${reason}`,
    run: async (exec) => forStatus(await exec(pod, curl(args)), status),
  };
}

/** Prints the status and the reason, nothing of the body. */
function curl(args: readonly string[]): readonly string[] {
  return ['curl', '-sS', '--max-time', '10', '-o', '/dev/null', '-w', '%{http_code} %header{x-weir-reason}', ...args];
}

function forStatus(answer: Answer, status: number): Outcome {
  const seen = answer.output.trim();
  return { ok: answer.code === 0 && seen === (status === 403 ? '403 RBAC_DENIED' : `${status}`), seen };
}

async function ask(
  exec: Exec,
  tools: Tools,
  pod: string,
  times: number,
  url: string,
  ...headers: string[]
): Promise<string[]> {
  return lines((await exec(pod, [tools.node, tools.httpClient, `${times}`, url, ...headers])).output);
}

async function call(exec: Exec, tools: Tools, pod: string, times: number, path: string): Promise<string[]> {
  return lines((await exec(pod, [tools.node, tools.grpcClient, `${times}`, 'echo.shop', '9090', path])).output);
}

function count(answers: readonly string[], wanted: string): number {
  return answers.filter((answer) => answer === wanted).length;
}

/** Names the first answer that was none of those expected. */
function others(answers: readonly string[], expected: number): string {
  if (answers.length === expected) return '';
  const known = /^200 (v1|v2|catalog) node-/;
  return `, ${answers.length - expected} others, e.g. "${answers.find((answer) => !known.test(answer)) ?? answers[0] ?? 'nothing'}"`;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
