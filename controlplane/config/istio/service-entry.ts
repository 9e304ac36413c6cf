/** networking.istio.io ServiceEntry → the model's ServiceEntry, with the rules of Istio's own validation. */
import { canonicalIp, formatCidr, parseCidr } from '../../../mesh/ip.ts';
import type { PortProtocol } from '../../../mesh/model.ts';
import type { ServiceEntry, ServiceEntryEndpoint, ServiceEntryPort } from '../../../mesh/traffic-model.ts';
import type { FieldPath } from '../../finding.ts';
import { closestWord } from '../did-you-mean.ts';
import { PORT_NAME } from '../names.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import type { ObjectOrigin } from '../objects.ts';
import { protocolOf } from '../service.ts';
import { readExportTo, readHead, readWorkloadSelector, warnNotEnforced } from './object-head.ts';
import type { ServiceEntryObject } from './objects.ts';
import { readHost } from './string-match.ts';
import { readEndpoint } from './workload-entry.ts';

const HOSTS_MAX = 256;
const PORTS_MAX = 1_024;

const RESOLUTIONS = ['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'] as const;

/** Istio's protocol names; without case. */
const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  HTTP: 'http',
  HTTP_PROXY: 'http',
  'GRPC-WEB': 'http',
  'GRPC-WEB-PROTO': 'http',
  HTTP2: 'http2',
  GRPC: 'grpc',
  HTTPS: 'tls',
  TLS: 'tls',
  TCP: 'tcp',
  MONGO: 'tcp',
  REDIS: 'tcp',
  MYSQL: 'tcp',
};

/** Reads a ServiceEntry; whatever it returns is only to be used when no error was recorded. */
export function readServiceEntry(object: ObjectReader, origin: ObjectOrigin): ServiceEntryObject | null {
  const head = readHead(object);
  if (head === null) return null;
  const { meta, spec } = head;
  const { namespace, name, createdMs } = meta;
  const resolution = spec.choice('resolution', RESOLUTIONS) ?? 'NONE';
  const location = spec.choice('location', ['MESH_EXTERNAL', 'MESH_INTERNAL']) ?? 'MESH_EXTERNAL';
  const { hosts, hostPaths } = readHosts(spec);
  const addresses = readAddresses(spec, resolution);
  const ports = readPorts(spec);
  const workloadSelector = readWorkloadSelector(spec, 'labels');
  const endpoints = readEndpoints(spec, resolution, ports);
  const exportTo = readExportTo(spec, namespace, true);
  if (spec.has('subjectAltNames')) {
    spec.texts('subjectAltNames');
    warnNotEnforced(spec, 'subjectAltNames');
  }
  spec.finish();
  checkTogether(spec, resolution, hosts, ports);
  const resource: ServiceEntry = {
    kind: 'serviceEntry',
    namespace,
    name,
    hosts,
    addresses,
    ports,
    location,
    resolution,
    endpoints,
    workloads: [],
    exportTo,
  };
  return { kind: 'ServiceEntry', namespace, name, createdMs, resource, hostPaths, workloadSelector, origin };
}

function readHosts(spec: ObjectReader): {
  readonly hosts: readonly string[];
  readonly hostPaths: readonly FieldPath[];
} {
  const hosts: string[] = [];
  const hostPaths: FieldPath[] = [];
  const items = spec.list('hosts', HOSTS_MAX);
  if (items.length === 0 && !spec.problems.refused) spec.missing('hosts', 'add at least one host');
  for (const item of items) {
    const host = readHost(spec, item, { wildcard: true, any: false, address: false })?.toLowerCase() ?? null;
    if (host === null || hosts.includes(host)) continue;
    if (!host.includes('.')) {
      const remedy = `write it with a dot, such as ${host}.internal`;
      const reason = `${quote(host)} has no dot, and cannot be told from a Service`;
      spec.problems.error('UNSUPPORTED', item.path, reason, remedy);
    }
    hosts.push(host);
    hostPaths.push(item.path);
  }
  return { hosts, hostPaths };
}

function readAddresses(spec: ObjectReader, resolution: ServiceEntry['resolution']): string[] {
  const found: string[] = [];
  for (const item of spec.list('addresses')) {
    const text = spec.asText(item);
    if (text === null) continue;
    const block = parseCidr(text);
    const address = canonicalIp(text) ?? (block === null ? null : formatCidr(block));
    if (address === null) {
      const remedy = 'write an address or a block such as 10.0.0.0/8';
      spec.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
    } else if (text.includes('/') && resolution !== 'NONE' && resolution !== 'STATIC') {
      const remedy = 'write an address, or resolution NONE or STATIC';
      spec.problems.error('INVALID_VALUE', item.path, `is a block, and resolution is ${resolution}`, remedy);
    } else if (!found.includes(address)) found.push(address);
  }
  return found;
}

function readPorts(spec: ObjectReader): ServiceEntryPort[] {
  const ports: ServiceEntryPort[] = [];
  for (const reader of spec.objects('ports', PORTS_MAX)) {
    if (!reader.has('number')) reader.missing('number');
    const port = reader.has('number') ? reader.integer('number', 1, 65_535) : null;
    const name = reader.requiredText('name', PORT_NAME);
    const declared = reader.text('protocol');
    const targetPort = reader.integer('targetPort', 0, 65_535);
    reader.finish(['number']);
    if (port === null || name === null) continue;
    const protocol = readProtocol(reader, declared, name, port);
    for (const [field, taken] of [
      ['number', ports.some((each) => each.port === port)],
      ['name', ports.some((each) => each.name === name)],
    ] as const) {
      if (taken)
        reader.problems.error(
          'INVALID_VALUE',
          reader.at(field),
          'is there already',
          'a port has its own number and name',
        );
    }
    if (protocol === null) continue;
    ports.push({ port, name, protocol, targetPort: targetPort === null || targetPort === 0 ? port : targetPort });
  }
  return ports;
}

/** null: a port that the mesh leaves alone, or one that is wrong. */
function readProtocol(reader: ObjectReader, declared: string | null, name: string, port: number): PortProtocol | null {
  if (declared === null || declared === '') return protocolOf(null, name, port, port);
  const upper = declared.toUpperCase();
  if (Object.hasOwn(PROTOCOLS, upper)) return PROTOCOLS[upper] ?? null;
  const path = reader.at('protocol');
  if (upper === 'UDP') {
    reader.problems.warning('NO_EFFECT', path, 'the mesh leaves UDP alone', 'nothing to do');
    return null;
  }
  const close = closestWord(declared, Object.keys(PROTOCOLS));
  const remedy = close === null ? `write one of ${Object.keys(PROTOCOLS).join(', ')}` : `did you mean ${close}?`;
  reader.problems.error('INVALID_VALUE', path, `is ${quote(declared)}`, remedy);
  return null;
}

/** Endpoints with their ports by number. */
function readEndpoints(
  spec: ObjectReader,
  resolution: ServiceEntry['resolution'],
  ports: readonly ServiceEntryPort[],
): ServiceEntryEndpoint[] {
  const readers = spec.objects('endpoints');
  const { problems } = spec;
  if (readers.length > 0 && (resolution === 'NONE' || resolution === 'DYNAMIC_DNS')) {
    const remedy = 'write resolution STATIC or DNS, or remove endpoints';
    problems.error('INVALID_VALUE', spec.at('endpoints'), `do not belong to resolution ${resolution}`, remedy, 'key');
  }
  if (readers.length > 1 && resolution === 'DNS_ROUND_ROBIN') {
    const reason = `has ${readers.length} elements, and DNS_ROUND_ROBIN takes one`;
    problems.error('INVALID_VALUE', spec.at('endpoints'), reason, 'keep one, or write resolution DNS', 'key');
  }
  if (readers.length > 0 && spec.has('workloadSelector')) {
    problems.error('INVALID_VALUE', spec.at('endpoints'), 'stands beside workloadSelector', 'keep one of them', 'key');
  }
  if (spec.has('workloadSelector') && resolution === 'NONE') {
    const reason = 'selects workloads, and resolution NONE sends to the address that the client dials';
    problems.warning('NO_EFFECT', spec.at('workloadSelector'), reason, 'write resolution STATIC', 'key');
  }
  const dns = resolution !== 'STATIC';
  return readers.flatMap((reader) => {
    const endpoint = readEndpoint(reader, dns ? 'ip or host' : 'ip');
    if (endpoint === null) return [];
    for (const name of Object.keys(endpoint.ports)) {
      if (ports.some((port) => port.name === name)) continue;
      const remedy = `write one of ${ports.map((port) => port.name).join(', ')}`;
      problems.error('INVALID_VALUE', [...reader.at('ports'), name], `there is no port ${quote(name)}`, remedy, 'key');
    }
    return { ...endpoint, ports: portsByNumber(endpoint.ports, ports) };
  });
}

/** Ports of an endpoint by the entry's port numbers; those of names that the entry has not are left out. */
export function portsByNumber(
  named: Readonly<Record<string, number>>,
  ports: readonly ServiceEntryPort[],
): Record<string, number> {
  const numbered: Record<string, number> = {};
  for (const { name, port } of ports) {
    const target = Object.hasOwn(named, name) ? named[name] : undefined;
    if (target !== undefined) numbered[String(port)] = target;
  }
  return numbered;
}

/** What hosts, ports and resolution may be together. */
function checkTogether(
  spec: ObjectReader,
  resolution: ServiceEntry['resolution'],
  hosts: readonly string[],
  ports: readonly ServiceEntryPort[],
): void {
  const { problems } = spec;
  const byName = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
  const wildcard = hosts.findIndex((host) => host.startsWith('*'));
  if (byName && wildcard >= 0 && !spec.has('endpoints')) {
    const reason = `is a wildcard, which resolution ${resolution} cannot resolve`;
    problems.error('INVALID_VALUE', [...spec.at('hosts'), wildcard], reason, 'write resolution NONE, or add endpoints');
  }
  if (resolution === 'DYNAMIC_DNS' && wildcard >= 0) {
    const reason = 'is a wildcard, and names are not looked up request by request';
    const remedy = 'write each host, or resolution NONE';
    problems.error('UNSUPPORTED', [...spec.at('hosts'), wildcard], reason, remedy);
  }
  if (resolution === 'STATIC' && wildcard >= 0 && !spec.has('endpoints') && !spec.has('workloadSelector')) {
    const reason = 'is a wildcard without endpoints, so resolution STATIC leads nowhere';
    problems.error('INVALID_VALUE', [...spec.at('hosts'), wildcard], reason, 'write resolution NONE, or add endpoints');
  }
  if (resolution !== 'NONE' && hosts.length > 1) {
    const plain = ports.find((port) => port.protocol === 'tcp' || port.protocol === 'detect');
    if (plain !== undefined) {
      const reason = `has ${hosts.length} hosts, which clients of the port ${plain.name} cannot tell apart`;
      problems.error(
        'INVALID_VALUE',
        spec.at('hosts'),
        reason,
        'declare it HTTP or TLS, or write one ServiceEntry per host',
        'key',
      );
    }
  }
}
