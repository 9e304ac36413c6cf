/**
 * Checks what a worker says before anything believes it: a worker parses the bytes of pods, so its words are input.
 *
 * Pure. A message that is not exactly of agent/ipc/messages.ts is refused with the field that is wrong.
 */
import type { FromWorker } from '../ipc/messages.ts';

export type ParsedMessage =
  | { readonly ok: true; readonly message: FromWorker }
  | { readonly ok: false; readonly reason: string };

/** A check answers null, or the path of the field that is wrong and what it should be. */
type Check = (value: unknown) => string | null;

const text: Check = (value) => (typeof value === 'string' ? null : ' is not a string');
const textOrNull: Check = (value) => (value === null ? null : text(value));
const count: Check = (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? null : ' is not a number ≥ 0';
const whole: Check = (value) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? null : ' is not an integer ≥ 0';
const flag: Check = (value) => (typeof value === 'boolean' ? null : ' is not a boolean');

function oneOf(...allowed: readonly string[]): Check {
  return (value) => (allowed.includes(value as string) ? null : ` is not one of ${allowed.join(', ')}`);
}

function list(item: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return ' is not an array';
    for (let i = 0; i < value.length; i++) {
      const wrong = item(value[i]);
      if (wrong !== null) return `[${i}]${wrong}`;
    }
    return null;
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function dictionary(item: Check): Check {
  return (value) => {
    if (!isRecord(value)) return ' is not an object';
    for (const key of Object.keys(value)) {
      const wrong = item(value[key]);
      if (wrong !== null) return `.${key}${wrong}`;
    }
    return null;
  };
}

function shape(fields: Readonly<Record<string, Check>>): Check {
  const entries = Object.entries(fields);
  return (value) => {
    if (!isRecord(value)) return ' is not an object';
    for (const [name, check] of entries) {
      const wrong = check(value[name]);
      if (wrong !== null) return `.${name}${wrong}`;
    }
    return null;
  };
}

const labels = dictionary(text);

const httpSeries = shape({
  labels,
  requests: count,
  durationBuckets: list(count),
  durationSumMs: count,
  requestBytes: count,
  responseBytes: count,
});

const tcpSeries = shape({ labels, opened: count, closed: count, sentBytes: count, receivedBytes: count });

const podStats = shape({
  index: whole,
  namespace: text,
  name: text,
  cpuMs: count,
  bytesIn: count,
  bytesOut: count,
  requests: count,
  connectionsOpened: count,
  connectionsActive: count,
  refused: count,
  requestsActive: count,
  pending: count,
  bufferedBytes: count,
  shed: shape({ connections: count, requests: count, pending: count, buffered: count, overloaded: count }),
});

const workerStats = shape({
  worker: whole,
  pid: whole,
  http: list(httpSeries),
  tcp: list(tcpSeries),
  pods: list(podStats),
  bounds: dictionary(count),
  counters: dictionary(count),
});

const connection = shape({
  worker: whole,
  pod: text,
  direction: oneOf('outbound', 'inbound'),
  protocol: oneOf('http', 'http2', 'tcp', 'tls', 'undecided'),
  source: text,
  destination: text,
  service: textOrNull,
  upstream: textOrNull,
  state: text,
  ageMs: count,
  idleMs: count,
  bytesFromClient: count,
  bytesToClient: count,
  requests: count,
});

const requestTrace = shape({
  id: text,
  timeMs: count,
  direction: oneOf('outbound', 'inbound'),
  protocol: oneOf('http', 'http2', 'grpc'),
  sourcePod: textOrNull,
  source: text,
  destination: text,
  destinationPod: textOrNull,
  upstream: textOrNull,
  service: textOrNull,
  method: text,
  host: text,
  path: text,
  query: textOrNull,
  headers: (value) => (value === null ? null : list(list(text))(value)),
  status: whole,
  reason: textOrNull,
  route: textOrNull,
  policy: textOrNull,
  durationMs: count,
});

const messages: Readonly<Record<FromWorker['type'], Check>> = {
  ready: shape({ pid: whole }),
  podListening: shape({ index: whole, error: textOrNull }),
  podGone: shape({ index: whole }),
  meshApplied: shape({ sequence: whole, error: textOrNull }),
  stats: shape({ id: whole, stats: workerStats }),
  connections: shape({ id: whole, connections: list(connection), truncated: flag }),
  requests: shape({ id: whole, requests: list(requestTrace) }),
  log: shape({ level: oneOf('debug', 'info', 'warn', 'error'), message: text, fields: isRecordCheck }),
};

function isRecordCheck(value: unknown): string | null {
  return isRecord(value) ? null : ' is not an object';
}

function isMessageType(type: string): type is FromWorker['type'] {
  return Object.hasOwn(messages, type);
}

/** Reads one frame's payload. `reason` names the field and what it should have been. */
export function parseWorkerMessage(payload: Buffer): ParsedMessage {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (error) {
    return { ok: false, reason: `payload of ${payload.length} bytes is not JSON: ${(error as Error).message}` };
  }
  if (!isRecord(value)) return { ok: false, reason: 'message is not an object' };
  const type = value['type'];
  if (typeof type !== 'string' || !isMessageType(type)) {
    return { ok: false, reason: `message type ${JSON.stringify(type)} is unknown` };
  }
  const wrong = messages[type](value);
  if (wrong !== null) return { ok: false, reason: `${type}${wrong}` };
  return { ok: true, message: value as FromWorker };
}
