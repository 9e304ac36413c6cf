/** A DNS server for tests (RFC 1035), over UDP and TCP: it answers A and AAAA as it is told, fails, or says nothing. */
import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, isIPv4, type Server, type Socket } from 'node:net';
import { parseIp } from '../../mesh/ip.ts';

/** `silent`: no answer at all. `cname`: the records belong to that name, which the one that was asked is an alias of. */
export type DnsReply =
  | { readonly addresses: readonly string[]; readonly ttl?: number; readonly cname?: string }
  | { readonly code: 'NXDOMAIN' | 'SERVFAIL' | 'REFUSED' }
  | 'silent'
  /** What comes is no DNS message. */
  | 'garbage';

const CODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 } as const;
const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_AAAA = 28;
/** Octets of an answer over UDP without EDNS. */
const UDP_MAX = 512;

interface Question {
  readonly id: number;
  readonly name: string;
  readonly type: number;
  /** As it was sent, from name to class. */
  readonly octets: Buffer;
}

export class DnsServer {
  /** `A name` or `AAAA name` that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #replies = new Map<string, DnsReply>();
  #port = 0;
  #tcpQueries = 0;

  private constructor() {
    this.#udp = createSocket('udp4', (message, { port, address }) => {
      const answer = this.#answer(message, UDP_MAX);
      if (answer !== null) this.#udp.send(answer, port, address);
    });
    this.#tcp = createServer((socket) => this.#serveTcp(socket));
  }

  static async start(address = '127.0.0.1'): Promise<DnsServer> {
    const server = new DnsServer();
    server.#tcp.listen(0, address);
    await once(server.#tcp, 'listening');
    server.#port = (server.#tcp.address() as AddressInfo).port;
    server.#udp.bind(server.#port, address);
    await once(server.#udp, 'listening');
    return server;
  }

  get port(): number {
    return this.#port;
  }

  /** As `--dns-servers` takes it. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get tcpQueries(): number {
    return this.#tcpQueries;
  }

  /** What is said of a name from now on; both types where none is given: of addresses those that fit. */
  says(name: string, reply: DnsReply, type: 'A' | 'AAAA' | 'both' = 'both'): void {
    for (const each of type === 'both' ? ['A', 'AAAA'] : [type]) this.#replies.set(`${each} ${name}`, reply);
  }

  /** How often a name was asked for. */
  count(name: string, type: 'A' | 'AAAA'): number {
    return this.asked.filter((each) => each === `${type} ${name}`).length;
  }

  close(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  #serveTcp(socket: Socket): void {
    let octets = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      octets = Buffer.concat([octets, chunk]);
      while (octets.length >= 2 && octets.length >= 2 + octets.readUInt16BE(0)) {
        const end = 2 + octets.readUInt16BE(0);
        const answer = this.#answer(octets.subarray(2, end), 65_535);
        octets = octets.subarray(end);
        this.#tcpQueries++;
        if (answer === null) continue;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  }

  /** null: silence. */
  #answer(message: Buffer, bytesMax: number): Buffer | null {
    const question = readQuestion(message);
    const type = question.type === TYPE_A ? 'A' : question.type === TYPE_AAAA ? 'AAAA' : String(question.type);
    this.asked.push(`${type} ${question.name}`);
    const reply = this.#replies.get(`${type} ${question.name}`) ?? ({ code: 'NXDOMAIN' } as const);
    if (reply === 'silent') return null;
    if (reply === 'garbage') return Buffer.from('this is no DNS message');
    if ('code' in reply) return response(question, CODES[reply.code], []);
    const { addresses, ttl = 60, cname } = reply;
    const fitting = addresses.filter((ip) => isIPv4(ip) === (question.type === TYPE_A));
    const owner = cname === undefined ? POINTER : encodeName(cname);
    const alias = cname === undefined ? [] : [record(POINTER, TYPE_CNAME, ttl, encodeName(cname))];
    const records = fitting.map((ip) => record(owner, question.type, ttl, octetsOf(ip)));
    const whole = response(question, 0, [...alias, ...records]);
    return whole.length <= bytesMax ? whole : response(question, 0, [], true);
  }
}

function readQuestion(message: Buffer): Question {
  assert.equal(message.readUInt16BE(4), 1, 'one question');
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length !== 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  at++;
  return {
    id: message.readUInt16BE(0),
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at),
    octets: message.subarray(12, at + 4),
  };
}

/** The name of the question (RFC 1035 section 4.1.4). */
const POINTER = Buffer.from([0xc0, 12]);

function response({ id, octets }: Question, code: number, records: readonly Buffer[], truncated = false): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(0x8180 | (truncated ? 0x0200 : 0) | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, octets, ...records]);
}

function record(owner: Buffer, type: number, ttl: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt32BE(ttl, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, fixed, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function octetsOf(ip: string): Buffer {
  const address = parseIp(ip);
  assert.ok(address !== null, ip);
  const words = address.family === 4 ? [address.d] : [address.a, address.b, address.c, address.d];
  const octets = Buffer.alloc(4 * words.length);
  for (const [i, word] of words.entries()) octets.writeUInt32BE(word >>> 0, 4 * i);
  return octets;
}
