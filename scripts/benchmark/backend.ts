/** The server behind every proxy: nginx, one process, answers of fixed sizes. The same configuration for weir and peers. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Asked for as HTTP by the proxies that know HTTP. */
export const HTTP_PORT = 9000;
/** The same answers on a port that is declared as plain TCP. */
export const TCP_PORT = 9002;

const SMALL = 'x'.repeat(127);

/** What every nginx here has: one process in the foreground that writes below `folder` only. */
export function nginxHead(folder: string, modules = ''): string {
  return `${modules}daemon off; master_process off; user root; pid ${folder}/pid; error_log ${folder}/error.log;
worker_rlimit_nofile 8192; events { worker_connections 4096; }
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
 *
 * Writes configuration and content into `folder`; returns the command that serves them in the foreground.
 */
export function prepareBackend(folder: string): readonly string[] {
  mkdirSync(join(folder, 'static'), { recursive: true });
  writeFileSync(join(folder, 'static/64k'), Buffer.alloc(65_536, 'y'));
  writeFileSync(join(folder, 'static/1m'), Buffer.alloc(1_048_576, 'z'));
  const server = `server { listen ${HTTP_PORT} backlog=4096; listen ${TCP_PORT} backlog=4096; root ${folder};
    sendfile off; output_buffers 2 512k; open_file_cache max=16 inactive=1h; default_type text/plain;
    location /static/ { } location / { return 200 "${SMALL}\\n"; } }`;
  writeFileSync(join(folder, 'nginx.conf'), nginxHead(folder) + nginxHttp(folder, server));
  return ['nginx', '-p', folder, '-c', join(folder, 'nginx.conf')];
}
