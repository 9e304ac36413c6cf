/**
 * Process ids and namespace paths as the caller sees them. A command started by the sandbox's COMMAND lives inside and uses
 * them as they are; another shell sees other numbers for the same processes and another /run.
 */
import type { ClusterListing, ContainerRow } from './listing.ts';
import { allProcesses, parentOf, statusField } from './processes.ts';
import { type FoundSandbox, isInside } from './registry.ts';

/** Turns the sandbox's numbers into the caller's; unknown ones become null. */
export interface Translation {
  pid(inner: number): number | null;
  path(inner: string): string;
}

/** Translation for the calling process; reads /proc once. */
export function translationFor(sandbox: FoundSandbox): Translation {
  const { record } = sandbox;
  if (isInside(record)) return { pid: (inner) => inner, path: (inner) => inner };
  const init = record.initPid;
  if (init === null) return { pid: () => null, path: (inner) => inner };
  const known = innerToOuter(init);
  // Resolves in the mount namespace of PID 1 inside, which has the sandbox's /run (proc_pid_root(5)).
  return { pid: (inner) => known.get(inner) ?? null, path: (inner) => `/proc/${init}/root${inner}` };
}

/** Every process below PID 1 of the sandbox: its number inside to its number here. */
function innerToOuter(init: number): Map<number, number> {
  const depth = namespacePids(init).length - 1;
  const inside = new Set([init]);
  const map = new Map<number, number>();
  // Parents have not always the smaller number, so collect all before deciding.
  const processes = allProcesses();
  const parents = new Map(processes.map((pid) => [pid, parentOf(pid)] as const));
  const isBelow = (pid: number): boolean => {
    const chain: number[] = [];
    for (let at: number | null | undefined = pid; at !== null && at !== undefined && at > 0; at = parents.get(at)) {
      if (inside.has(at)) {
        for (const member of chain) inside.add(member);
        return true;
      }
      chain.push(at);
    }
    return false;
  };
  for (const pid of processes) {
    const inner = isBelow(pid) ? namespacePids(pid)[depth] : undefined;
    if (inner !== undefined) map.set(inner, pid);
  }
  return map;
}

/** The process's number in each PID namespace from the reader's down to its own (NSpid of proc_pid_status(5)). */
function namespacePids(pid: number): number[] {
  return (statusField(pid, 'NSpid') ?? '').split(/\s+/).filter(Boolean).map(Number);
}

/** A listing with everything translated for the caller. */
export function translateListing(listing: ClusterListing, to: Translation): ClusterListing {
  const pid = (inner: number | null): number | null => (inner === null ? null : to.pid(inner));
  const container = (row: ContainerRow): ContainerRow => ({ ...row, pid: pid(row.pid) });
  return {
    ...listing,
    pods: listing.pods.map((row) => ({
      ...row,
      pid: pid(row.pid),
      netns: to.path(row.netns),
      containers: row.containers.map(container),
    })),
    nodes: listing.nodes.map((row) => ({
      ...row,
      netns: to.path(row.netns),
      agent: row.agent && { ...row.agent, pid: pid(row.agent.pid) },
    })),
    controller: listing.controller && { ...listing.controller, pid: pid(listing.controller.pid) },
  };
}
