/**
 * The codec judged by other people's tests (tables in corpus/): what is accepted is forwarded as the tables say and read alike
 * by two other parsers; what is refused is refused with the status they say; and the result does not depend on how the octets
 * arrive.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { agreesWithAll } from './agreement.ts';
import { forwardStream, parseTrickled } from './codec.ts';
import type { RequestCase, RequestVerdict } from './corpus/corpus-case.ts';
import { httpGarden } from './corpus/http-garden.ts';
import { llhttpRequests } from './corpus/llhttp-requests.ts';
import { probes } from './corpus/probes.ts';
import { smugglingLists } from './corpus/smuggling-lists.ts';

interface Outcome {
  readonly forwarded: string;
  readonly requests: number;
  readonly rest: number | 'end' | 'more' | 'closed';
}

function outcomeOf(octets: string): Outcome {
  const { text, requests, consumed, stopped, status } = forwardStream(octets);
  const isOver = consumed === octets.length;
  const rest = stopped === 'refused' ? status : isOver ? 'end' : stopped === '' ? 'closed' : 'more';
  return { forwarded: text, requests, rest };
}

function expectedOf(octets: string, verdict: RequestVerdict): Outcome {
  if (typeof verdict === 'number') return { forwarded: '', requests: 0, rest: verdict };
  if (verdict === 'more') return { forwarded: '', requests: 0, rest: 'more' };
  return verdict === 'same' ? { forwarded: octets, requests: 1, rest: 'end' } : verdict;
}

/** Too long to be split at every octet, or to be asked of Node. */
const LONG = 2_000;

function judge(table: readonly RequestCase[], asksNode: boolean): void {
  for (const [name, octets, verdict] of table) {
    it(name, async () => {
      assert.deepEqual(outcomeOf(octets), expectedOf(octets, verdict));
      if (octets.length > LONG) return;
      if (asksNode) await agreesWithAll(octets);
      if (typeof verdict !== 'number') return;
      for (const step of [1, 7]) {
        const trickled = parseTrickled(octets, step, step);
        // A body may be what is wrong: then the head is good however it arrives.
        if (trickled.result < 0) assert.equal(trickled.result, -verdict);
      }
    });
  }
}

describe("corpus: llhttp's requests", () => judge(llhttpRequests, true));
describe("corpus: the HTTP Garden's findings", () => judge(httpGarden, true));
describe('corpus: conformance probes', () => judge(probes, true));

it(`corpus: ${smugglingLists.length} requests of smuggling scanners`, async () => {
  assert.ok(smugglingLists.length > 1_000);
  for (const [name, octets, verdict] of smugglingLists) {
    assert.deepEqual(outcomeOf(octets), expectedOf(octets, verdict), name);
    if (typeof verdict !== 'number') await agreesWithAll(octets);
  }
});
