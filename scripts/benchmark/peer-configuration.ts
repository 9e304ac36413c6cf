/** How the peers are configured: as plain as they come. Each function writes below `folder` and returns the command to run. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ATTACKED_PORT,
  GRPC_PORT,
  HTTP2_PORT,
  HTTP_PORT,
  LARGE_HEADS,
  nginxHead,
  nginxHttp,
  TCP_PORT,
} from './backend.ts';

type Command = readonly string[];
const STREAM_MODULE = 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n';

export interface NginxPorts {
  readonly http: number;
  readonly http2: number;
  readonly grpc: number;
  readonly attacked: number;
}

/** proxy_pass, and grpc_pass for HTTP/2: nginx has no other way to speak HTTP/2 to a server. */
export function nginxProxy(folder: string, ports: NginxPorts, server: string): Command {
  const own = folderFor(folder, 'nginx');
  const grpc = (name: string, listen: number): string =>
    `server { listen ${listen} http2 backlog=4096; location / { grpc_pass grpc://${name}; } }`;
  const body = [
    upstream('http', server, HTTP_PORT),
    upstream('attacked', server, ATTACKED_PORT),
    upstream('http2', server, HTTP2_PORT),
    upstream('grpc', server, GRPC_PORT),
    proxyServer(ports.http, 'http'),
    proxyServer(ports.attacked, 'attacked'),
    grpc('http2', ports.http2),
    grpc('grpc', ports.grpc),
  ];
  return nginx(own, nginxHttp(own, body.join('\n')));
}

/** One hop of a chain. */
export function nginxHop(folder: string, name: string, listen: number, to: string, port: number): Command {
  const own = folderFor(folder, name);
  return nginx(own, nginxHttp(own, `${upstream('next', to, port)}\n${proxyServer(listen, 'next')}`));
}

export function nginxStream(folder: string, listen: number, server: string): Command {
  const own = folderFor(folder, 'nginx-stream');
  const stream = `stream { server { listen ${listen} backlog=4096; proxy_pass ${server}:${TCP_PORT}; } }\n`;
  return nginx(own, stream, STREAM_MODULE);
}

function upstream(name: string, server: string, port: number): string {
  return `upstream ${name} { server ${server}:${port}; keepalive 256; keepalive_requests 1000000000; }`;
}

function proxyServer(listen: number, name: string): string {
  return `server { listen ${listen} backlog=4096; ${LARGE_HEADS} location / { proxy_pass http://${name};
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }`;
}

function nginx(own: string, body: string, modules = ''): Command {
  writeFileSync(join(own, 'nginx.conf'), nginxHead(own, modules) + body);
  return ['nginx', '-p', own, '-c', join(own, 'nginx.conf')];
}

export interface HaproxyPorts {
  readonly http: number;
  readonly tcp: number;
  readonly http2: number;
  readonly grpc: number;
}

export function haproxy(folder: string, ports: HaproxyPorts, server: string): Command {
  return haproxyCommand(
    folderFor(folder, 'haproxy'),
    [],
    [
      haproxyHttp('http', ports.http, server, HTTP_PORT),
      haproxyHttp('http2', ports.http2, server, HTTP2_PORT, ' proto h2'),
      haproxyHttp('grpc', ports.grpc, server, GRPC_PORT, ' proto h2'),
      `listen tcp\n  mode tcp\n  bind 127.0.0.1:${ports.tcp}\n  server s ${server}:${TCP_PORT}\n`,
    ],
  );
}

/** HAProxy for the hostile item, with room for the huge heads that weir takes: its default would refuse them. */
export function haproxyHostile(folder: string, ports: { http: number; attacked: number }, server: string): Command {
  return haproxyCommand(
    folderFor(folder, 'haproxy-hostile'),
    ['tune.bufsize 65536', 'tune.http.maxhdr 256'],
    [
      haproxyHttp('http', ports.http, server, HTTP_PORT),
      haproxyHttp('attacked', ports.attacked, server, ATTACKED_PORT),
    ],
  );
}

function haproxyHttp(name: string, listen: number, server: string, port: number, protocol = ''): string {
  return `listen ${name}
  mode http
  http-reuse always
  bind 127.0.0.1:${listen}${protocol}
  server s ${server}:${port} pool-max-conn 512${protocol}
`;
}

function haproxyCommand(own: string, tuning: readonly string[], sections: readonly string[]): Command {
  const head = ['global', 'nbthread 1', 'maxconn 8000', ...tuning].join('\n  ');
  const defaults = ['defaults', 'timeout connect 5s', 'timeout client 60s', 'timeout server 60s'].join('\n  ');
  writeFileSync(join(own, 'haproxy.cfg'), `${head}\n${defaults}\n${sections.join('')}`);
  return ['haproxy', '-db', '-f', join(own, 'haproxy.cfg')];
}

/** One port for both: nghttpx chooses the server by path. */
export function nghttpx(listen: number, server: string): Command {
  return [
    'nghttpx',
    '--conf=/dev/null',
    '--single-process',
    '--workers=1',
    '--log-level=ERROR',
    '--errorlog-file=/dev/stderr',
    `--frontend=127.0.0.1,${listen};no-tls`,
    `--backend=${server},${HTTP2_PORT};/;proto=h2`,
    `--backend=${server},${GRPC_PORT};/bench.Echo/;proto=h2`,
  ];
}

function folderFor(folder: string, name: string): string {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  return own;
}
