// Runs inside a pod: reads questions as JSON lines from stdin, sends them, writes one JSON line per question with all its answers.
//   {"id", "protocol": "http"|"grpc", "address": "echo:80", "method", "path", "headers": {…}, "times"}
//   {"id", "answers": [{"status", "headers": {name: [values]}, "seen": {…}|null} | {"error"}]}
import { request as httpRequest } from 'node:http';
import { createInterface } from 'node:readline';
import { Client, credentials, Metadata, status as grpcStatus } from '@grpc/grpc-js';

/** Requests of one question under way at a time, as the official suite does for weights. */
const CONCURRENT = 10;
const TIMEOUT_MS = 10_000;
const GRPC_METHOD = '/proto.EchoTestService/Echo';

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answers = [];
  const send = question.protocol === 'grpc' ? askGrpc : askHttp;
  let left = question.times;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      answers.push(await send(question));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, lane));
  process.stdout.write(`${JSON.stringify({ id: question.id, answers })}\n`);
}

function askHttp({ address, method, path, headers }) {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(colon + 1));
  return new Promise((resolve) => {
    const options = { host, port, method, path, headers, agent: false, timeout: TIMEOUT_MS };
    const sent = httpRequest(options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', (error) => resolve({ error: error.message }));
      response.on('end', () => {
        const fields = {};
        for (let at = 0; at < response.rawHeaders.length; at += 2) {
          (fields[response.rawHeaders[at].toLowerCase()] ??= []).push(response.rawHeaders[at + 1]);
        }
        resolve({ status: response.statusCode, headers: fields, seen: parsed(Buffer.concat(chunks).toString('utf8')) });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', (error) => resolve({ error: error.message }));
    sent.end();
  });
}

function askGrpc({ address, headers }) {
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.add(name, value);
  return new Promise((resolve) => {
    const same = (value) => value;
    const options = { deadline: Date.now() + TIMEOUT_MS };
    client.makeUnaryRequest(GRPC_METHOD, same, same, Buffer.alloc(0), metadata, options, (error, reply) => {
      client.close();
      if (error === null) resolve({ status: 200, headers: {}, seen: parsed(reply.toString('utf8')) });
      else resolve({ error: `grpc ${grpcStatus[error.code]}: ${error.details}` });
    });
  });
}

/** null: not the echo server's answer. */
function parsed(body) {
  try {
    const value = JSON.parse(body);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
