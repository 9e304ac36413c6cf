// The conformance suite's application: tells what it was asked, as JSON. Takes the official image's flags: --port=N (HTTP), --grpc=N, --tcp=N,
// each repeatable; without any it listens where the manifests' container ports say. A port with --tls stays closed: no case asks it.
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { hostname } from 'node:os';
import { Server, ServerCredentials } from '@grpc/grpc-js';

const flags = process.argv.slice(2).map((word) => /^--(port|grpc|tcp|tls|crt|key)=(.*)$/.exec(word)?.slice(1) ?? []);
const valuesOf = (name) => flags.filter(([flag]) => flag === name).map(([, value]) => Number(value));
const tls = valuesOf('tls');
const portsOf = (name, fallback) => {
  const given = valuesOf(name).filter((port) => !tls.includes(port));
  return flags.length === 0 ? [fallback] : given;
};

const unmapped = (address) => (address ?? '').replace(/^::ffff:/, '');

createHttpServers();
createGrpcServers();
for (const port of portsOf('tcp', 9090)) {
  createTcpServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(`${hostname()}\n`);
    socket.pipe(socket);
  }).listen(port, '::');
}
process.on('SIGTERM', () => process.exit(0));

function createHttpServers() {
  for (const port of portsOf('port', 8080)) {
    createServer((request, response) => {
      const headers = {};
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        (headers[request.rawHeaders[at].toLowerCase()] ??= []).push(request.rawHeaders[at + 1]);
      }
      request.resume();
      request.on('end', () => {
        const { url: path, method } = request;
        const seen = {
          pod: hostname(),
          address: unmapped(request.socket.localAddress),
          proto: 'HTTP/1.1',
          method,
          path,
        };
        const body = JSON.stringify({ ...seen, host: request.headers.host ?? '', headers });
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
        response.end(body);
      });
    }).listen(port, '::');
  }
}

function createGrpcServers() {
  const raw = { requestSerialize: (value) => value, requestDeserialize: (octets) => octets };
  const json = {
    responseSerialize: (value) => Buffer.from(JSON.stringify(value)),
    responseDeserialize: (octets) => octets,
  };
  const path = '/proto.EchoTestService/Echo';
  const service = { Echo: { path, requestStream: false, responseStream: false, ...raw, ...json } };
  for (const port of portsOf('grpc', 7070)) {
    const server = new Server();
    server.addService(service, {
      Echo: (call, done) => {
        const names = Object.keys(call.metadata.getMap());
        const headers = Object.fromEntries(names.map((name) => [name, call.metadata.get(name).map(String)]));
        const seen = { pod: hostname(), address: '', proto: 'HTTP/2.0', method: 'POST', path: call.getPath() };
        done(null, { ...seen, host: call.getHost(), headers });
      },
    });
    server.bindAsync(`[::]:${port}`, ServerCredentials.createInsecure(), (error) => {
      if (error !== null) throw error;
    });
  }
}
