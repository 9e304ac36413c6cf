/** Asks the node's agent over its unix socket: one POST, JSON both ways, bounded in time and size. */
import { request } from 'node:http';
import { CniError, code } from './spec.ts';

/** The whole call. The agent's own bound for an ADD is lower, so that its reason arrives first. */
export const AGENT_TIMEOUT_MS = 15_000;
const ANSWER_BYTES_MAX = 65_536;

/** Nobody answered: the agent is not running, or not in time. */
export class AgentUnreachable extends CniError {}

/** Resolves with the body of a 200; throws CniError with the agent's code and message, or AgentUnreachable. */
export function askAgent(
  socketPath: string,
  path: string,
  body: object,
  timeoutMs = AGENT_TIMEOUT_MS,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      connection: 'close',
    };
    const outgoing = request({ socketPath, path, method: 'POST', host: 'weir', headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX)
          outgoing.destroy(new Error(`its answer is longer than ${ANSWER_BYTES_MAX} octets`));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => {
        clearTimeout(timer);
        settle(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'), resolve, reject);
      });
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    function fail(error: Error): void {
      clearTimeout(timer);
      reject(unreachable(socketPath, error.message));
    }
    outgoing.on('error', fail);
    outgoing.end(text);
  });
}

function settle(status: number, text: string, resolve: (value: unknown) => void, reject: (error: Error) => void): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    reject(new CniError(code.decodingFailure, `the weir agent answered ${status} without JSON`, String(error)));
    return;
  }
  if (status === 200) {
    resolve(answer);
    return;
  }
  const fields = (typeof answer === 'object' && answer !== null ? answer : {}) as Readonly<Record<string, unknown>>;
  const { code: agentCode, msg, details } = fields;
  reject(
    new CniError(
      typeof agentCode === 'number' ? agentCode : code.ioFailure,
      `weir: ${typeof msg === 'string' ? msg : `the agent answered ${status}`}`,
      typeof details === 'string' ? details : '',
    ),
  );
}

function unreachable(socketPath: string, cause: string): AgentUnreachable {
  return new AgentUnreachable(
    code.tryAgainLater,
    `the weir agent of this node cannot be reached at ${socketPath}: ${cause}. No pod starts uncaptured: see why the agent is not ` +
      'running (kubectl -n weir-system get pods -o wide), or exclude the namespace in the CNI configuration (excludeNamespaces)',
  );
}
