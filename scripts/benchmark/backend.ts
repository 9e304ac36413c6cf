/**
 * The servers behind every proxy, the same for weir and peers: nginx (HTTP/1.1 and plain TCP) and nghttpd (HTTP/2), one
 * process each, answers of fixed sizes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Asked for as HTTP by the proxies that know HTTP. */
export const HTTP_PORT = 9000;
/** The same answers on a port that is declared as plain TCP. */
export const TCP_PORT = 9002;
/** HTTP/2 with prior knowledge. */
export const HTTP2_PORT = 9006;
/** The same with a gRPC message and trailers. */
export const GRPC_PORT = 9007;
/** The server that is attacked. */
export const ATTACKED_PORT = 9010;

/** Heads up to weir's own bound (48 KiB), so that nobody gets rid of huge ones by refusing them. */
export const LARGE_HEADS = 'large_client_header_buffers 4 64k; client_max_body_size 0;';

const SMALL = 'x'.repeat(127);

/** What every nginx here has: one process in the foreground that writes below `folder` only. */
export function nginxHead(folder: string, modules = ''): string {
  return `${modules}daemon off; master_process off; user root; pid ${folder}/pid; error_log ${folder}/error.log;
worker_rlimit_nofile 16384; events { worker_connections 8192; }
`;
}

/** http{} with temporary files below `folder`. `master_process off` means no other user needs to exist. */
export function nginxHttp(folder: string, body: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/tmp-${kind};`,
  );
  return `http { access_log off; keepalive_requests 1000000000; ${temporary.join(' ')}\n${body}\n}\n`;
}

/**
 * Without sendfile: an application writes octets of its own. With it, all connections would share the page cache's pages of one
 * file, and counting their references, not relaying, would dominate the relay that does not copy.
 * Below /upload/ a body is read to its end before anything is answered.
 *
 * Writes configuration and content into `folder`; returns the command that serves them in the foreground.
 */
export function prepareBackend(folder: string, ports: readonly number[]): readonly string[] {
  mkdirSync(join(folder, 'static'), { recursive: true });
  writeFileSync(join(folder, 'static/64k'), Buffer.alloc(65_536, 'y'));
  writeFileSync(join(folder, 'static/1m'), Buffer.alloc(1_048_576, 'z'));
  const listen = ports.map((port) => `listen ${port} backlog=4096;`).join(' ');
  const server = `server { ${listen} root ${folder}; ${LARGE_HEADS}
    sendfile off; output_buffers 2 512k; open_file_cache max=16 inactive=1h; default_type text/plain;
    location /static/ { } location /upload/ { proxy_pass http://127.0.0.1:${ports[0]}/; }
    location / { return 200 "${SMALL}\\n"; } }`;
  writeFileSync(join(folder, 'nginx.conf'), nginxHead(folder) + nginxHttp(folder, server));
  return ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')];
}

/** A gRPC message (length-prefixed, not compressed) with 16 octets: what the client sends and what comes back. */
const GRPC_MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 16]), Buffer.alloc(16, 'm')]);

/** File with the gRPC request's body, below the folder given to prepareHttp2Backend. */
export function grpcMessageFile(folder: string): string {
  return join(folder, 'message');
}

/** Writes content into `folder`; returns the commands that serve HTTP/2 and gRPC in the foreground. */
export function prepareHttp2Backend(folder: string): {
  readonly http2: readonly string[];
  readonly grpc: readonly string[];
} {
  mkdirSync(join(folder, 'api/v1'), { recursive: true });
  mkdirSync(join(folder, 'bench.Echo'), { recursive: true });
  writeFileSync(join(folder, 'api/v1/items'), `${SMALL}\n`);
  writeFileSync(join(folder, 'bench.Echo/Unary.grpc'), GRPC_MESSAGE);
  writeFileSync(grpcMessageFile(folder), GRPC_MESSAGE);
  writeFileSync(join(folder, 'mime.types'), 'application/grpc grpc\n');
  const nghttpd = ['nghttpd', '--no-tls', '-n1', '-d', folder, '--mime-types-file', join(folder, 'mime.types')];
  return {
    http2: [...nghttpd, `${HTTP2_PORT}`],
    grpc: [...nghttpd, '--no-content-length', '--trailer', 'grpc-status: 0', `${GRPC_PORT}`],
  };
}
