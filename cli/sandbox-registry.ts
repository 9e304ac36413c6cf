/**
 * Which agents a diagnostics command talks to when it is not told: those of the sandbox it runs in or beside, else the
 * node's own agent.
 */
import { runningSandboxes } from '../sandbox/registry.ts';

/** Where `weir agent` listens by default on a real node. */
const NODE_AGENT_SOCKET = '/run/weir/agent.sock';

/**
 * Paths of the admin sockets to ask, never empty: WEIR_SOCKET (comma-separated); else every node of the sandbox named by
 * WEIR_SANDBOX or of the only one running; else the node's own agent. Throws when several sandboxes run and none is named.
 */
export function defaultAgentSockets(env: NodeJS.ProcessEnv = process.env): string[] {
  const given = (env['WEIR_SOCKET'] ?? '').split(',').filter((path) => path !== '');
  if (given.length > 0) return given;
  const running = runningSandboxes();
  const wanted = env['WEIR_SANDBOX'] ?? '';
  const candidates = wanted === '' ? running : running.filter((sandbox) => sandbox.record.name === wanted);
  if (candidates.length > 1) {
    const names = candidates.map((sandbox) => sandbox.record.name).join(', ');
    throw new Error(`several sandboxes run (${names}); name one: WEIR_SANDBOX=NAME, or give --socket`);
  }
  const only = candidates[0];
  if (only === undefined) {
    if (wanted !== '') throw new Error(`no sandbox named ${wanted} is running (WEIR_SANDBOX)`);
    return [NODE_AGENT_SOCKET];
  }
  return only.record.nodes.map((node) => only.paths.agentSocket(node));
}
