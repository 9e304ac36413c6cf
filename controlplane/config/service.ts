/** core/v1 Service → ServiceObject. */
import { canonicalIp } from '../../mesh/ip.ts';
import type { PortProtocol } from '../../mesh/model.ts';
import { readMetadata } from './metadata.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME, PORT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ServiceObject, ServiceObjectPort } from './objects.ts';

const SPEC_FIELDS =
  'allocateLoadBalancerNodePorts externalIPs externalTrafficPolicy healthCheckNodePort ipFamilies ipFamilyPolicy ' +
  'loadBalancerClass loadBalancerIP loadBalancerSourceRanges sessionAffinityConfig';

/** spec.trafficDistribution; PreferClose is the earlier name of PreferSameZone (Kubernetes 1.34). */
const DISTRIBUTIONS = {
  PreferClose: 'PreferSameZone',
  PreferSameZone: 'PreferSameZone',
  PreferSameNode: 'PreferSameNode',
} as const;
const DISTRIBUTION_NAMES = ['PreferSameZone', 'PreferSameNode', 'PreferClose'] as const;

/** Ports whose servers speak first: waiting for the client's bytes would stall them (Linkerd's default opaque ports). */
const SERVER_FIRST_PORTS = new Set([25, 587, 3306, 4444, 5432, 6379, 9300, 11_211]);

/** Kubernetes' appProtocol (KEP-3726), Istio's names and Istio's port name prefixes. */
const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  http: 'http',
  'kubernetes.io/ws': 'http',
  'grpc-web': 'http',
  http2: 'http2',
  'kubernetes.io/h2c': 'http2',
  grpc: 'grpc',
  tcp: 'tcp',
  tls: 'tls',
  https: 'tls',
  'kubernetes.io/wss': 'tls',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
};

/** Reads a Service; null when it is not usable. */
export function readService(object: ObjectReader): ServiceObject | null {
  const metadata = object.object('metadata');
  if (metadata === null) {
    if (!object.has('metadata')) object.missing('metadata');
    return null;
  }
  const meta = readMetadata(metadata, LABEL_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status']);
  if (spec === null) {
    if (!object.has('spec')) object.missing('spec');
    return null;
  }
  const type = spec.choice('type', ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']) ?? 'ClusterIP';
  const addresses = readAddresses(spec);
  const selector = spec.has('selector') ? spec.textMap('selector', LABEL_KEY, LABEL_VALUE) : null;
  const publishNotReadyAddresses = spec.flag('publishNotReadyAddresses') ?? false;
  const internalTrafficPolicy = spec.choice('internalTrafficPolicy', ['Cluster', 'Local']) ?? 'Cluster';
  const distribution = spec.choice('trafficDistribution', DISTRIBUTION_NAMES);
  const ports = readPorts(spec);
  const externalName = readExternalName(spec, type === 'ExternalName');
  const affinity = spec.choice('sessionAffinity', ['None', 'ClientIP']);
  if (affinity === 'ClientIP') {
    const reason = 'ClientIP is accepted but not enforced yet';
    spec.problems.warning('NOT_ENFORCED', spec.at('sessionAffinity'), reason, 'do not rely on it');
  }
  spec.finish([...SPEC_FIELDS.split(' '), 'selector']);
  if (meta === null) return null;
  const { namespace, name } = meta;
  return {
    kind: 'Service',
    namespace,
    name,
    addresses: externalName === null ? addresses : [],
    ports,
    // An empty selector selects nothing here: Kubernetes makes no endpoints for such a Service.
    selector: selector === null || Object.keys(selector).length === 0 ? null : selector,
    publishNotReadyAddresses,
    internalTrafficPolicy,
    trafficDistribution: distribution === null ? null : DISTRIBUTIONS[distribution],
    externalName,
  };
}

/** The name in lower case; null where the type is another. A final dot is what resolvers understand and routes do not. */
function readExternalName(spec: ObjectReader, isExternalName: boolean): string | null {
  const text = spec.text('externalName');
  if (!isExternalName) return null;
  if (text === null) {
    if (!spec.has('externalName')) spec.missing('externalName', 'add the name its clients are sent to');
    return null;
  }
  const name = text.toLowerCase().replace(/\.$/, '');
  if (OBJECT_NAME.pattern.test(name)) return name;
  spec.problems.error('INVALID_VALUE', spec.at('externalName'), `is ${quote(text)}`, 'it must be a host name');
  return null;
}

function readAddresses(spec: ObjectReader): string[] {
  const single = spec.text('clusterIP');
  const several = spec.texts('clusterIPs');
  const addresses: string[] = [];
  const listed = several.length > 0;
  for (const [index, text] of (listed ? several : [single ?? '']).entries()) {
    if (text === '' || text === 'None') continue;
    const ip = canonicalIp(text);
    const path = listed ? [...spec.at('clusterIPs'), index] : spec.at('clusterIP');
    if (ip === null)
      spec.problems.error('INVALID_VALUE', path, `is ${quote(text)}`, 'it must be an IP address or None');
    else if (!addresses.includes(ip)) addresses.push(ip);
  }
  return addresses;
}

/** TCP ports only; the mesh leaves UDP and SCTP alone. */
function readPorts(spec: ObjectReader): ServiceObjectPort[] {
  const ports: ServiceObjectPort[] = [];
  for (const reader of spec.objects('ports', 1_024)) {
    const port = reader.has('port') ? reader.integer('port', 1, 65_535) : null;
    if (!reader.has('port')) reader.missing('port');
    const name = reader.text('name', PORT_NAME) ?? '';
    const protocol = reader.choice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
    const appProtocol = reader.text('appProtocol');
    const targetPort = readTargetPort(reader) ?? port;
    reader.finish(['nodePort', 'port']);
    if (port === null || targetPort === null || protocol !== 'TCP') continue;
    if (ports.some((other) => other.port === port)) {
      const remedy = 'a Service may list a TCP port once';
      reader.problems.error('INVALID_VALUE', reader.at('port'), `${port} is listed twice`, remedy);
      continue;
    }
    ports.push({ port, name, protocol: protocolOf(appProtocol, name, port, targetPort), targetPort });
  }
  return ports;
}

/** A number, the name of a container port, or null when it is absent or wrong. */
function readTargetPort(reader: ObjectReader): number | string | null {
  const value = reader.take('targetPort');
  if (value === undefined) return null;
  const item = { value, path: reader.at('targetPort') };
  return typeof value === 'string' ? reader.asText(item, PORT_NAME) : reader.asInteger(item, 1, 65_535);
}

/** appProtocol, else the prefix of the port's name up to the first '-', else what the port number is known for. */
export function protocolOf(
  appProtocol: string | null,
  name: string,
  port: number,
  targetPort: number | string,
): PortProtocol {
  const declared = appProtocol === null ? prefixOf(name) : appProtocol.toLowerCase();
  if (Object.hasOwn(PROTOCOLS, declared)) return PROTOCOLS[declared] ?? 'detect';
  const serverFirst =
    SERVER_FIRST_PORTS.has(port) || (typeof targetPort === 'number' && SERVER_FIRST_PORTS.has(targetPort));
  return serverFirst ? 'tcp' : 'detect';
}

function prefixOf(name: string): string {
  if (name.startsWith('grpc-web')) return 'grpc-web';
  const dash = name.indexOf('-');
  return dash < 0 ? name : name.slice(0, dash);
}
