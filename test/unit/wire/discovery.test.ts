import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeDeltaRequest,
  decodeDeltaResponse,
  encodeDeltaRequest,
  encodeDeltaResource,
  encodeDeltaResponse,
} from '../../../mesh/wire/discovery.ts';

const text = fc.stringMatching(/^[a-z0-9/.-]{1,12}$/);

test('a request survives the wire: subscription, ACK and NACK with the refused resources', () => {
  const request = fc.record({
    node: text,
    typeUrl: text,
    subscribe: fc.array(text),
    unsubscribe: fc.array(text),
    initialVersions: fc.dictionary(text, text),
    nonce: text,
    nack: fc.option(
      fc.record({ message: text, rejections: fc.array(fc.record({ name: text, error: text }), { maxLength: 4 }) }),
    ),
  });
  fc.assert(
    fc.property(request, (random) => {
      const sent = JSON.parse(JSON.stringify(random)) as typeof random;
      const received = decodeDeltaRequest(encodeDeltaRequest(sent));
      assert.deepEqual(
        { ...received, initialVersions: { ...received.initialVersions } },
        {
          ...sent,
          initialVersions: { ...sent.initialVersions },
        },
      );
    }),
  );
});

test('a response put together from resources encoded once reads like one encoded whole', () => {
  const resource = fc.record({ name: text, version: text, typeUrl: text, value: fc.uint8Array({ maxLength: 20 }) });
  fc.assert(
    fc.property(fc.array(resource), fc.array(text), (resources, removed) => {
      const head = { systemVersion: '7', typeUrl: 't', nonce: 'n', removed };
      const bytes = encodeDeltaResponse({
        ...head,
        resources: resources.map(encodeDeltaResource),
        controlPlane: 'weir',
      });
      const decoded = decodeDeltaResponse(bytes);
      assert.deepEqual(
        { ...decoded, resources: decoded.resources.map((r) => ({ ...r, value: new Uint8Array(r.value) })) },
        { ...head, resources: resources.map((r) => ({ ...r, value: new Uint8Array(r.value) })) },
      );
    }),
  );
});

test('a malformed envelope is refused by naming its field', () => {
  assert.throws(
    () =>
      decodeDeltaResponse(
        encodeDeltaResponse({
          systemVersion: '',
          typeUrl: 't',
          nonce: '',
          resources: [],
          removed: [],
          controlPlane: '',
        }),
      ),
    /nonce/,
  );
  const nameless = encodeDeltaResource({ name: '', version: '1', typeUrl: 't', value: new Uint8Array() });
  assert.throws(
    () =>
      decodeDeltaResponse(
        encodeDeltaResponse({
          systemVersion: '',
          typeUrl: 't',
          nonce: 'n',
          resources: [nameless],
          removed: [],
          controlPlane: '',
        }),
      ),
    /resources\[0\]\.name/,
  );
  assert.throws(() => decodeDeltaRequest(Buffer.from('0aff', 'hex')));
});
