/** Asks the controller of this machine or sandbox over its admin socket (controlplane/status/admin-server.ts). */
import { request } from 'node:http';

/** Nobody waits long for what only completes an answer. */
const ANSWER_TIMEOUT_MS = 5_000;
/** An answer that is longer is not from a controller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** The JSON document at `path`; null when nobody answers there, or not with 200. */
export function askController(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path, agent: false, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) call.destroy();
      });
      response.on('error', () => resolve(null));
      response.on('end', () => resolve(response.statusCode === 200 ? parse(Buffer.concat(chunks)) : null));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(null));
    call.on('close', () => resolve(null));
    call.end();
  });
}

function parse(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch {
    return null; // not a controller
  }
}
