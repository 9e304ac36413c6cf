/**
 * What Enrolment needs from the rest of the supervisor, and what it tells it. agent/main.ts wires it like this:
 *
 *   const enrolment = new Enrolment({ stateDir, excludeNamespaces }, deps);   // deps: EnrolmentDeps, below
 *   await enrolment.start();                        // finds, verifies and repairs the pods of a previous run
 *   // or, beside an agent that is in charge:  await enrolment.follow(); …; await enrolment.takeCharge();
 *   const server = new CniServer(enrolment, `${runDir}/cni.sock`);
 *   await server.listen();                          // socket mode 0600
 *   …
 *   await server.close();                           // no new requests, those in flight are finished
 *   await enrolment.close();                        // flushes pods.json; rules and listeners stay as they are
 */
import type { EnrolledPod, LogLevel } from '../ipc/messages.ts';
import type { InterceptionMode } from './interception.ts';
import type { Result } from './result.ts';

/** How the runtime names a pod. `uid` is null when the runtime does not pass K8S_POD_UID (podman). */
export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
}

/** What the controller knows of a pod of this node: its Workload's uid, service account and `weir.dev/` annotations. */
export interface PodIdentity {
  readonly uid: string;
  readonly serviceAccount: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One validated CNI request (cni-request.ts). `ips` are canonical text, without prefix length, at least one on ADD. */
export interface AddRequest {
  readonly containerId: string;
  readonly netnsPath: string;
  readonly ifName: string;
  readonly pod: PodReference;
  readonly ips: readonly string[];
}

/** A container interface, as CNI's GC names the attachments that are still valid. */
export interface Attachment {
  readonly containerId: string;
  readonly ifName: string;
}

/** An enrolled pod. Everything a worker needs to open its listeners again is in `index`, `pod` and `netnsPath`. */
export interface Enrolled {
  readonly containerId: string;
  readonly ifName: string;
  /** Small, unique among live pods, ≥ 1 (0 is the agent itself), reused only after unlisten(index) has resolved. */
  readonly index: number;
  readonly pod: EnrolledPod;
  readonly netnsPath: string;
  /** Annotations that decide about capture as they were at ADD: `weir.dev/exclude-…`, and the interception mode where it is not REDIRECT. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly enrolledAtMs: number;
  /** null: as it should be. Otherwise what is wrong (a repair that failed), for `weir status` and `weir pods`. */
  readonly problem: string | null;
}

/** The supervisor's side of the contract. No function may throw or reject; failures are Results. */
export interface EnrolmentDeps {
  /**
   * Who is this pod? Resolves as soon as the controller's Workload is known (by uid when given, else by namespace and
   * name; hostNetwork and other nodes' pods are failures), or with IDENTITY_UNKNOWN after `waitMs`, saying whether the
   * controller was unreachable or has no such pod for this node.
   */
  identityOf(pod: PodReference, waitMs: number): Promise<Result<PodIdentity>>;
  /**
   * Opens 15001 and 15006 in the namespace, in every worker (`podAdd`, then all `podListening`). Called again with the
   * same arguments to repair: must be idempotent. A failure names the worker and the errno. Enrolment puts its own
   * deadline on it and calls unlisten(index) when it passes.
   */
  listen(index: number, pod: EnrolledPod, netnsPath: string): Promise<Result<void>>;
  /** Closes the pod's listeners and connections in every worker (`podRemove`, then all `podGone`). Idempotent. */
  unlisten(index: number): Promise<void>;
  /** False once another agent has taken this one's place: nothing may be written any more. */
  inCharge(): boolean;
  /** Would an ADD be served now: workers are up, and a controller or a snapshot gives identities? For CNI STATUS. */
  readiness(): Result<void>;
  /** Rules inside pods' namespaces: `new PodRules(…)` of apply.ts. */
  readonly podRules: PodRulesPort;
  /** Rules of the node's namespace for kubelet's probes: `new ProbeRules(…)` of probe-rules.ts. */
  readonly probeRules: ProbeRulesPort;
  /** Told of every pod that was added, once it is in list(). */
  readonly onEnrolled?: () => void;
  /** Called with every line worth keeping. */
  log(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Which families are captured in a namespace, and with which iptables. */
export interface AppliedRules {
  /** e.g. `iptables-nft`. */
  readonly backend: string;
  /** null: IPv6 is captured; otherwise why it is not (absent from the kernel, disabled here, no ip6tables). */
  readonly ipv6Skipped: string | null;
  /** Why interception mode TPROXY could not be had and connections are redirected instead; left out: it could, or was not asked for. */
  readonly redirectedBecause?: string;
}

/** Rules of one pod's namespace. */
export interface PodRulesPort {
  /** Opens the namespace: its inode (decimal text), or NETNS_UNUSABLE. */
  inode(netnsPath: string): Result<string>;
  /**
   * Puts the rules in place, whatever was there: applying twice equals applying once.
   * @param isNew nothing runs in the namespace yet: on failure nothing stays behind, and mode TPROXY may become REDIRECT
   *   (`redirectedBecause`). Left out: what stands there is kept on failure.
   */
  apply(
    netnsPath: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
    isNew?: boolean,
  ): Promise<Result<AppliedRules>>;
  /** Takes every weir rule out. A namespace that is gone is success. */
  remove(netnsPath: string): Promise<Result<void>>;
  /** What is missing, one line each, rules and listeners; empty: all there. */
  missing(
    netnsPath: string,
    pod: EnrolledPod,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Result<readonly string[]>>;
}

/** The node's own rules: kubelet probes of these pods come from PROBE_SOURCE. One change at a time. */
export interface ProbeRulesPort {
  add(addresses: readonly string[]): Promise<Result<void>>;
  remove(addresses: readonly string[]): Promise<Result<void>>;
  /** Makes the rules exactly those of `addresses`, also where somebody flushed them (agent start, each repair round). */
  reconcile(addresses: readonly string[]): Promise<Result<void>>;
}

/** What Enrolment is told once. */
export interface EnrolmentOptions {
  /** pods.json is kept here, mode 0600, replaced atomically. */
  readonly stateDir: string;
  /** Namespaces whose pods are never captured; ADD of such a pod succeeds and does nothing. */
  readonly excludeNamespaces: readonly string[];
  /** Of pods without an annotation of their own; left out: REDIRECT. A pod keeps the mode that it began with. */
  readonly interceptionMode?: InterceptionMode;
  /** Default limits.cniIdentityWaitMs. */
  readonly identityWaitMs?: number;
  /** Default limits.cniReadyWaitMs. */
  readonly readyWaitMs?: number;
}

/** What `add` did. `exempt`: the namespace is excluded; nothing was changed. */
export type AddOutcome = { readonly outcome: 'enrolled'; readonly enrolled: Enrolled } | { readonly outcome: 'exempt' };
