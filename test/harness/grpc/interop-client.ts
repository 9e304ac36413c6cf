/**
 * The client of the interop cases as a process in a pod. A line on stdin asks (`ClientRequest`), a line on stdout answers
 * (`ClientAnswer`); `load` is answered when `stop` comes.
 */
import { createInterface } from 'node:readline';
import { interopCases } from './interop-cases.ts';
import { InteropChannel } from './interop-channel.ts';

export interface ClientRequest {
  readonly id: number;
  /** Name of an interop case, or one of those below. */
  readonly run: string;
  /** ADDRESS:PORT. */
  readonly target: string;
  readonly options?: Readonly<Record<string, string | number>>;
}

export interface ClientAnswer {
  readonly id: number;
  /** null: it went as it must. */
  readonly error: string | null;
  readonly result: unknown;
}

const channels = new Map<string, InteropChannel>();
let stop: () => void = () => undefined;

async function load(channel: InteropChannel, parallel: number): Promise<unknown> {
  let stopped = false;
  stop = () => (stopped = true);
  const failed: string[] = [];
  let succeeded = 0;
  const lane = async (): Promise<void> => {
    while (!stopped) {
      const call = await channel.unary({ responseSize: 10, payload: { body: Buffer.alloc(100) } });
      if (call.code === 0) succeeded++;
      else failed.push(`${call.code} ${call.details}`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
  return { succeeded, failed };
}

async function run(request: ClientRequest): Promise<unknown> {
  const { options = {} } = request;
  if (request.run === 'stop') return stop();
  const key = `${request.target} ${JSON.stringify(options)}`;
  let channel = channels.get(key);
  if (channel === undefined) {
    channel = new InteropChannel(request.target, options);
    channels.set(key, channel);
  }
  if (request.run === 'load') return load(channel, 20);
  const interopCase = interopCases[request.run];
  if (interopCase === undefined) throw new Error(`no case ${request.run}`);
  return interopCase(channel);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as ClientRequest;
  const answer = (error: string | null, result: unknown): void => {
    console.log(JSON.stringify({ id: request.id, error, result } satisfies ClientAnswer));
  };
  run(request).then(
    (result) => answer(null, result ?? null),
    (error: unknown) => answer(error instanceof Error ? (error.stack ?? error.message) : String(error), null),
  );
});
console.log('up');
