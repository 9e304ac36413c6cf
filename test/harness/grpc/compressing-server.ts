/**
 * The interop service's compression features by hand over node:http2, since @grpc/grpc-js's server neither compresses answers
 * nor says whether a message came compressed: UnaryCall, StreamingInputCall, StreamingOutputCall.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { gunzipSync, gzipSync } from 'node:zlib';
import { codecs, SERVICE, sizeOf, zeros } from './interop-service.ts';

const INVALID_ARGUMENT = '3';
const UNIMPLEMENTED = '12';

interface Message {
  readonly compressed: boolean;
  readonly octets: Buffer;
}

/** A message with its prefix: compressed flag, length (gRPC over HTTP/2, Length-Prefixed-Message). */
function framed(octets: Buffer, compressed: boolean): Buffer {
  const payload = compressed ? gzipSync(octets) : octets;
  const head = Buffer.alloc(5);
  head[0] = compressed ? 1 : 0;
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

function split(body: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < body.length; ) {
    const compressed = body[at] === 1;
    const length = body.readUInt32BE(at + 1);
    const octets = body.subarray(at + 5, at + 5 + length);
    messages.push({ compressed, octets: compressed ? gunzipSync(octets) : octets });
    at += 5 + length;
  }
  return messages;
}

/** null: INVALID_ARGUMENT. */
function answers(path: string, messages: readonly Message[]): Buffer[] | null {
  const [first] = messages;
  switch (path) {
    case `${SERVICE}/UnaryCall`: {
      const request = codecs.simpleRequest.decode(first?.octets ?? Buffer.alloc(0));
      if (request.expectCompressed?.value === true && first?.compressed !== true) return null;
      const response = codecs.simpleResponse.encode({ payload: zeros(request.responseSize ?? 0) });
      return [framed(response, request.responseCompressed?.value === true)];
    }
    case `${SERVICE}/StreamingInputCall`: {
      const requests = messages.map(({ octets, compressed }) => ({
        ...codecs.inputRequest.decode(octets),
        compressed,
      }));
      if (requests.some(({ expectCompressed, compressed }) => (expectCompressed?.value === true) !== compressed))
        return null;
      const aggregatedPayloadSize = requests.reduce((sum, request) => sum + sizeOf(request), 0);
      return [framed(codecs.inputResponse.encode({ aggregatedPayloadSize }), false)];
    }
    case `${SERVICE}/StreamingOutputCall`: {
      const request = codecs.outputRequest.decode(first?.octets ?? Buffer.alloc(0));
      return (request.responseParameters ?? []).map(({ size, compressed }) =>
        framed(codecs.outputResponse.encode({ payload: zeros(size ?? 0) }), compressed?.value === true),
      );
    }
    default:
      return [];
  }
}

/** Answers one call. What came as `grpc-timeout` goes back as `x-saw-timeout`. */
export function serveCompressing(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const path = headers[':path'] ?? '';
  const chunks: Buffer[] = [];
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const messages = path.startsWith(`${SERVICE}/`) ? answers(path, split(Buffer.concat(chunks))) : [];
    const status = messages === null ? INVALID_ARGUMENT : messages.length === 0 ? UNIMPLEMENTED : '0';
    const head = {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-encoding': 'gzip',
      'grpc-accept-encoding': 'identity,gzip',
      'x-saw-timeout': headers['grpc-timeout'] ?? 'none',
    };
    stream.respond(head, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
    for (const message of messages ?? []) stream.write(message);
    stream.end();
  });
}
