import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { schema } from '../../../mesh/wire/schema.ts';

const protoFolder = new URL('../../../mesh/wire/proto/', import.meta.url);
const schemaFile = new URL('../../../mesh/wire/schema.ts', import.meta.url);

/** The schemas that mesh/wire/schema.ts carries, from their source text; as JSON. */
function schemaFromProto(): string {
  const root = new protobuf.Root();
  for (const file of readdirSync(protoFolder).sort()) {
    protobuf.parse(readFileSync(new URL(file, protoFolder), 'utf8'), root, { keepCase: false });
  }
  root.addJSON(protobuf.common.get('google/protobuf/any.proto')?.nested ?? {});
  root.resolveAll();
  return JSON.stringify(root.toJSON({ keepComments: false }));
}

test('mesh/wire/schema.ts is what mesh/wire/proto says', () => {
  const expected = schemaFromProto();
  if (process.env['UPDATE_SCHEMA'] === '1') {
    const header =
      '// Generated from mesh/wire/proto/*.proto: UPDATE_SCHEMA=1 node --import tsx --test test/unit/wire/schema.test.ts\n\n' +
      '/** The schemas of mesh/wire/proto as data, so that reading them needs no file and no parser. */\n';
    writeFileSync(schemaFile, `${header}export const schema: unknown = ${expected};\n`);
    return;
  }
  assert.deepEqual(schema, JSON.parse(expected));
});
