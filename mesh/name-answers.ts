/**
 * The host names that ServiceEntries are resolved by: who needs them, and what the agent's resolver has found. An answer is kept for as
 * long as somebody needs its name. Pure.
 */
import { canonicalIp } from './ip.ts';
import type { Ip, NameAnswer, NamespacedName } from './model.ts';
import { firstAddresses, namesOfEntry, usesFirstAddress } from './external-services.ts';
import type { ServiceEntry } from './traffic-model.ts';

const NOWHERE: readonly Ip[] = [];

export class NameAnswers {
  /** Name → the entries that need it, by key; in the order in which names were first needed. */
  readonly #needed = new Map<string, Map<NamespacedName, ServiceEntry>>();
  readonly #answers = new Map<string, readonly Ip[]>();
  #version = 0;
  /** Some name may be needed by nobody. */
  #stale = false;

  /** Grows whenever names come or go. */
  get version(): number {
    return this.#version;
  }

  /** In the order in which they were first needed. */
  names(): IterableIterator<string> {
    return this.#needed.keys();
  }

  /** As they were given. */
  answers(): readonly NameAnswer[] {
    return Array.from(this.#answers, ([name, addresses]) => ({ name, addresses }));
  }

  /** Empty: nowhere, or it is not known yet. */
  of(name: string): readonly Ip[] {
    return this.#answers.get(name) ?? NOWHERE;
  }

  /** The entry needs other names than before. What nobody needs any more is still known until forget(). */
  replace(key: NamespacedName, previous: ServiceEntry | null, next: ServiceEntry | null): void {
    const before = new Set(previous === null ? [] : namesOfEntry(previous));
    const after = new Set(next === null ? [] : namesOfEntry(next));
    for (const name of before) {
      if (after.has(name)) continue;
      this.#needed.get(name)?.delete(key);
      this.#stale = true;
    }
    for (const name of after) {
      const entries = this.#needed.get(name);
      if (entries !== undefined) entries.set(key, next as ServiceEntry);
      else {
        this.#needed.set(name, new Map([[key, next as ServiceEntry]]));
        this.#version++;
      }
    }
  }

  /** Drops the names that nobody needs. Linear in the names that there are, where an entry has let one go. */
  forget(): void {
    if (!this.#stale) return;
    this.#stale = false;
    for (const [name, entries] of this.#needed) {
      if (entries.size > 0) continue;
      this.#needed.delete(name);
      this.#answers.delete(name);
      this.#version++;
    }
  }

  /**
   * Takes an answer; the entries whose endpoints it may change, none when it makes no difference: nobody needs the name, or the
   * addresses are the same and their order matters to nobody.
   */
  set({ name, addresses }: NameAnswer): readonly ServiceEntry[] {
    const entries = [...(this.#needed.get(name)?.values() ?? [])];
    if (entries.length === 0) return [];
    const canonical = [...new Set(addresses.flatMap((ip) => canonicalIp(ip) ?? []))];
    const known = this.#answers.get(name);
    if (known !== undefined && isSame(known, canonical, entries.some(usesFirstAddress))) return [];
    this.#answers.set(name, canonical);
    return entries;
  }
}

function isSame(known: readonly Ip[], next: readonly Ip[], ordered: boolean): boolean {
  const wanted = new Set(known);
  if (next.length !== known.length || !next.every((ip) => wanted.has(ip))) return false;
  return !ordered || firstAddresses(known).join() === firstAddresses(next).join();
}
