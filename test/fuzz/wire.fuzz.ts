/**
 * Bytes from the control stream: whatever they are, decoding answers; what it accepts is a resource that agents take, and
 * encoding it again says the same. FUZZ_RUNS: cases per property. Seeds that failed: corpus/wire/NAME.hex, `TYPE-URL NAME HEX`.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOf } from '../../mesh/model.ts';
import { decodeDeltaRequest, decodeDeltaResponse, encodeDeltaResource } from '../../mesh/wire/discovery.ts';
import { decodeResource, encodeResource, TYPE_URLS, typeUrlOf, wireNameOf } from '../../mesh/wire/resource.ts';
import { jsonResourceType } from '../../mesh/wire/schema-root.ts';
import { arbitraryResource, MESH_KINDS } from '../unit/wire/mesh-arbitrary.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 500);
const CORPUS = new URL('./corpus/wire/', import.meta.url);

function examine(typeUrl: string, name: string, bytes: Uint8Array): void {
  const decoded = decodeResource(typeUrl, name, bytes);
  if (!decoded.ok) {
    assert.ok(decoded.problem.reason.length > 0 && decoded.problem.reason.length < 20_000);
    return;
  }
  const { resource } = decoded;
  const again = decodeResource(typeUrl, name, encodeResource(resource));
  assert.deepEqual(again, { ok: true, resource });
  assert.deepEqual(JSON.parse(JSON.stringify(resource)), resource, 'plain data');
}

/** Flips, cuts, repeats and inserts bytes. */
const damage = fc.array(
  fc.record({ at: fc.nat(2_000), do: fc.constantFrom('flip', 'cut', 'insert', 'repeat'), byte: fc.nat(255) }),
  { minLength: 1, maxLength: 6 },
);

test('damaged resources are refused or harmless', () => {
  fc.assert(
    fc.property(arbitraryResource, damage, (resource, damages) => {
      let bytes = Buffer.from(encodeResource(resource));
      for (const { at, do: what, byte } of damages) {
        const offset = bytes.length === 0 ? 0 : at % bytes.length;
        const [head, tail] = [bytes.subarray(0, offset), bytes.subarray(offset)];
        if (what === 'flip') bytes = Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ byte]), tail.subarray(1)]);
        else if (what === 'cut') bytes = Buffer.from(head);
        else if (what === 'insert') bytes = Buffer.concat([head, Buffer.from([byte]), tail]);
        else bytes = Buffer.concat([head, tail, tail]);
      }
      examine(typeUrlOf(resource.kind), wireNameOf(keyOf(resource)), bytes);
      for (const typeUrl of TYPE_URLS) examine(typeUrl, 'a/b', bytes);
    }),
    { numRuns },
  );
});

test('any bytes are refused or harmless, as resources and as messages of the protocol', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const typeUrl of TYPE_URLS) examine(typeUrl, 'a/b', bytes);
      for (const decode of [decodeDeltaRequest, decodeDeltaResponse]) {
        try {
          decode(bytes);
        } catch (error) {
          assert.ok(error instanceof Error && error.message.length < 1_000);
        }
      }
    }),
    { numRuns },
  );
});

/** Replaces, drops, repeats and deepens pieces of JSON text: most of what comes out is JSON still. */
const rewrite = fc.array(
  fc.record({
    at: fc.nat(2_000),
    by: fc.constantFrom(
      'null',
      '-1',
      '1e999',
      '""',
      '"\\u0000"',
      '"\\ud800"',
      '[]',
      '{}',
      '[[[]]]',
      '{"__proto__":1}',
      '__proto__',
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

test('weir’s own kinds with rewritten JSON are refused or harmless', () => {
  fc.assert(
    fc.property(arbitraryResource, rewrite, (resource, rewrites) => {
      let json = JSON.stringify(resource);
      for (const { at, by } of rewrites) {
        // A value or key of the text, whatever it is.
        const values = [...json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*|true|false|null|\[\]|\{\}/g)];
        const found = values[at % Math.max(1, values.length)];
        if (found !== undefined) json = json.slice(0, found.index) + by + json.slice(found.index + found[0].length);
      }
      const value = parsed(json);
      if (value !== undefined) json = JSON.stringify(sortedDeep(value));
      const bytes = resource.kind === 'workload' ? Buffer.from(json) : messageOf(json);
      for (const typeUrl of TYPE_URLS) examine(typeUrl, wireNameOf(keyOf(resource)), bytes);
    }),
    { numRuns },
  );
});

test('huge and deep JSON is refused', () => {
  const deep = (open: string, close: string): string => open.repeat(100_000) + close.repeat(100_000);
  for (const json of [deep('[', ']'), deep('{"a":', '}'), `"${'x'.repeat(1_000_000)}"`, `[${'0,'.repeat(400_000)}0]`]) {
    for (const typeUrl of TYPE_URLS) examine(typeUrl, 'a/b', messageOf(json));
    for (const kind of MESH_KINDS) {
      const inside = `{"kind":${JSON.stringify(kind)},"namespace":"a","name":"b","rules":${json}}`;
      examine(typeUrlOf(kind), 'a/b', messageOf(inside));
    }
  }
});

function messageOf(json: string): Uint8Array {
  return jsonResourceType('httpRoute').encode({ json }).finish();
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return undefined;
  }
}

/** In the order of canonical JSON, so that what is wrong is not only the order. */
function sortedDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedDeep);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortedDeep(inner)]),
  );
}

test('messages nested a thousand deep are refused', () => {
  let bytes: Uint8Array = new Uint8Array();
  for (let depth = 0; depth < 1_000; depth++) {
    bytes = encodeDeltaResource({ name: 'n', version: '1', typeUrl: 't', value: bytes });
  }
  for (const typeUrl of TYPE_URLS) examine(typeUrl, 'a/b', bytes);
});

for (const file of readdirSync(CORPUS)) {
  test(`corpus: ${file}`, () => {
    const [typeUrl = '', name = '', hex = ''] = readFileSync(new URL(file, CORPUS), 'utf8').trim().split(' ');
    examine(typeUrl, name, Buffer.from(hex, 'hex'));
  });
}
