/**
 * One kind of load, from inside a pod: `node client.mjs KIND HOST CONCURRENCY`, until stdin ends. Every answer is checked, nothing is
 * tried again (but for calls that HTTP/2 itself declares unprocessed). A line of JSON every 200 ms with the counts so far; the last
 * one has `done`.
 *
 *   new         HTTP/1.1, a connection per request
 *   keep-alive  HTTP/1.1, GET and POST on kept connections, until an answer says `Connection: close`
 *   http2       unary calls, server streams and bidirectional streams; a session is given up after two seconds
 *   tcp         50 lines per connection, each echoed
 *   long        TCP connections that are never closed: each cut is reported with its time, and is no failure by itself
 */
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';

const [kind, host, concurrency] = process.argv.slice(2);
const REPORT_MS = 200;
/** Nothing here takes this long unless it is lost. */
const ANSWER_MS = 15_000;
const SESSION_MS = 2_000;
const LINES_PER_CONNECTION = 50;
const MESSAGES = 10;
const FAILURES_KEPT = 20;

const counts = { kind, requests: 0, failed: 0, retried: 0, cuts: [], failures: [] };
let stopping = false;
let sequence = 0;

function fail(what, error) {
  counts.failed++;
  const failure = { what, code: error.code ?? error.message, at: Date.now() };
  if (counts.failures.length < FAILURES_KEPT) counts.failures.push(failure);
}

/** Resolves with the next whole answer on the socket, rejects when the connection ends or nothing comes. */
class Answers {
  constructor(socket, take) {
    this.received = '';
    this.take = take;
    this.waiting = null;
    this.socket = socket.setNoDelay(true).setEncoding('latin1');
    socket.on('data', (chunk) => {
      this.received += chunk;
      this.settle();
    });
    socket.on('error', (error) => this.end(error));
    socket.on('close', () => this.end(new Error('closed before the answer')));
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
  }

  settle() {
    if (this.waiting === null) return;
    const answer = this.take(this.received);
    if (answer === null) return;
    this.received = this.received.slice(answer.length);
    const { resolve } = this.waiting;
    this.waiting = null;
    resolve(answer);
  }

  end(error) {
    this.ended ??= error;
    this.waiting?.reject(this.ended);
    this.waiting = null;
  }

  ask(text) {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      if (this.ended !== undefined) this.end(this.ended);
      else this.socket.write(text);
    });
  }
}

function takeResponse(received) {
  const end = received.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = received.slice(0, end + 2);
  const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
  if (received.length < end + 4 + length) return null;
  const body = received.slice(end + 4, end + 4 + length);
  const close = /^connection: close/im.test(head);
  return { length: end + 4 + length, status: head.slice(9, 12), body, close };
}

function takeLine(received) {
  const end = received.indexOf('\n');
  return end < 0 ? null : { length: end + 1, line: received.slice(0, end) };
}

function requestText(name, isPost, close) {
  const last = close ? 'connection: close\r\n' : '';
  if (!isPost) return `GET /${name} HTTP/1.1\r\nhost: ${host}\r\n${last}\r\n`;
  return `POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${name.length}\r\n${last}\r\n${name}`;
}

async function exchange(answers, close) {
  const name = `r${sequence++}`;
  const isPost = sequence % 2 === 0;
  const answer = await answers.ask(requestText(name, isPost, close));
  if (answer.status !== '200' || answer.body !== (isPost ? name : `/${name}`)) {
    throw new Error(`status ${answer.status}, body ${answer.body.slice(0, 80)}`);
  }
  counts.requests++;
  return answer.close;
}

async function http1(isKept) {
  const socket = connect({ host, port: 8080 });
  const answers = new Answers(socket, takeResponse);
  try {
    await once(socket, 'connect');
    for (let close = false; !close && !stopping; ) close = await exchange(answers, !isKept);
  } catch (error) {
    fail(`${isKept ? 'keep-alive' : 'new'} from port ${socket.localPort}`, error);
  }
  socket.destroy();
}

async function tcp() {
  const socket = connect({ host, port: 7000 });
  const answers = new Answers(socket, takeLine);
  try {
    await once(socket, 'connect');
    for (let i = 0; i < LINES_PER_CONNECTION && !stopping; i++) {
      const text = `line ${sequence++}`;
      const { line } = await answers.ask(`${text}\n`);
      if (line !== text) throw new Error(`got ${line.slice(0, 80)}`);
      counts.requests++;
    }
  } catch (error) {
    fail(`tcp from port ${socket.localPort}`, error);
  }
  socket.destroy();
}

async function long() {
  const socket = connect({ host, port: 7000 });
  const answers = new Answers(socket, takeLine);
  let lines = 0;
  try {
    await once(socket, 'connect');
    for (; !stopping; lines++) {
      const { line } = await answers.ask(`line ${lines}\n`);
      if (line !== `line ${lines}`) throw new Error('another answer');
      counts.requests++;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } catch (error) {
    if (lines === 0) fail('long', error);
    else counts.cuts.push(Date.now());
  }
  socket.destroy();
}

/** One call; resolves with everything it answered. */
function call(session, path, headers, messages) {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path, ':method': 'POST', ...headers });
    let text = '';
    let status = 0;
    const timer = setTimeout(() => stream.destroy(new Error('no answer')), ANSWER_MS);
    stream.setEncoding('latin1');
    stream.on('response', (answer) => {
      status = answer[':status'];
    });
    stream.on('data', (chunk) => {
      text += chunk;
      if (messages.length > 0) stream.write(messages.shift());
      else if (path === '/chat') stream.end();
    });
    stream.on('error', reject);
    stream.on('close', () => {
      clearTimeout(timer);
      if (stream.rstCode !== 0) reject(Object.assign(new Error('reset'), { code: `RST_STREAM ${stream.rstCode}` }));
      else if (status !== 200) reject(new Error(`status ${status}, stream ended`));
      else resolve(text);
    });
    if (path !== '/chat') stream.end(messages.shift());
    else stream.write(messages.shift());
  });
}

async function oneCall(session) {
  const number = sequence++;
  if (number % 50 === 0) {
    const expected = Array.from({ length: MESSAGES }, (_, i) => `${i}\n`).join('');
    return (await call(session, '/stream', { 'x-count': String(MESSAGES) }, [''])) === expected;
  }
  if (number % 50 === 1) {
    const messages = Array.from({ length: MESSAGES }, (_, i) => `${number}.${i}\n`);
    return (await call(session, '/chat', {}, [...messages])) === messages.join('');
  }
  return (await call(session, '/unary', {}, [`call ${number}`])) === `call ${number}`;
}

/** A stream above GOAWAY's last one, or refused, was not processed (RFC 9113, sections 6.8 and 8.7): clients send it again. */
function isUnprocessed(error, session) {
  return error.code === `RST_STREAM ${constants.NGHTTP2_REFUSED_STREAM}` || session.goneAway === true;
}

async function http2() {
  const session = connectHttp2(`http://${host}:9090`);
  let broken = null;
  session.on('error', (error) => {
    broken = error;
  });
  session.on('goaway', () => {
    session.goneAway = true;
  });
  const untilMs = Date.now() + SESSION_MS;
  const lane = async () => {
    while (!stopping && Date.now() < untilMs && !session.goneAway && !session.closed && !session.destroyed) {
      try {
        if (!(await oneCall(session))) throw new Error('another answer');
        counts.requests++;
      } catch (error) {
        if (isUnprocessed(error, session)) counts.retried++;
        else fail('http2', broken ?? error);
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  session.close();
  if (!session.destroyed) await once(session, 'close');
}

const run = { new: () => http1(false), 'keep-alive': () => http1(true), http2, tcp, long }[kind];

async function loop() {
  while (!stopping) await run();
}

const report = (done) => process.stdout.write(`${JSON.stringify({ ...counts, done })}\n`);
const timer = setInterval(() => report(false), REPORT_MS);
process.stdin.resume().on('end', () => {
  stopping = true;
});
await Promise.all(Array.from({ length: Number(concurrency) }, loop));
clearInterval(timer);
report(true);
process.exit(0);
