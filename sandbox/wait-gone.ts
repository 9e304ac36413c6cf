/** Waiting for a sandbox to end, from outside or inside. */
import { existsSync } from 'node:fs';
import { waitUntil } from './processes.ts';
import { type FoundSandbox, isInside } from './registry.ts';

/** True when its state folder is gone within the time; from inside there is nobody left to see it: true at once. */
export async function waitUntilGone(sandbox: FoundSandbox, timeoutMs: number): Promise<boolean> {
  if (isInside(sandbox.record)) return true;
  return await waitUntil(() => !existsSync(sandbox.paths.root), Date.now() + timeoutMs, 20);
}
