/** Why pods are not ready: one paragraph per pod with its reason and the end of its log. */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import type { SandboxPaths } from './paths.ts';
import type { Pod } from './pod.ts';

const LOG_LINES = 5;
/** The end of a log is looked for in its last part only. */
const TAIL_BYTES = 65_536;

/** Text for people, several lines. */
export function failureReport(pods: readonly Pod[], paths: SandboxPaths): string {
  return pods.map((pod) => describePod(pod, paths)).join('\n');
}

function describePod(pod: Pod, paths: SandboxPaths): string {
  const lines = [`pod ${pod.namespace}/${pod.name} on ${pod.node.network.name} is not ready: ${pod.status}`];
  if (pod.failure !== '') lines.push(`  ${pod.failure}`);
  for (const container of [...pod.initContainers, ...pod.containers]) {
    if (container.ready || (container.state.kind === 'terminated' && container.state.status === 0)) continue;
    const { state, lastFailure, spec } = container;
    const detail =
      state.kind === 'waiting' ? state.message : state.kind === 'terminated' ? `ended with status ${state.status}` : '';
    const why = [detail, lastFailure].filter((text) => text !== '').join('; ');
    if (why !== '') lines.push(`  container ${spec.name}: ${why}`);
    for (const line of lastLines(paths.containerLog(pod.uid, spec.name), LOG_LINES)) lines.push(`    | ${line}`);
  }
  return lines.join('\n');
}

/** The last lines of a file; none when there is no such file. */
export function lastLines(file: string, count: number): string[] {
  if (!existsSync(file)) return [];
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const length = Math.min(size, TAIL_BYTES);
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, size - length);
    const lines = bytes.toString('utf8').split('\n');
    return lines.filter((line) => line !== '').slice(-count);
  } finally {
    closeSync(fd);
  }
}
