/**
 * How an agent comes to be the one of its node: nobody is there, or it replaces the agent that is.
 *
 * Claiming only finds out; supervisor.ts then starts alone or beside.
 */
import type { TakeoverRequest } from '../admin/takeover-api.ts';
import type { LocalSocket } from '../ipc/local-socket.ts';
import { limits } from '../limits.ts';
import type { Log } from './log.ts';
import { Predecessor, type Reply } from './predecessor.ts';

export type Claim =
  /** The public name is this agent's. */
  | { readonly kind: 'alone' }
  /** Another agent is in charge, has been told, and waits for this one. */
  | { readonly kind: 'beside'; readonly before: Predecessor }
  /** Another agent is in charge but does not answer: it is not waited for. */
  | { readonly kind: 'silent'; readonly before: Predecessor }
  /** Another agent drains and has written its files: its name may be taken. */
  | { readonly kind: 'draining'; readonly before: Predecessor }
  /** This agent was told to end meanwhile. */
  | { readonly kind: 'ended' };

/**
 * Finds out how this agent starts. Waits for one that is starting or stopping itself, and, as a replaced agent that was started
 * again, for as long as its successor lives. Throws Error with the remedy when the node cannot be had.
 */
export async function claimNode(
  socket: LocalSocket,
  self: Omit<TakeoverRequest, 'protocol'>,
  ended: () => boolean,
  log: Log,
): Promise<Claim> {
  let busySinceMs: number | null = null;
  let standsBy = false;
  while (!ended()) {
    if (await socket.publish()) return { kind: 'alone' };
    const before = new Predecessor(socket.path, self);
    const reply = await before.ask('announce');
    if (reply.kind === 'answer') return { kind: 'beside', before };
    if (reply.kind === 'silent') return { kind: 'silent', before };
    if (reply.kind === 'refused' && reply.code === 'LEAVING') return { kind: 'draining', before };
    if (reply.kind === 'refused' && reply.code === 'SUPERSEDED') {
      if (!standsBy) log.info({ instance: self.instance }, 'this agent was replaced; it waits to be ended');
      standsBy = true;
    } else if (reply.kind === 'refused' && reply.code === 'NOT_READY') {
      busySinceMs ??= performance.now();
      if (performance.now() - busySinceMs > limits.takeoverBusyMs) throw refusal(socket.path, reply);
    } else if (reply.kind !== 'gone') {
      throw refusal(socket.path, reply);
    }
    await new Promise((resolve) => setTimeout(resolve, limits.takeoverRetryMs));
  }
  return { kind: 'ended' };
}

function refusal(path: string, reply: Reply): Error {
  const why =
    reply.kind === 'refused' ? ` and cannot be replaced now: ${reply.message}` : ', of a version that cannot hand over';
  return new Error(
    `another agent already serves ${path}${why}; stop it first, or give this one its own --run-dir and --state-dir`,
  );
}
