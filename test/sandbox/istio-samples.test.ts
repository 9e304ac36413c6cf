/**
 * Istio's bookinfo and httpbin samples, networking and security, applied as people have them: each does what Istio's documentation says
 * it does. The objects are in test/fixtures/istio, written from that documentation; the images are stood in for by sample-app.mjs.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Corner, eventually, type PodRow, type Running } from './sandbox-harness.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/istio/', import.meta.url));
const APP = fileURLToPath(new URL('../fixtures/istio/sample-app.mjs', import.meta.url));
const BOOKINFO = `${FIXTURES}bookinfo/networking/`;
const SECURITY = `${FIXTURES}bookinfo/security/`;
const HTTPBIN = `${FIXTURES}httpbin/`;
const PAGE = 'http://productpage:9080/productpage';
/** Enough that 5 standard deviations of 90/10 and 50/50 stay apart. */
const SPLIT_REQUESTS = 200;

const corner = new Corner({ WEIR_SANDBOX: 'samples' });
let sandbox: Running;

const image = (name: string, ...words: string[]): string[] => [
  '--image',
  `${name}=${process.execPath} ${APP} ${words.join(' ')}`,
];
const bookinfoImage = (role: string, version: string): string[] =>
  image(`docker.io/istio/examples-bookinfo-${role}-${version}:1.20.3`, role, version);

before(async () => {
  sandbox = corner.start([
    'sandbox',
    '--name',
    'samples',
    '--workers',
    '1',
    '-f',
    `${FIXTURES}bookinfo/bookinfo.yaml`,
    '-f',
    `${HTTPBIN}httpbin.yaml`,
    ...['productpage', 'details', 'ratings'].flatMap((role) => bookinfoImage(role, 'v1')),
    ...['v1', 'v2', 'v3'].flatMap((version) => bookinfoImage('reviews', version)),
    ...['v1', 'v2'].flatMap((version) => image(`docker.io/mccutchen/go-httpbin:${version}`, 'httpbin', version)),
  ]);
  await sandbox.printed(/running; /);
});
after(() => corner.close());

interface Page {
  readonly details: { readonly author: string } | string;
  readonly reviews: { readonly version: string; readonly stars: string } | string;
}

/** curl in the pod of that name; status and body. */
async function curl(...words: readonly string[]): Promise<{ status: number; body: string }> {
  const text = await corner.ok([
    'sandbox',
    'exec',
    'curl',
    '--',
    'curl',
    '-sS',
    '--max-time',
    '30',
    '-w',
    '\n%{http_code}',
    ...words,
  ]);
  const lines = text.trimEnd().split('\n');
  return { status: Number(lines.pop()), body: lines.join('\n') };
}

async function page(user?: string): Promise<Page> {
  const { status, body } = await curl(...(user === undefined ? [] : ['-H', `end-user: ${user}`]), PAGE);
  assert.equal(status, 200, body);
  return JSON.parse(body) as Page;
}

/** Reviews versions of many pages, counted. */
async function versions(count: number): Promise<Map<string, number>> {
  // One curl, one connection: the split is by request.
  const urls = Array.from({ length: count }, () => 'http://reviews:9080/reviews/0');
  const text = await corner.ok(['sandbox', 'exec', 'curl', '--', 'curl', '-sS', '--max-time', '30', ...urls]);
  const counts = new Map<string, number>();
  for (const [, version = ''] of text.matchAll(/"version":"(v\d)"/g))
    counts.set(version, (counts.get(version) ?? 0) + 1);
  return counts;
}

async function apply(...files: readonly string[]): Promise<void> {
  await corner.ok(['sandbox', 'apply', ...files.flatMap((file) => ['-f', file])]);
}
async function remove(...files: readonly string[]): Promise<void> {
  await corner.ok(['sandbox', 'delete', ...files.flatMap((file) => ['-f', file])]);
}

test('bookinfo without configuration: the page has details and reviews of all versions', async () => {
  const all = await versions(60);
  assert.deepEqual([...all.keys()].sort(), ['v1', 'v2', 'v3']);
  const { details, reviews } = await page();
  assert.equal(typeof details, 'object');
  assert.equal(typeof reviews, 'object');
});

test('bookinfo request routing: all to v1, then jason alone to v2', async () => {
  await apply(`${BOOKINFO}destination-rule-all.yaml`, `${BOOKINFO}virtual-service-all-v1.yaml`);
  assert.deepEqual(await versions(40), new Map([['v1', 40]]));
  await apply(`${BOOKINFO}virtual-service-reviews-test-v2.yaml`);
  assert.deepEqual((await page('jason')).reviews, { version: 'v2', stars: 'black' });
  assert.deepEqual((await page()).reviews, { version: 'v1', stars: 'none' });
  assert.deepEqual((await page('jasonx')).reviews, { version: 'v1', stars: 'none' });
});

test('bookinfo fault injection: a delay of 7 s is longer than productpage waits; an abort is seen by jason alone', async () => {
  await apply(`${BOOKINFO}virtual-service-ratings-test-delay.yaml`);
  assert.equal((await page('jason')).reviews, 'Error fetching product reviews!');
  assert.deepEqual((await page()).reviews, { version: 'v1', stars: 'none' });
  await apply(`${BOOKINFO}virtual-service-ratings-test-abort.yaml`);
  const expected = { version: 'v2', stars: 'Ratings service is currently unavailable' };
  assert.deepEqual((await page('jason')).reviews, expected);
  assert.deepEqual((await page()).reviews, { version: 'v1', stars: 'none' });
});

test('bookinfo traffic shifting: 50/50 between v1 and v3, 90/10 between v1 and v2', async () => {
  await apply(`${BOOKINFO}virtual-service-all-v1.yaml`);
  await apply(`${BOOKINFO}virtual-service-reviews-50-v3.yaml`);
  const half = await versions(SPLIT_REQUESTS);
  assert.deepEqual([...half.keys()].sort(), ['v1', 'v3']);
  const share = (half.get('v3') ?? 0) / SPLIT_REQUESTS;
  assert.ok(share > 0.32 && share < 0.68, `v3 got ${share}`);
  await apply(`${BOOKINFO}virtual-service-reviews-90-10.yaml`);
  const tenth = await versions(SPLIT_REQUESTS);
  assert.ok([...tenth.keys()].every((version) => version === 'v1' || version === 'v2'));
  const few = (tenth.get('v2') ?? 0) / SPLIT_REQUESTS;
  assert.ok(few > 0 && few < 0.21, `v2 got ${few}`);
});

test('bookinfo request timeouts: half a second for reviews is less than ratings takes', async () => {
  await apply(`${BOOKINFO}virtual-service-all-v1.yaml`);
  await apply(`${BOOKINFO}request-timeouts.yaml`);
  assert.equal((await page()).reviews, 'Error fetching product reviews!');
  assert.equal((await curl('http://reviews:9080/reviews/0')).status, 504);
  await remove(`${BOOKINFO}virtual-service-all-v1.yaml`, `${BOOKINFO}destination-rule-all.yaml`);
});

test('bookinfo authorization: nothing at first, then one viewer after the other', async () => {
  await apply(`${SECURITY}allow-nothing.yaml`);
  const refused = await curl(PAGE);
  assert.equal(refused.status, 403, refused.body);
  await apply(`${SECURITY}productpage-viewer.yaml`);
  const errors = { details: 'Error fetching product details!', reviews: 'Error fetching product reviews!' };
  assert.deepEqual(await page(), errors);
  assert.equal((await curl('-X', 'POST', PAGE)).status, 403);
  await apply(`${SECURITY}details-viewer.yaml`, `${SECURITY}reviews-viewer.yaml`);
  assert.equal(typeof (await page()).details, 'object');
  await apply(`${BOOKINFO}destination-rule-all.yaml`, `${BOOKINFO}virtual-service-reviews-test-v2.yaml`);
  const withoutRatings = { version: 'v2', stars: 'Ratings service is currently unavailable' };
  assert.deepEqual((await page('jason')).reviews, withoutRatings);
  await apply(`${SECURITY}ratings-viewer.yaml`);
  assert.deepEqual((await page('jason')).reviews, { version: 'v2', stars: 'black' });
  assert.equal((await curl('http://ratings:9080/ratings/0')).status, 403, 'curl is not reviews');
  const policies = ['allow-nothing', 'productpage-viewer', 'details-viewer', 'reviews-viewer', 'ratings-viewer'];
  await remove(...policies.map((name) => `${SECURITY}${name}.yaml`));
});

test('httpbin mirroring: v1 answers; v2 gets nothing, then a copy of each request', async () => {
  await apply(`${HTTPBIN}route-all-to-v1.yaml`);
  const v2 = (await corner.json<PodRow>(['sandbox', 'get', 'pods'])).find(({ name }) => name.startsWith('httpbin-v2'));
  assert.ok(v2 !== undefined);
  const asked = async (): Promise<number> => {
    const text = await corner.ok([
      'sandbox',
      'exec',
      `${v2.name}.default`,
      '--',
      'curl',
      '-sS',
      'http://127.0.0.1:8080/asked',
    ]);
    return (JSON.parse(text) as { readonly asked: number }).asked;
  };
  const before = await asked();
  for (let i = 0; i < 5; i++) assert.match((await curl('http://httpbin:8000/headers')).body, /"version":"v1"/);
  assert.equal(await asked(), before);
  await apply(`${HTTPBIN}mirror-to-v2.yaml`);
  for (let i = 0; i < 5; i++) assert.match((await curl('http://httpbin:8000/headers')).body, /"version":"v1"/);
  await eventually('five mirrored requests', async () => (await asked()) === before + 5);
  await remove(`${HTTPBIN}route-all-to-v1.yaml`);
});

test('httpbin explicit deny: GET, then GET without the admin token, then /ip alone is allowed', async () => {
  const token = (value: string): string[] => ['-H', `x-token: ${value}`];
  const status = async (...words: string[]): Promise<number> => (await curl(...words)).status;
  await apply(`${HTTPBIN}deny-method-get.yaml`);
  assert.equal(await status('http://httpbin:8000/get'), 403);
  assert.equal(await status('-X', 'POST', 'http://httpbin:8000/post'), 200);
  await apply(`${HTTPBIN}deny-method-get-but-admin.yaml`);
  assert.equal(await status(...token('admin'), 'http://httpbin:8000/get'), 200);
  assert.equal(await status(...token('guest'), 'http://httpbin:8000/get'), 403);
  await apply(`${HTTPBIN}allow-path-ip.yaml`);
  assert.equal(await status(...token('guest'), 'http://httpbin:8000/ip'), 403);
  assert.equal(await status(...token('admin'), 'http://httpbin:8000/ip'), 200);
  assert.equal(await status(...token('admin'), 'http://httpbin:8000/get'), 403);
  await remove(`${HTTPBIN}deny-method-get-but-admin.yaml`, `${HTTPBIN}allow-path-ip.yaml`);
});

test('httpbin end-user authentication and egress control: accepted, and what is not enforced yet is said', async () => {
  const applied = await corner.run([
    'sandbox',
    'apply',
    '-f',
    `${HTTPBIN}jwt-example.yaml`,
    '-f',
    `${HTTPBIN}external-service.yaml`,
  ]);
  assert.equal(applied.status, 0, applied.stderr);
  assert.match(applied.stdout, /RequestAuthentication default\/jwt-example created/);
  assert.match(applied.stdout, /ServiceEntry default\/httpbin-ext created/);
  assert.match(applied.stderr + sandbox.stderr, /jwt-example: .*not yet enforced/);
  assert.equal((await curl('http://httpbin:8000/ip')).status, 200, 'no token: passes');
});
