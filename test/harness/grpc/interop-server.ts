/**
 * The interop service as a process in a pod: `interop-server.ts NAME PORT [MAX-CONNECTION-AGE-MS]`. Says `up` on stdout; a line
 * on stdin `shutdown` ends it gracefully, after which it says `down`. Every answer carries its NAME in `x-pod`.
 */
import { createInterface } from 'node:readline';
import { Metadata, Server, ServerCredentials, type StatusObject } from '@grpc/grpc-js';
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
} from '@grpc/grpc-js';
import {
  type EchoStatus,
  type InputRequest,
  type InputResponse,
  methods,
  type OutputRequest,
  type PayloadMessage,
  type SimpleRequest,
  sizeOf,
  zeros,
} from './interop-service.ts';

const ECHO_INITIAL = 'x-grpc-test-echo-initial';
const ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin';
const UNLIMITED = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 } as const;

const [name = '', port = '', ageMs] = process.argv.slice(2);

function initial(received: Metadata): Metadata {
  const metadata = new Metadata();
  metadata.set('x-pod', name);
  for (const value of received.get(ECHO_INITIAL)) metadata.add(ECHO_INITIAL, value);
  return metadata;
}

function trailing(received: Metadata): Metadata {
  const metadata = new Metadata();
  for (const value of received.get(ECHO_TRAILING)) metadata.add(ECHO_TRAILING, value);
  return metadata;
}

function failure(status: EchoStatus, received: Metadata): StatusObject {
  return { code: status.code, details: status.message, metadata: trailing(received) };
}

const emptyCall: handleUnaryCall<object, object> = (call, answer) => {
  call.sendMetadata(initial(call.metadata));
  answer(null, {});
};

const unaryCall: handleUnaryCall<SimpleRequest, PayloadMessage> = (call, answer) => {
  call.sendMetadata(initial(call.metadata));
  const { responseStatus, responseSize } = call.request;
  if (responseStatus?.code) answer(failure(responseStatus, call.metadata));
  else answer(null, { payload: zeros(responseSize ?? 0) }, trailing(call.metadata));
};

const streamingInputCall: handleClientStreamingCall<InputRequest, InputResponse> = (call, answer) => {
  let size = 0;
  call.on('data', (message: InputRequest) => (size += sizeOf(message)));
  call.on('end', () => answer(null, { aggregatedPayloadSize: size }, trailing(call.metadata)));
  call.on('error', () => undefined);
};

const streamingOutputCall: handleServerStreamingCall<OutputRequest, PayloadMessage> = (call) => {
  call.sendMetadata(initial(call.metadata));
  for (const { size } of call.request.responseParameters ?? []) call.write({ payload: zeros(size ?? 0) });
  call.end(trailing(call.metadata));
};

const fullDuplexCall: handleBidiStreamingCall<OutputRequest, PayloadMessage> = (call) => {
  call.sendMetadata(initial(call.metadata));
  call.on('error', () => undefined);
  call.on('data', (request: OutputRequest) => {
    if (request.responseStatus?.code) call.emit('error', failure(request.responseStatus, call.metadata));
    for (const { size } of request.responseParameters ?? []) call.write({ payload: zeros(size ?? 0) });
  });
  call.on('end', () => call.end(trailing(call.metadata)));
};

const server = new Server({
  ...UNLIMITED,
  ...(ageMs === undefined ? {} : { 'grpc.max_connection_age_ms': Number(ageMs) }),
});
server.addService(methods, { emptyCall, unaryCall, streamingInputCall, streamingOutputCall, fullDuplexCall });
server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log('up');
});
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'shutdown') server.tryShutdown(() => console.log('down'));
});
