// Sends calls as a gRPC client does, all on one HTTP/2 connection: node grpc-client.mjs COUNT HOST PORT /SERVICE/METHOD
// Prints one line per answer: STATUS POD, or STATUS grpc GRPC-STATUS. Exits with 1 when a call gets no answer.
import { connect } from 'node:http2';

const [count, host, port, path] = process.argv.slice(2);
const session = connect(`http://${host}:${port}`);
const MESSAGE = Buffer.from([0, 0, 0, 0, 2, 8, 1]); // not compressed, two octets

function call() {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks = [];
    let head = {};
    stream.setTimeout(10_000, () => reject(new Error('no answer within 10 s')));
    stream.on('response', (received) => (head = received));
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => resolve({ head, body: Buffer.concat(chunks).toString('utf8') }));
    stream.end(MESSAGE);
  });
}

function describe({ head, body }) {
  if (head['grpc-status'] !== undefined) return `${head[':status']} grpc ${head['grpc-status']}`;
  const pod = /"pod":"([^"]*)"/.exec(body)?.[1];
  return `${head[':status']} ${pod ?? '-'}`;
}

session.on('error', (error) => {
  console.log(error.code ?? error.message);
  process.exit(1);
});
const answers = await Promise.all(Array.from({ length: Number(count) }, call));
console.log(answers.map(describe).join('\n'));
session.close();
