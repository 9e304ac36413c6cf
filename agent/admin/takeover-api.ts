/**
 * What two agents of one node say to each other while one replaces the other. Either may be the newer version: fields are added,
 * never renamed; unknown ones are ignored; `protocol` changes only when that is not enough.
 *
 *   POST /takeover/announce   "I start beside you."  Repeated within leaseMs, else it is forgotten.
 *   POST /takeover/yield      "I listen for every pod and hold the CNI socket: finish what you have, write your files."
 *   POST /takeover/leave      "I have read them and serve: stop accepting, drain, end."
 *   POST /takeover/abandon    "I could not do it: go on."  Spares waiting for the lease.
 *
 * Until `leave` is answered with 200 the old agent is in charge, and goes on alone when its successor is heard no more.
 */
export const TAKEOVER_PROTOCOL = 1;

/** Body of all these requests. */
export interface TakeoverRequest {
  readonly protocol: number;
  /** Tells agents apart, also after a restart in one container; --instance. */
  readonly instance: string;
  readonly node: string;
  readonly version: string;
  readonly pid: number;
}

/** Answer to all of them, with status 200. */
export interface TakeoverAnswer {
  readonly protocol: number;
  readonly instance: string;
  readonly version: string;
  readonly pid: number;
  /** Where this agent alone answers, whoever has the public name. */
  readonly socket: string;
  /** An announcement is forgotten after this long, ms. */
  readonly leaseMs: number;
}

/** Codes of refusals (ApiError.code). */
export type TakeoverRefusal =
  /** 503: it is starting or being replaced; ask again. */
  | 'NOT_READY'
  /** 409: it drains; its files are written and its name may be taken. */
  | 'LEAVING'
  /** 409: another successor is at work. */
  | 'SUCCESSOR_EXISTS'
  /** 409: this instance was itself replaced by the agent that answers. */
  | 'SUPERSEDED'
  /** 409: the lease ran out, the agent goes on. */
  | 'NOT_ANNOUNCED'
  /** 409: it serves another node. */
  | 'OTHER_NODE'
  /** 400 */
  | 'MALFORMED'
  /** 409: a protocol it does not speak. */
  | 'PROTOCOL';

/** Reads a request's body; null when it is not one. Pure. */
export function parseTakeover(body: unknown): TakeoverRequest | null {
  if (typeof body !== 'object' || body === null) return null;
  const { protocol, instance, node, version, pid } = body as Readonly<Record<string, unknown>>;
  if (typeof protocol !== 'number' || typeof pid !== 'number') return null;
  if (typeof instance !== 'string' || typeof node !== 'string' || typeof version !== 'string') return null;
  return { protocol, instance, node, version, pid };
}

/** Reads an answer's body; null when it is not one. Pure. */
export function parseTakeoverAnswer(body: unknown): TakeoverAnswer | null {
  if (typeof body !== 'object' || body === null) return null;
  const { protocol, instance, version, pid, socket, leaseMs } = body as Readonly<Record<string, unknown>>;
  if (typeof protocol !== 'number' || typeof pid !== 'number' || typeof leaseMs !== 'number') return null;
  if (typeof instance !== 'string' || typeof version !== 'string' || typeof socket !== 'string') return null;
  return { protocol, instance, version, pid, socket, leaseMs };
}
