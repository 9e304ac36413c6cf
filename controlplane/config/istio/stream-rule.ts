/** Entries of `tls` and `tcp` of a VirtualService, valid in themselves. */
import { formatCidr, parseCidr, parseIp } from '../../../mesh/ip.ts';
import type { StreamRouteMatch } from '../../../mesh/route-model.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { readWeights, requiredDestination } from './destination-reference.ts';
import { concernsMesh } from './gateways.ts';
import { hostWithin } from './hosts.ts';
import { readClientMatch } from './http-match.ts';
import type { StreamRuleObject } from './objects.ts';
import { readHost } from './string-match.ts';

/** Matches, destinations and names of one rule. */
const ELEMENTS_MAX = 128;

/** The VirtualService a rule stands in. */
export interface StreamContext {
  readonly namespace: string;
  /** False: it is for gateways alone. */
  readonly mesh: boolean;
  /** Its hosts, whole. */
  readonly hosts: readonly string[];
}

/** Reads an entry of `tls` or `tcp`. */
export function readStreamRule(kind: 'tls' | 'tcp', rule: ObjectReader, context: StreamContext): StreamRuleObject {
  const written = rule.objects('match', ELEMENTS_MAX);
  const matches = written.flatMap((reader) => readMatch(kind, reader, context) ?? []);
  if (kind === 'tls' && written.length === 0 && !rule.problems.refused) {
    rule.missing('match', 'add match with sniHosts');
  }
  const readers = rule.objects('route', ELEMENTS_MAX);
  if (readers.length === 0 && !rule.problems.refused) rule.missing('route', 'add route with a destination');
  const weights = readWeights(rule, 'route', readers);
  const destinations = readers.flatMap((reader, index) => {
    const destination = requiredDestination(reader, context.namespace);
    reader.finish();
    return destination === null ? [] : [{ destination, weight: weights[index] ?? 0 }];
  });
  rule.finish();
  return { matches, matchesNothing: written.length > 0 && matches.length === 0, destinations };
}

/** null: it cannot hold in the mesh (and a finding says why), or it is wrong. */
function readMatch(kind: 'tls' | 'tcp', reader: ObjectReader, context: StreamContext): StreamRouteMatch | null {
  const hostnames = kind === 'tls' ? readNames(reader, context) : [];
  // Without names the match would be for every connection.
  const nameless = kind === 'tls' && hostnames.length === 0;
  const destinationBlocks = reader.list('destinationSubnets', ELEMENTS_MAX).flatMap((item) => {
    const text = reader.asText(item);
    const block = text === null ? null : parseCidr(text);
    if (block !== null) return formatCidr(block);
    if (text === null) return [];
    const remedy = 'write an address or a block such as 10.0.0.0/8';
    reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
    return [];
  });
  const port = reader.integer('port', 0, 65_535);
  const client = readClientMatch(reader);
  if (kind === 'tcp') reader.unsupported('sourceSubnet');
  const mesh = concernsMesh(reader, 'the match', context.mesh);
  reader.finish();
  return mesh && !nameless ? { hostnames, destinationBlocks, port: port === 0 ? null : port, client } : null;
}

function readNames(reader: ObjectReader, context: StreamContext): string[] {
  const items = reader.list('sniHosts', ELEMENTS_MAX);
  if (items.length === 0 && !reader.problems.refused) reader.missing('sniHosts', 'add the server names');
  return items.flatMap((item) => {
    const text = readHost(reader, item, { wildcard: true, any: !context.mesh, address: true })?.toLowerCase() ?? null;
    if (text === null) return [];
    if (parseIp(text) !== null) {
      const remedy = 'remove it: a server name is a host name (RFC 6066)';
      reader.problems.warning('NO_EFFECT', item.path, `clients send no address as server name`, remedy);
      return [];
    }
    if (!context.hosts.some((host) => hostWithin(text, host))) {
      const remedy = `write one of ${context.hosts.join(', ')}, or a name below it`;
      reader.problems.error('INVALID_VALUE', item.path, `${quote(text)} is within none of the hosts`, remedy);
    }
    return text;
  });
}
