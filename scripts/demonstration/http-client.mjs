// Sends many requests over a few kept-alive connections: node http-client.mjs COUNT URL [HEADER=VALUE]...
// Prints one line per answer: STATUS VERSION NODE. Exits with 1 when a request gets no answer.
import { Agent, request } from 'node:http';

const [count, url, ...fields] = process.argv.slice(2);
const headers = Object.fromEntries(fields.map((field) => field.split(/=(.*)/s).slice(0, 2)));
const agent = new Agent({ keepAlive: true, maxSockets: 8 });

function get() {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers, timeout: 10_000 }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString('utf8') }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer within 10 s')));
    sent.on('error', reject);
    sent.end();
  });
}

function describe({ status, body }) {
  try {
    const { version, node } = JSON.parse(body);
    return `${status} ${version} ${node}`;
  } catch {
    return `${status} - -`; // not the echo server's answer: an error page
  }
}

try {
  const answers = await Promise.all(Array.from({ length: Number(count) }, get));
  console.log(answers.map(describe).join('\n'));
} catch (error) {
  console.log(error.code ?? error.message);
  process.exitCode = 1;
} finally {
  agent.destroy();
}
