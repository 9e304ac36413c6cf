/** What `weir sandbox` was told, handed from the outer process to the inner one. */

export interface StartOptions {
  readonly name: string;
  /** Files and folders of YAML, as typed; read inside, relative to the folder the user stands in. */
  readonly paths: readonly string[];
  readonly nodes: number;
  /** Image name to the words of its local command. */
  readonly images: readonly (readonly [string, readonly string[]])[];
  readonly workers: number;
  readonly accessLog: string;
  readonly logLevel: string;
  /** Of the agents; null: their default. */
  readonly drainDeadlineMs: number | null;
  readonly mesh: boolean;
  readonly timeoutMs: number;
  /** Empty: stay until a signal. */
  readonly command: readonly string[];
  readonly stateDir: string;
  /** No progress lines on stderr; failures are still told. */
  readonly quiet: boolean;
}

/** Outer to inner, over Node's IPC channel. */
export type ToInside =
  | { readonly type: 'start'; readonly options: StartOptions }
  /** `delivered`: the terminal has sent it to COMMAND already. */
  | { readonly type: 'signal'; readonly signal: NodeJS.Signals; readonly delivered: boolean };

/** Inner to outer. */
export type FromInside =
  /** Namespaces stand: sandbox.json can be completed. */
  | { readonly type: 'up' }
  /** Asked for after an orderly end. */
  | { readonly type: 'exit'; readonly status: number };
