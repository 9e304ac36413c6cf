/**
 * Nanoseconds per head of the HTTP/1.1 codec: parsing alone, parsing with what routing asks for, and rewriting.
 *
 *   node --import tsx scripts/bench-http1.ts        (about two seconds)
 */
import { BodyScanner } from '../agent/http1/body-scanner.ts';
import { RequestHead } from '../agent/http1/request-head.ts';
import { ResponseHead } from '../agent/http1/response-head.ts';
import { noEdits, rewriteRequestHead, rewriteResponseHead } from '../agent/http1/rewrite.ts';

/** Wall-clock time spent on each line of the table. */
const MEASURE_MS = 120;
const BATCH = 2_000;

const crlf = (...lines: string[]): Buffer => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');

const wrk = crlf('GET / HTTP/1.1', 'Host: 10.96.0.10:8080');
const curl = crlf(
  'GET /api/orders?id=7 HTTP/1.1',
  'Host: orders.shop.svc',
  'User-Agent: curl/7.88.1',
  'Accept: */*',
  'X-Id: 0123456789abcdef',
);
const dots = crlf('GET /api/../orders/%7e HTTP/1.1', 'Host: orders.shop.svc', 'User-Agent: curl/7.88.1', 'Accept: */*');
const browser = crlf(
  'GET /static/index.html HTTP/1.1',
  'Host: shop.example.com',
  'Connection: keep-alive',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark',
  'Upgrade-Insecure-Requests: 1',
);
const response = crlf(
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Thu, 20 Nov 2025 12:00:00 GMT',
  'Content-Type: text/plain',
  'Content-Length: 12',
  'ETag: "5f3c-61a"',
  'Accept-Ranges: bytes',
);
const nodeResponse = crlf(
  'HTTP/1.1 200 OK',
  'Content-Type: text/plain',
  'Date: Thu, 20 Nov 2025 12:00:00 GMT',
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
  'Content-Length: 12',
);
const chunks = Buffer.from(`${`1000\r\n${'x'.repeat(4096)}\r\n`.repeat(8)}0\r\n\r\n`, 'latin1');

let sink = 0;

function measure(name: string, octets: number, once: () => number): void {
  for (let i = 0; i < BATCH * 5; i++) sink += once();
  let best = Number.POSITIVE_INFINITY;
  const until = performance.now() + MEASURE_MS;
  do {
    const start = process.hrtime.bigint();
    for (let i = 0; i < BATCH; i++) sink += once();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / BATCH);
  } while (performance.now() < until);
  console.log(`${name.padEnd(52)} ${String(octets).padStart(6)} B ${best.toFixed(0).padStart(6)} ns`);
}

const request = new RequestHead();
const answer = new ResponseHead();
const scanner = new BodyScanner();
const into = Buffer.allocUnsafe(65_536);

/** Where a read puts a request: not at the start, and not alone, in the buffer. */
function placed(bytes: Buffer): { buffer: Buffer; start: number; end: number } {
  const buffer = Buffer.alloc(65_536);
  bytes.copy(buffer, 64);
  return { buffer, start: 64, end: 64 + bytes.length };
}

for (const [name, bytes] of Object.entries({ wrk, curl, browser, 'dot segments': dots })) {
  const { buffer, start, end } = placed(bytes);
  measure(`request ${name}: parse`, bytes.length, () => request.parse(buffer, start, end));
  measure(`request ${name}: parse, method, host, path`, bytes.length, () => {
    request.parse(buffer, start, end);
    return request.method.length + request.host.length + request.path.length;
  });
  measure(`request ${name}: parse, rewrite`, bytes.length, () => {
    request.parse(buffer, start, end);
    return rewriteRequestHead(request, buffer, noEdits, into, 0);
  });
}
for (const [name, bytes] of Object.entries({ nginx: response, node: nodeResponse })) {
  const { buffer, start, end } = placed(bytes);
  measure(`response ${name}: parse`, bytes.length, () => answer.parse(buffer, start, end, 'GET'));
  measure(`response ${name}: parse, rewrite`, bytes.length, () => {
    answer.parse(buffer, start, end, 'GET');
    return rewriteResponseHead(answer, buffer, noEdits, into, 0);
  });
}
measure('chunked body, 8 chunks of 4 KiB: scan', chunks.length, () => {
  scanner.start(2, -1);
  return scanner.scan(chunks, 0, chunks.length);
});
if (sink === 0) throw new Error('nothing was parsed');
