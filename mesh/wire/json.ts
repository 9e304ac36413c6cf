/**
 * weir's own resources on the wire: `weir.mesh.v1.<Kind> { string json = 1; }` around the canonical JSON of the model's resource
 * (docs/adr/0012). Canonical: the keys of every object in order, no space, text and numbers as JSON.stringify writes them.
 *
 * Whatever the encoder would not have written is refused: an unknown field of the message or of the resource, a key that comes
 * twice, malformed UTF-8. So equal content has equal bytes, and nothing is dropped without a word.
 */
import type { MeshKind, MeshResource } from '../model.ts';
import { validateResource } from '../validate.ts';
import type { WireCheck } from './check.ts';
import { jsonResourceType } from './schema-root.ts';

/** Kinds that travel as JSON; workloads and Services are Istio's messages (address.ts). */
export type JsonKind = Exclude<MeshKind, 'workload' | 'service'>;
export type JsonResource = Exclude<MeshResource, { readonly kind: 'workload' | 'service' }>;

/** Bytes of a weir.mesh.v1 message. */
export function encodeJson(resource: JsonResource): Uint8Array {
  return jsonResourceType(resource.kind)
    .encode({ json: canonicalJson(resource) })
    .finish();
}

/** Reads a weir.mesh.v1 message of that kind; what is wrong with it goes to `check`. Throws on malformed protobuf. */
export function readJson(kind: JsonKind, bytes: Uint8Array, check: WireCheck): JsonResource | null {
  const { json } = jsonResourceType(kind).decode(bytes) as unknown as { readonly json: unknown };
  const value = typeof json === 'string' ? parse(json) : undefined;
  if (value === undefined) {
    check.fail('json', 'is not JSON');
    return null;
  }
  const found = typeof value === 'object' && value !== null ? (value as { readonly kind?: unknown }).kind : undefined;
  if (found !== kind) {
    check.fail('kind', `is not ${kind}`);
    return null;
  }
  const problem = validateResource(value);
  if (problem !== null) {
    const colon = problem.indexOf(': ');
    check.fail(problem.slice(0, colon), problem.slice(colon + 2));
    return null;
  }
  const resource = value as JsonResource;
  if (!equalBytes(encodeJson(resource), bytes)) {
    check.fail(
      'json',
      'is not canonical, or has fields this version does not know and must not ignore: upgrade the agent',
    );
  }
  return resource;
}

/** The one text of a JSON value. The value is a valid resource: plain data, as deep as the model is. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`);
  return `{${fields.join(',')}}`;
}

/** undefined: not JSON. V8's parser is not recursive, so depth is bounded by the octets of the resource. */
function parse(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    // The caller words the problem; the parser's own message would quote the text.
    return undefined;
  }
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
