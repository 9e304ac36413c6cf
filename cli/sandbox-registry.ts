/**
 * Which agents a diagnostics command talks to when it is not told: those of the sandbox it runs in or beside, else the
 * node's own agent.
 */
import { type FoundSandbox, runningSandboxes } from '../sandbox/registry.ts';

/** Where `weir controller` listens by default. */
const CONTROLLER_SOCKET = '/run/weir/controller.sock';
/** Where `weir agent` listens by default on a real node. */
const NODE_AGENT_SOCKET = '/run/weir/agent.sock';

/**
 * Paths of the admin sockets to ask, never empty: WEIR_SOCKET (comma-separated); else every node of the sandbox named by
 * WEIR_SANDBOX or of the only one running; else the node's own agent. Throws when several sandboxes run and none is named.
 */
export function defaultAgentSockets(env: NodeJS.ProcessEnv = process.env): string[] {
  const given = (env['WEIR_SOCKET'] ?? '').split(',').filter((path) => path !== '');
  if (given.length > 0) return given;
  const sandbox = chosenSandbox(env);
  if (sandbox === null) return [NODE_AGENT_SOCKET];
  return sandbox.record.nodes.map((node) => sandbox.paths.agentSocket(node));
}

/**
 * Path of the controller's admin socket: WEIR_CONTROLLER_SOCKET; else that of the sandbox whose agents defaultAgentSockets names;
 * else where a controller listens by default. null: agents are named by WEIR_SOCKET and it does not say which controller is theirs.
 * Throws like defaultAgentSockets.
 */
export function defaultControllerSocket(env: NodeJS.ProcessEnv = process.env): string | null {
  const given = env['WEIR_CONTROLLER_SOCKET'] ?? '';
  if (given !== '') return given;
  if ((env['WEIR_SOCKET'] ?? '') !== '') return null;
  return chosenSandbox(env)?.paths.controllerSocket ?? CONTROLLER_SOCKET;
}

/** The sandbox named by WEIR_SANDBOX, or the only one running; null: none runs. */
function chosenSandbox(env: NodeJS.ProcessEnv): FoundSandbox | null {
  const running = runningSandboxes();
  const wanted = env['WEIR_SANDBOX'] ?? '';
  const candidates = wanted === '' ? running : running.filter((sandbox) => sandbox.record.name === wanted);
  if (candidates.length > 1) {
    const names = candidates.map((sandbox) => sandbox.record.name).join(', ');
    throw new Error(`several sandboxes run (${names}); name one: WEIR_SANDBOX=NAME, or give --socket`);
  }
  const only = candidates[0];
  if (only === undefined && wanted !== '') throw new Error(`no sandbox named ${wanted} is running (WEIR_SANDBOX)`);
  return only ?? null;
}
