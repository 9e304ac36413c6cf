/**
 * The peers, running in the place a sidecar has: inside the client's network namespace. The path is the one pods have:
 * client namespace, veth, bridge, veth, server namespace.
 */
import { join } from 'node:path';
import {
  ATTACKED_PORT,
  GRPC_PORT,
  HTTP2_PORT,
  HTTP_PORT,
  prepareBackend,
  prepareHttp2Backend,
  TCP_PORT,
} from './backend.ts';
import { LOAD_CORE, lowPriority, PROXY_CORE, run, start, until } from './commands.ts';
import type { Contestant, Entry } from './contestant.ts';
import type { ContestantName } from './items.ts';
import { haproxy, haproxyHostile, nghttpx, nginxHop, nginxProxy, nginxStream } from './peer-configuration.ts';

const CLIENT = { netns: 'peer-client', address: '10.231.0.10' };
const SERVER = { netns: 'peer-server', address: '10.231.0.20' };
const BRIDGE = 'peers0';
const START_TIMEOUT_MS = 10_000;

const NGINX = { http: 9101, tcp: 9102, http2: 9103, grpc: 9104, attacked: 9105 };
const HAPROXY = { http: 9201, tcp: 9202, http2: 9203, grpc: 9204 };
const HAPROXY_HOSTILE = { http: 9211, attacked: 9212 };
const CHAIN = { near: 9301, far: 9302 };
const NGHTTPX = 9401;
const DIRECT = { http: HTTP_PORT, tcp: TCP_PORT, http2: HTTP2_PORT, grpc: GRPC_PORT };

export interface Peers {
  readonly contestants: readonly Contestant[];
  /** For the hostile item: one process carries the quiet client and the attacker. */
  readonly hostile: readonly Contestant[];
}

/** Makes the namespaces, starts backends and peers; `folder` takes their files. */
export async function startPeers(folder: string): Promise<Peers> {
  await makeNetwork();
  const http2 = prepareHttp2Backend(join(folder, 'http2'));
  const attacked = prepareBackend(join(folder, 'attacked'), [ATTACKED_PORT]);
  await Promise.all([
    startIn(SERVER.netns, LOAD_CORE, prepareBackend(join(folder, 'backend'), [HTTP_PORT, TCP_PORT]), HTTP_PORT),
    startIn(SERVER.netns, LOAD_CORE, http2.http2, HTTP2_PORT),
    startIn(SERVER.netns, LOAD_CORE, http2.grpc, GRPC_PORT),
    startIn(SERVER.netns, LOAD_CORE, lowPriority(attacked), ATTACKED_PORT),
  ]);
  const beside = (command: readonly string[], port: number) => startIn(CLIENT.netns, PROXY_CORE, command, port);
  const nginx = await beside(nginxProxy(folder, NGINX, SERVER.address), NGINX.http);
  const relay = await beside(nginxStream(folder, NGINX.tcp, SERVER.address), NGINX.tcp);
  const plain = await beside(haproxy(folder, HAPROXY, SERVER.address), HAPROXY.http);
  const hostile = await beside(haproxyHostile(folder, HAPROXY_HOSTILE, SERVER.address), HAPROXY_HOSTILE.http);
  const http2Proxy = await beside(nghttpx(NGHTTPX, SERVER.address), NGHTTPX);
  const hop = nginxHop(folder, 'nginx-far', CHAIN.far, '127.0.0.1', HTTP_PORT);
  const far = await startIn(SERVER.netns, PROXY_CORE, hop, CHAIN.far);
  const near = await beside(nginxHop(folder, 'nginx-near', CHAIN.near, SERVER.address, CHAIN.far), CHAIN.near);
  return {
    contestants: [
      peer('nginx', [nginx, relay], NGINX),
      peer('haproxy', [plain], HAPROXY),
      peer('nghttpx', [http2Proxy], { http2: NGHTTPX, grpc: NGHTTPX }),
      peer('nginx, two hops', [near, far], { http: CHAIN.near }),
      peer('direct', [], DIRECT, SERVER.address),
    ],
    hostile: [peer('nginx', [nginx], NGINX), peer('haproxy', [hostile], HAPROXY_HOSTILE)],
  };
}

function peer(
  name: ContestantName,
  pids: readonly number[],
  ports: Readonly<Partial<Record<Entry, number>>>,
  address = '127.0.0.1',
): Contestant {
  return {
    name,
    dataPlanePids: pids,
    controlPids: [],
    url: (entry) => {
      const port = ports[entry];
      if (port === undefined) throw new Error(`${name} has no way in for ${entry}`);
      return `http://${address}:${port}`;
    },
    loadCommand: (command) => ['ip', 'netns', 'exec', CLIENT.netns, 'taskset', '-c', `${LOAD_CORE}`, ...command],
    requestsSeen: () => Promise.resolve(null),
  };
}

async function makeNetwork(): Promise<void> {
  await run(['ip', 'link', 'add', BRIDGE, 'type', 'bridge']);
  await run(['ip', 'link', 'set', BRIDGE, 'up']);
  for (const [index, end] of [CLIENT, SERVER].entries()) {
    const inside = (...args: string[]) => run(['ip', '-n', end.netns, ...args]);
    await run(['ip', 'netns', 'add', end.netns]);
    await run(['ip', 'link', 'add', `peer${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', end.netns]);
    await run(['ip', 'link', 'set', `peer${index}`, 'master', BRIDGE, 'up']);
    await inside('address', 'add', `${end.address}/24`, 'dev', 'eth0');
    await inside('link', 'set', 'eth0', 'up');
    await inside('link', 'set', 'lo', 'up');
    const settings = ['net.ipv4.ip_local_port_range=1024 65000', 'net.core.somaxconn=4096'];
    await run(['ip', 'netns', 'exec', end.netns, 'sysctl', '-qw', ...settings]);
  }
}

/** Starts a server in a namespace, on a core, and returns its pid once it listens. */
async function startIn(netns: string, core: number, command: readonly string[], port: number): Promise<number> {
  let log = '';
  // `ip netns exec` and taskset replace themselves, so the pid is the server's own.
  const child = start(['ip', 'netns', 'exec', netns, 'taskset', '-c', `${core}`, ...command], (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  await until(`${command.join(' ')} listening on port ${port}`, START_TIMEOUT_MS, async () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${log}`);
    const sockets = await run(['ip', 'netns', 'exec', netns, 'cat', '/proc/net/tcp', '/proc/net/tcp6']);
    if (!sockets.split('\n').some((line) => line.includes(local) && line.includes(' 0A ')))
      throw new Error(`no listener yet: ${log}`);
  });
  if (child.pid === undefined) throw new Error(`${command.join(' ')} has no pid: ${log}`);
  return child.pid;
}
