/** TLS ends for tests of the data path: real handshakes over a lab's sockets, and raw octets where a handshake would not do. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect, type TLSSocket, TLSSocket as ServerSocket } from 'node:tls';
import { ClientHelloParser, NEED_MORE } from '../../agent/tls/client-hello.ts';

const folder = new URL('../integration/control-tls/', import.meta.url);
const key = readFileSync(new URL('server.key', folder));
const cert = readFileSync(new URL('server.pem', folder));

/** Takes an accepted connection as a TLS server that answers with its name and what was said, and ends. */
export function serveTls(socket: Socket, name: string): void {
  const secured = new ServerSocket(socket, { isServer: true, key, cert });
  secured.on('error', () => undefined);
  secured.on('data', (chunk: Buffer) => secured.end(`${name}: ${chunk.toString()}`));
}

/** A socket whose first `octets` octets leave one by one, each in a segment of its own. */
class Trickle extends Duplex {
  readonly #socket: Socket;
  #left: number;

  constructor(socket: Socket, octets: number) {
    super();
    this.#socket = socket;
    this.#left = octets;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.push(chunk));
    socket.on('end', () => this.push(null));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const single = Math.min(this.#left, chunk.length);
    this.#left -= single;
    let at = 0;
    const next = (): void => {
      if (at < single) this.#socket.write(chunk.subarray(at, ++at), () => setImmediate(next));
      else this.#socket.write(chunk.subarray(at), () => done());
    };
    next();
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }
}

/** Says `ping` over TLS and answers what came back, or '' when the connection was reset. */
export async function pingTls(socket: Socket, serverName: string, trickled = 0): Promise<string> {
  const transport = trickled === 0 ? socket : new Trickle(socket, trickled);
  const secured: TLSSocket = connect({ socket: transport, servername: serverName, rejectUnauthorized: false });
  try {
    // Half open, as the socket below may be: an end need not close it.
    const ended = Promise.race(['close', 'error', 'end'].map((event) => once(secured, event))).then(() => []);
    secured.write('ping');
    const [answer] = (await Promise.race([once(secured, 'data'), ended])) as [Buffer | undefined];
    return answer?.toString() ?? '';
  } catch {
    return '';
  } finally {
    secured.destroy();
    socket.destroy();
  }
}

/** Sends octets and answers everything that comes back until the peer ends or resets, or `enough` of it. */
export async function converse(socket: Socket, octets: Buffer | string, enough: RegExp = /./s): Promise<string> {
  let text = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (enough.test(text)) resolve();
    });
    for (const event of ['end', 'close', 'error']) socket.on(event, () => resolve());
  });
  socket.write(octets);
  await done;
  socket.destroy();
  return text;
}

/** A server that says its name once it has a whole ClientHello, or at once to anything that is none. */
export function answerHello(socket: Socket, name: string): void {
  const parser = new ClientHelloParser();
  socket.on('data', (chunk: Buffer) => {
    if (parser.push(chunk, 0, chunk.length) !== NEED_MORE) socket.write(name);
  });
}
