/** discovery.k8s.io/v1 EndpointSlice → EndpointSliceObject. */
import { canonicalIp } from '../../mesh/ip.ts';
import { readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME, PORT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { EndpointSliceObject, ObjectOrigin, SliceEndpoint } from './objects.ts';

const SERVICE_LABEL = 'kubernetes.io/service-name';

/** What the API server allows in one slice. */
const ENDPOINTS_MAX = 1_000;
const PORTS_MAX = 20_000;
const ADDRESSES_MAX = 100;

/** Reads an EndpointSlice; null when it is unusable, of no Service, or of host names. */
export function readEndpointSlice(object: ObjectReader, origin: ObjectOrigin): EndpointSliceObject | null {
  const metadata = object.object('metadata');
  if (metadata === null) {
    if (!object.has('metadata')) object.missing('metadata');
    return null;
  }
  const meta = readMetadata(metadata, OBJECT_NAME);
  const addressType = object.choice('addressType', ['IPv4', 'IPv6', 'FQDN']);
  if (!object.has('addressType')) object.missing('addressType', 'write IPv4 or IPv6');
  const isIp = addressType !== 'FQDN';
  const endpoints = object
    .objects('endpoints', ENDPOINTS_MAX)
    .map((reader) => readEndpoint(reader, meta?.namespace ?? '', isIp));
  const ports = readPorts(object);
  object.finish(['apiVersion', 'kind']);
  if (meta === null || addressType === null) return null;
  if (!isIp) {
    const remedy = 'describe hosts outside the cluster by a ServiceEntry';
    object.problems.warning('NOT_ENFORCED', ['addressType'], 'endpoints by host name are not used yet', remedy);
    return null;
  }
  const service = Object.hasOwn(meta.labels, SERVICE_LABEL) ? meta.labels[SERVICE_LABEL] : undefined;
  if (service === undefined || !LABEL_NAME.pattern.test(service)) {
    const remedy = `add the label ${SERVICE_LABEL}`;
    object.problems.warning('NO_EFFECT', ['metadata', 'labels'], 'does not say which Service it is of', remedy, 'key');
    return null;
  }
  const { namespace, name } = meta;
  return { kind: 'EndpointSlice', namespace, name, service, endpoints, ports, origin };
}

function readEndpoint(reader: ObjectReader, namespace: string, isIp: boolean): SliceEndpoint {
  const addresses = reader.list('addresses', ADDRESSES_MAX).flatMap((item) => {
    const text = reader.asText(item);
    const ip = text === null || !isIp ? null : canonicalIp(text);
    if (text !== null && isIp && ip === null) {
      reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, 'it must be an IP address');
    }
    return ip ?? [];
  });
  if (!reader.has('addresses')) reader.missing('addresses');
  const conditions = reader.object('conditions');
  const ready = conditions?.flag('ready') ?? true;
  conditions?.finish(['serving', 'terminating']);
  const target = reader.object('targetRef');
  const kind = target?.text('kind') ?? 'Pod';
  const name = target?.text('name', OBJECT_NAME) ?? null;
  const podNamespace = target?.text('namespace', LABEL_NAME) ?? namespace;
  target?.finish(['apiVersion', 'fieldPath', 'resourceVersion', 'uid']);
  reader.finish(['deprecatedTopology', 'hints', 'hostname', 'nodeName', 'zone']);
  const pod = name === null || kind !== 'Pod' ? null : { namespace: podNamespace, name };
  return { addresses, ready, pod, path: reader.path };
}

/** TCP only. A port without a number stands for all, which no Service can send to. */
function readPorts(object: ObjectReader): EndpointSliceObject['ports'] {
  return object.objects('ports', PORTS_MAX).flatMap((reader) => {
    const name = reader.text('name');
    if (name !== null && name !== '' && !PORT_NAME.pattern.test(name)) {
      reader.problems.error(
        'INVALID_VALUE',
        reader.at('name'),
        `is ${quote(name)}`,
        `it must be ${PORT_NAME.description}`,
      );
    }
    const port = reader.integer('port', 1, 65_535);
    const protocol = reader.choice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
    reader.finish(['appProtocol']);
    return port === null || protocol !== 'TCP' ? [] : { name: name ?? '', port };
  });
}
