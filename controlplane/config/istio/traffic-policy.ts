/**
 * `trafficPolicy` of a DestinationRule, its subsets and its ports: validated as Istio does, carried as far as the mesh model has a
 * place for it, and reported field by field as not enforced yet.
 */
import type { TrafficPolicy } from '../../../mesh/traffic-model.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { readDuration, warnNotEnforced } from './object-head.ts';
import { readConsistentHash, readLocality } from './load-balancing.ts';

const FIELDS = ['loadBalancer', 'connectionPool', 'outlierDetection', 'tls', 'tunnel', 'proxyProtocol', 'retryBudget'];
/** Largest count of connections, requests and the like (int32 in Istio). */
const COUNT_MAX = 2_147_483_647;
/** Ports of one policy. */
const PORTS_MAX = 128;

/** A policy, and those of single ports by their number. */
export interface ReadPolicy {
  readonly policy: TrafficPolicy;
  readonly ports: Readonly<Record<string, TrafficPolicy>>;
}

/** `trafficPolicy` of a rule or subset; null when it is absent. */
export function readTrafficPolicy(owner: ObjectReader): ReadPolicy | null {
  const reader = owner.object('trafficPolicy');
  if (reader === null) return null;
  const policy = readPolicy(reader);
  const ports = readPorts(reader);
  reader.finish();
  if (reader.isEmpty) {
    reader.problems.error('INVALID_VALUE', reader.path, 'has no field', `add one of ${FIELDS.join(', ')}`, 'key');
  }
  if (reader.has('tunnel') && reader.has('proxyProtocol')) {
    reader.problems.error('INVALID_VALUE', reader.at('proxyProtocol'), 'stands beside tunnel', 'keep one', 'key');
  }
  return { policy, ports };
}

function readPorts(reader: ObjectReader): Record<string, TrafficPolicy> {
  if (reader.has('portLevelSettings')) warnNotEnforced(reader, 'portLevelSettings');
  const ports: Record<string, TrafficPolicy> = {};
  for (const setting of reader.objects('portLevelSettings', PORTS_MAX)) {
    const selector = setting.object('port');
    const number = selector?.integer('number', 1, 65_535) ?? null;
    selector?.finish();
    if (!setting.has('port')) setting.missing('port', 'add port: {number: …}');
    // Said once for all of portLevelSettings.
    const policy = readPolicy(setting, false);
    setting.finish();
    if (number !== null && !Object.hasOwn(ports, String(number))) ports[String(number)] = policy;
  }
  return ports;
}

function readPolicy(reader: ObjectReader, report = true): TrafficPolicy {
  for (const field of report ? FIELDS : []) if (reader.has(field)) warnNotEnforced(reader, field);
  const loadBalancer = readLoadBalancer(reader);
  const pool = readPool(reader);
  const outlier = readOutlier(reader);
  const tlsMode = readTls(reader);
  readTunnel(reader);
  const proxyProtocol = reader.object('proxyProtocol');
  proxyProtocol?.choice('version', ['V1', 'V2']);
  proxyProtocol?.finish();
  const budget = reader.object('retryBudget');
  budget?.take('percent');
  budget?.integer('minRetryConcurrency', 0, COUNT_MAX);
  budget?.finish();
  return { loadBalancer, tlsMode, ...pool, outlier };
}

function readLoadBalancer(owner: ObjectReader): TrafficPolicy['loadBalancer'] {
  const reader = owner.object('loadBalancer');
  if (reader === null) return 'UNSPECIFIED';
  const names = ['UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM', 'PASSTHROUGH', 'LEAST_CONN'] as const;
  const simple = reader.choice('simple', names);
  const hash = reader.object('consistentHash');
  const locality = reader.object('localityLbSetting');
  readDuration(reader, 'warmupDurationSecs');
  const warmup = reader.object('warmup');
  if (warmup !== null) {
    readDuration(warmup, 'duration');
    for (const field of ['minimumPercent', 'aggression']) warmup.take(field);
    warmup.finish();
  }
  reader.finish();
  if (locality !== null) readLocality(locality);
  if (hash === null) return simple === 'LEAST_CONN' ? 'LEAST_REQUEST' : (simple ?? 'UNSPECIFIED');
  if (simple !== null) {
    reader.problems.error('INVALID_VALUE', reader.at('consistentHash'), 'stands beside simple', 'keep one', 'key');
  }
  readConsistentHash(hash);
  return 'CONSISTENT_HASH';
}

type Pool = Pick<
  TrafficPolicy,
  'maxConnections' | 'maxPendingRequests' | 'maxRequests' | 'connectTimeoutMs' | 'idleTimeoutMs'
>;

function readPool(owner: ObjectReader): Pool {
  const reader = owner.object('connectionPool');
  const tcp = reader?.object('tcp') ?? null;
  const http = reader?.object('http') ?? null;
  reader?.finish();
  if (reader !== null && tcp === null && http === null && !reader.problems.refused) {
    reader.problems.error('INVALID_VALUE', reader.path, 'has no field', 'add tcp or http', 'key');
  }
  return { ...readTcpPool(tcp), ...readHttpPool(http) };
}

function readTcpPool(tcp: ObjectReader | null): Pick<Pool, 'maxConnections' | 'connectTimeoutMs'> {
  if (tcp === null) return { maxConnections: null, connectTimeoutMs: null };
  const maxConnections = tcp.integer('maxConnections', 0, COUNT_MAX);
  const connectTimeoutMs = readDuration(tcp, 'connectTimeout');
  readDuration(tcp, 'maxConnectionDuration');
  readDuration(tcp, 'idleTimeout', { minMs: 0 });
  const keepalive = tcp.object('tcpKeepalive');
  if (keepalive !== null) {
    keepalive.integer('probes', 0, COUNT_MAX);
    for (const field of ['time', 'interval']) readDuration(keepalive, field);
    keepalive.finish();
  }
  tcp.finish();
  return { maxConnections, connectTimeoutMs };
}

function readHttpPool(http: ObjectReader | null): Pick<Pool, 'maxPendingRequests' | 'maxRequests' | 'idleTimeoutMs'> {
  if (http === null) return { maxPendingRequests: null, maxRequests: null, idleTimeoutMs: null };
  const maxPendingRequests = http.integer('http1MaxPendingRequests', 0, COUNT_MAX);
  const maxRequests = http.integer('http2MaxRequests', 0, COUNT_MAX);
  const idleTimeoutMs = readDuration(http, 'idleTimeout', { minMs: 0 });
  for (const field of ['maxRequestsPerConnection', 'maxRetries', 'maxConcurrentStreams'])
    http.integer(field, 0, COUNT_MAX);
  http.choice('h2UpgradePolicy', ['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE']);
  http.flag('useClientProtocol');
  http.finish();
  // 0s: no limit.
  return { maxPendingRequests, maxRequests, idleTimeoutMs: idleTimeoutMs === 0 ? null : idleTimeoutMs };
}

function readOutlier(owner: ObjectReader): TrafficPolicy['outlier'] {
  const reader = owner.object('outlierDetection');
  if (reader === null) return null;
  const { problems } = reader;
  const split = reader.flag('splitExternalLocalOriginErrors') ?? false;
  const local = reader.integer('consecutiveLocalOriginFailures', 0, COUNT_MAX) ?? 0;
  if (!split && local > 0) {
    const remedy = 'add splitExternalLocalOriginErrors: true';
    problems.error('INVALID_VALUE', reader.at('consecutiveLocalOriginFailures'), 'is not counted apart', remedy, 'key');
  }
  if (reader.has('consecutiveErrors')) {
    const remedy = 'write consecutive5xxErrors';
    problems.warning(
      'DEPRECATED',
      reader.at('consecutiveErrors'),
      'consecutiveErrors is gone from Istio',
      remedy,
      'key',
    );
  }
  reader.integer('consecutiveErrors', 0, COUNT_MAX);
  reader.integer('consecutiveGatewayErrors', 0, COUNT_MAX);
  reader.integer('minHealthPercent', 0, 100);
  const outlier = {
    consecutive5xxErrors: reader.integer('consecutive5xxErrors', 0, COUNT_MAX) ?? 5,
    intervalMs: readDuration(reader, 'interval') ?? 10_000,
    baseEjectionMs: readDuration(reader, 'baseEjectionTime') ?? 30_000,
    maxEjectionPercent: reader.integer('maxEjectionPercent', 0, 100) ?? 10,
  };
  reader.finish();
  return outlier;
}

function readTls(owner: ObjectReader): TrafficPolicy['tlsMode'] {
  const reader = owner.object('tls');
  if (reader === null) return 'UNSET';
  const mode = reader.choice('mode', ['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL']) ?? 'DISABLE';
  const files = ['clientCertificate', 'privateKey', 'caCertificates'];
  for (const field of [...files, 'credentialName', 'sni', 'caCrl']) reader.text(field);
  reader.texts('subjectAltNames');
  reader.flag('insecureSkipVerify');
  reader.finish();
  const { problems } = reader;
  const credential = reader.has('credentialName');
  for (const field of files) {
    if (mode === 'MUTUAL' && !credential && !reader.has(field) && field !== 'caCertificates') {
      reader.missing(field, `add ${field} or credentialName`);
    } else if (reader.has(field) && (credential || mode === 'ISTIO_MUTUAL')) {
      const reason = credential ? 'stands beside credentialName' : 'does not belong to ISTIO_MUTUAL';
      problems.error('INVALID_VALUE', reader.at(field), reason, `remove ${field}`, 'key');
    }
  }
  return mode;
}

function readTunnel(owner: ObjectReader): void {
  const reader = owner.object('tunnel');
  if (reader === null) return;
  reader.choice('protocol', ['CONNECT', 'POST']);
  const host = reader.requiredText('targetHost');
  if (host === '') reader.problems.error('INVALID_VALUE', reader.at('targetHost'), `is ${quote(host)}`, 'write a host');
  if (!reader.has('targetPort')) reader.missing('targetPort');
  reader.integer('targetPort', 1, 65_535);
  reader.finish();
}
