/** Turns what the agent holds into the documents of api.ts. Pure. */
import { selectorMatches } from '../../mesh/label-selector.ts';
import { keyOf, type MeshResource, principalOf, type Service, type Workload } from '../../mesh/model.ts';
import type { Enrolled } from '../capture/enrolment-types.ts';
import { interceptionModeOf } from '../capture/interception.ts';
import type { CaptureReport } from '../capture/verify.ts';
import { DURATION_BUCKETS_MS } from '../ipc/messages.ts';
import type { PodEntry } from '../supervisor/pod-table.ts';
import {
  HTTP_BUCKETS,
  HTTP_DURATION_SUM_MS,
  HTTP_REQUEST_BYTES,
  HTTP_REQUESTS,
  HTTP_RESPONSE_BYTES,
  POD_BYTES_IN,
  POD_BYTES_OUT,
  POD_CPU_MS,
  POD_OPENED,
  POD_REFUSED,
  POD_REQUESTS,
  POD_SHED,
  type StatsLedger,
  TCP_CLOSED,
  TCP_OPENED,
  TCP_RECEIVED_BYTES,
  TCP_SENT_BYTES,
} from '../telemetry/stats-ledger.ts';
import type {
  PodDocument,
  PodStatsDocument,
  PolicyDocument,
  PolicyResource,
  RouteDocument,
  ServiceDocument,
  StatsDocument,
  VerifyCheck,
  VerifyDocument,
} from './api.ts';

/** Order of every list: by namespace, then name, the same on each call. */
function byName(a: { namespace: string; name: string }, b: { namespace: string; name: string }): number {
  return a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name);
}

export function serviceDocuments(resources: readonly MeshResource[]): ServiceDocument[] {
  const services = resources.filter((resource): resource is Service => resource.kind === 'service');
  const backing = new Map<string, { ready: number; total: number }>();
  const attached = new Map<string, string[]>();
  for (const resource of resources) {
    if (resource.kind === 'workload') countEndpoint(resource, backing);
    if (!isRoute(resource)) continue;
    for (const parent of resource.parents) {
      const key = `${parent.namespace}/${parent.name}`;
      attached.set(key, [...(attached.get(key) ?? []), keyOf(resource).key]);
    }
  }
  return services.sort(byName).map(({ namespace, name, hostname, addresses, ports }) => {
    const key = `${namespace}/${name}`;
    const endpoints = backing.get(key) ?? { ready: 0, total: 0 };
    const routes = [...new Set(attached.get(key) ?? [])].sort();
    return { namespace, name, hostname, addresses, ports, endpoints, routes };
  });
}

function countEndpoint(workload: Workload, backing: Map<string, { ready: number; total: number }>): void {
  for (const service of Object.keys(workload.services)) {
    const endpoints = backing.get(service) ?? { ready: 0, total: 0 };
    endpoints.total += 1;
    if (workload.ready && workload.addresses.length > 0) endpoints.ready += 1;
    backing.set(service, endpoints);
  }
}

export function routeDocuments(resources: readonly MeshResource[]): RouteDocument[] {
  return resources.filter(isRoute).sort((a, b) => byName(a, b) || a.kind.localeCompare(b.kind));
}

function isRoute(resource: MeshResource): resource is RouteDocument {
  return resource.kind === 'httpRoute' || resource.kind === 'tlsRoute' || resource.kind === 'tcpRoute';
}

/** @param localUids pods of this node; a policy's `appliesTo` names those in its scope. */
export function policyDocuments(resources: readonly MeshResource[], localUids: ReadonlySet<string>): PolicyDocument[] {
  const local = resources.filter(
    (resource): resource is Workload => resource.kind === 'workload' && localUids.has(resource.uid),
  );
  const policies = resources.filter(isPolicy);
  return policies
    .sort((a, b) => byName(a, b) || a.kind.localeCompare(b.kind))
    .map((policy) => {
      const inScope = local.filter((workload) => isInScope(policy, workload));
      return { ...policy, appliesTo: inScope.map((workload) => `${workload.namespace}/${workload.name}`).sort() };
    });
}

function isPolicy(resource: MeshResource): resource is PolicyResource {
  switch (resource.kind) {
    case 'authorizationPolicy':
    case 'peerAuthentication':
    case 'requestAuthentication':
    case 'networkPolicy':
      return true;
    default:
      return false;
  }
}

/** Istio's scope: root namespace = whole mesh, else the policy's namespace; selector or targetRefs narrow it. */
function isInScope(policy: PolicyResource, workload: Workload): boolean {
  if (policy.kind === 'networkPolicy') {
    return policy.namespace === workload.namespace && selectorMatches(policy.podSelector, workload.labels);
  }
  if (!policy.meshWide && policy.namespace !== workload.namespace) return false;
  if (policy.kind !== 'peerAuthentication' && policy.targetServices.length > 0) {
    return policy.targetServices.some((service) => Object.hasOwn(workload.services, service));
  }
  const labels = Object.entries(policy.selector ?? {});
  return labels.every(([name, value]) => workload.labels[name] === value);
}

export interface PodFacts {
  readonly enrolled: readonly Enrolled[];
  entryOf(index: number): PodEntry | null;
  workloadOf(uid: string): Workload | null;
  /** `ip,tcp:port` of what bypasses the agent. */
  bypassOf(enrolled: Enrolled): readonly string[];
  /** Slots of workers that serve now; each must listen for a captured pod. */
  readonly servingSlots: readonly number[];
  readonly trustDomain: string;
  readonly ledger: StatsLedger;
}

/** Why the pod is not captured in every way; null when it is. */
export function podProblem(enrolled: Enrolled, entry: PodEntry | null, servingSlots: readonly number[]): string | null {
  if (enrolled.problem !== null) return enrolled.problem;
  if (servingSlots.length === 0) return 'no worker serves';
  for (const slot of servingSlots) {
    const state = entry?.listeners.get(slot);
    if (state === undefined) return `worker ${slot} does not listen yet`;
    if (state !== null) return `worker ${slot}: ${state}`;
  }
  return null;
}

export function podDocuments(facts: PodFacts): PodDocument[] {
  const stats = new Map(podStatsDocuments(facts.ledger).map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const documents = facts.enrolled.map((enrolled): PodDocument => {
    const { uid, namespace, name, serviceAccount, addresses } = enrolled.pod;
    const counted = stats.get(`${namespace}/${name}`);
    const problem = podProblem(enrolled, facts.entryOf(enrolled.index), facts.servingSlots);
    return {
      namespace,
      name,
      uid,
      serviceAccount,
      principal: principalOf({ trustDomain: facts.trustDomain, namespace, serviceAccount }),
      addresses,
      workload: facts.workloadOf(uid)?.workloadName ?? '',
      captured: problem === null,
      problem,
      index: enrolled.index,
      netns: enrolled.netnsPath,
      interceptionMode: interceptionModeOf(enrolled.annotations),
      bypass: facts.bypassOf(enrolled),
      enrolledAt: new Date(enrolled.enrolledAtMs).toISOString(),
      cpuMs: counted?.cpuMs ?? 0,
      connections: counted?.connections ?? 0,
      requests: counted?.requests ?? 0,
      bytesIn: counted?.bytesIn ?? 0,
      bytesOut: counted?.bytesOut ?? 0,
      requestsInFlight: counted?.requestsInFlight ?? 0,
      pendingConnections: counted?.pendingConnections ?? 0,
      bufferedBytes: counted?.bufferedBytes ?? 0,
      shed: counted?.shed ?? {},
    };
  });
  return documents.sort(byName);
}

/**
 * The value below which `quantile` (0 to 1) of the observations lie, as Prometheus' histogram_quantile estimates it: linear
 * inside a bucket; the largest finite bound when it lies beyond. `buckets` are cumulative per DURATION_BUCKETS_MS.
 */
export function quantileMs(quantile: number, buckets: ArrayLike<number>, total: number): number | null {
  if (total <= 0) return null;
  const rank = quantile * total;
  let below = 0;
  let lower = 0;
  for (let i = 0; i < DURATION_BUCKETS_MS.length; i++) {
    const upper = DURATION_BUCKETS_MS[i] ?? lower;
    const upTo = buckets[i] ?? 0;
    if (upTo >= rank) return upTo === below ? upper : lower + ((upper - lower) * (rank - below)) / (upTo - below);
    below = upTo;
    lower = upper;
  }
  return lower;
}

function podStatsDocuments(ledger: StatsLedger): PodStatsDocument[] {
  const levels = ledger.podLevels();
  const documents: PodStatsDocument[] = [];
  for (const { labels, values } of ledger.pods.totals()) {
    const namespace = labels['namespace'] ?? '';
    const name = labels['pod'] ?? '';
    const now = levels.get(`${namespace}/${name}`);
    documents.push({
      namespace,
      name,
      cpuMs: values[POD_CPU_MS] ?? 0,
      bytesIn: values[POD_BYTES_IN] ?? 0,
      bytesOut: values[POD_BYTES_OUT] ?? 0,
      requests: values[POD_REQUESTS] ?? 0,
      connections: now?.connections ?? 0,
      connectionsOpened: values[POD_OPENED] ?? 0,
      refused: values[POD_REFUSED] ?? 0,
      requestsInFlight: now?.requests ?? 0,
      pendingConnections: now?.pending ?? 0,
      bufferedBytes: now?.bufferedBytes ?? 0,
      shed: nonZero(Object.fromEntries(POD_SHED.map(([bound, index]) => [bound, values[index] ?? 0]))),
    });
  }
  return documents.sort(byName);
}

/** @param bounds and @param events totals of workers and supervisor; only those above zero are shown. */
export function statsDocument(
  node: string,
  ledger: StatsLedger,
  bounds: Readonly<Record<string, number>>,
  events: Readonly<Record<string, number>>,
): StatsDocument {
  const http = [...ledger.http.totals()].map(({ labels, values }) => {
    const requests = values[HTTP_REQUESTS] ?? 0;
    const buckets = values.subarray(HTTP_BUCKETS);
    return {
      labels,
      requests,
      durationSumMs: values[HTTP_DURATION_SUM_MS] ?? 0,
      p50Ms: quantileMs(0.5, buckets, requests),
      p99Ms: quantileMs(0.99, buckets, requests),
      requestBytes: values[HTTP_REQUEST_BYTES] ?? 0,
      responseBytes: values[HTTP_RESPONSE_BYTES] ?? 0,
    };
  });
  const tcp = [...ledger.tcp.totals()].map(({ labels, values }) => ({
    labels,
    opened: values[TCP_OPENED] ?? 0,
    closed: values[TCP_CLOSED] ?? 0,
    sentBytes: values[TCP_SENT_BYTES] ?? 0,
    receivedBytes: values[TCP_RECEIVED_BYTES] ?? 0,
  }));
  return { node, http, tcp, pods: podStatsDocuments(ledger), bounds: nonZero(bounds), events: nonZero(events) };
}

export function nonZero(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value > 0));
}

/** Rules and listeners are one check of their own, before the attempts. */
export function verifyDocument(enrolled: Enrolled, report: CaptureReport): VerifyDocument {
  const present = report.missing.length === 0;
  const rules: VerifyCheck = {
    check: 'rules',
    ok: present,
    skipped: false,
    detail: present ? 'rules and listeners are there' : report.missing.join('; '),
  };
  const attempts = report.directions.map(
    ({ direction, family, outcome, detail }): VerifyCheck => ({
      check: `${direction} v${family}`,
      ok: outcome !== 'failed',
      skipped: outcome === 'skipped',
      detail,
    }),
  );
  const { namespace, name } = enrolled.pod;
  return { namespace, name, ok: report.ok, checks: [rules, ...attempts] };
}
