/**
 * A server that keeps every octet it is sent and reads requests from them strictly: what stands behind a proxy under test.
 * Nothing here is shared with agent/http1. A connection on which something does not parse is a finding (`complaints`).
 */
import type { Socket } from 'node:net';
import { readChunked, readRequests } from '../unit/http1/strict-parser.ts';

export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  /** All octets of the request. */
  readonly octets: string;
}

/** Answers a complete request. Default: 200 with method and target as its body. */
export type Answer = (socket: Socket, request: RecordedRequest) => void;

export const answerByName: Answer = (socket, { method, target }) => {
  const body = `<${method} ${target}>`;
  const content = method === 'HEAD' ? '' : body;
  // What a server says instead of opening a tunnel.
  const status = method === 'CONNECT' ? '405 No' : '200 OK';
  socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${content}`);
};

/** Octets of the first request in `text`; 0: not complete. Throws when no continuation can make it a request. */
function completeLength(text: string): number {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return 0;
  const head = text.slice(0, headEnd + 4);
  const lengths = [...head.matchAll(/^content-length: ?(\d+)$/gim)];
  const codings = [...head.matchAll(/^transfer-encoding: ?chunked$/gim)];
  if (lengths.length + codings.length > 1) throw new Error(`two lengths in ${JSON.stringify(head)}`);
  if (codings.length === 0) {
    const length = headEnd + 4 + Number(lengths[0]?.[1] ?? 0);
    return text.length < length ? 0 : length;
  }
  const body = text.slice(headEnd + 4);
  // A chunked body ends with its last chunk and trailer section; the strict reader says where, once all of it is there.
  for (let end = body.indexOf('\r\n\r\n'); end >= 0; end = body.indexOf('\r\n\r\n', end + 1)) {
    try {
      if (readChunked(body.slice(0, end + 4)).rest === '') return headEnd + 4 + end + 4;
    } catch {
      // An empty line inside the data: look further.
    }
  }
  return 0;
}

export class RequestRecorder {
  /** In order of completion, over all connections. */
  readonly requests: RecordedRequest[] = [];
  readonly complaints: string[] = [];
  /** Connections that hold a part of a request. */
  partial = 0;
  connections = 0;
  /** Every octet received, in order of arrival. */
  octets = '';
  answer: Answer = answerByName;

  readonly accept = (socket: Socket): void => {
    this.connections++;
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      const wasPartial = text !== '';
      text += chunk.toString('latin1');
      this.octets += chunk.toString('latin1');
      try {
        for (let length = completeLength(text); length > 0; length = completeLength(text)) {
          const octets = text.slice(0, length);
          text = text.slice(length);
          const [message, ...more] = readRequests(octets);
          if (message === undefined || more.length > 0) throw new Error(`not one request: ${JSON.stringify(octets)}`);
          const request = { method: message.start[0], target: message.start[1], octets };
          this.requests.push(request);
          this.answer(socket, request);
        }
      } catch (error) {
        this.complaints.push((error as Error).message);
        socket.destroy();
      }
      this.partial += Number(text !== '') - Number(wasPartial);
    });
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      if (text !== '') this.partial--;
      text = '';
    });
  };

  clear(): void {
    this.requests.length = 0;
    this.complaints.length = 0;
    this.connections = 0;
    this.octets = '';
    this.answer = answerByName;
  }
}
