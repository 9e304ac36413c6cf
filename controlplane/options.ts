/** What `weir controller` can be told; the CLI maps its flags onto this one to one. */
export interface ControllerOptions {
  /** Files or folders of YAML (folders recursively: *.yaml, *.yml, *.json). At least one. */
  readonly sources: readonly string[];
  /** gRPC addresses for agents: `unix:PATH` or `host:port` (`[v6]:port`). At least one. */
  readonly listen: readonly string[];
  /** Unix socket of the admin API, mode 0600. */
  readonly adminSocket: string;
  /** Policies in this namespace apply to the whole mesh. */
  readonly rootNamespace: string;
  /** Shown in the log only so far: agents have their own flag, and resources carry no trust domain (the mesh has one). */
  readonly trustDomain: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** PEM files; null: plaintext (a unix socket, or a trusted network). */
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  /** PEM file: agents must present a certificate signed by it. */
  readonly clientCa: string | null;
}
