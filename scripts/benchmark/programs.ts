/** The load programs of this benchmark (load/): how they are started in a pod, and what they print. */
import { fileURLToPath } from 'node:url';
import { run } from './commands.ts';
import type { Contestant } from './contestant.ts';

export type Program = 'open-loop' | 'connection-flood' | 'slow-bodies' | 'idle-connections';

/** The command that runs a program with options; `--import` by absolute name, for a pod may stand in any folder. */
export function program(name: Program, options: Readonly<Record<string, string | number>>): readonly string[] {
  const file = fileURLToPath(new URL(`./load/${name}.ts`, import.meta.url));
  const words = Object.entries(options).flatMap(([key, value]) => [`--${key}`, `${value}`]);
  return [process.execPath, '--import', import.meta.resolve('tsx'), file, ...words];
}

/** What open-loop.ts prints: milliseconds, and requests. */
export interface OpenLoopFigures {
  readonly requests: number;
  readonly answered: number;
  readonly errors: number;
  /** Requests that found every connection waiting. */
  readonly late: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export interface OpenLoop {
  readonly rate: number;
  readonly seconds: number;
  readonly warmUp: number;
  readonly connections: number;
}

/** Requests at a constant rate through a contestant, for so many seconds after a warm-up. */
export async function openLoop(
  contestant: Contestant,
  path: string,
  load: OpenLoop,
  from: 'client' | 'quiet' = 'client',
): Promise<OpenLoopFigures> {
  const command = program('open-loop', { url: `${contestant.url('http')}${path}`, ...load });
  const text = await run(contestant.loadCommand(command, from), (load.seconds + load.warmUp + 60) * 1_000);
  return JSON.parse(text) as OpenLoopFigures;
}
