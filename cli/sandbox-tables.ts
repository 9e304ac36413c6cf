/** What `weir sandbox get KIND` shows: which rows, which columns. */
import type { ClusterListing, DeploymentRow, NodeRow, ObjectRow, PodRow, ServiceRow } from '../sandbox/listing.ts';
import { CliError, type Column, type Listing, type OutputFormat, print } from './output.ts';

export const LISTED_KINDS = ['pods', 'services', 'nodes', 'deployments', 'objects'] as const;

/** Names people type, as in kubectl. */
const ALIASES: Readonly<Record<string, (typeof LISTED_KINDS)[number]>> = {
  pod: 'pods',
  po: 'pods',
  service: 'services',
  svc: 'services',
  node: 'nodes',
  no: 'nodes',
  deployment: 'deployments',
  deploy: 'deployments',
  object: 'objects',
  all: 'objects',
};

const POD_COLUMNS: readonly Column<PodRow>[] = [
  { header: 'namespace', value: (row) => row.namespace },
  { header: 'name', value: (row) => row.name },
  { header: 'ready', value: (row) => readyContainers(row) },
  { header: 'status', value: (row) => row.status },
  { header: 'restarts', value: (row) => row.restarts, align: 'right' },
  { header: 'node', value: (row) => row.node },
  { header: 'ip', value: (row) => row.ips.join(',') },
  { header: 'pid', value: (row) => row.pid, align: 'right' },
];

const SERVICE_COLUMNS: readonly Column<ServiceRow>[] = [
  { header: 'namespace', value: (row) => row.namespace },
  { header: 'name', value: (row) => row.name },
  { header: 'type', value: (row) => row.type },
  { header: 'cluster-ip', value: (row) => (row.clusterIPs.length === 0 ? 'None' : row.clusterIPs.join(',')) },
  { header: 'ports', value: (row) => row.ports.map((port) => `${port.port}/${port.protocol}`).join(',') },
  { header: 'pods', value: (row) => row.pods.length, align: 'right' },
];

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  { header: 'name', value: (row) => row.name },
  { header: 'ip', value: (row) => row.ips.join(',') },
  { header: 'pod-cidrs', value: (row) => row.podCIDRs.join(',') },
  { header: 'pods', value: (row) => row.pods, align: 'right' },
  { header: 'agent', value: (row) => row.agent?.pid ?? null, align: 'right' },
  { header: 'restarts', value: (row) => row.agent?.restarts ?? null, align: 'right' },
];

const DEPLOYMENT_COLUMNS: readonly Column<DeploymentRow>[] = [
  { header: 'namespace', value: (row) => row.namespace },
  { header: 'name', value: (row) => row.name },
  { header: 'ready', value: (row) => `${row.ready}/${row.replicas}` },
];

const OBJECT_COLUMNS: readonly Column<ObjectRow>[] = [
  { header: 'kind', value: (row) => row.kind },
  { header: 'namespace', value: (row) => row.namespace },
  { header: 'name', value: (row) => row.name },
  { header: 'source', value: (row) => row.source },
];

/** Which rows are wanted; null: all. */
export interface Choice {
  readonly name: string | null;
  readonly namespace: string | null;
}

/** Prints what `get KIND` asks for; an unknown kind is looked for among the applied objects. Throws CliError when it is none. */
export async function printKind(
  listing: ClusterListing,
  kind: string,
  choice: Choice,
  format: OutputFormat,
): Promise<void> {
  const asked = kind.toLowerCase();
  const known =
    LISTED_KINDS.find((candidate) => candidate === asked) ??
    (Object.hasOwn(ALIASES, asked) ? ALIASES[asked] : undefined);
  switch (known) {
    case 'pods':
      return await print(select(listing.pods, POD_COLUMNS, choice, known), format);
    case 'services':
      return await print(select(listing.services, SERVICE_COLUMNS, choice, known), format);
    case 'nodes':
      return await print(select(listing.nodes, NODE_COLUMNS, choice, known), format);
    case 'deployments':
      return await print(select(listing.deployments, DEPLOYMENT_COLUMNS, choice, known), format);
    case 'objects':
      return await print(select(listing.objects, OBJECT_COLUMNS, choice, known), format);
    case undefined:
      return await print(select(objectsOfKind(listing, asked), OBJECT_COLUMNS, choice, asked), format);
  }
}

function objectsOfKind(listing: ClusterListing, asked: string): readonly ObjectRow[] {
  const found = listing.objects.filter(({ kind }) => {
    const own = kind.toLowerCase();
    return own === asked || `${own}s` === asked || (own.endsWith('y') && `${own.slice(0, -1)}ies` === asked);
  });
  if (found.length === 0) {
    const kinds = [...new Set(listing.objects.map(({ kind }) => kind.toLowerCase()))].sort().join(', ');
    throw new CliError(
      `nothing of kind ${asked} was applied; there are ${LISTED_KINDS.join(', ')}, and: ${kinds || 'no objects'}`,
    );
  }
  return found;
}

function select<Row extends { readonly name: string; readonly namespace?: string | null }>(
  all: readonly Row[],
  columns: readonly Column<Row>[],
  choice: Choice,
  what: string,
): Listing<Row> {
  const rows = all.filter(
    (row) =>
      (choice.name === null || row.name === choice.name) &&
      (choice.namespace === null || row.namespace === undefined || row.namespace === choice.namespace),
  );
  if (choice.name !== null && rows.length === 0) throw new CliError(`there is no ${choice.name} among the ${what}`);
  return { rows, columns, empty: `no ${what}${choice.namespace === null ? '' : ` in namespace ${choice.namespace}`}` };
}

function readyContainers(row: PodRow): string {
  const main = row.containers.filter((container) => !container.init);
  return `${main.filter((container) => container.ready).length}/${main.length}`;
}
