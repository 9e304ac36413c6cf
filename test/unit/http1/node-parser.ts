/**
 * Node's own HTTP parser (llhttp, strict mode) as a third opinion on what octets mean: a real http.Server and a real client
 * request, over streams in memory instead of sockets.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

export interface NodeMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface NodeOpinion {
  /** Messages read to their end. */
  readonly messages: readonly NodeMessage[];
  /** llhttp's error code, or '' when it took every octet. */
  readonly error: string;
}

/** Hands over `text`, then the end of the stream, at once or when something was asked; swallows what is written. */
class Wire extends Duplex {
  #text: string | null;

  constructor(text: string, whenAsked: boolean) {
    super();
    this.#text = text;
    if (!whenAsked) this.#answer();
  }
  #answer(): void {
    if (this.#text === null) return;
    this.push(Buffer.from(this.#text, 'latin1'));
    this.push(null);
    this.#text = null;
  }
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    this.#answer();
    done();
  }
  /** What http calls on a socket. */
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
}

function messageOf(message: http.IncomingMessage, body: string): NodeMessage {
  const fields: (readonly [string, string])[] = [];
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    fields.push([message.rawHeaders[i] as string, message.rawHeaders[i + 1] as string]);
  }
  return { method: message.method ?? '', target: message.url ?? '', status: message.statusCode ?? 0, fields, body };
}

function whenRead(message: http.IncomingMessage, done: (body: string) => void): void {
  let body = '';
  message.setEncoding('latin1');
  message.on('data', (part: string) => {
    body += part;
  });
  message.on('end', () => done(body));
  message.on('error', () => undefined);
}

/** How Node's server reads a client's stream. */
export function nodeRequests(text: string): Promise<NodeOpinion> {
  return new Promise((resolve) => {
    // In order of arrival; null until read to the end.
    const messages: (NodeMessage | null)[] = [];
    let error = '';
    const server = http.createServer({ maxHeaderSize: 65_536, requireHostHeader: false }, (request, response) => {
      const slot = messages.push(null) - 1;
      whenRead(request, (body) => {
        messages[slot] = messageOf(request, body);
        response.end();
      });
    });
    const wire = new Wire(text, false);
    server.on('clientError', (cause: NodeJS.ErrnoException, socket) => {
      error = cause.code ?? 'unknown';
      socket.destroy();
    });
    // A CONNECT is a tunnel from here on: what follows is nobody's request. Those before it may still be ending.
    server.on('connect', (request) => {
      messages.push(messageOf(request, ''));
      setImmediate(() => wire.destroy());
    });
    server.on('checkContinue', (request, response) => server.emit('request', request, response));
    wire.on('close', () => resolve({ messages: messages.filter((message) => message !== null), error }));
    server.emit('connection', wire as unknown as Socket);
  });
}

/** How Node's client reads the answer to a request. */
export function nodeResponse(text: string, method: string): Promise<NodeOpinion> {
  return new Promise((resolve) => {
    const messages: NodeMessage[] = [];
    let error = '';
    const wire = new Wire(text, true);
    const request = http.request({
      method,
      createConnection: () => wire,
      insecureHTTPParser: false,
    });
    const finish = (): void => resolve({ messages, error });
    request.on('response', (response) => {
      whenRead(response, (body) => {
        messages.push(messageOf(response, body));
      });
      response.on('close', finish);
    });
    request.on('upgrade', (response) => {
      messages.push(messageOf(response, ''));
      wire.destroy();
      finish();
    });
    request.on('error', (cause: NodeJS.ErrnoException) => {
      error = cause.code ?? 'unknown';
      finish();
    });
    request.end();
  });
}
