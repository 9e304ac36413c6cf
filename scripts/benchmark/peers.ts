/**
 * nginx and HAProxy as they come, in the place a sidecar has: inside the client's network namespace. The path is the one
 * pods have: client namespace, veth, bridge, veth, server namespace.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HTTP_PORT, nginxHead, nginxHttp, prepareBackend, TCP_PORT } from './backend.ts';
import { LOAD_CORE, PROXY_CORE, run, start, until } from './commands.ts';
import type { Contestant } from './contestant.ts';
import type { ContestantName } from './items.ts';

const CLIENT = { netns: 'peer-client', address: '10.231.0.10' };
const SERVER = { netns: 'peer-server', address: '10.231.0.20' };
const BRIDGE = 'peers0';
const STREAM_MODULE = 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n';
const START_TIMEOUT_MS = 10_000;

/** Makes the namespaces, starts backend and peers; `folder` takes their files. */
export async function startPeers(folder: string): Promise<Contestant[]> {
  await makeNetwork();
  await startIn(SERVER.netns, LOAD_CORE, prepareBackend(join(folder, 'backend')), 'peer backend', HTTP_PORT);
  const nginxHop = await startIn(
    CLIENT.netns,
    PROXY_CORE,
    nginxProxy(folder, 'nginx', 9101, SERVER.address, HTTP_PORT),
    'nginx',
    9101,
  );
  const nginxRelay = await startIn(CLIENT.netns, PROXY_CORE, nginxStream(folder, 9102), 'nginx stream', 9102);
  const haproxy = await startIn(CLIENT.netns, PROXY_CORE, haproxyCommand(folder, 9201, 9202), 'haproxy', 9201);
  const far = await startIn(
    SERVER.netns,
    PROXY_CORE,
    nginxProxy(folder, 'nginx-far', 9302, '127.0.0.1', HTTP_PORT),
    'nginx far',
    9302,
  );
  const near = await startIn(
    CLIENT.netns,
    PROXY_CORE,
    nginxProxy(folder, 'nginx-near', 9301, SERVER.address, 9302),
    'nginx near',
    9301,
  );
  return [
    peer('nginx', [nginxHop, nginxRelay], 9101, 9102),
    peer('haproxy', [haproxy], 9201, 9202),
    peer('nginx, two hops', [near, far], 9301, 9301),
  ];
}

function peer(name: ContestantName, pids: readonly number[], httpPort: number, tcpPort: number): Contestant {
  return {
    name,
    dataPlanePids: pids,
    controlPids: [],
    url: (layer) => `http://127.0.0.1:${layer === 'http' ? httpPort : tcpPort}`,
    loadCommand: (command) => ['ip', 'netns', 'exec', CLIENT.netns, 'taskset', '-c', `${LOAD_CORE}`, ...command],
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
    await run([
      'ip',
      'netns',
      'exec',
      end.netns,
      'sysctl',
      '-qw',
      'net.ipv4.ip_local_port_range=1024 65000',
      'net.core.somaxconn=4096',
    ]);
  }
}

/** Starts a server in a namespace, on a core, and returns its pid once it listens. */
async function startIn(
  netns: string,
  core: number,
  command: readonly string[],
  name: string,
  port: number,
): Promise<number> {
  let log = '';
  // `ip netns exec` and taskset replace themselves, so the pid is the server's own.
  const child = start(['ip', 'netns', 'exec', netns, 'taskset', '-c', `${core}`, ...command], (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  await until(`${name} listening on port ${port}`, START_TIMEOUT_MS, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${log}`);
    const sockets = await run(['ip', 'netns', 'exec', netns, 'cat', '/proc/net/tcp']);
    const wanted = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`);
    if (!wanted.test(sockets)) throw new Error(`no listener yet: ${log}`);
  });
  if (child.pid === undefined) throw new Error(`${name} has no pid: ${log}`);
  return child.pid;
}

function nginxProxy(folder: string, name: string, listen: number, to: string, port: number): readonly string[] {
  const own = folderFor(folder, name);
  const proxy = `upstream b { server ${to}:${port}; keepalive 256; keepalive_requests 1000000000; }
  server { listen ${listen} backlog=4096; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }`;
  writeFileSync(join(own, 'nginx.conf'), nginxHead(own) + nginxHttp(own, proxy));
  return ['nginx', '-p', own, '-c', join(own, 'nginx.conf')];
}

function nginxStream(folder: string, listen: number): readonly string[] {
  const own = folderFor(folder, 'nginx-stream');
  const stream = `stream { server { listen ${listen} backlog=4096; proxy_pass ${SERVER.address}:${TCP_PORT}; } }\n`;
  writeFileSync(join(own, 'nginx.conf'), nginxHead(own, STREAM_MODULE) + stream);
  return ['nginx', '-p', own, '-c', join(own, 'nginx.conf')];
}

function haproxyCommand(folder: string, http: number, tcp: number): readonly string[] {
  const own = folderFor(folder, 'haproxy');
  const configuration = `global
  nbthread 1
  maxconn 8000
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen http
  mode http
  http-reuse always
  bind 127.0.0.1:${http}
  server s ${SERVER.address}:${HTTP_PORT} pool-max-conn 512
listen tcp
  mode tcp
  bind 127.0.0.1:${tcp}
  server s ${SERVER.address}:${TCP_PORT}
`;
  writeFileSync(join(own, 'haproxy.cfg'), configuration);
  return ['haproxy', '-db', '-f', join(own, 'haproxy.cfg')];
}

function folderFor(folder: string, name: string): string {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  return own;
}
