// The demo's HTTP application: says which version and pod answered, and whom it saw. HTTP/1.1 on PORT, HTTP/2 (as gRPC speaks it,
// without TLS) on H2_PORT. No dependency, no build.
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';

const { VERSION = 'v0', POD_NAME = '', NODE_NAME = '', PORT = '8080', H2_PORT = '8081' } = process.env;

function answer(request, response) {
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
}

createServer(answer).listen(Number(PORT), '::');
createHttp2Server(answer).listen(Number(H2_PORT), '::');
process.on('SIGTERM', () => process.exit(0));
