/** Gateway API HTTPRequestMirrorFilter. */
import type { BackendTarget, RequestMirror } from '../../mesh/route-model.ts';
import type { ObjectReader } from './object-reader.ts';
import type { BackendReference } from './route-objects.ts';
import { readBackendReference, writtenTarget } from './route-references.ts';

const MILLION = 1_000_000;
const INT32_MAX = 2_147_483_647;

/** Reads a mirror; null when it has no backend. Notes what its backend was made of. */
export function readMirror(
  reader: ObjectReader,
  into: { readonly namespace: string; readonly references: Map<BackendTarget, BackendReference> },
): RequestMirror | null {
  const holder = reader.object('backendRef');
  if (!reader.has('backendRef')) reader.missing('backendRef', 'add the Service to mirror to');
  const percent = reader.integer('percent', 0, 100);
  const fraction = reader.object('fraction');
  const part = fraction === null ? null : readFraction(fraction);
  if (percent !== null && part !== null) {
    reader.problems.error(
      'INVALID_VALUE',
      reader.at('fraction'),
      'stands beside percent',
      'keep one of the two',
      'key',
    );
  }
  reader.finish();
  if (holder === null) return null;
  const reference = readBackendReference(holder, into.namespace);
  holder.finish();
  const backend = writtenTarget(reference);
  into.references.set(backend, reference);
  const perMillion = part ?? (percent ?? 100) * 10_000;
  return { type: 'requestMirror', backend, valid: true, perMillion };
}

/** Of a million, rounded. */
function readFraction(reader: ObjectReader): number {
  const numerator = reader.integer('numerator', 0, INT32_MAX);
  if (!reader.has('numerator')) reader.missing('numerator');
  const denominator = reader.integer('denominator', 1, INT32_MAX) ?? 100;
  reader.finish();
  if (numerator === null) return 0;
  if (numerator > denominator) {
    const reason = `${numerator} of ${denominator} is more than all`;
    reader.problems.error('INVALID_VALUE', reader.at('numerator'), reason, 'write at most the denominator');
  }
  return Math.min(MILLION, Math.round((numerator / denominator) * MILLION));
}
