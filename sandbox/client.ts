/** Talking to a running sandbox: which one is meant, one request, its answer. */
import { requestJson } from './http-json.ts';
import type { ErrorAnswer } from './control-api.ts';
import { type FoundSandbox, runningSandboxes } from './registry.ts';

/** No sandbox, or none that answers. */
export class SandboxUnreachable extends Error {}

/** The sandbox named, else the one COMMAND runs in (WEIR_SANDBOX), else the only one. */
export function findSandbox(name: string | null, env: NodeJS.ProcessEnv = process.env): FoundSandbox {
  const running = runningSandboxes();
  const wanted = name ?? env['WEIR_SANDBOX'] ?? null;
  const names = running.map((sandbox) => sandbox.record.name).join(', ');
  if (wanted !== null) {
    const found = running.find((sandbox) => sandbox.record.name === wanted);
    if (found !== undefined) return found;
    throw new SandboxUnreachable(`no sandbox named ${wanted} is running${names === '' ? '' : `; running: ${names}`}`);
  }
  const [only, another] = running;
  if (only === undefined) throw new SandboxUnreachable('no sandbox is running; start one: weir sandbox -f PATH');
  if (another !== undefined) throw new SandboxUnreachable(`several sandboxes run; give --name: ${names}`);
  return only;
}

/** Asks for one operation of control-api.ts. Throws what the sandbox says went wrong. */
export async function askSandbox<Answer>(
  sandbox: FoundSandbox,
  operation: string,
  body: unknown,
  timeoutMs = 30_000,
): Promise<Answer> {
  const { controlSocket } = sandbox.paths;
  const answer = await requestJson(controlSocket, 'POST', `/v1/${operation}`, body, timeoutMs).catch(
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SandboxUnreachable(`the sandbox ${sandbox.record.name} does not answer: ${reason}`);
    },
  );
  if (answer.status !== 200) throw new Error((answer.body as ErrorAnswer).error);
  return answer.body as Answer;
}
