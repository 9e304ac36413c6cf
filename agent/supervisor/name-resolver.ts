/**
 * Looks up the host names that ServiceEntries are resolved by (resolution DNS and the like), and tells the mesh what they lead to: here
 * and, through the hub, in every worker. Workers never look anything up.
 *
 *   mesh changes ─► names that are needed ─► NameSchedule ─► DnsLookup ─► answers, gathered ─► MeshHub.apply
 */
import type { NamesDocument } from '../admin/api.ts';
import type { NameAnswer } from '../../mesh/model.ts';
import type { MeshState } from '../../mesh/state.ts';
import { limits } from '../limits.ts';
import type { AgentLog } from './log.ts';
import type { ApplyResult } from './mesh-hub.ts';
import type { NameStore } from './name-store.ts';
import { type LookupResult, type NameBounds, NameSchedule, type Query, recordOf } from './name-schedule.ts';

/** What the resolver needs of the hub. */
export interface NameHub {
  readonly state: Pick<MeshState, 'namesVersion' | 'namesNeeded'>;
  apply(delta: {
    readonly upserts: readonly [];
    readonly removals: readonly [];
    readonly answers: readonly NameAnswer[];
  }): Promise<ApplyResult>;
  subscribe(listener: () => void): () => void;
}

export interface NameResolverParts {
  readonly hub: NameHub;
  /** Never rejects. */
  readonly lookup: (query: Query) => Promise<LookupResult>;
  /** What an agent before has found, and what the next one may start with. */
  readonly store: Pick<NameStore, 'load' | 'save'>;
  readonly log: Pick<AgentLog, 'info' | 'warn' | 'error'>;
  readonly random: () => number;
  /** Left out: those of limits.ts. */
  readonly bounds?: NameBounds;
}

/** Names told one by one. */
const PROBLEMS_MAX = 16;

export class NameResolver {
  readonly #parts: NameResolverParts;
  readonly #schedule: NameSchedule;
  readonly #unsubscribe: () => void;
  /** To be told. */
  readonly #changed = new Set<string>();
  /** Queries that fail, as far as the log has been told. */
  readonly #failing = new Set<Query>();
  readonly #settling = new Set<() => void>();
  #namesVersion = -1;
  #running = 0;
  #dueTimer: NodeJS.Timeout | null = null;
  #publishTimer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(parts: NameResolverParts) {
    this.#parts = parts;
    this.#schedule = new NameSchedule(parts.bounds ?? limits, parts.random);
    this.#schedule.recall(parts.store.load(), performance.now());
    this.#unsubscribe = parts.hub.subscribe(() => this.#meshChanged());
    this.#meshChanged();
  }

  /** Resolves when every name has been looked up once and the mesh knows what came of it, or after that time. */
  async settled(waitMs: number): Promise<void> {
    if (this.#isSettled()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#settling.delete(done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#settling.add(done);
    });
  }

  document(): NamesDocument {
    const states = this.#schedule.states();
    const bad = states.filter(({ addresses, problem }) => addresses.length === 0 || problem !== null);
    return {
      count: states.length,
      resolved: states.filter(({ addresses }) => addresses.length > 0).length,
      omitted: this.#schedule.omitted,
      counters: { ...this.#schedule.counters },
      problems: bad.slice(0, PROBLEMS_MAX).map(({ name, addresses, problem, answered }) => ({
        name,
        addresses: addresses.length,
        problem: problem ?? (answered ? 'the name has no address' : 'it is being looked up'),
      })),
    };
  }

  /** Idempotent. Lookups that run are not waited for. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    if (this.#dueTimer !== null) clearTimeout(this.#dueTimer);
    if (this.#publishTimer !== null) clearTimeout(this.#publishTimer);
    for (const done of this.#settling) done();
  }

  #meshChanged(): void {
    const { state } = this.#parts.hub;
    if (this.#closed || state.namesVersion === this.#namesVersion) return;
    this.#namesVersion = state.namesVersion;
    const known = this.#schedule.want(state.namesNeeded(), performance.now());
    for (const name of known) this.#changed.add(name);
    if (known.length > 0) this.#publishSoon();
    for (const query of this.#failing) if (!this.#schedule.asks(query)) this.#failing.delete(query);
    this.#work();
  }

  /** Starts what is due, and sets the timer for what is due next. */
  #work(): void {
    if (this.#closed) return;
    const nowMs = performance.now();
    const queries = this.#schedule.due(nowMs, limits.nameLookupsAtOnce - this.#running);
    for (const query of queries) void this.#ask(query);
    if (this.#dueTimer !== null) clearTimeout(this.#dueTimer);
    this.#dueTimer = null;
    // With all lookups taken, the end of one of them is what to wait for.
    if (this.#running >= limits.nameLookupsAtOnce) return;
    const dueMs = this.#schedule.nextDueMs;
    if (dueMs === Infinity) return;
    this.#dueTimer = setTimeout(() => this.#work(), Math.max(1, Math.ceil(dueMs - nowMs)));
  }

  async #ask(query: Query): Promise<void> {
    this.#running++;
    const result = await this.#parts.lookup(query);
    this.#running--;
    if (this.#closed) return;
    const name = this.#schedule.conclude(query, result, performance.now());
    if (name !== null) {
      this.#tell(query, result);
      this.#changed.add(name);
      this.#publishSoon();
    }
    this.#work();
  }

  /** Once when lookups begin to fail, once when they work again. */
  #tell(query: Query, result: LookupResult): void {
    const { log } = this.#parts;
    const { name } = query;
    const record = recordOf(query);
    if (result.kind !== 'failed') {
      if (this.#failing.delete(query)) log.info({ name, record }, 'host name of a ServiceEntry can be looked up again');
      return;
    }
    if (this.#failing.has(query)) return;
    this.#failing.add(query);
    const addressesKept = this.#schedule.answerOf(name)?.length ?? 0;
    const fields = { name, record, error: result.reason, addressesKept };
    log.warn(fields, 'host name of a ServiceEntry cannot be looked up');
  }

  #publishSoon(): void {
    this.#publishTimer ??= setTimeout(() => this.#publish(), limits.namePublishDelayMs);
  }

  #publish(): void {
    this.#publishTimer = null;
    const answers = [...this.#changed].flatMap((name) => {
      const addresses = this.#schedule.answerOf(name);
      return addresses === null ? [] : [{ name, addresses }];
    });
    this.#changed.clear();
    this.#parts.store.save(this.#schedule.kept(performance.now()));
    if (answers.length > 0) {
      // The change is sent to the workers before this returns; their answers are not waited for.
      void this.#parts.hub.apply({ upserts: [], removals: [], answers }).then((applied) => {
        if (!applied.ok) this.#parts.log.error({ error: applied.error }, 'answers of DNS were refused');
      });
    }
    if (this.#isSettled()) for (const done of this.#settling) done();
  }

  #isSettled(): boolean {
    return this.#schedule.settled && this.#changed.size === 0;
  }
}
