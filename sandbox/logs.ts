/** `weir sandbox logs`: prints log files, each line named after its source when there are several, and follows them. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { askSandbox } from './client.ts';
import type { ClusterListing, PodRow } from './listing.ts';
import { delay } from './processes.ts';
import type { FoundSandbox } from './registry.ts';

export interface LogChoice {
  /** POD, POD.NAMESPACE, `agent`, `controller`, `cni`; null: everything. */
  readonly what: string | null;
  readonly container: string | null;
  readonly node: string | null;
  /** Last lines of each; null: all. */
  readonly tail: number | null;
  readonly follow: boolean;
}

interface LogSource {
  readonly label: string;
  readonly file: string;
}

const FOLLOW_MS = 200;
const READ_BYTES = 65_536;

/** Prints what was chosen; with `follow` never resolves. Throws when nothing has that name. */
export async function printLogs(
  sandbox: FoundSandbox,
  choice: LogChoice,
  print: (text: string) => Promise<void>,
): Promise<void> {
  const listing = await askSandbox<ClusterListing>(sandbox, 'get', {});
  const sources = chooseSources(sandbox, listing, choice);
  const readers = sources.map((source) => new LogReader(source, sources.length > 1));
  for (const reader of readers) await print(reader.start(choice.tail));
  while (choice.follow) {
    for (const reader of readers) {
      const text = reader.more();
      if (text !== '') await print(text);
    }
    await delay(FOLLOW_MS);
  }
}

function chooseSources(sandbox: FoundSandbox, listing: ClusterListing, choice: LogChoice): LogSource[] {
  const { paths } = sandbox;
  const nodes = listing.nodes.map((node) => node.name).filter((name) => isNode(name, choice.node));
  const agents = nodes.map((node) => ({ label: `agent/${node}`, file: paths.agentLog(node) }));
  const cni = nodes.map((node) => ({ label: `cni/${node}`, file: paths.cniLog(node) }));
  const controller = [{ label: 'controller', file: paths.controllerLog }];
  const pods = listing.pods.filter((pod) => isNode(pod.node, choice.node));
  if (choice.what === 'agent') return agents;
  if (choice.what === 'cni') return cni;
  if (choice.what === 'controller') return controller;
  if (choice.what === null) {
    return [...controller, ...agents, ...cni, ...pods.flatMap((pod) => podSources(pod, choice.container))].filter(
      ({ file }) => existsSync(file),
    );
  }
  const found = pods.filter((pod) => isNamed(pod, choice.what ?? ''));
  const sources = found.flatMap((pod) => podSources(pod, choice.container));
  if (sources.length === 0) {
    const names = pods.map((pod) => `${pod.name}.${pod.namespace}`).join(', ');
    throw new Error(
      `no log of ${choice.what}; there are agent, controller, cni and the pods ${names === '' ? '(none)' : names}`,
    );
  }
  return sources;
}

function isNode(name: string, wanted: string | null): boolean {
  return wanted === null || name === wanted || name === `node-${wanted}`;
}

/** A pod's own name, with or without namespace; or its Deployment's, for the logs of all its pods. */
function isNamed(pod: PodRow, wanted: string): boolean {
  const deployment = pod.owner?.replace('Deployment/', '') ?? pod.name;
  return [pod.name, deployment].some(
    (name) => wanted === name || wanted === `${name}.${pod.namespace}` || wanted === `${pod.namespace}/${name}`,
  );
}

function podSources(pod: PodRow, container: string | null): LogSource[] {
  return pod.containers
    .filter(({ name }) => container === null || name === container)
    .map(({ name, log }) => ({ label: `${pod.namespace}/${pod.name}/${name}`, file: log }));
}

/** One file, read on from where it was left. */
class LogReader {
  readonly #source: LogSource;
  readonly #prefix: string;
  #offset = 0;
  #partial = '';

  constructor(source: LogSource, labelled: boolean) {
    this.#source = source;
    this.#prefix = labelled ? `${source.label}: ` : '';
  }

  start(tail: number | null): string {
    const text = this.more();
    if (tail === null) return text;
    const lines = text.split('\n').slice(0, -1);
    return (tail === 0 ? [] : lines.slice(-tail)).map((line) => `${line}\n`).join('');
  }

  /** Whole lines since the last time. */
  more(): string {
    const { file } = this.#source;
    if (!existsSync(file)) return '';
    // A log that was cut (log-files.ts) is read from its start again.
    if (statSync(file).size < this.#offset) this.#offset = 0;
    const fd = openSync(file, 'r');
    try {
      const chunks: Buffer[] = [];
      let left = fstatSync(fd).size - this.#offset;
      while (left > 0) {
        const chunk = Buffer.alloc(Math.min(left, READ_BYTES));
        const count = readSync(fd, chunk, 0, chunk.length, this.#offset);
        if (count === 0) break;
        chunks.push(chunk.subarray(0, count));
        this.#offset += count;
        left -= count;
      }
      return this.#lines(Buffer.concat(chunks).toString('utf8'));
    } finally {
      closeSync(fd);
    }
  }

  #lines(text: string): string {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    return lines.map((line) => `${this.#prefix}${line}\n`).join('');
  }
}
