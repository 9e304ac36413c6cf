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
import { arbitraryResource } from '../unit/wire/mesh-arbitrary.ts';

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

test('messages nested a thousand deep are refused', () => {
  let bytes: Uint8Array = new Uint8Array();
  for (let depth = 0; depth < 1_000; depth++) {
    bytes = encodeDeltaResource({ name: 'n', version: '1', typeUrl: 't', value: bytes });
  }
  examine(TYPE_URLS[0], 'a/b', bytes);
});

for (const file of readdirSync(CORPUS)) {
  test(`corpus: ${file}`, () => {
    const [typeUrl = '', name = '', hex = ''] = readFileSync(new URL(file, CORPUS), 'utf8').trim().split(' ');
    examine(typeUrl, name, Buffer.from(hex, 'hex'));
  });
}
