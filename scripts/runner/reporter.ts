/**
 * node:test reporter that run-file.ts loads into each test process: one JSON line per event, to a file of its own, so that
 * whatever a test prints cannot be taken for a result. The last line is `{"type":"end"}`; without it the process died early.
 * When no test begins or ends for HANG_MS, the line `hang` says what the test's harness knows (test/harness/hang.ts).
 */
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';
import { hangReport } from '../../test/harness/hang.ts';

/** A line of the report. `running` names a test that began; it is what a hanging file was busy with. */
export type ReportLine =
  | { readonly type: 'running'; readonly name: string }
  | { readonly type: 'pass' | 'skip'; readonly name: string }
  | { readonly type: 'fail'; readonly name: string; readonly error: string }
  | { readonly type: 'hang'; readonly report: string }
  | { readonly type: 'end' };

type Failure = Extract<TestEvent, { type: 'test:fail' }>['data'];

/** Environment variable: after how many ms without an event a file hangs. */
export const HANG_VARIABLE = 'WEIR_TEST_HANG_MS';
/** The wait is counted in parts: a loop that was blocked (spawnSync) misses one, whereas one that hangs sees them all. */
const PARTS = 10;

/** Turns node:test's events into report lines (https://nodejs.org/docs/latest-v20.x/api/test.html#class-testsstream). */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const path: string[] = [];
  const silence = new Silence(Number(process.env[HANG_VARIABLE] ?? Number.POSITIVE_INFINITY));
  const source = events[Symbol.asyncIterator]();
  let next = source.next();
  for (;;) {
    const step = await Promise.race([next, silence.tooLong]);
    if (step === null) {
      yield `${JSON.stringify({ type: 'hang', report: await hangReport() } satisfies ReportLine)}\n`;
      break;
    }
    if (step.done === true) break;
    silence.broken();
    const line = lineOf(step.value, path);
    if (line !== null) yield `${JSON.stringify(line)}\n`;
    next = source.next();
  }
  // After a hang it is the runner that ends the process.
  if (silence.lasted) await new Promise(() => undefined);
  yield `${JSON.stringify({ type: 'end' } satisfies ReportLine)}\n`;
}

/** Resolves `tooLong` when broken() was not called for `afterMs`. Keeps no process alive. */
class Silence {
  readonly tooLong: Promise<null>;
  lasted = false;
  #parts = 0;

  constructor(afterMs: number) {
    this.tooLong = new Promise((resolve) => {
      if (!Number.isFinite(afterMs)) return;
      const onPart = (): void => {
        if (++this.#parts !== PARTS) return;
        this.lasted = true;
        resolve(null);
      };
      setInterval(onPart, afterMs / PARTS).unref();
    });
  }

  broken(): void {
    this.#parts = 0;
  }
}

/** `path` holds the names of the suites and tests around the current one. */
function lineOf(event: TestEvent, path: string[]): ReportLine | null {
  switch (event.type) {
    case 'test:dequeue':
      return { type: 'running', name: event.data.name };
    case 'test:start':
      path.length = event.data.nesting;
      path.push(event.data.name);
      return null;
    case 'test:pass':
      if (event.data.details.type === 'suite') return null;
      return { type: isLeftOut(event.data) ? 'skip' : 'pass', name: nameOf(event.data, path) };
    case 'test:fail':
      return failureOf(event.data, nameOf(event.data, path));
    default:
      return null;
  }
}

/** A test that only fails because a test inside it did is not a failure of its own, and a `todo` is never one. */
function failureOf(data: Failure, name: string): ReportLine | null {
  const error = data.details.error as Error & { failureType?: string };
  if (error.failureType === 'subtestsFailed') return null;
  if (data.todo !== undefined && data.todo !== false) return { type: 'skip', name };
  const cause = error.cause;
  const text =
    cause instanceof Error ? (cause.stack ?? cause.message) : typeof cause === 'string' ? cause : inspect(cause);
  return { type: 'fail', name, error: withoutInternals(text) };
}

function isLeftOut(data: { skip?: string | boolean; todo?: string | boolean }): boolean {
  return (data.skip !== undefined && data.skip !== false) || (data.todo !== undefined && data.todo !== false);
}

function nameOf(data: { name: string; nesting: number }, path: readonly string[]): string {
  return [...path.slice(0, data.nesting), data.name].join(' > ');
}

function withoutInternals(stack: string): string {
  return stack
    .split('\n')
    .filter((line) => !/^\s+at .*\(?node:internal\/|^\s+at .*node:async_hooks/.test(line))
    .join('\n');
}
