/** Where the node is whose agent asks: its name is given, its locality is what its pods say. */
import type { Workload } from './model.ts';
import type { Place } from './topology.ts';

export class OwnPlace {
  readonly #node: string;
  /** Locality → how many pods of the node say so. */
  readonly #localities = new Map<string, number>();
  #place: Place;

  /** @param node '': none in particular, so nothing is near */
  constructor(node: string) {
    this.#node = node;
    this.#place = { node, locality: '' };
  }

  get place(): Place {
    return this.#place;
  }

  /** A pod came, changed, or went. True: the place is another one now. */
  replace(previous: Workload | null, next: Workload | null): boolean {
    if (this.#node === '') return false;
    this.#count(previous, -1);
    this.#count(next, 1);
    // All pods of a node say the same, but while its labels change; then the first by text counts.
    const locality = [...this.#localities.keys()].sort()[0] ?? '';
    if (locality === this.#place.locality) return false;
    this.#place = { node: this.#node, locality };
    return true;
  }

  #count(workload: Workload | null, step: number): void {
    if (workload === null || workload.node !== this.#node || workload.locality === '') return;
    const count = (this.#localities.get(workload.locality) ?? 0) + step;
    if (count === 0) this.#localities.delete(workload.locality);
    else this.#localities.set(workload.locality, count);
  }
}
