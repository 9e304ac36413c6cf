/**
 * A node and pods for capture tests: the test's own namespace is the node (a bridge), each pod a namespace on a veth. Applications and
 * the agent's side are sockets of this process, opened inside the pods' namespaces. Needs root over its namespaces; the runner gives it.
 */
import { execFileSync } from 'node:child_process';
import { createServer, type Server, Socket } from 'node:net';
import { prepareAddress, type SocketAddress } from '../../agent/engine/address.ts';
import { EINPROGRESS, errnoName } from '../../agent/engine/errno.ts';
import { readErrno } from '../../agent/engine/ffi.ts';
import * as libc from '../../agent/engine/libc.ts';
import { allocatePinned } from '../../agent/engine/memory.ts';
import { NetworkNamespace } from '../../agent/engine/netns.ts';
import { closeFd, connectTo, openListener, openStream, originalDestination } from '../../agent/engine/socket.ts';
import type { EnrolledPod } from '../../agent/ipc/messages.ts';
import { BYPASS_MARK, INBOUND_PORT, OUTBOUND_PORT } from '../../mesh/ports.ts';

/** Runs a program to its end; throws with what it said. */
export function sh(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const NODE_V4 = '10.77.0.1';
const NODE_V6 = 'fd77::1';

/** A pod's namespace, with addresses and a name. */
export class LabPod {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
  readonly netnsPath: string;
  readonly netns: NetworkNamespace;

  constructor(name: string, number: number) {
    this.name = name;
    this.v4 = `10.77.0.${number}`;
    this.v6 = `fd77::${number.toString(16)}`;
    sh('ip', 'netns', 'add', name);
    sh('ip', 'link', 'add', `v${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    sh('ip', 'link', 'set', `v${name}`, 'master', 'br-lab', 'up');
    // Addresses are usable at once.
    this.sysctl('ipv6/conf/eth0/accept_dad', '0');
    this.ip('link set lo up');
    this.ip(`addr add ${this.v4}/24 dev eth0`);
    this.ip(`addr add ${this.v6}/64 dev eth0 nodad`);
    this.ip('link set eth0 up');
    this.ip(`route add default via ${NODE_V4}`);
    this.ip(`-6 route add default via ${NODE_V6}`);
    this.netnsPath = `/var/run/netns/${name}`;
    this.netns = NetworkNamespace.open(this.netnsPath);
  }

  get enrolled(): EnrolledPod {
    return {
      uid: `uid-${this.name}`,
      namespace: 'lab',
      name: this.name,
      serviceAccount: 'sa',
      addresses: [this.v4, this.v6],
    };
  }

  address(family: 4 | 6): string {
    return family === 4 ? this.v4 : this.v6;
  }

  ip(args: string): string {
    return sh('ip', '-n', this.name, ...args.split(' '));
  }

  /** `key`: below /proc/sys/net. */
  sysctl(key: string, value: string): void {
    this.run('sh', '-c', `echo '${value}' > /proc/sys/net/${key}`);
  }

  run(...command: string[]): string {
    return sh('ip', 'netns', 'exec', this.name, ...command);
  }
}

/** Bridge and pods; close() takes everything away. */
export class Lab {
  readonly #pods: LabPod[] = [];

  constructor() {
    sh('ip', 'link', 'set', 'lo', 'up');
    sh('ip', 'link', 'add', 'br-lab', 'type', 'bridge');
    sh('ip', 'addr', 'add', `${NODE_V4}/24`, 'dev', 'br-lab');
    sh('ip', 'addr', 'add', `${NODE_V6}/64`, 'dev', 'br-lab', 'nodad');
    sh('ip', 'link', 'set', 'br-lab', 'up');
  }

  nodeAddress(family: 4 | 6): string {
    return family === 4 ? NODE_V4 : NODE_V6;
  }

  addPod(name: string): LabPod {
    const pod = new LabPod(name, this.#pods.length + 10);
    this.#pods.push(pod);
    return pod;
  }

  close(): void {
    for (const pod of this.#pods) {
      pod.netns.close();
      sh('ip', 'netns', 'del', pod.name);
    }
    sh('ip', 'link', 'del', 'br-lab');
  }
}

/** What a client saw: all it received until the end, or the error's code. */
export interface Seen {
  readonly text: string;
  readonly error: string | null;
}

export interface DialOptions {
  readonly mark?: number;
  readonly source?: SocketAddress;
  readonly transparent?: boolean;
  /** Interface index for a link-local address. */
  readonly scopeId?: number;
  /** SO_BINDTODEVICE (socket(7)). */
  readonly device?: string;
  /** Sent as soon as the connection stands. */
  readonly say?: string;
}

/** Connects inside a namespace (null: the node's), reads to the end. 'timeout' after 3 s without one. */
export function dial(
  netns: NetworkNamespace | null,
  ip: string,
  port: number,
  options: DialOptions = {},
): Promise<Seen> {
  const socket = openSocket(netns, ip, port, options);
  if (typeof socket === 'string') return Promise.resolve({ text: '', error: socket });
  return new Promise((resolve) => {
    let text = '';
    const finish = (error: string | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, error });
    };
    const timer = setTimeout(() => finish('timeout'), 3_000);
    if (options.say !== undefined) socket.write(options.say);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('end', () => finish(null));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

/** A connecting socket, or the errno's name. */
export function openSocket(
  netns: NetworkNamespace | null,
  ip: string,
  port: number,
  options: DialOptions = {},
): Socket | string {
  const to = prepareAddress({ ip, port, ...(options.scopeId === undefined ? {} : { scopeId: options.scopeId }) });
  const source = options.source === undefined ? null : prepareAddress(options.source);
  const open = (): number => {
    const fd = openStream({
      family: to.family,
      mark: options.mark ?? 0,
      transparent: options.transparent ?? false,
      source,
    });
    if (fd < 0) return fd;
    if (options.device !== undefined) bindToDevice(fd, options.device);
    const started = connectTo(fd, to);
    if (started >= 0 || started === -EINPROGRESS) return fd;
    closeFd(fd);
    return started;
  };
  const fd = netns === null ? open() : netns.run(open);
  return fd < 0 ? errnoName(fd) : new Socket({ fd, readable: true, writable: true, allowHalfOpen: false });
}

const SO_BINDTODEVICE = 25;
const deviceName = allocatePinned(16); // IFNAMSIZ

function bindToDevice(fd: number, device: string): void {
  deviceName.bytes.fill(0).write(device, 'latin1');
  const result = libc.setsockopt(fd, libc.SOL_SOCKET, SO_BINDTODEVICE, deviceName.address, device.length);
  if (result < 0) throw new Error(`SO_BINDTODEVICE ${device}: ${errnoName(-readErrno())}`);
}

/** A server inside a namespace (null: the node's). */
export async function serve(
  netns: NetworkNamespace | null,
  ip: string,
  port: number,
  onConnection: (socket: Socket) => void,
  reusePort = false,
  transparent = false,
): Promise<Server> {
  const open = (): number => openListener({ ip, port, reusePort, transparent, backlog: 4_096 });
  const fd = netns === null ? open() : netns.run(open);
  if (fd < 0) throw new Error(`listener on ${ip} port ${port}: ${errnoName(fd)}`);
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen({ fd }, resolve));
  return server;
}

/** A server that tells every client from which address it is seen, in both families. */
export async function serveWhoami(pod: LabPod | null, port: number): Promise<readonly Server[]> {
  const answer = (socket: Socket): void => {
    socket.end(`app saw ${canonical(socket.remoteAddress)}`);
  };
  const netns = pod?.netns ?? null;
  return [await serve(netns, '0.0.0.0', port, answer), await serve(netns, '::', port, answer)];
}

/** The address as text without the v4-mapped form. */
export function canonical(address: string | undefined): string {
  return (address ?? 'gone').replace(/^::ffff:/, '');
}

function descriptorOf(socket: Socket): number {
  // Node has no public way to the descriptor of an accepted socket.
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

/**
 * The agent's side, reduced to what capture needs: listeners on 15001 and 15006 that either report what they were asked for
 * (`report`), relay to the original destination from inside the pod's namespace with the client's address (`relay`), or answer
 * verification tokens (`verify`).
 */
export class LabAgent {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly mode: 'report' | 'relay' | 'verify';
  /** `verify`: tokens that are answered, each with the pod's uid. */
  readonly armed = new Map<string, string>();
  accepted = 0;
  relayFailures: string[] = [];

  constructor(mode: 'report' | 'relay' | 'verify') {
    this.mode = mode;
  }

  async listen(pod: LabPod): Promise<void> {
    for (const ip of ['0.0.0.0', '::']) {
      const family = ip === '::' ? 10 : 2;
      for (const port of [OUTBOUND_PORT, INBOUND_PORT]) {
        const direction = port === OUTBOUND_PORT ? 'outbound' : 'inbound';
        this.#servers.push(
          await serve(
            pod.netns,
            ip,
            port,
            (socket) => this.#accept(pod, socket, direction, family, port),
            true,
            direction === 'outbound',
          ),
        );
      }
    }
  }

  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(pod: LabPod, socket: Socket, direction: string, family: 2 | 10, port: number): void {
    this.accepted++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    const original = originalDestination(descriptorOf(socket), family, port);
    const from = canonical(socket.remoteAddress);
    if (this.mode === 'report') socket.end(`${direction} ${original?.ip} ${original?.port} from ${from}`);
    else if (this.mode === 'verify') this.#answerToken(socket, direction);
    else if (original === null) socket.destroy();
    else this.#relay(pod, socket, original, direction === 'inbound' ? from : null);
  }

  #answerToken(socket: Socket, direction: string): void {
    socket.once('data', (line: Buffer) => {
      const token = line.toString().trim();
      const uid = this.armed.get(token);
      socket.end(uid === undefined ? '' : `weir ${token} ${uid} ${direction}\n`);
    });
  }

  #relay(pod: LabPod, socket: Socket, to: SocketAddress, source: string | null): void {
    const upstream = openSocket(pod.netns, to.ip, to.port, {
      mark: BYPASS_MARK,
      ...(source === null ? {} : { source: { ip: source, port: 0 }, transparent: true }),
    });
    if (typeof upstream === 'string') {
      this.relayFailures.push(upstream);
      socket.resetAndDestroy();
      return;
    }
    this.#sockets.add(upstream);
    upstream.on('close', () => this.#sockets.delete(upstream));
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      this.relayFailures.push(error.code ?? error.message);
      socket.resetAndDestroy();
    });
    socket.pipe(upstream);
    upstream.pipe(socket);
  }
}
