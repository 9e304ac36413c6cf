/**
 * Hostile and odd requests through a real worker, with a recorder of every octet behind it. Whatever a client sends:
 * - what is forwarded parses strictly, to exactly the requests that were accepted, in order (so never two lengths, and no
 *   request line born inside a body);
 * - a refused request is answered 4xx or 5xx, or its connection closed, and leaves nothing upstream;
 * - what is forwarded are the octets that came, but for what must end at this hop.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { mutate, random } from '../fuzz/http1-support.ts';
import { type RecordedRequest, RequestRecorder } from '../harness/request-recorder.ts';
import { WorkerLab, service, workload } from '../harness/worker-lab.ts';
import { forwardStream } from '../unit/http1/codec.ts';
import type { RequestCase } from '../unit/http1/corpus/corpus-case.ts';
import { httpGarden } from '../unit/http1/corpus/http-garden.ts';
import { llhttpRequests } from '../unit/http1/corpus/llhttp-requests.ts';
import { probes } from '../unit/http1/corpus/probes.ts';
import { smugglingLists } from '../unit/http1/corpus/smuggling-lists.ts';
import { readRequests } from '../unit/http1/strict-parser.ts';

const VIP = '10.96.0.60';
/** RECORDER_RUNS for more. */
const MUTATIONS = Number(process.env['RECORDER_RUNS'] ?? 2_000);
const SEED = 20_251_121;

/** Each judges one case after the other, at an endpoint of its own; side by side they keep the worker busy. */
const LANES = 8;

let lab: WorkerLab;
let lanes: Lane[] = [];

before(async () => {
  lab = await WorkerLab.start('off');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  lanes = Array.from({ length: LANES }, (_, number) => new Lane(number));
  const services = lanes.map(({ number, vip }) => service(`web-${number}`, vip, 80, 'http'));
  const ports = lanes.map(({ number, port }) => [`default/web-${number}`, [{ servicePort: 80, targetPort: port }]]);
  await lab.mesh([...services, workload(b, { app: 'b' }, Object.fromEntries(ports))]);
  for (const { port, recorder } of lanes) await lab.serve('b', port, recorder.accept);
});
after(() => lab.stop());

class Lane {
  readonly recorder = new RequestRecorder();
  readonly number: number;
  readonly vip: string;
  readonly port: number;

  constructor(number: number) {
    this.number = number;
    this.vip = `10.96.1.${number + 1}`;
    this.port = 8080 + number;
  }

  /** Sends the parts, then FIN; everything that comes back. */
  async send(parts: readonly string[]): Promise<string> {
    const socket = lab.dial('a', this.vip, 80);
    let text = '';
    const ended = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      socket.on('end', resolve);
      socket.on('close', () => resolve());
    });
    for (const part of parts) {
      if (part !== parts[0]) await new Promise((resolve) => setImmediate(resolve));
      socket.write(Buffer.from(part, 'latin1'));
    }
    socket.end();
    await ended;
    socket.destroy();
    return text;
  }

  /** Until the recorder holds no part of a request: what was given up has been closed, and nothing of it is on its way. */
  async settle(): Promise<void> {
    do await this.send(['GET /settle HTTP/1.1\r\nHost: a\r\n\r\n']);
    while (this.recorder.partial > 0);
  }

  get recorded(): RecordedRequest[] {
    return this.recorder.requests.filter(({ target }) => target !== '/settle');
  }
}

/** Hands the items out to the lanes, each taking the next when it is done with one. */
async function inLanes<T>(items: Iterable<T>, work: (lane: Lane, item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]();
  const run = async (lane: Lane): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      lane.recorder.clear();
      await work(lane, next.value);
    }
  };
  await Promise.all(lanes.map(run));
}

/** The answers a client got: what the recorder said of each request, and weir's own refusals. */
function answersOf(text: string): { named: string[]; refusals: number[] } {
  const named = [...text.matchAll(/<([^>\r\n]+ [^\r\n]+)>/g)].map((match) => match[1] as string);
  const heads = [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/g)];
  const refusals = heads.filter((head) => head[2]?.includes('x-weir-reason')).map((head) => Number(head[1]));
  return { named, refusals };
}

const names = (requests: readonly RecordedRequest[]): string[] =>
  requests.map(({ method, target }) => `${method} ${target}`);

/** The requests that the codec says are forwarded of these octets. */
function expectedOf(octets: string): { names: string[]; text: string } {
  const { text } = forwardStream(octets);
  const messages = readRequests(text);
  return { names: messages.map(({ start }) => `${start[0]} ${start[1]}`), text };
}

async function judge(lane: Lane, [name, octets, verdict]: RequestCase): Promise<void> {
  const { recorder } = lane;
  const text = await lane.send([octets]);
  const finished = typeof verdict === 'number' || verdict === 'same' || (verdict !== 'more' && verdict.rest !== 'more');
  if (!finished) await lane.settle();
  assert.deepEqual(recorder.complaints, [], name);
  if (typeof verdict === 'number') {
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${verdict} [^]*x-weir-reason: [A-Z0-9_]+\r\n`), name);
    assert.equal(recorder.octets, '', `${name}: a refused request left something upstream`);
    return;
  }
  if (verdict === 'more') {
    assert.deepEqual(names(lane.recorded), [], name);
    assert.equal(text, '', name);
    return;
  }
  const forwarded = verdict === 'same' ? octets : verdict.forwarded;
  const { recorded } = lane;
  assert.equal(recorded.map((request) => request.octets).join(''), forwarded, name);
  assert.equal(recorded.length, verdict === 'same' ? 1 : verdict.requests, name);
  const { named, refusals } = answersOf(text);
  const answered = recorded.filter(({ method }) => method !== 'HEAD');
  assert.deepEqual(named, names(answered), `${name}: each request got its own answer`);
  if (verdict !== 'same' && typeof verdict.rest === 'number') assert.deepEqual(refusals, [verdict.rest], name);
}

/** Above this, octets arrive in several reads, and a refusal may come when a part has been forwarded. */
const ONE_READ = 20_000;

describe('corpora, octet for octet', () => {
  const tables = { llhttpRequests, httpGarden, probes, smugglingLists };
  for (const [table, cases] of Object.entries(tables)) {
    test(`${table}: ${cases.length} cases`, async () => {
      const fit = cases.filter(([, octets, verdict]) => octets.length < ONE_READ || typeof verdict === 'number');
      await inLanes(fit, judge);
    });
  }

  test('the same, each in two pieces: nothing more is accepted than in one', async () => {
    const rng = random(SEED);
    const fit = [...llhttpRequests, ...httpGarden, ...probes].filter(([, octets]) => octets.length < ONE_READ);
    await inLanes(fit, (lane, [name, octets]) => judgePieces(lane, name, octets, rng.below(octets.length + 1)));
  });
});

/** A body that turns out bad after its head has gone leaves half a request upstream, which is then cut off; never a whole one. */
async function judgePieces(lane: Lane, name: string, octets: string, cut: number): Promise<void> {
  const text = await lane.send([octets.slice(0, cut), octets.slice(cut)]);
  await lane.settle();
  const expected = expectedOf(octets);
  const what = `${name}: ${JSON.stringify(octets.slice(0, cut))} | ${JSON.stringify(octets.slice(cut))}`;
  assert.deepEqual(lane.recorder.complaints, [], what);
  assert.deepEqual(names(lane.recorded), expected.names, what);
  const { named } = answersOf(text);
  assert.deepEqual(
    named,
    expected.names.filter((each) => !each.startsWith('HEAD ')),
    what,
  );
}

test(`${MUTATIONS} mutations of the corpora`, async () => {
  const rng = random(SEED);
  const seeds = [...llhttpRequests, ...httpGarden, ...probes, ...smugglingLists.slice(0, 200)]
    .filter(([, octets]) => octets.length < 1_000)
    .map(([, text]) => ({ text }));
  const mutants = Array.from({ length: MUTATIONS }, () => ({
    octets: mutate(rng, seeds),
    inPieces: rng.below(3) === 0,
  }));
  await inLanes(mutants, async (lane, { octets, inPieces }) => {
    const middle = octets.length >> 1;
    const pieces = inPieces ? [octets.slice(0, middle), octets.slice(middle)] : [octets];
    const text = await lane.send(pieces);
    const expected = expectedOf(octets);
    const what = JSON.stringify(pieces);
    if (forwardStream(octets).stopped !== '') await lane.settle();
    assert.deepEqual(lane.recorder.complaints, [], what);
    assert.equal(lane.recorded.map((request) => request.octets).join(''), expected.text, what);
    assert.deepEqual(names(lane.recorded), expected.names, what);
    const answered = expected.names.filter((each) => !each.startsWith('HEAD '));
    assert.deepEqual(answersOf(text).named, answered, what);
  });
});

test('fields keep their case, order and values both ways; nothing is added; what is hop-by-hop ends here', async () => {
  const fields = [
    'hOST: a',
    'X-CamelCase: Value; Q=1',
    'x-lower:no space',
    'DATE: Thu, 20 Nov 2025 12:00:00 GMT',
    'Via: 1.0 fred',
    'X-Empty:',
    'Trailer: X-Sum',
    'Set-Thing: a',
    'Set-Thing: b',
  ];
  const answer = [
    'HTTP/1.1 200 All Is Well',
    'SERVER: odd/1.0 (x)',
    'dAte: Thu, 20 Nov 2025 12:00:00 GMT',
    'Via: 1.1 other',
    'Set-Cookie: a=1',
    'set-cookie: b=2',
    'Content-LENGTH: 3',
  ];
  const lane = lanes[0] as Lane;
  lane.recorder.clear();
  lane.recorder.answer = (socket) =>
    socket.write(
      `${answer.join('\r\n')}\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=9\r\n\r\n\0\xff\n`,
      'latin1',
    );
  const hop = [
    'Connection: keep-alive, X-Mine',
    'X-Mine: 1',
    'Keep-Alive: 300',
    'Proxy-Connection: keep-alive',
    'TE: gzip',
  ];
  const text = await lane.send([['GET /fields HTTP/1.1', ...fields, ...hop, '', ''].join('\r\n')]);
  assert.equal(lane.recorder.octets, ['GET /fields HTTP/1.1', ...fields, '', ''].join('\r\n'));
  assert.equal(text, `${answer.join('\r\n')}\r\n\r\n\0\xff\n`);
});
