/**
 * The property everything here is for: what is forwarded means the same to everybody. Two other parsers read the octets
 * that the codec would forward and must find the requests it accepted, no more and no fewer.
 */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { forwardStream } from './codec.ts';
import { nodeRequests } from './node-parser.ts';
import { readRequests } from './strict-parser.ts';

/** llhttp refuses methods it does not know; asking it about those would prove nothing. */
const KNOWN: ReadonlySet<string> = new Set(METHODS);

export interface Agreement {
  /** Requests accepted and forwarded. */
  readonly requests: number;
  readonly stopped: string;
}

/** Checks the synchronous half: forwarded octets, read by the strict parser. */
export function agreesWithStrictParser(stream: string): Agreement & { readonly text: string } {
  const forwarded = forwardStream(stream);
  const read = readRequests(forwarded.text);
  assert.equal(read.length, forwarded.requests, `strict parser: ${JSON.stringify(forwarded.text)}`);
  const again = forwardStream(forwarded.text);
  assert.equal(again.text.length, forwarded.text.length, `not stable: ${JSON.stringify(forwarded.text)}`);
  assert.deepEqual([again.requests, again.consumed], [forwarded.requests, forwarded.text.length]);
  return { requests: forwarded.requests, stopped: forwarded.stopped, text: forwarded.text };
}

/** Checks both: the strict parser and Node's own read the same requests from what is forwarded. */
export async function agreesWithAll(stream: string): Promise<Agreement> {
  const { requests, stopped, text } = agreesWithStrictParser(stream);
  const expected = readRequests(text);
  if (expected.some(({ start }) => !KNOWN.has(start[0]))) return { requests, stopped };
  const opinion = await nodeRequests(text);
  assert.equal(opinion.error, '', `Node refuses what was accepted: ${JSON.stringify(text)}`);
  const found = opinion.messages.map(({ method, target, fields, body }) => ({ method, target, fields, body }));
  assert.deepEqual(
    found,
    expected.map((message) => ({
      method: message.start[0],
      target: message.start[1],
      fields: message.fields,
      body: message.body,
    })),
    JSON.stringify(text),
  );
  return { requests, stopped };
}
