/** What the load programs share: where they send to, and the options on their command line. */
import { parseArgs } from 'node:util';
import { type PreparedAddress, prepareAddress } from '../../../agent/engine/address.ts';
import { EINPROGRESS, errnoName } from '../../../agent/engine/errno.ts';
import type { Reactor, ReadyHandler } from '../../../agent/engine/reactor.ts';
import { connectTo, openStream } from '../../../agent/engine/socket.ts';

/** Command line of a load program: `--url http://IP:PORT/PATH` and whole numbers by name, each with its default. */
export interface Target<Name extends string> {
  readonly address: PreparedAddress;
  readonly host: string;
  readonly path: string;
  readonly numbers: Readonly<Record<Name, number>>;
}

/** Throws an Error that says what is wrong with the command line. */
export function readTarget<Name extends string>(defaults: Readonly<Record<Name, number>>): Target<Name> {
  const names = Object.keys(defaults) as Name[];
  const { values } = parseArgs({
    options: Object.fromEntries(['url', ...names].map((name) => [name, { type: 'string' as const }])),
  });
  const url = new URL(String(values['url']));
  const numbers = {} as Record<Name, number>;
  for (const name of names) {
    const value = Number(values[name] ?? defaults[name]);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} ${values[name]}: write a number`);
    numbers[name] = value;
  }
  const address = prepareAddress({ ip: url.hostname, port: Number(url.port === '' ? 80 : url.port) });
  return { address, host: url.host, path: url.pathname, numbers };
}

/** Opens a socket to `address` and starts to connect; throws when the machine has none left. */
export function dial(address: PreparedAddress): number {
  const fd = openStream({ family: address.family, mark: 0, transparent: false, source: null });
  if (fd < 0) throw new Error(`cannot open a socket: ${errnoName(-fd)}`);
  const result = connectTo(fd, address);
  if (result < 0 && result !== -EINPROGRESS) throw new Error(`cannot connect: ${errnoName(-result)}`);
  return fd;
}

/** Watches a descriptor; throws when that cannot be. */
export function watch(reactor: Reactor, fd: number, interest: number, handler: ReadyHandler): void {
  const result = reactor.add(fd, interest, handler);
  if (result < 0) throw new Error(`cannot watch a socket: ${errnoName(-result)}`);
}
