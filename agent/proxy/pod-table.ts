/**
 * The captured pods of this node in this worker, and their listeners.
 *
 * Listeners live in the pod's own network namespace: the worker enters it, opens the sockets, returns; the sockets stay.
 * SO_REUSEPORT lets every worker (and an old and a new agent) have its own.
 */
import { errnoName } from '../engine/errno.ts';
import { NetworkNamespace } from '../engine/netns.ts';
import { READABLE } from '../engine/reactor.ts';
import { closeFd, openListener } from '../engine/socket.ts';
import type { EnrolledPod } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { INBOUND_PORT, OUTBOUND_PORT } from '../../mesh/ports.ts';
import type { WorkerContext } from './context.ts';
import { PodListener } from './listener.ts';
import { Pod } from './pod.ts';

export class PodTable {
  readonly #context: WorkerContext;
  readonly #byIndex = new Map<number, Pod>();
  readonly #byUid = new Map<string, Pod>();
  readonly #listeners = new Map<number, PodListener[]>();

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  byUid(uid: string): Pod | undefined {
    return this.#byUid.get(uid);
  }

  byIndex(index: number): Pod | undefined {
    return this.#byIndex.get(index);
  }

  all(): Iterable<Pod> {
    return this.#byIndex.values();
  }

  /** Opens the pod's listeners; the error text, or null. Adding an index again replaces it. */
  add(index: number, enrolled: EnrolledPod, netnsPath: string): string | null {
    this.remove(index);
    let namespace: NetworkNamespace;
    try {
      namespace = NetworkNamespace.open(netnsPath);
    } catch (error) {
      return `cannot open network namespace ${netnsPath} of pod ${enrolled.namespace}/${enrolled.name}: ${String(error)}`;
    }
    const pod = new Pod(index, enrolled, namespace, this.#context.self.trustDomain, this.#context);
    const opened = openListeners(pod);
    if (typeof opened === 'string') {
      namespace.close();
      return opened;
    }
    const listeners = opened.map(({ fd, direction }) => new PodListener(this.#context, pod, fd, direction));
    for (const listener of listeners) this.#context.reactor.add(listener.fd, READABLE, listener);
    this.#context.reactor.resetTenant(index);
    this.#context.usage.podAdded();
    this.#byIndex.set(index, pod);
    this.#byUid.set(enrolled.uid, pod);
    this.#listeners.set(index, listeners);
    this.#forgetPeer(enrolled.uid); // it may have been called before it was on this node, as one elsewhere
    return null;
  }

  /** Closes the pod's listeners and every connection it has, and forgets it. */
  remove(index: number): void {
    const pod = this.detach(index);
    if (pod === null) return;
    for (const connection of this.#context.connections.snapshot()) {
      if (connection.podIndex === index) connection.cut('POD_GONE');
    }
    pod.namespace.close();
  }

  /** The first part of remove: nothing new comes to the pod. The caller cuts its connections, then closes its namespace. */
  detach(index: number): Pod | null {
    const pod = this.#byIndex.get(index);
    if (pod === undefined) return null;
    pod.closed = true;
    this.#closeListeners(index);
    pod.pool.close();
    this.#byIndex.delete(index);
    if (this.#byUid.get(pod.pod.uid) === pod) this.#byUid.delete(pod.pod.uid);
    this.#context.usage.podRemoved();
    this.#forgetPeer(pod.pod.uid);
    return pod;
  }

  /** What other pods know of this one (where to dial it, whose policy applies) no longer holds; the next request finds out anew. */
  #forgetPeer(uid: string): void {
    for (const other of this.#byIndex.values()) {
      other.peers.forEach((facts, slot) => {
        if (facts?.endpoint.workload.uid === uid) other.peers[slot] = undefined;
      });
      other.pool.sweep(this.#context.reactor.nowMs, (endpoint) => endpoint.workload.uid !== uid);
    }
  }

  /** For a drain: takes in every connection that waits to be accepted, then closes the listeners. */
  stopListening(): void {
    for (const [index, listeners] of this.#listeners) {
      for (const listener of listeners) listener.acceptAll();
      this.#closeListeners(index);
    }
  }

  #closeListeners(index: number): void {
    for (const listener of this.#listeners.get(index) ?? []) listener.close();
    this.#listeners.delete(index);
  }
}

type OpenedListener = { readonly fd: number; readonly direction: 'outbound' | 'inbound' };

/** Both ports in each family the pod has; all or nothing. */
function openListeners(pod: Pod): readonly OpenedListener[] | string {
  const opened: OpenedListener[] = [];
  const families = [pod.sourceV4 === null ? null : '0.0.0.0', pod.sourceV6 === null ? null : '::'];
  for (const ip of families) {
    if (ip === null) continue;
    for (const direction of ['outbound', 'inbound'] as const) {
      const port = direction === 'outbound' ? OUTBOUND_PORT : INBOUND_PORT;
      const fd = pod.namespace.run(() =>
        openListener({
          ip,
          port,
          reusePort: true,
          backlog: limits.listenBacklog,
          v6Only: ip === '::',
          transparent: direction === 'outbound', // for interception mode TPROXY
          local: direction === 'outbound', // its clients are the pod's own processes
        }),
      );
      if (fd < 0) {
        for (const { fd: openFd } of opened) closeFd(openFd);
        return `cannot listen on ${ip} port ${port} in the namespace of pod ${pod.fullName}: ${errnoName(fd)}; does the pod itself use port ${port}?`;
      }
      opened.push({ fd, direction });
    }
  }
  if (opened.length === 0) return `pod ${pod.fullName} has no address to capture`;
  return opened;
}
