/** A channel to the interop service: calls as promises of everything the client library says of them. Never rejects. */
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type StatusObject,
} from '@grpc/grpc-js';
import {
  type InputRequest,
  type InputResponse,
  methods,
  type OutputRequest,
  type PayloadMessage,
  type SimpleRequest,
} from './interop-service.ts';

/** How a call ended. */
export interface Call<R> {
  readonly code: number;
  readonly details: string;
  readonly response: R | null;
  readonly messages: readonly R[];
  /** Octets as base64. */
  readonly initial: Readonly<Record<string, string>>;
  readonly trailing: Readonly<Record<string, string>>;
}

interface CallOptions {
  readonly metadata?: Metadata;
  readonly deadlineMs?: number;
}

type AnyStream = ClientReadableStream<PayloadMessage> | ClientDuplexStream<OutputRequest, PayloadMessage>;

export class InteropChannel {
  readonly #client: Client;

  constructor(target: string, options: Readonly<Record<string, string | number>>) {
    this.#client = new Client(target, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
      ...options,
    });
  }

  unary(request: SimpleRequest, options: CallOptions = {}): Promise<Call<PayloadMessage>> {
    return this.call(methods.unaryCall, request, options);
  }

  call<Q, R>(method: MethodDefinition<Q, R>, request: Q, options: CallOptions = {}): Promise<Call<R>> {
    return new Promise((resolve) => {
      let response: R | null = null;
      let initial: Metadata | null = null;
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        options.metadata ?? new Metadata(),
        deadline(options),
        (_error, value) => (response = value ?? null),
      );
      call.on('metadata', (metadata) => (initial = metadata));
      call.on('status', (status) => setImmediate(() => resolve(ended(status, initial, response, []))));
    });
  }

  /** @param start is given the stream to write on. */
  input(start: (call: ClientWritableStream<InputRequest>) => void): Promise<Call<InputResponse>> {
    return new Promise((resolve) => {
      let response: InputResponse | null = null;
      let initial: Metadata | null = null;
      const { path, requestSerialize, responseDeserialize } = methods.streamingInputCall;
      const call = this.#client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        (_error, value) => {
          response = value ?? null;
        },
      );
      call.on('error', () => undefined);
      call.on('metadata', (metadata: Metadata) => (initial = metadata));
      call.on('status', (status: StatusObject) => setImmediate(() => resolve(ended(status, initial, response, []))));
      start(call);
    });
  }

  output(request: OutputRequest): Promise<Call<PayloadMessage>> {
    const { path, requestSerialize, responseDeserialize } = methods.streamingOutputCall;
    return streamed(this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request), null);
  }

  /** @param onMessage is given each message and how many there have been. */
  duplex(
    start: (call: ClientDuplexStream<OutputRequest, PayloadMessage>) => void,
    onMessage: ((call: ClientDuplexStream<OutputRequest, PayloadMessage>, count: number) => void) | null,
    options: CallOptions = {},
  ): Promise<Call<PayloadMessage>> {
    const { path, requestSerialize, responseDeserialize } = methods.fullDuplexCall;
    const call = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      options.metadata ?? new Metadata(),
      deadline(options),
    );
    const done = streamed(call, onMessage === null ? null : (count) => onMessage(call, count));
    start(call);
    return done;
  }
}

function deadline({ deadlineMs }: CallOptions): { deadline?: Date } {
  return deadlineMs === undefined ? {} : { deadline: new Date(Date.now() + deadlineMs) };
}

function streamed(call: AnyStream, onMessage: ((count: number) => void) | null): Promise<Call<PayloadMessage>> {
  return new Promise((resolve) => {
    const messages: PayloadMessage[] = [];
    let initial: Metadata | null = null;
    call.on('error', () => undefined);
    call.on('metadata', (metadata: Metadata) => (initial = metadata));
    call.on('data', (message: PayloadMessage) => {
      messages.push(message);
      onMessage?.(messages.length);
    });
    call.on('status', (status: StatusObject) => setImmediate(() => resolve(ended(status, initial, null, messages))));
  });
}

function ended<R>(status: StatusObject, initial: Metadata | null, response: R | null, messages: readonly R[]): Call<R> {
  const { code, details } = status;
  return { code, details, response, messages, initial: text(initial), trailing: text(status.metadata) };
}

function text(metadata: Metadata | null): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata?.getMap() ?? {})) {
    fields[key] = typeof value === 'string' ? value : value.toString('base64');
  }
  return fields;
}
