/** Objects for the sandbox's unit tests. */
import type { PodContext } from '../../../sandbox/pod-spec.ts';
import { type Problem, readObjects, type SourceObject } from '../../../sandbox/source.ts';
import { readWorkload, type WorkloadSet } from '../../../sandbox/workloads.ts';

export function objects(text: string): SourceObject[] {
  return readObjects([{ path: 'f.yaml', text }]);
}

export const CONTEXT: PodContext = {
  images: new Map([
    ['echo', ['node', 'echo.js']],
    ['registry:5000/team/app:2', ['app', '--two']],
  ]),
  nodes: ['node-0', 'node-1'],
  isExecutable: (word) => ['node', 'app', 'sh'].includes(word),
  warn: () => undefined,
};

/** Reads the one workload of the text, with what is wrong with it. */
export function workload(
  text: string,
  context: PodContext = CONTEXT,
): { set: WorkloadSet | null; problems: Problem[] } {
  const [object] = objects(text);
  if (object === undefined) throw new Error('the text has no object');
  const problems: Problem[] = [];
  return { set: readWorkload(object, context, problems), problems };
}

/** A Pod with this container (YAML flow mapping) and further spec fields. */
export function pod(container: string, spec = ''): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [${container}]${spec === '' ? '' : `, ${spec}`}}\n`;
}
