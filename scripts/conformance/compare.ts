/** What an answer must be, against what it was. The path and host that the backend saw are compared always; the official suite compares neither. */
import type { ConformanceCase, ExpectedForward, ExpectedRedirect } from './corpus.ts';

/** What an echo server says of a request. */
export interface Seen {
  readonly pod: string;
  /** Of the pod, as the connection had it; '' where not told. */
  readonly address: string;
  readonly path: string;
  readonly host: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** What a client pod reports of one request. */
export type PodAnswer =
  | { readonly error: string }
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, readonly string[]>>;
      /** null: not an echo server's answer. */
      readonly seen: Seen | null;
    };

/** Share of a backend that chance may differ by: the official suite's 5 % of 500 requests is 2.4 standard deviations at 70 %. */
const TOLERANCE = 0.05;
const WELL_KNOWN_PORT: Readonly<Record<string, string>> = { http: '80', https: '443' };

/** Differences as lines for people; empty: as expected. */
export function differences(expected: ConformanceCase, answer: PodAnswer): readonly string[] {
  if ('error' in answer) return [`no answer: ${answer.error}`];
  const found: string[] = [];
  if (answer.status !== expected.status) found.push(`status ${answer.status}, expected ${expected.status}`);
  for (const [name, value] of Object.entries(expected.responseHeaders)) {
    const got = joined(answer.headers[name.toLowerCase()]);
    if (got !== value) found.push(`response header ${name} is ${told(got)}, expected ${told(value)}`);
  }
  for (const name of expected.absentResponseHeaders) {
    const got = joined(answer.headers[name.toLowerCase()]);
    if (got !== null) found.push(`response header ${name} is ${told(got)}, expected none`);
  }
  if (expected.redirect !== null)
    found.push(...redirectDifferences(expected, expected.redirect, answer.headers['location']));
  if (expected.forwarded !== null) found.push(...forwardDifferences(expected, expected.forwarded, answer.seen));
  return found;
}

function forwardDifferences({ backend }: ConformanceCase, expected: ExpectedForward, seen: Seen | null): string[] {
  if (seen === null) return ['no backend answered'];
  const found: string[] = [];
  if (backend !== null && !seen.pod.startsWith(backend)) found.push(`answered by ${seen.pod}, expected ${backend}`);
  if (seen.path !== expected.path)
    found.push(`the backend saw path ${told(seen.path)}, expected ${told(expected.path)}`);
  if (seen.host !== expected.host)
    found.push(`the backend saw host ${told(seen.host)}, expected ${told(expected.host)}`);
  for (const [name, value] of Object.entries(expected.headers)) {
    const got = joined(seen.headers[name.toLowerCase()]);
    if (got !== value) found.push(`the backend saw ${name}: ${told(got)}, expected ${told(value)}`);
  }
  for (const name of expected.absentHeaders) {
    const got = joined(seen.headers[name.toLowerCase()]);
    if (got !== null) found.push(`the backend saw ${name}: ${told(got)}, expected none`);
  }
  return found;
}

/**
 * The whole Location: what the case does not say is that of the request. A port is written only when it is not the scheme's own
 * (HTTPRequestRedirectFilter.port), and another scheme brings its own port along.
 */
function redirectDifferences(
  { request }: ConformanceCase,
  expected: ExpectedRedirect,
  got: readonly string[] = [],
): string[] {
  const [host = '', ownPort = '80'] = request.host.split(':');
  const scheme = expected.scheme ?? 'http';
  const wellKnown = WELL_KNOWN_PORT[scheme] ?? '';
  const port = expected.port ?? (expected.scheme === null ? ownPort : wellKnown);
  const authority = `${expected.host ?? host}${port === wellKnown ? '' : `:${port}`}`;
  const wanted = `${scheme}://${authority}${expected.path ?? request.path}`;
  return got.length === 1 && got[0] === wanted ? [] : [`location is ${told(joined(got))}, expected ${wanted}`];
}

/** Whether answers are shared out as the weights say; every one of them must be good. */
export function weightDifferences(weights: Readonly<Record<string, number>>, answers: readonly PodAnswer[]): string[] {
  const pods = answers.map((answer) =>
    'error' in answer ? answer.error : (answer.seen?.pod ?? `status ${answer.status}`),
  );
  const stray = pods.find((pod) => !Object.keys(weights).some((backend) => pod.startsWith(backend)));
  if (stray !== undefined) return [`answered by ${stray}, expected one of ${Object.keys(weights).join(', ')}`];
  return Object.entries(weights).flatMap(([backend, wanted]) => {
    const share = pods.filter((pod) => pod.startsWith(backend)).length / pods.length;
    const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
    return Math.abs(share - wanted) <= TOLERANCE
      ? []
      : [`${backend} got ${percent(share)}, expected ${percent(wanted)}`];
  });
}

/** All values in order, as one list: `a, b` and two lines are the same (RFC 9110, 5.3). */
function joined(values: readonly string[] | undefined): string | null {
  if (values === undefined || values.length === 0) return null;
  return values.flatMap((value) => value.split(',').map((part) => part.trim())).join(',');
}

function told(value: string | null): string {
  return value === null ? 'absent' : JSON.stringify(value);
}
