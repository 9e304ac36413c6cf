/** JSON over HTTP on a unix socket: the sandbox's own control API and the controller's admin API. */
import { request } from 'node:http';
import { connect } from 'node:net';

export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Sends one request. Rejects when nobody answers within the time; any status is an answer. */
export function requestJson(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body: unknown = null,
  timeoutMs = 30_000,
): Promise<JsonAnswer> {
  return new Promise((done, fail) => {
    const text = body === null ? '' : JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const sent = request({ socketPath, method, path, headers, agent: false }, (response) => {
      let received = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        received += chunk;
      });
      response.on('error', fail);
      response.on('end', () => done({ status: response.statusCode ?? 0, body: parse(received) }));
    });
    const timer = setTimeout(
      () => sent.destroy(new Error(`${socketPath} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    sent.on('close', () => clearTimeout(timer));
    sent.on('error', fail);
    sent.end(text);
  });
}

/** True when somebody listens on the socket now. */
export function canConnect(socketPath: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(socketPath);
    socket.on('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return { error: text.slice(0, 500) }; // not JSON: keep what was said for the message
  }
}
