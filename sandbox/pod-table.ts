/** The table of pods that a sandbox prints when it is ready. */
import type { Pod } from './pod.ts';

/** Aligned columns with a heading, ending in a newline. */
export function podTable(pods: readonly Pod[]): string {
  const rows = [
    ['NAMESPACE', 'NAME', 'READY', 'STATUS', 'NODE', 'IP'],
    ...[...pods]
      .sort((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`))
      .map((pod) => {
        const ready = `${pod.containers.filter((container) => container.ready).length}/${pod.containers.length}`;
        return [pod.namespace, pod.name, ready, pod.status, pod.node.network.name, pod.addresses.join(',')];
      }),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('');
}
