/** Expected failures of capture, as values: what an ADD, a CHECK or a verification answers instead of throwing. */

/** Stable codes; cni-server.ts maps them to HTTP statuses and CNI error codes. */
export type CaptureErrorCode =
  /** A field of the request is malformed: repeating it will not help. */
  | 'INVALID_REQUEST'
  /** An exclusion annotation of the pod is malformed. */
  | 'INVALID_ANNOTATION'
  /** The controller has not told this node who the pod is. */
  | 'IDENTITY_UNKNOWN'
  /** The pod's network namespace does not exist or is not a network namespace. */
  | 'NETNS_UNUSABLE'
  /** A worker did not open its listeners in the pod's namespace. */
  | 'LISTENERS_FAILED'
  /** iptables or ip refused the rules in the pod's namespace, or on the node. */
  | 'RULES_FAILED'
  /** CHECK found rules or listeners missing. */
  | 'NOT_CAPTURED'
  /** limits.podsPerNodeMax or another bound is reached. */
  | 'LIMIT_REACHED'
  /** The state file could not be written. */
  | 'STATE_UNWRITABLE'
  /** The agent is starting, draining or has no identity source yet. */
  | 'NOT_READY'
  /** CHECK, remove or verify of a pod this agent does not know. */
  | 'UNKNOWN_POD';

/** One failure: what failed, on what, the likely cause and the remedy, in one message for a person. */
export interface CaptureError {
  readonly code: CaptureErrorCode;
  readonly message: string;
  /** True: the same request may succeed later (CNI code 11). */
  readonly retryable: boolean;
}

/** A tagged result. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: CaptureError };

/** Success without a value. */
export const done: Result<void> = { ok: true, value: undefined };

/** Wraps a value. */
export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

/** Wraps a failure. */
export function failure(code: CaptureErrorCode, message: string, retryable = false): Result<never> {
  return { ok: false, error: { code, message, retryable } };
}
