/** security.istio.io PeerAuthentication → the model's PeerAuthentication, with the rules of Istio's own validation. */
import type { MtlsMode, PeerAuthentication } from '../../mesh/policy-model.ts';
import { readMetadata } from './metadata.ts';
import { OBJECT_NAME } from './names.ts';
import { isMapping, type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { PeerAuthenticationObject } from './policy-objects.ts';
import { readSelector } from './policy-scope.ts';

/** Ports of one policy: more than a pod has. */
const PORTS_MAX = 1_024;
const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

/** Reads a PeerAuthentication; null when it has no usable name. */
export function readPeerAuthentication(
  object: ObjectReader,
  origin: ObjectOrigin,
  rootNamespace: string,
): PeerAuthenticationObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  if (!object.has('metadata')) object.missing('metadata');
  // No spec at all leaves everything to the wider scope.
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status', 'metadata', 'spec']);
  const selector = spec === null ? null : readSelector(spec);
  const mtls = spec?.object('mtls') ?? null;
  const mode = mtls === null ? null : readMode(mtls);
  const portModes = spec === null ? {} : readPortModes(spec, selector !== null);
  spec?.finish();
  if (meta === null) return null;
  const { namespace, name, createdMs } = meta;
  const kind = 'peerAuthentication';
  const meshWide = namespace === rootNamespace;
  const policy: PeerAuthentication = { kind, namespace, name, meshWide, selector, mode, portModes, createdMs };
  return { kind: 'PeerAuthentication', namespace, name, policy, origin };
}

/** null: UNSET, or not written. */
function readMode(mtls: ObjectReader): MtlsMode | null {
  const mode = mtls.choice('mode', MODES);
  mtls.finish();
  if (mode === 'STRICT' || mode === 'DISABLE') {
    const reason = `mode ${mode} is accepted, not yet enforced: weir has no mutual TLS yet`;
    mtls.problems.warning('NOT_ENFORCED', mtls.at('mode'), reason, 'do not rely on it yet', 'key');
  }
  return mode === 'UNSET' ? null : mode;
}

function readPortModes(spec: ObjectReader, hasSelector: boolean): Record<string, MtlsMode | null> {
  const modes: Record<string, MtlsMode | null> = {};
  const ports = spec.take('portLevelMtls');
  const path = spec.at('portLevelMtls');
  if (ports === undefined || spec.over(ports, path) === null || !isMapping(ports)) return modes;
  const keys = Object.keys(ports);
  const error = (reason: string, remedy: string): void =>
    spec.problems.error('INVALID_VALUE', path, reason, remedy, 'key');
  if (keys.length === 0) error('is empty', 'add a port or remove it');
  else if (!hasSelector)
    error('needs a selector with labels', 'add selector.matchLabels: ports are those of workloads');
  if (keys.length > PORTS_MAX) {
    error(`has ${keys.length} ports`, `at most ${PORTS_MAX} are allowed`);
    return modes;
  }
  for (const key of keys.sort()) {
    if (!/^[1-9]\d{0,4}$/.test(key) || Number(key) > 65_535) {
      const remedy = 'it must be a workload port from 1 to 65535';
      spec.problems.error('INVALID_VALUE', [...path, key], `has the key ${quote(key)}`, remedy, 'key');
      continue;
    }
    const mtls = ports[key] === null ? null : spec.over(ports[key], [...path, key]);
    modes[key] = mtls === null ? null : readMode(mtls);
  }
  return modes;
}
