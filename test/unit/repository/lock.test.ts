/** The lock file must hold on every machine, not only on the one where it was written. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

interface Locked {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly resolved?: string;
}

const lock = JSON.parse(readFileSync(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>;
};

test('packages for other platforms are locked too: without them npm ci refuses the lock file', () => {
  const missing = Object.entries(lock.packages).flatMap(([at, locked]) =>
    Object.keys(locked.optionalDependencies ?? {}).filter(
      (name) =>
        lock.packages[`node_modules/${name}`] === undefined &&
        lock.packages[`${at}/node_modules/${name}`] === undefined,
    ),
  );
  assert.deepEqual(missing, []);
});

test('own dependencies are exact versions, and nothing names the address of a registry', () => {
  const root = lock.packages[''];
  const ranges = Object.entries({ ...root?.dependencies, ...root?.devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
  );
  assert.deepEqual(ranges, []);
  const addressed = Object.entries(lock.packages).filter(([, locked]) => locked.resolved !== undefined);
  assert.deepEqual(
    addressed.map(([at]) => at),
    [],
  );
});
