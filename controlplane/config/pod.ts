/** core/v1 Pod → PodObject. Only what the mesh needs is read; the rest of the PodSpec belongs to the kubelet. */
import { canonicalIp } from '../../mesh/ip.ts';
import { limits } from '../limits.ts';
import { readMetadata } from './metadata.ts';
import { LABEL_KEY, LABEL_VALUE, OBJECT_NAME, PORT_NAME, UID } from './names.ts';
import type { ObjectReader } from './object-reader.ts';
import type { ObjectOrigin, PodObject } from './objects.ts';

const WEIR_ANNOTATION = 'weir.dev/';
/** Characters of one of weir's annotations: port and CIDR lists. */
const ANNOTATION_LENGTH_MAX = 4_096;

const SPEC_FIELDS =
  'activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ' +
  'ephemeralContainers hostAliases hostIPC hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeSelector os ' +
  'overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources restartPolicy ' +
  'runtimeClassName schedulerName schedulingGates securityContext setHostnameAsFQDN shareProcessNamespace subdomain ' +
  'terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes';
const CONTAINER_FIELDS =
  'args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy resources ' +
  'restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath ' +
  'terminationMessagePolicy tty volumeDevices volumeMounts workingDir';
const STATUS_FIELDS =
  'containerStatuses ephemeralContainerStatuses hostIP hostIPs initContainerStatuses message nominatedNodeName ' +
  'observedGeneration qosClass reason resize resourceClaimStatuses startTime extendedResourceClaimStatus';

/** Reads a Pod; null when it has no usable name. */
export function readPod(object: ObjectReader, origin: ObjectOrigin): PodObject | null {
  const metadata = object.object('metadata');
  if (metadata === null) return missing(object, 'metadata');
  const uid = metadata.text('uid', UID);
  const terminating = metadata.has('deletionTimestamp');
  const owner = readOwner(metadata);
  const meta = readMetadata(metadata, OBJECT_NAME);
  const annotations = Object.entries(meta?.annotations ?? {}).filter(([key]) => key.startsWith(WEIR_ANNOTATION));
  for (const [key, value] of annotations) {
    if (value.length <= ANNOTATION_LENGTH_MAX && !value.includes('\u0000')) continue;
    const remedy = `shorten it to ${ANNOTATION_LENGTH_MAX} characters`;
    object.problems.error('INVALID_VALUE', ['metadata', 'annotations', key], 'is too long', remedy);
  }
  const spec = object.object('spec');
  if (spec === null) return missing(object, 'spec');
  const serviceAccount = spec.text('serviceAccountName', OBJECT_NAME) ?? spec.text('serviceAccount', OBJECT_NAME);
  const node = spec.text('nodeName', OBJECT_NAME) ?? '';
  const hostNetwork = spec.flag('hostNetwork') ?? false;
  const namedPorts = readNamedPorts(spec);
  spec.finish([...SPEC_FIELDS.split(' '), 'serviceAccount', 'serviceAccountName']);
  const status = readStatus(object.object('status'));
  object.finish(['apiVersion', 'kind']);
  if (meta === null) return null;
  const workloadName = owner === null ? meta.name : ownerName(owner, meta.labels);
  return {
    kind: 'Pod',
    namespace: meta.namespace,
    name: meta.name,
    // A namespace has no dot, so this cannot be two pods'; the API server's own uids have none either.
    uid: uid ?? `${meta.namespace}.${meta.name}`,
    labels: meta.labels,
    annotations: Object.fromEntries(annotations),
    serviceAccount: serviceAccount ?? 'default',
    node,
    addresses: status.addresses,
    hostNetwork,
    ready: status.ready && !terminating,
    ended: status.phase === 'Succeeded' || status.phase === 'Failed',
    workloadName,
    canonicalName:
      firstLabel(meta.labels, ['service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app']) ?? workloadName,
    canonicalRevision:
      firstLabel(meta.labels, ['service.istio.io/canonical-revision', 'app.kubernetes.io/version', 'version']) ??
      'latest',
    namedPorts,
    position: origin.locate(['metadata', 'uid'], 'value'),
  };
}

function missing(object: ObjectReader, field: string): null {
  if (!object.has(field)) object.missing(field);
  return null;
}

function firstLabel(labels: Readonly<Record<string, string>>, names: readonly string[]): string | null {
  for (const name of names) {
    const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
    if (value !== undefined && value !== '') return value;
  }
  return null;
}

interface Owner {
  readonly kind: string;
  readonly name: string;
}

/** The owner that manages the pod (`controller: true`, or the only one). */
function readOwner(metadata: ObjectReader): Owner | null {
  const owners = metadata.objects('ownerReferences').map((reference) => ({
    kind: reference.text('kind') ?? '',
    name: reference.text('name', OBJECT_NAME) ?? '',
    controller: reference.flag('controller') ?? false,
  }));
  return owners.find((owner) => owner.controller) ?? owners[0] ?? null;
}

/** A ReplicaSet is the Deployment's name and the template's hash. */
function ownerName(owner: Owner, labels: Readonly<Record<string, string>>): string {
  const hash = Object.hasOwn(labels, 'pod-template-hash') ? labels['pod-template-hash'] : undefined;
  const suffix = `-${hash ?? ''}`;
  const fromDeployment = owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(suffix);
  return fromDeployment ? owner.name.slice(0, -suffix.length) : owner.name;
}

/** TCP ports of all containers, sidecar containers included (init containers that restart). The first name wins. */
function readNamedPorts(spec: ObjectReader): Record<string, number> {
  const ports: Record<string, number> = {};
  for (const container of [...spec.objects('containers'), ...spec.objects('initContainers')]) {
    for (const port of container.objects('ports')) {
      const name = port.text('name', PORT_NAME);
      const number = port.integer('containerPort', 1, 65_535);
      const protocol = port.choice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP';
      port.finish(['hostIP', 'hostPort']);
      if (name !== null && number !== null && protocol === 'TCP' && !Object.hasOwn(ports, name)) ports[name] = number;
    }
    container.finish(CONTAINER_FIELDS.split(' '));
  }
  const count = Object.keys(ports).length;
  if (count > limits.namedPortsMax) {
    const remedy = `at most ${limits.namedPortsMax} are allowed`;
    spec.problems.error('INVALID_VALUE', spec.at('containers'), `name ${count} ports`, remedy);
  }
  return ports;
}

interface PodStatus {
  readonly phase: string;
  readonly ready: boolean;
  readonly addresses: readonly string[];
}

function readStatus(status: ObjectReader | null): PodStatus {
  if (status === null) return { phase: '', ready: false, addresses: [] };
  const phase = status.choice('phase', ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']) ?? '';
  const ready = status.objects('conditions').some((condition) => {
    const [type, value] = [condition.text('type', LABEL_KEY), condition.text('status', LABEL_VALUE)];
    return type === 'Ready' && value === 'True';
  });
  const single = readAddress(status, 'podIP');
  const several = status.objects('podIPs').flatMap((entry) => readAddress(entry, 'ip') ?? []);
  status.finish([...STATUS_FIELDS.split(' '), 'podIP', 'podIPs']);
  return { phase, ready, addresses: several.length > 0 ? [...new Set(several)] : single === null ? [] : [single] };
}

function readAddress(reader: ObjectReader, field: string): string | null {
  const text = reader.text(field);
  if (text === null || text === '') return null;
  const ip = canonicalIp(text);
  if (ip === null) reader.problems.error('INVALID_VALUE', reader.at(field), `is ${text}`, 'it must be an IP address');
  return ip;
}
