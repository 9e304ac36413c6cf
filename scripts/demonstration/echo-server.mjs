// The demo's HTTP application: says which version and pod answered, and whom it saw. No dependency, no build.
import { createServer } from 'node:http';

const { VERSION = 'v0', POD_NAME = '', NODE_NAME = '', PORT = '8080' } = process.env;

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const body = JSON.stringify({
      version: VERSION,
      pod: POD_NAME,
      node: NODE_NAME,
      client: request.socket.remoteAddress?.replace(/^::ffff:/, ''),
      method: request.method,
      path: request.url,
    });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(`${body}`);
  });
});
server.listen(Number(PORT), '::');
process.on('SIGTERM', () => process.exit(0));
