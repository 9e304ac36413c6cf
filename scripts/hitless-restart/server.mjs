/**
 * What the pods serve while agents are replaced. Every answer says what was asked, so that the clients can check each of them.
 *
 *   8080  HTTP/1.1: the path, or the body of a POST
 *   9090  HTTP/2 prior knowledge: POST /unary echoes; /stream answers `count` messages, one per 20 ms; /chat echoes each message
 *   7000  TCP: echoes lines
 *
 * HTTP/1.1 is spoken by hand: what is measured is the mesh, and Node's own server would cost more than it.
 */
import { createServer as createHttp2Server } from 'node:http2';
import { createServer } from 'node:net';

const MESSAGE_MS = 20;

createServer((socket) => {
  let received = '';
  socket.setNoDelay(true).setEncoding('latin1');
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    received += chunk;
    for (;;) {
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/^content-length: (\d+)/im.exec(received.slice(0, end))?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      const path = received.slice(received.indexOf(' ') + 1, received.indexOf(' HTTP/1.1'));
      const body = length > 0 ? received.slice(end + 4, end + 4 + length) : path;
      received = received.slice(end + 4 + length);
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    }
  });
}).listen(8080, '::');

const http2 = createHttp2Server();
http2.on('sessionError', () => undefined);
http2.on('stream', (stream, headers) => {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200 });
  if (headers[':path'] === '/stream') sendMessages(stream, Number(headers['x-count']));
  else stream.pipe(stream);
});
http2.listen(9090, '::');

function sendMessages(stream, count) {
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < count) stream.write(`${sent++}\n`);
    else stream.end();
  }, MESSAGE_MS);
  stream.on('close', () => clearInterval(timer));
}

createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}).listen(7000, '::');
