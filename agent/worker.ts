/**
 * The data-plane worker: one process, one synchronous loop. Started by the supervisor with fd 3 = messages and fd 4 =
 * access log; after start-up it never returns to Node's event loop.
 */
import { raiseNoFileLimit } from './engine/resource-limit.ts';
import { Reactor } from './engine/reactor.ts';
import { ACCESS_LOG_FD, type FromWorker, IPC_FD, type ToWorker } from './ipc/messages.ts';
import { WorkerChannel } from './ipc/worker-channel.ts';
import { limits } from './limits.ts';
import { WorkerContext } from './proxy/context.ts';
import { Housekeeping } from './proxy/housekeeping.ts';
import { Saturation } from './proxy/saturation.ts';
import { splicePipes } from './engine/splice.ts';
import { AccessLog } from './telemetry/access-log.ts';
import { BoundCounters } from './telemetry/bounds.ts';
import { WorkerLog } from './telemetry/worker-log.ts';

class Worker {
  readonly #reactor = new Reactor(() => performance.now(), limits.fairQuantum);
  readonly #channel: WorkerChannel;
  readonly #log: WorkerLog;
  #context: WorkerContext | null = null;
  #housekeeping: Housekeeping | null = null;
  readonly #saturation = new Saturation();
  readonly #cpuMs = (index: number): number => this.#reactor.cpuMs(index);
  #drainedAtMs = Number.POSITIVE_INFINITY;

  constructor() {
    raiseNoFileLimit();
    this.#channel = new WorkerChannel(
      IPC_FD,
      this.#reactor,
      (message) => this.#onMessage(message),
      (reason) => this.#exit(reason),
    );
    this.#log = new WorkerLog((message) => this.#channel.send(message));
    this.#channel.send({ type: 'ready', pid: process.pid });
  }

  run(): never {
    const reactor = this.#reactor;
    for (;;) {
      reactor.turn(Math.min(limits.turnWaitMs, Math.max(0, this.#drainedAtMs - reactor.nowMs)));
      const context = this.#context;
      if (context === null) continue;
      if (context.draining && reactor.nowMs >= this.#drainedAtMs) cutAll(context);
      context.frameBuffers.flush();
      this.#saturation.turnEnded(reactor.nowMs, reactor.turnMs, reactor.hasBacklog, this.#cpuMs, context.allPods);
      context.accessLog.flush();
      if (context.draining && context.connections.size === 0) process.exit(0);
    }
  }

  #exit(reason: string): never {
    process.stderr.write(`weir worker ${process.pid}: ${reason}; exiting\n`);
    process.exit(1);
  }

  #onMessage(message: ToWorker): void {
    if (message.type === 'hello') this.#hello(message);
    else if (this.#context === null) this.#exit(`message ${message.type} before hello`);
    else this.#dispatch(this.#context, message);
  }

  #hello(message: Extract<ToWorker, { type: 'hello' }>): void {
    this.#log.level = message.logLevel;
    const bounds = new BoundCounters();
    this.#context = new WorkerContext({
      self: { worker: message.worker, node: message.node, trustDomain: message.trustDomain },
      reactor: this.#reactor,
      accessLog: new AccessLog(ACCESS_LOG_FD, message.accessLog, bounds, () => Date.now()),
      bounds,
      log: (level, text, fields) => this.#log.write(level, text, fields),
      random: Math.random,
      ...(message.caps === undefined ? {} : { caps: message.caps }),
    });
    this.#housekeeping = new Housekeeping(this.#context);
  }

  #dispatch(context: WorkerContext, message: Exclude<ToWorker, { type: 'hello' }>): void {
    switch (message.type) {
      case 'podAdd': {
        const error = context.pods.add(message.index, message.pod, message.netnsPath);
        this.#channel.send({ type: 'podListening', index: message.index, error });
        break;
      }
      case 'podRemove':
        this.#housekeeping?.removePod(message.index, () => {
          this.#channel.send({ type: 'podGone', index: message.index });
        });
        break;
      case 'meshDelta': {
        const result = context.mesh.apply(message.delta);
        if (result.ok) {
          context.settingsChanged();
          this.#housekeeping?.meshChanged();
        }
        const error = result.ok ? null : `${result.resource.kind} ${result.resource.key}: ${result.error}`;
        this.#channel.send({ type: 'meshApplied', sequence: message.sequence, error });
        break;
      }
      case 'accessLog':
        context.accessLog.mode = message.mode;
        break;
      case 'logLevel':
        this.#log.level = message.level;
        break;
      case 'verifyArm':
        context.verifyTokens.set(message.token, message.podIndex);
        break;
      case 'verifyDisarm':
        context.verifyTokens.delete(message.token);
        break;
      case 'query':
        this.#channel.send(answer(context, message));
        break;
      case 'drain':
        this.#drain(context, message.deadlineMs, message.successor);
        break;
    }
  }

  #drain(context: WorkerContext, deadlineMs: number, successor: boolean): void {
    // Before anything is accepted: what comes out of the queues now gets its answer, with `Connection: close`.
    context.draining = true;
    this.#drainedAtMs = this.#reactor.nowMs + deadlineMs;
    context.pods.stopListening();
    this.#housekeeping?.drain(successor);
  }
}

/** The drain's deadline: idle connections are closed with FIN, whatever is in flight is reset, so that half is not taken for whole. */
function cutAll(context: WorkerContext): void {
  for (const connection of context.connections.snapshot()) connection.drain(false);
  for (const connection of context.connections.snapshot()) {
    context.bounds.event('drain_deadline_cut');
    connection.cut('DRAIN_DEADLINE');
  }
}

function answer(context: WorkerContext, query: Extract<ToWorker, { type: 'query' }>): FromWorker {
  const { reactor, self } = context;
  const { id } = query;
  if (query.what === 'requests') {
    return { type: 'requests', id, requests: context.recentRequests.list(query.request, limits.recentRequestRowsMax) };
  }
  if (query.what === 'connections') {
    const { rows, truncated } = context.connections.describe(reactor.nowMs, limits.connectionRowsMax);
    return { type: 'connections', id, connections: rows, truncated };
  }
  const series = context.series.collect(reactor.nowMs, (uid) => context.mesh.workloadByUid(uid) === null);
  const pods = Array.from(context.pods.all(), (pod) => pod.stats(reactor.cpuMs(pod.index)));
  const counters = {
    ...context.bounds.events(),
    connections: context.connections.size,
    idle_upstreams: context.idleUpstreams,
    requests_in_flight: context.usage.requests.total,
    pending_connections: context.usage.pending.total,
    buffered_bytes: context.usage.buffered.total,
    delayed_requests: context.delayedRequests,
    mirrors_in_flight: context.mirrorsInFlight,
    splice_pipes: splicePipes.inUse,
    turns: reactor.counters.waits,
    events: reactor.counters.events,
    stale_events: reactor.counters.staleEvents,
    deferred_events: reactor.counters.deferred,
  };
  const stats = { worker: self.worker, pid: process.pid, ...series, pods, bounds: context.bounds.hits(), counters };
  return { type: 'stats', id, stats };
}

new Worker().run();
