/** What an agent is started with; agent/cli/agent-command.ts makes it from flags. */
import type { InterceptionMode } from '../capture/interception.ts';
import type { Caps } from '../ipc/caps.ts';
import type { AccessLogMode, LogLevel } from '../ipc/messages.ts';

export interface ControllerTls {
  readonly caFile: string;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

export interface AgentOptions {
  /** This node's name in Kubernetes. */
  readonly node: string;
  /** agent.sock and cni.sock are made here. */
  readonly runDir: string;
  /** pods.json, snapshot.json and names.json are kept here. */
  readonly stateDir: string;
  /** gRPC target of the controller: `unix:PATH` or `host:port`. */
  readonly controller: string;
  readonly controllerTls: ControllerTls | null;
  readonly workers: number;
  readonly trustDomain: string;
  readonly accessLog: AccessLogMode;
  /** null: stdout. */
  readonly accessLogFile: string | null;
  readonly logLevel: LogLevel;
  /** Where /metrics and /healthz are served over TCP; null: only on the unix socket. */
  readonly metricsListen: { readonly host: string; readonly port: number } | null;
  /** The node's network namespace. */
  readonly hostNetns: string;
  readonly excludeNamespaces: readonly string[];
  /** Of pods without an annotation of their own. */
  readonly interceptionMode: InterceptionMode;
  /** Who is asked for the host names of ServiceEntries, `ip` or `ip:port`; empty: those of /etc/resolv.conf. */
  readonly dnsServers: readonly string[];
  /** What pods may use of each worker. */
  readonly caps: Caps;
  /** When the agent ends, how long connections may go on. */
  readonly drainDeadlineMs: number;
  /** Tells agents of one node apart, also when one is started again; in Kubernetes the pod's uid. */
  readonly instance: string;
  /** After another agent has taken over and the drain: exit, or wait for SIGTERM because whoever runs this starts it again. */
  readonly whenSuperseded: 'exit' | 'wait';
}
