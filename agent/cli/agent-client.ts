/** Asks the agents of this machine over their admin sockets (agent/admin/api.ts). */
import { type IncomingMessage, request } from 'node:http';
import { CliError, EXIT } from '../../cli/output.ts';
import { type ApiError, NODE_HEADER } from '../admin/api.ts';

/** Longer than anything the agent does on request; a verification of one pod takes up to 15 s. */
const ANSWER_TIMEOUT_MS = 30_000;
/** An answer that is longer is not from an agent. */
const ANSWER_BYTES_MAX = 512 * 1024 * 1024;

export interface AgentAnswer<T> {
  readonly socket: string;
  readonly node: string;
  readonly body: T;
}

/** Every agent that was asked: what they said, and why the others did not. */
export interface AgentAnswers<T> {
  readonly answers: readonly AgentAnswer<T>[];
  readonly failures: readonly CliError[];
}

interface RawAnswer {
  readonly status: number;
  readonly node: string;
  readonly text: string;
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT:
    'there is no such socket; is `weir agent` running on this node? Give its socket with --socket PATH or WEIR_SOCKET',
  ECONNREFUSED: 'nobody listens there any more; the agent has ended: see its log, or restart it',
  EACCES: 'permission denied; only the user that runs the agent may use it: run this as that user (on a node: sudo)',
  ETIMEDOUT: `no answer in ${ANSWER_TIMEOUT_MS / 1_000} s; the agent hangs or the machine is overloaded: see its log`,
};

function unreachable(socket: string, error: NodeJS.ErrnoException): CliError {
  const remedy = REMEDIES[error.code ?? ''] ?? error.message;
  return new CliError(`agent at ${socket} cannot be reached: ${remedy}`, EXIT.unreachable);
}

async function collect(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error(`answer above ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function exchange(socketPath: string, method: string, path: string, body: unknown): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = { host: 'agent', 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const call = request(
      { socketPath, method, path, headers, agent: false, timeout: ANSWER_TIMEOUT_MS },
      (response) => {
        const node = response.headers[NODE_HEADER];
        collect(response).then(
          (answer) =>
            resolve({ status: response.statusCode ?? 0, node: typeof node === 'string' ? node : '', text: answer }),
          reject,
        );
      },
    );
    call.on('timeout', () => call.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    call.on('error', reject);
    call.end(text);
  });
}

/**
 * One request to one agent; `T` is the caller's word on the document of that path. Text that is not JSON (Prometheus) comes
 * as a string. Throws CliError: EXIT.unreachable without an answer, EXIT.failure when the agent refused.
 */
export async function askAgent<T>(
  socket: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<AgentAnswer<T>> {
  let answer: RawAnswer;
  try {
    answer = await exchange(socket, method, path, body);
  } catch (error) {
    throw unreachable(socket, error as NodeJS.ErrnoException);
  }
  if (answer.node === '') {
    throw new CliError(`${socket} was answered, but not by a weir agent; check --socket`, EXIT.unreachable);
  }
  const isJson = answer.text.startsWith('{') || answer.text.startsWith('[');
  const document: unknown = isJson ? JSON.parse(answer.text) : answer.text;
  if (answer.status !== 200) throw new CliError(`node ${answer.node}: ${refusal(document, answer.status)}`);
  return { socket, node: answer.node, body: document as T };
}

function refusal(document: unknown, status: number): string {
  const message = (document as Partial<ApiError> | null)?.error?.message;
  return message ?? `the agent answered with status ${status}`;
}

/** The same request to several agents at once. Throws when none answered well; the rest is told in `failures`. */
export async function askAgents<T>(
  sockets: readonly string[],
  method: string,
  path: string,
  body?: unknown,
): Promise<AgentAnswers<T>> {
  const settled = await Promise.allSettled(sockets.map((socket) => askAgent<T>(socket, method, path, body)));
  const answers: AgentAnswer<T>[] = [];
  const failures: CliError[] = [];
  for (const result of settled) {
    if (result.status === 'fulfilled') answers.push(result.value);
    else if (result.reason instanceof CliError) failures.push(result.reason);
    else throw result.reason;
  }
  if (answers.length > 0) return { answers, failures };
  const refused = failures.every((failure) => failure.exitCode === EXIT.failure);
  throw new CliError(failures.map((failure) => failure.message).join('\n'), refused ? EXIT.failure : EXIT.unreachable);
}

/** The sockets among `sockets` whose agent serves `node`. Asked first, so that a change reaches no other node. */
export async function socketsOfNode(sockets: readonly string[], node: string): Promise<readonly string[]> {
  const { answers } = await askAgents(sockets, 'GET', '/healthz');
  const wanted = answers.filter((answer) => answer.node === node).map((answer) => answer.socket);
  if (wanted.length > 0) return wanted;
  const names = answers.map((answer) => answer.node).join(', ');
  throw new CliError(`--node ${node}: no such node here; agents that answered: ${names}`, EXIT.usage);
}
