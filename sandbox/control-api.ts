/** What other shells may ask of a running sandbox, over its control socket: POST /v1/OPERATION, JSON both ways. */
import type { SourceFile } from './source.ts';

export interface ApplyRequest {
  readonly files: readonly SourceFile[];
  readonly timeoutMs: number;
}

export interface DeleteRequest {
  /** The objects of these files … */
  readonly files: readonly SourceFile[];
  /** … or the one named here; namespace null: default. */
  readonly named: { readonly kind: string; readonly name: string; readonly namespace: string | null } | null;
  readonly timeoutMs: number;
}

export interface ScaleRequest {
  readonly deployment: string;
  readonly namespace: string | null;
  readonly replicas: number;
  readonly timeoutMs: number;
}

export interface RestartRequest {
  readonly what: 'agent' | 'controller';
  /** null: every node. */
  readonly node: string | null;
  /** SIGKILL, then start anew. */
  readonly kill: boolean;
  /** SIGTERM, then start anew. Left out, with kill false: a new agent takes over from the running one. */
  readonly hard?: boolean;
  readonly timeoutMs: number;
}

export interface LocateRequest {
  readonly pod: string;
  /** null: the pod's first container. */
  readonly container: string | null;
}

/** Where a container is, for entering it; the pid is the sandbox's own numbering. */
export interface Location {
  readonly pid: number;
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly capabilities: readonly string[];
}

/** One line per object that changed. */
export interface ChangeAnswer {
  readonly lines: readonly string[];
}

export interface ErrorAnswer {
  readonly error: string;
}
