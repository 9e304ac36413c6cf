/** The gRPC project's interop service (grpc.testing.TestService) for @grpc/grpc-js: messages, methods, and how they are encoded. */
import type { MethodDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const field = (type: string, id: number, rule?: 'repeated'): protobuf.IField => ({
  type,
  id,
  ...(rule ? { rule } : {}),
});

const root = protobuf.Root.fromJSON({
  nested: {
    Empty: { fields: {} },
    BoolValue: { fields: { value: field('bool', 1) } },
    Payload: { fields: { type: field('int32', 1), body: field('bytes', 2) } },
    EchoStatus: { fields: { code: field('int32', 1), message: field('string', 2) } },
    SimpleRequest: {
      fields: {
        responseType: field('int32', 1),
        responseSize: field('int32', 2),
        payload: field('Payload', 3),
        responseCompressed: field('BoolValue', 6),
        responseStatus: field('EchoStatus', 7),
        expectCompressed: field('BoolValue', 8),
      },
    },
    SimpleResponse: { fields: { payload: field('Payload', 1) } },
    StreamingInputCallRequest: { fields: { payload: field('Payload', 1), expectCompressed: field('BoolValue', 2) } },
    StreamingInputCallResponse: { fields: { aggregatedPayloadSize: field('int32', 1) } },
    ResponseParameters: {
      fields: { size: field('int32', 1), intervalUs: field('int32', 2), compressed: field('BoolValue', 3) },
    },
    StreamingOutputCallRequest: {
      fields: {
        responseType: field('int32', 1),
        responseParameters: field('ResponseParameters', 2, 'repeated'),
        payload: field('Payload', 3),
        responseStatus: field('EchoStatus', 7),
      },
    },
    StreamingOutputCallResponse: { fields: { payload: field('Payload', 1) } },
  },
});

interface Payload {
  readonly body?: Uint8Array;
}
interface Flag {
  readonly value: boolean;
}
export interface EchoStatus {
  readonly code: number;
  readonly message: string;
}
export interface SimpleRequest {
  readonly responseSize?: number;
  readonly payload?: Payload;
  readonly responseCompressed?: Flag;
  readonly responseStatus?: EchoStatus;
  readonly expectCompressed?: Flag;
}
export interface PayloadMessage {
  readonly payload?: Payload;
}
export interface InputRequest extends PayloadMessage {
  readonly expectCompressed?: Flag;
}
export interface InputResponse {
  readonly aggregatedPayloadSize?: number;
}
export interface OutputRequest extends PayloadMessage {
  readonly responseParameters?: readonly { readonly size?: number; readonly compressed?: Flag }[];
  readonly responseStatus?: EchoStatus;
}

export interface Codec<T> {
  readonly encode: (message: T) => Buffer;
  readonly decode: (octets: Uint8Array) => T;
}

function codec<T extends object>(name: string): Codec<T> {
  const type = root.lookupType(name);
  return {
    encode: (message) => Buffer.from(type.encode(type.create(message)).finish()),
    decode: (octets) => type.toObject(type.decode(octets)) as T,
  };
}

export const codecs = {
  empty: codec<object>('Empty'),
  simpleRequest: codec<SimpleRequest>('SimpleRequest'),
  simpleResponse: codec<PayloadMessage>('SimpleResponse'),
  inputRequest: codec<InputRequest>('StreamingInputCallRequest'),
  inputResponse: codec<InputResponse>('StreamingInputCallResponse'),
  outputRequest: codec<OutputRequest>('StreamingOutputCallRequest'),
  outputResponse: codec<PayloadMessage>('StreamingOutputCallResponse'),
};

export const SERVICE = '/grpc.testing.TestService';

function method<Q, R>(
  name: string,
  request: Codec<Q>,
  response: Codec<R>,
  requestStream: boolean,
  responseStream: boolean,
): MethodDefinition<Q, R> {
  return {
    path: name.startsWith('/') ? name : `${SERVICE}/${name}`,
    requestStream,
    responseStream,
    requestSerialize: (message) => request.encode(message),
    requestDeserialize: (octets) => request.decode(octets),
    responseSerialize: (message) => response.encode(message),
    responseDeserialize: (octets) => response.decode(octets),
  };
}

export const methods = {
  emptyCall: method('EmptyCall', codecs.empty, codecs.empty, false, false),
  unaryCall: method('UnaryCall', codecs.simpleRequest, codecs.simpleResponse, false, false),
  streamingInputCall: method('StreamingInputCall', codecs.inputRequest, codecs.inputResponse, true, false),
  streamingOutputCall: method('StreamingOutputCall', codecs.outputRequest, codecs.outputResponse, false, true),
  fullDuplexCall: method('FullDuplexCall', codecs.outputRequest, codecs.outputResponse, true, true),
} as const;

/** Called, but not served. */
export const missing = {
  method: method('UnimplementedCall', codecs.empty, codecs.empty, false, false),
  service: method('/grpc.testing.UnimplementedService/UnimplementedCall', codecs.empty, codecs.empty, false, false),
} as const;

export function zeros(octets: number): Payload {
  return { body: Buffer.alloc(octets) };
}

export function sizeOf(message: PayloadMessage): number {
  return message.payload?.body?.length ?? 0;
}
