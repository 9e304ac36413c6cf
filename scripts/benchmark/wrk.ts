/** wrk as the load generator: its command line, and its report as numbers. */

export interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Failed connects, reads, writes and time-outs, and answers that are neither 2xx nor 3xx. */
  readonly errors: number;
}

const UNIT_US: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

/** One thread: it shares its core with the backend, so that the proxy has the other for itself. */
export function wrkArguments(url: string, connections: number, seconds: number, closeEach: boolean): string[] {
  const close = closeEach ? ['-H', 'Connection: close'] : [];
  return ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency', ...close, url];
}

/** Reads what `wrk --latency` printed. Throws an Error with the text when it is no such report. */
export function parseWrk(text: string): Load {
  const total = /([\d.]+) requests in ([\d.]+)(us|ms|s|m),/.exec(text);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(text);
  if (total === null || rate === null) throw new Error(`wrk printed no report:\n${text}`);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const refused = /Non-2xx or 3xx responses: (\d+)/.exec(text);
  const errors = [...(socket?.slice(1) ?? []), ...(refused?.slice(1) ?? [])];
  return {
    requests: Number(total[1]),
    seconds: (Number(total[2]) * (UNIT_US[total[3] ?? ''] ?? Number.NaN)) / 1_000_000,
    requestsPerSecond: Number(rate[1]),
    p50Ms: percentile(text, 50),
    p99Ms: percentile(text, 99),
    errors: errors.reduce((sum, count) => sum + Number(count), 0),
  };
}

function percentile(text: string, percent: number): number {
  const found = new RegExp(`^\\s+${percent}%\\s+([\\d.]+)(us|ms|s|m)\\s*$`, 'm').exec(text);
  if (found === null) throw new Error(`wrk printed no ${percent}th percentile:\n${text}`);
  return (Number(found[1]) * (UNIT_US[found[2] ?? ''] ?? Number.NaN)) / 1_000;
}
