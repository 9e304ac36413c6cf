/** Which test files there are, and which of them the command line asks for. */
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** In the order they run: the quick ones first. */
const GROUPS = ['unit', 'fuzz', 'integration', 'netns', 'sandbox'] as const;
export type Group = (typeof GROUPS)[number];

export interface TestFile {
  readonly group: Group;
  readonly path: string;
  /** Relative to the test folder, e.g. `unit/mesh/ip.test.ts`: how the file is called in the output. */
  readonly name: string;
}

/** Groups whose files own machine-wide things (cores, namespaces, whole agents) and so run one at a time. */
export function runsAlone(group: Group): boolean {
  return group === 'netns' || group === 'sandbox';
}

/** Every `*.test.ts` (in fuzz: `*.fuzz.ts`) below `ROOT/test/GROUP`, sorted by name. */
export function discover(root: string): TestFile[] {
  return GROUPS.flatMap((group) => {
    const folder = join(root, 'test', group);
    if (!existsSync(folder)) return [];
    const suffix = group === 'fuzz' ? /\.(fuzz|test)\.ts$/ : /\.test\.ts$/;
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => suffix.test(file))
      .sort()
      .map((file) => ({ group, path: join(folder, file), name: relative(join(root, 'test'), join(folder, file)) }));
  });
}

/** Words that are group names choose groups; a file must then contain one of the other words, if there are any. */
export function select(files: readonly TestFile[], words: readonly string[]): TestFile[] {
  const groups = words.filter((word) => (GROUPS as readonly string[]).includes(word));
  const parts = words.filter((word) => !groups.includes(word)).map((word) => word.replace(/^(\.\/)?test\//, ''));
  return files.filter(
    (file) =>
      (groups.length === 0 || groups.includes(file.group)) &&
      (parts.length === 0 || parts.some((part) => file.name.includes(part))),
  );
}
