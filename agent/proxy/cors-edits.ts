/** What CORS says in every response (Envoy's filter: set over what the backend said), as header edits that both codecs apply. */
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { NameValue } from '../../mesh/route-model.ts';

/** The last combination: most responses of a route are to one origin. One per worker. */
const last: { edits: HeaderEdits | null; headers: readonly NameValue[]; combined: HeaderEdits | null } = {
  edits: null,
  headers: [],
  combined: null,
};

/** A route's own edits of the response, if any, and these fields. */
export function addedToResponses(edits: HeaderEdits | null, headers: readonly NameValue[]): HeaderEdits | null {
  if (headers.length === 0) return edits;
  if (last.combined !== null && last.edits === edits && sameFields(last.headers, headers)) return last.combined;
  // Vary lists what the response depends on, and the backend's own reasons stay.
  const set = headers.filter(({ name }) => name !== 'vary');
  const vary = headers.filter(({ name }) => name === 'vary');
  const own = (edits?.set ?? []).filter(({ name }) => !set.some((field) => field.name === name));
  last.edits = edits;
  last.headers = headers;
  last.combined = { set: [...own, ...set], add: [...(edits?.add ?? []), ...vary], remove: edits?.remove ?? [] };
  return last.combined;
}

function sameFields(some: readonly NameValue[], others: readonly NameValue[]): boolean {
  if (some.length !== others.length) return false;
  return some.every(({ name, value }, i) => others[i]?.name === name && others[i]?.value === value);
}
