/**
 * Starting beside an agent that is in charge, up to its place (succession.ts found it; the protocol is admin/takeover-api.ts).
 *
 * The order is what makes it lossless: the configuration is up to date before the first listener opens, because from then on the
 * kernel gives this agent its share of connections; every pod has a listener of this agent before the old one closes its own.
 */
import type { CniServer } from '../capture/cni-server.ts';
import type { Enrolment } from '../capture/enrolment.ts';
import type { ControlClient } from '../control/client.ts';
import type { SnapshotStore } from '../control/snapshot-store.ts';
import { limits } from '../limits.ts';
import type { Log } from './log.ts';
import type { MeshHub } from './mesh-hub.ts';
import type { Predecessor } from './predecessor.ts';

export type TakeoverStep = 'configuration' | 'workers' | 'pods' | 'taking over';

/** The parts of the agent that starts. */
export interface TakeoverParts {
  readonly store: Pick<SnapshotStore, 'hold' | 'reload'>;
  readonly control: Pick<ControlClient, 'start' | 'stop' | 'status'>;
  readonly hub: Pick<MeshHub, 'apply'>;
  readonly enrolment: Pick<Enrolment, 'follow' | 'takeCharge'>;
  readonly cni: Pick<CniServer, 'listenInstead'>;
  readonly log: Log;
  /** Takes the admin socket's name: the old agent writes nothing any more as soon as it notices. */
  displace(): void;
  /** For `weir status`. */
  begin(step: TakeoverStep): void;
  /** The agent was told to end. */
  ended(): boolean;
  loadConfiguration(): Promise<void>;
  startWorkers(): Promise<void>;
}

/** How often it is looked whether the controller has brought the configuration up to date. */
const CONTROLLER_POLL_MS = 10;

export class Takeover {
  readonly #parts: TakeoverParts;
  readonly #before: Predecessor;

  constructor(parts: TakeoverParts, before: Predecessor) {
    this.#parts = parts;
    this.#before = before;
  }

  /**
   * True: the old agent has stopped accepting, or is not waited for; this one is in charge. False: this one was told to end
   * meanwhile. Throws Error when the old one will not leave, or this one could not do its work; the old one goes on then.
   * @param silent the old agent did not answer when it was told.
   */
  async run(silent: boolean): Promise<boolean> {
    const { store, control, cni, begin, ended } = this.#parts;
    if (silent) this.#sayHanging();
    store.hold();
    const lease = setInterval(() => void this.#before.ask('announce'), limits.takeoverLeaseMs / 4);
    try {
      begin('configuration');
      await this.#parts.loadConfiguration();
      begin('workers');
      await this.#parts.startWorkers();
      if (ended()) return await this.#abandon();
      control.start();
      await this.#awaitController();
      begin('pods');
      await this.#followPods();
      if (ended()) return await this.#abandon();
      begin('taking over');
      await cni.listenInstead();
      if (!silent) return await this.#takeOver();
      this.#parts.displace();
      await this.#takePods(true);
      return true;
    } catch (error) {
      await this.#before.ask('abandon');
      throw error;
    } finally {
      clearInterval(lease);
    }
  }

  async #abandon(): Promise<false> {
    await this.#before.ask('abandon');
    return false;
  }

  async #takeOver(): Promise<boolean> {
    const yielded = await this.#before.ask('yield');
    if (yielded.kind === 'refused') throw new Error(`the agent in charge goes on: ${yielded.message}`);
    const isHeard = yielded.kind === 'answer';
    if (yielded.kind === 'silent') this.#sayHanging();
    if (!isHeard) this.#parts.displace();
    await this.#takePods(!isHeard);
    if (!isHeard) return true;
    if (this.#parts.ended()) return await this.#abandon();
    const left = await this.#before.ask('leave');
    if (left.kind === 'refused') throw new Error(`the agent in charge goes on: ${left.message}`);
    if (left.kind === 'silent') this.#sayHanging();
    const { pid, version } = this.#before.last ?? { pid: 0, version: 'unknown' };
    this.#parts.log.info({ predecessorPid: pid, predecessorVersion: version }, 'took over from the agent before');
    return true;
  }

  /** The old agent's files are final. @param anyway there is nobody to give back to. */
  async #takePods(anyway: boolean): Promise<void> {
    const { control, enrolment, log } = this.#parts;
    // Without the controller, what the old agent has written last is the newest there is.
    if (!control.status().caughtUp) await this.#reloadConfiguration();
    const taken = await enrolment.takeCharge();
    if (taken.ok) return;
    if (!anyway) throw new Error(taken.error.message);
    log.error({ error: taken.error.message }, 'took over, but not every pod can be listened for');
  }

  async #reloadConfiguration(): Promise<void> {
    const { control, store, hub, log } = this.#parts;
    await control.stop();
    const { upserts, removals, error } = store.reload();
    const applied = error === null ? await hub.apply({ upserts, removals }) : null;
    const problem = applied === null ? error : applied.ok ? null : applied.error;
    if (problem !== null) log.error({ error: problem }, 'the configuration of the agent before was not usable');
    control.start();
  }

  async #awaitController(): Promise<void> {
    const { control, ended } = this.#parts;
    const untilMs = performance.now() + limits.takeoverControllerMs;
    while (!control.status().caughtUp && performance.now() < untilMs && !ended()) {
      if (control.status().lastError !== null) return; // away: the snapshot is what there is
      await new Promise((resolve) => setTimeout(resolve, CONTROLLER_POLL_MS));
    }
  }

  async #followPods(): Promise<void> {
    const { enrolment, ended } = this.#parts;
    const untilMs = performance.now() + limits.takeoverListenMs;
    for (;;) {
      const followed = await enrolment.follow();
      if (followed.ok || ended()) return;
      if (performance.now() > untilMs) throw new Error(`${followed.error.message}; the agent in charge goes on`);
      await new Promise((resolve) => setTimeout(resolve, limits.takeoverRetryMs));
    }
  }

  #sayHanging(): void {
    const { pid, version } = this.#before.last ?? { pid: null, version: null };
    this.#parts.log.error(
      { predecessorPid: pid, predecessorVersion: version },
      'the agent before does not answer and is not waited for; its workers serve their share with what they know until it ends',
    );
  }
}
