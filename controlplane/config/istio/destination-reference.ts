/** An Istio `Destination`: host, subset, port. */
import { LABEL_NAME } from '../names.ts';
import type { ObjectReader } from '../object-reader.ts';
import { wholeHost } from './hosts.ts';
import type { DestinationReference } from './objects.ts';
import { readHost } from './string-match.ts';

/** The largest weight of the mesh model. */
const WEIGHT_MAX = 1_000_000;

/** Reads a Destination; null and a problem when its host is missing or wrong. */
export function readDestination(reader: ObjectReader, namespace: string): DestinationReference | null {
  if (!reader.has('host')) reader.missing('host', 'add the host of a Service or ServiceEntry');
  const value = reader.take('host');
  const rule = { wildcard: true, any: false, address: false };
  const host = value === undefined ? null : readHost(reader, { value, path: reader.at('host') }, rule);
  const subset = reader.text('subset', LABEL_NAME);
  const selector = reader.object('port');
  const port = selector === null ? null : selector.integer('number', 1, 65_535);
  if (selector !== null && !selector.has('number')) selector.missing('number', "add the Service's port number");
  selector?.finish();
  reader.finish();
  return host === null ? null : { host: wholeHost(host, namespace), path: reader.path, port, subset };
}

/** `destination` of a weighted entry; null and a problem when it is missing or wrong. */
export function requiredDestination(owner: ObjectReader, namespace: string): DestinationReference | null {
  const reader = owner.object('destination');
  if (reader !== null) return readDestination(reader, namespace);
  if (!owner.has('destination')) owner.missing('destination', 'add destination with a host');
  return null;
}

/**
 * The weights of `route`: of a single destination it says nothing (all go there); among several an absent one is 0, and one at
 * least must have more.
 */
export function readWeights(owner: ObjectReader, field: string, readers: readonly ObjectReader[]): readonly number[] {
  const weights = readers.map((reader) => reader.integer('weight', 0, WEIGHT_MAX) ?? 0);
  if (weights.length < 2) return weights.map(() => 1);
  if (weights.every((weight) => weight === 0) && !owner.problems.refused) {
    const reason = 'has several destinations and no weight above 0';
    owner.problems.error('INVALID_VALUE', owner.at(field), reason, 'give each its weight', 'key');
  }
  return weights;
}
