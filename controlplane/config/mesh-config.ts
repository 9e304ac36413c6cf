/**
 * ConfigMap `istio` of the root namespace → MeshSettings. `data.mesh` is Istio's MeshConfig (a YAML text), `data.weir` holds what
 * Istio has no key for. Every key that is there and not honoured is reported: nobody should believe in a setting that does nothing.
 *
 * To honour another key: take it in readMesh or readWeir, add the field to MeshSettings (mesh/model.ts, mesh/wire, mesh/validate.ts)
 * and to DEFAULT_SETTINGS.
 */
import type { MeshSettings } from '../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import { parseYaml } from '../sources/yaml-document.ts';
import { DEFAULT_NAMESPACE, readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import { isMapping, type ObjectReader, type TextRule } from './object-reader.ts';
import type { MeshConfigObject } from './objects.ts';

/** The name Istio gives it (without a revision). */
const MESH_CONFIG_NAME = 'istio';

/** Providers that Istio has built in and that weir has something for. Others may be defined there; weir cannot send to them. */
const METRICS_PROVIDERS = ['prometheus'];
const ACCESS_LOG_PROVIDERS = ['envoy'];

const NORMALIZATIONS = ['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;
/** Names this mesh's identities had before, or have elsewhere. */
const ALIASES_MAX = 128;
/** SPIFFE-ID section 2.1. */
const TRUST_DOMAIN: TextRule = {
  pattern: /^[a-z0-9._-]{1,255}$/,
  description: 'a trust domain: lower-case letters, digits, ".", "_" and "-"',
};

/** Fields of istio.mesh.v1alpha1.MeshConfig that weir does not honour yet; whatever else stands there is a slip. */
const NOT_ENFORCED =
  'accessLogEncoding accessLogFile accessLogFormat ca caCertificates certificates configSources connectTimeout defaultConfig ' +
  'defaultDestinationRuleExportTo defaultHttpRetryPolicy defaultServiceExportTo defaultVirtualServiceExportTo ' +
  'disableEnvoyListenerLog discoverySelectors dnsRefreshRate enableAutoMtls enableEnvoyAccessLogService enablePrometheusMerge ' +
  'enableTracing extensionProviders h2UpgradePolicy hboneIdleTimeout inboundClusterStatName inboundTrafficPolicy ingressClass ' +
  'ingressControllerMode ingressSelector ingressService localityLbSetting meshMTLS outboundClusterStatName ' +
  'protocolDetectionTimeout proxyHttpPort proxyInboundListenPort proxyListenPort serviceScopeConfigs ' +
  'serviceSettings tcpKeepalive thriftConfig tlsDefaults verifyCertificateAtClient';

type MeshPart = Omit<MeshSettings, 'kind' | 'namespace' | 'name' | 'bypass'>;
type WeirPart = Pick<MeshSettings, 'bypass'>;

/** Reads a ConfigMap; null when it is not the mesh's (without a finding), or has no usable name. */
export function readMeshConfig(object: ObjectReader, rootNamespace: string): MeshConfigObject | null {
  const raw = object.take('metadata');
  if (!isMapping(raw) || raw['name'] !== MESH_CONFIG_NAME) return null;
  if ((raw['namespace'] ?? DEFAULT_NAMESPACE) !== rootNamespace) return null;
  const metadata = object.over(raw, object.at('metadata'));
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const data = object.object('data');
  object.finish(['apiVersion', 'kind', 'binaryData', 'immutable']);
  const mesh = data === null ? null : embedded(data, 'mesh');
  const weir = data === null ? null : embedded(data, 'weir');
  const defaults: MeshSettings = { ...DEFAULT_SETTINGS, rootNamespace };
  const meshPart = mesh === null ? defaults : readMesh(mesh, rootNamespace);
  const weirPart = weir === null ? DEFAULT_SETTINGS : readWeir(weir, meshPart);
  data?.notEnforced('meshNetworks');
  data?.finish();
  if (meta === null) return null;
  const { namespace, name } = meta;
  const settings: MeshSettings = { ...defaults, ...meshPart, namespace, name, bypass: weirPart.bypass };
  return { kind: 'ConfigMap', namespace, name, settings };
}

/** The YAML mapping inside a key of `data`; null when there is none, or a problem was recorded. */
function embedded(data: ObjectReader, key: string): ObjectReader | null {
  const text = data.text(key);
  if (text === null) return null;
  const parsed = parseYaml(text, key);
  if (!parsed.ok) {
    const { reason, remedy, position } = parsed.problem;
    data.problems.error(parsed.problem.code, data.at(key), `line ${position.line} of it: ${reason}`, remedy);
    return null;
  }
  const [document, second] = parsed.documents;
  if (second !== undefined) {
    data.problems.error('INVALID_VALUE', data.at(key), 'holds several YAML documents', 'keep one');
    return null;
  }
  return document === undefined ? null : data.over(document.value, data.at(key));
}

function readMesh(mesh: ObjectReader, rootNamespace: string): MeshPart {
  const providers = mesh.object('defaultProviders');
  const metrics = providers === null ? null : providerNames(providers, 'metrics', METRICS_PROVIDERS);
  const accessLogging = providers === null ? null : providerNames(providers, 'accessLogging', ACCESS_LOG_PROVIDERS);
  providers?.notEnforced('tracing');
  providers?.finish();
  const decisions = readDecisions(mesh, rootNamespace);
  for (const name of NOT_ENFORCED.split(' ')) mesh.notEnforced(name);
  mesh.finish();
  // Istio's chart writes [prometheus]; without the key weir does as if it were there, because people expect their metrics.
  return {
    metrics: metrics === null ? DEFAULT_SETTINGS.metrics : metrics.length > 0,
    accessLog: accessLogging === null ? DEFAULT_SETTINGS.accessLog : accessLogging.length > 0,
    ...decisions,
  };
}

/** What policy and routing go by. */
function readDecisions(mesh: ObjectReader, rootNamespace: string): Omit<MeshPart, 'metrics' | 'accessLog'> {
  const paths = mesh.object('pathNormalization');
  const normalization = paths?.choice('normalization', NORMALIZATIONS) ?? 'DEFAULT';
  paths?.finish();
  const outbound = mesh.object('outboundTrafficPolicy');
  const mode = outbound?.choice('mode', ['ALLOW_ANY', 'REGISTRY_ONLY']) ?? DEFAULT_SETTINGS.outboundTrafficPolicy;
  outbound?.finish();
  const aliases = mesh.list('trustDomainAliases', ALIASES_MAX);
  return {
    trustDomain: mesh.text('trustDomain', TRUST_DOMAIN) ?? DEFAULT_SETTINGS.trustDomain,
    trustDomainAliases: aliases.flatMap((item) => mesh.asText(item, TRUST_DOMAIN) ?? []),
    rootNamespace: mesh.text('rootNamespace', LABEL_NAME) ?? rootNamespace,
    pathNormalization: normalization === 'DEFAULT' ? DEFAULT_SETTINGS.pathNormalization : normalization,
    outboundTrafficPolicy: mode,
  };
}

/** null: absent. Empty: Istio sends to no provider, which is how it is switched off there. */
function providerNames(providers: ObjectReader, name: string, known: readonly string[]): readonly string[] | null {
  if (!providers.has(name)) {
    providers.take(name);
    return null;
  }
  const names: string[] = [];
  for (const item of providers.list(name)) {
    const text = providers.asText(item);
    if (text === null) continue;
    names.push(text);
    if (known.includes(text)) continue;
    const reason = `weir cannot send to the provider ${JSON.stringify(text)}`;
    const remedy = `it serves ${known.join(', ')} in its place; write ${known.join(', ')}, or [] for none`;
    providers.problems.warning('UNSUPPORTED', item.path, reason, remedy);
  }
  return names;
}

function readWeir(weir: ObjectReader, mesh: MeshPart): WeirPart {
  const bypass = weir.flag('bypass') ?? DEFAULT_SETTINGS.bypass;
  if (bypass && (mesh.metrics || mesh.accessLog)) {
    const reason = 'has no effect while metrics or access logs are asked for: they come from the agent';
    const remedy =
      'write defaultProviders: {metrics: [], accessLogging: []} in data.mesh, or run the agents with --access-log off';
    weir.problems.warning('NO_EFFECT', weir.at('bypass'), reason, remedy, 'key');
  }
  weir.finish();
  return { bypass };
}
