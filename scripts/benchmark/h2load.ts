/** h2load (nghttp2) as the load generator for HTTP/2 with prior knowledge: its command line, and its report as numbers. */
import type { Load } from './wrk.ts';

export interface Http2Load {
  readonly connections: number;
  readonly streams: number;
  readonly seconds: number;
  /** File with the body of a POST, for gRPC; null: GET. */
  readonly message: string | null;
}

/** One thread, like wrk. */
export function h2loadArguments(url: string, load: Http2Load): string[] {
  const grpc = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  return [
    '-t1',
    `-c${load.connections}`,
    `-m${load.streams}`,
    `-D${load.seconds}`,
    ...(load.message === null ? [] : ['-d', load.message, ...grpc]),
    url,
  ];
}

const UNIT_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 };

/**
 * Reads h2load's report. It prints no percentiles: p50 is its mean and p99 its maximum, for orientation. An answer counts as failed
 * when it is not 2xx, or when the bodies are shorter than `bodyBytes` each: a gRPC error is a 200 without a message.
 * Throws an Error with the text when it is no such report.
 */
export function parseH2load(text: string, bodyBytes: number): Load {
  const finished = /finished in ([\d.]+)(us|ms|s), ([\d.]+) req\/s/.exec(text);
  const requests = /requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed/.exec(text);
  const codes = /status codes: (\d+) 2xx/.exec(text);
  const time = /time for request:\s+[\d.]+(?:us|ms|s)\s+([\d.]+)(us|ms|s)\s+([\d.]+)(us|ms|s)/.exec(text);
  const data = /\((\d+)\) data/.exec(text);
  if (data === null || finished === null || requests === null || codes === null || time === null)
    throw new Error(`h2load printed no report:\n${text}`);
  const done = Number(requests[1]);
  return {
    requests: done,
    seconds: Number(finished[1]) * ((UNIT_MS[finished[2] ?? ''] ?? Number.NaN) / 1_000),
    requestsPerSecond: Number(finished[3]),
    p50Ms: Number(time[3]) * (UNIT_MS[time[4] ?? ''] ?? Number.NaN),
    p99Ms: Number(time[1]) * (UNIT_MS[time[2] ?? ''] ?? Number.NaN),
    errors: Math.max(done - Number(codes[1]), done - Math.floor(Number(data[1]) / bodyBytes), 0),
  };
}
