/** Which weir this is, from its package.json: beside agent/ in the sources, above dist/ when built. */
import { readFileSync } from 'node:fs';

const CANDIDATES = ['../../package.json', '../../../package.json'];

/** e.g. `0.1.0`; throws when the installation is broken. */
export function weirVersion(): string {
  for (const candidate of CANDIDATES) {
    try {
      const parsed = JSON.parse(readFileSync(new URL(candidate, import.meta.url), 'utf8')) as Record<string, unknown>;
      if (parsed['name'] === 'weir' && typeof parsed['version'] === 'string') return parsed['version'];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new Error('package.json of weir was not found beside its code; reinstall weir');
}
