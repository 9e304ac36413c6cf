/**
 * networking.istio.io VirtualService (v1, v1beta1, v1alpha3) → VirtualServiceObject, with the rules of Istio's own validation. It is
 * taken whole or not at all: a field that is unknown or that weir cannot honour refuses it, unless leaving it out only loses a
 * refinement (NOT_ENFORCED).
 */
import { limits } from '../../limits.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import type { ObjectOrigin } from '../objects.ts';
import { concernsMesh } from './gateways.ts';
import { hostsOverlap, wholeHost } from './hosts.ts';
import { readHttpRule } from './http-rule.ts';
import { readExportTo, readHead } from './object-head.ts';
import type { HostReference, VirtualServiceObject } from './objects.ts';
import { readStreamRule } from './stream-rule.ts';
import { readHost } from './string-match.ts';

/** Hosts of one VirtualService: all are compared with each other. */
const HOSTS_MAX = 256;

/** Reads a VirtualService; whatever it returns is only to be used when no error was recorded. */
export function readVirtualService(object: ObjectReader, origin: ObjectOrigin): VirtualServiceObject | null {
  const head = readHead(object);
  if (head === null) return null;
  const { meta, spec } = head;
  const { namespace, name, createdMs } = meta;
  const isDelegate = spec.list('hosts', HOSTS_MAX).length === 0;
  if (isDelegate) checkDelegate(spec);
  const mesh = concernsMesh(spec, 'the VirtualService');
  const hosts = readHosts(spec, namespace, mesh);
  const clients = readExportTo(spec, namespace);
  const context = { namespace, mesh, isDelegate, hosts: hosts.map(({ host }) => host) };
  const http = spec.objects('http', limits.routeRulesMax).map((rule) => readHttpRule(rule, context));
  const tls = spec.objects('tls', limits.routeRulesMax).map((rule) => readStreamRule('tls', rule, context));
  const tcp = spec.objects('tcp', limits.routeRulesMax).map((rule) => readStreamRule('tcp', rule, context));
  spec.finish();
  if (http.length + tls.length + tcp.length === 0 && !spec.problems.refused) {
    spec.missing('http', 'add http, tls or tcp with a rule');
  }
  warnUnreachable(spec, 'http', http);
  warnUnreachable(spec, 'tcp', tcp);
  return { kind: 'VirtualService', namespace, name, createdMs, hosts, mesh, clients, http, tls, tcp, origin };
}

/** What others delegate to has rules and nothing else (Istio). */
function checkDelegate(spec: ObjectReader): void {
  for (const field of ['gateways', 'tls', 'tcp']) {
    if (!spec.has(field)) continue;
    const reason = 'stands in a VirtualService without hosts, which others delegate to';
    spec.problems.error('INVALID_VALUE', spec.at(field), reason, `remove ${field}, or add hosts`, 'key');
  }
}

function readHosts(spec: ObjectReader, namespace: string, mesh: boolean): HostReference[] {
  const found: HostReference[] = [];
  for (const item of spec.list('hosts', HOSTS_MAX)) {
    const text = readHost(spec, item, { wildcard: true, any: !mesh, address: true });
    if (text === null) continue;
    const host = wholeHost(text, namespace);
    const before = found.find((other) => hostsOverlap(other.host, host));
    if (before === undefined) found.push({ host, path: item.path });
    else
      spec.problems.error(
        'INVALID_VALUE',
        item.path,
        `${quote(text)} overlaps ${before.host}`,
        'remove one of the two',
      );
  }
  return found;
}

/** The first rule that matches decides, so whatever stands below one that always does is never asked. */
function warnUnreachable(
  spec: ObjectReader,
  field: string,
  rules: readonly { readonly matches: readonly unknown[]; readonly matchesNothing: boolean }[],
): void {
  const first = rules.findIndex((rule) => rule.matches.length === 0 && !rule.matchesNothing);
  if (first < 0) return;
  for (const index of rules.keys()) {
    if (index <= first) continue;
    const reason = `is never reached: ${field}[${first}] matches everything`;
    spec.problems.warning('NO_EFFECT', [...spec.at(field), index], reason, 'move it above that rule', 'key');
  }
}
