/**
 * Workloads and ServiceEntries, kept so that each knows of the other: a ServiceEntry brings Services (its hosts) and workloads (its
 * endpoints, static or by name), and makes the pods that it selects back its hosts too. Whatever comes or goes, the tables end up the
 * same as if all had come at once.
 */
import {
  type ExternalService,
  membersOfEntry,
  namesOfHost,
  servicesOfEntry,
  servicesOfSelected,
} from './external-services.ts';
import { type Ip, keyOf, type NameAnswer, type NamespacedName, type TargetPort, type Workload } from './model.ts';
import { NameAnswers } from './name-answers.ts';
import type { ServiceTable } from './service-table.ts';
import type { ServiceEntry } from './traffic-model.ts';
import { sameJson } from './validate.ts';
import type { Visibility } from './visibility.ts';
import type { WorkloadTable } from './workload-table.ts';

/** The tables that are kept, and who is told. */
export interface MembershipParts {
  readonly workloads: WorkloadTable;
  readonly services: ServiceTable;
  readonly visibility: Visibility;
  /** A host of a ServiceEntry came, went or changed. */
  readonly onServiceChanged: (key: NamespacedName) => void;
  /** A workload is gone. */
  readonly onWorkloadGone: (uid: string) => void;
}

/** A host as one of the entries that name it has it. */
interface Offer {
  readonly entry: ServiceEntry;
  readonly external: ExternalService;
}

const NO_SERVICES: Readonly<Record<NamespacedName, readonly TargetPort[]>> = {};

export class Membership {
  readonly #parts: MembershipParts;
  /** As they came: what they back through ServiceEntries is added only in the table. */
  readonly #given = new Map<string, Workload>();
  readonly #entries = new Map<NamespacedName, ServiceEntry>();
  /** By key of the entry: the uids of its endpoints in the table. */
  readonly #placed = new Map<NamespacedName, Set<string>>();
  /** What the names lead to that entries are resolved by. */
  readonly names = new NameAnswers();
  readonly #answerOf = (name: string): readonly Ip[] => this.names.of(name);
  /** uid → the ServiceEntries that select the pod, by key. */
  readonly #selectedBy = new Map<string, Set<NamespacedName>>();
  /** Host (as a Service is named) → by key of the entry. The first by key counts; endpoints of all back it. */
  readonly #offers = new Map<NamespacedName, Map<NamespacedName, Offer>>();
  /** What is in the table of Services. */
  readonly #chosen = new Map<NamespacedName, ExternalService>();

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** As they came, in the order in which they first did. */
  workloads(): readonly Workload[] {
    return [...this.#given.values()];
  }

  /** As it came. */
  workload(uid: string): Workload | null {
    return this.#given.get(uid) ?? null;
  }

  entries(): readonly ServiceEntry[] {
    return [...this.#entries.values()];
  }

  /** False: it is there already, equal. */
  upsertWorkload(workload: Workload): boolean {
    if (sameJson(this.#given.get(workload.uid), workload)) return false;
    this.#given.set(workload.uid, workload);
    this.#place(workload);
    return true;
  }

  /** False: there was none. */
  removeWorkload(uid: string): boolean {
    if (!this.#given.delete(uid)) return false;
    this.#drop(uid);
    return true;
  }

  /** As upsertWorkload. */
  upsertEntry(entry: ServiceEntry): boolean {
    const { key } = keyOf(entry);
    const previous = this.#entries.get(key);
    if (sameJson(previous, entry)) return false;
    this.#entries.set(key, entry);
    this.#replaceEntry(key, previous ?? null, entry);
    return true;
  }

  /** As removeWorkload. */
  removeEntry(key: NamespacedName): boolean {
    const previous = this.#entries.get(key);
    if (previous === undefined) return false;
    this.#entries.delete(key);
    this.#replaceEntry(key, previous, null);
    return true;
  }

  #replaceEntry(key: NamespacedName, previous: ServiceEntry | null, next: ServiceEntry | null): void {
    this.#offer(key, previous, next);
    this.names.replace(key, previous, next);
    this.#placeMembers(key, next);
    for (const uid of previous?.workloads ?? []) {
      const selecting = this.#selectedBy.get(uid);
      selecting?.delete(key);
      if (selecting?.size === 0) this.#selectedBy.delete(uid);
    }
    for (const uid of next?.workloads ?? []) {
      const selecting = this.#selectedBy.get(uid) ?? new Set();
      this.#selectedBy.set(uid, selecting.add(key));
    }
    for (const uid of new Set([...(previous?.workloads ?? []), ...(next?.workloads ?? [])])) {
      const given = this.#given.get(uid);
      if (given !== undefined) this.#place(given);
    }
  }

  /** False: it makes no difference. */
  answer(answer: NameAnswer): boolean {
    const entries = this.names.set(answer);
    for (const entry of entries) this.#placeNamed(keyOf(entry).key, entry, answer.name);
    return entries.length > 0;
  }

  /** The names by which a host is resolved, of all entries that have it; empty: it is not resolved by name. */
  namesBehind(host: NamespacedName): readonly string[] {
    const offers = [...(this.#offers.get(host)?.values() ?? [])];
    return [...new Set(offers.flatMap(({ entry, external }) => namesOfHost(entry, external.service.name)))];
  }

  #placeMembers(key: NamespacedName, entry: ServiceEntry | null): void {
    const present = new Set<string>();
    for (const { uid, workload } of entry === null ? [] : membersOfEntry(entry, this.#answerOf)) {
      if (workload === null) continue;
      present.add(uid);
      this.#place(workload);
    }
    for (const uid of this.#placed.get(key) ?? []) if (!present.has(uid)) this.#drop(uid);
    if (present.size === 0) this.#placed.delete(key);
    else this.#placed.set(key, present);
  }

  /** The same for those alone that go by a name: an entry may have thousands. */
  #placeNamed(key: NamespacedName, entry: ServiceEntry, name: string): void {
    const placed = this.#placed.get(key) ?? new Set();
    for (const { uid, workload } of membersOfEntry(entry, this.#answerOf, name)) {
      if (workload !== null) {
        placed.add(uid);
        this.#place(workload);
      } else if (placed.delete(uid)) this.#drop(uid);
    }
    if (placed.size === 0) this.#placed.delete(key);
    else this.#placed.set(key, placed);
  }

  /** Takes back what the entry said of its hosts, and says the new. */
  #offer(key: NamespacedName, previous: ServiceEntry | null, next: ServiceEntry | null): void {
    const touched = new Set<NamespacedName>();
    for (const { service } of previous === null ? [] : servicesOfEntry(previous)) {
      const host = keyOf(service).key;
      const offers = this.#offers.get(host);
      offers?.delete(key);
      if (offers?.size === 0) this.#offers.delete(host);
      touched.add(host);
    }
    for (const external of next === null ? [] : servicesOfEntry(next)) {
      const host = keyOf(external.service).key;
      const offers = this.#offers.get(host) ?? new Map<NamespacedName, Offer>();
      this.#offers.set(host, offers.set(key, { entry: next as ServiceEntry, external }));
      touched.add(host);
    }
    for (const host of touched) this.#choose(host);
  }

  #choose(host: NamespacedName): void {
    const { services, visibility, onServiceChanged } = this.#parts;
    const offers = this.#offers.get(host);
    const first = [...(offers?.keys() ?? [])].sort()[0];
    const chosen = first === undefined ? undefined : offers?.get(first);
    visibility.setExport(host, chosen?.entry.exportTo ?? null);
    if (chosen === undefined) {
      if (this.#chosen.delete(host)) services.remove(host);
    } else {
      if (sameJson(this.#chosen.get(host), chosen.external)) return;
      this.#chosen.set(host, chosen.external);
      services.upsert(chosen.external.service, chosen.external);
    }
    onServiceChanged(host);
  }

  /** Puts a workload into the table with everything that it backs. */
  #place(given: Workload): void {
    const { workloads, services } = this.#parts;
    const previous = workloads.byUid(given.uid);
    const more = this.#selectedServices(given.uid);
    const workload = more === NO_SERVICES ? given : { ...given, services: { ...given.services, ...more } };
    if (previous !== null && sameJson(previous, workload)) return;
    workloads.upsert(workload);
    for (const service of servicesOf(previous, workload)) services.membersChanged(service);
  }

  #drop(uid: string): void {
    const { workloads, services, onWorkloadGone } = this.#parts;
    const previous = workloads.byUid(uid);
    if (previous === null) return;
    workloads.remove(uid);
    for (const service of servicesOf(previous, null)) services.membersChanged(service);
    onWorkloadGone(uid);
  }

  #selectedServices(uid: string): Readonly<Record<NamespacedName, readonly TargetPort[]>> {
    const selecting = this.#selectedBy.get(uid);
    if (selecting === undefined) return NO_SERVICES;
    const entries = [...selecting].sort().flatMap((key) => this.#entries.get(key) ?? []);
    return Object.assign({}, ...entries.map(servicesOfSelected)) as Record<NamespacedName, readonly TargetPort[]>;
  }
}

function servicesOf(previous: Workload | null, next: Workload | null): ReadonlySet<NamespacedName> {
  return new Set([...Object.keys(previous?.services ?? {}), ...Object.keys(next?.services ?? {})]);
}
