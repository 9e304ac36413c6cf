/**
 * The CNI specification's side of the plugin: what the runtime passes and what it expects back. Pure.
 * Source: CNI spec 1.1.0 (https://github.com/containernetworking/cni/blob/main/SPEC.md), sections 2 and 5.
 */

export type Command = 'ADD' | 'DEL' | 'CHECK' | 'STATUS' | 'GC' | 'VERSION';

/** Versions whose result format this plugin can pass through: `ips` as a list since 0.3.0. */
export const SUPPORTED_VERSIONS: readonly string[] = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
/** Spoken when the runtime's own version is unknown. */
const FALLBACK_VERSION = '1.0.0';

/** Error codes of the specification (section "Error"); 100 and above are the agent's (agent/capture/cni-server.ts). */
export const code = {
  incompatibleVersion: 1,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  notAvailableLimited: 51,
} as const;

/** A failure as the runtime is told it. */
export class CniError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(errorCode: number, message: string, details = '') {
    super(message);
    this.code = errorCode;
    this.details = details;
  }
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** The network configuration (stdin), validated. */
export interface PluginConfig {
  readonly cniVersion: string;
  /** The agent's CNI socket. */
  readonly agentSocket: string;
  /** Pods of these namespaces are not captured. */
  readonly excludeNamespaces: readonly string[];
  /**
   * Pods of this namespace whose name begins with `agentPodPrefix` are not captured: agent and controller must be able to start
   * before there is an agent to ask.
   */
  readonly agentNamespace: string;
  readonly agentPodPrefix: string;
  /** Namespace of pods of a runtime that passes none (podman); null: such pods are refused. */
  readonly defaultNamespace: string | null;
  readonly logLevel: LogLevel;
  /** As received, unknown fields included. */
  readonly prevResult: Fields | null;
  /** GC: `cni.dev/valid-attachments`; null when absent. */
  readonly validAttachments: readonly unknown[] | null;
}

export type Fields = Readonly<Record<string, unknown>>;

/** The pod as CNI_ARGS name it; '' where the runtime says nothing. */
export interface PodArgs {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Parses stdin; throws CniError 6, 1 or 7. */
export function parseConfig(text: string): PluginConfig {
  const fields = parseFields(text);
  const version = fields['cniVersion'];
  if (typeof version !== 'string' || !SUPPORTED_VERSIONS.includes(version)) {
    const given = version === undefined ? 'missing' : JSON.stringify(version);
    throw new CniError(
      code.incompatibleVersion,
      `network configuration: cniVersion is ${given}; weir-cni supports ${SUPPORTED_VERSIONS.join(', ')}`,
    );
  }
  const prevResult = fields['prevResult'];
  if (prevResult !== undefined && !isFields(prevResult)) throw invalid('prevResult', 'is not an object');
  const attachments = fields['cni.dev/valid-attachments'];
  if (attachments !== undefined && !Array.isArray(attachments))
    throw invalid('cni.dev/valid-attachments', 'is not a list');
  return {
    cniVersion: version,
    agentSocket: textField(fields, 'agentSocket', '/run/weir/cni.sock', /^\/[\x21-\x7e]{1,106}$/),
    excludeNamespaces: names(fields, 'excludeNamespaces', ['kube-system']),
    agentNamespace: textField(fields, 'agentNamespace', 'weir-system', NAME),
    agentPodPrefix: textField(fields, 'agentPodPrefix', 'weir-', /^[a-z0-9][a-z0-9.-]{0,251}$/),
    defaultNamespace: fields['defaultNamespace'] === undefined ? null : textField(fields, 'defaultNamespace', '', NAME),
    logLevel: textField(fields, 'logLevel', 'info', /^(debug|info|warn|error)$/) as LogLevel,
    prevResult: prevResult ?? null,
    validAttachments: (attachments as readonly unknown[] | undefined) ?? null,
  };
}

/** The version an error is told in: the configuration's, if it can be read and is known. */
export function versionForErrors(text: string): string {
  try {
    const version = parseFields(text)['cniVersion'];
    return typeof version === 'string' && SUPPORTED_VERSIONS.includes(version) ? version : FALLBACK_VERSION;
  } catch (error) {
    if (error instanceof CniError) return FALLBACK_VERSION;
    throw error;
  }
}

/** The answer to VERSION. Its cniVersion repeats the runtime's, whatever it is (spec, "VERSION"). */
export function versionAnswer(text: string): object {
  const fields = text.trim() === '' ? {} : parseFields(text);
  const version = fields['cniVersion'];
  return {
    cniVersion: typeof version === 'string' && version !== '' ? version : FALLBACK_VERSION,
    supportedVersions: SUPPORTED_VERSIONS,
  };
}

/** CNI_ARGS: `KEY=VALUE;KEY=VALUE`. Keys that are not known are ignored, with or without IgnoreUnknown. Throws CniError 4. */
export function parseArgs(text: string): PodArgs {
  const values = new Map<string, string>();
  for (const pair of text.split(';')) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    if (at <= 0)
      throw new CniError(code.invalidEnvironment, `CNI_ARGS: ${JSON.stringify(pair.slice(0, 80))} is not KEY=VALUE`);
    values.set(pair.slice(0, at).trim(), pair.slice(at + 1).trim());
  }
  return {
    namespace: values.get('K8S_POD_NAMESPACE') ?? '',
    name: values.get('K8S_POD_NAME') ?? '',
    uid: values.get('K8S_POD_UID') ?? '',
  };
}

/** Addresses of the container in a result (`ips[].address`, without prefix length); those of host interfaces left out. */
export function containerAddresses(result: Fields): readonly string[] {
  const ips = result['ips'];
  if (!Array.isArray(ips)) return [];
  const interfaces: readonly unknown[] = Array.isArray(result['interfaces']) ? result['interfaces'] : [];
  const addresses: string[] = [];
  for (const entry of ips as readonly unknown[]) {
    if (!isFields(entry) || typeof entry['address'] !== 'string')
      throw invalid('prevResult.ips', 'has an entry without address');
    const at = entry['interface'];
    const device = typeof at === 'number' ? interfaces[at] : undefined;
    // An interface without sandbox is the host's end.
    const isHost = isFields(device) && (device['sandbox'] === undefined || device['sandbox'] === '');
    if (!isHost) addresses.push(entry['address'].split('/')[0] ?? '');
  }
  return addresses;
}

/** `a` is at least `b`; both of the form x.y.z. */
export function atLeast(a: string, b: string): boolean {
  return SUPPORTED_VERSIONS.indexOf(a) >= SUPPORTED_VERSIONS.indexOf(b);
}

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function parseFields(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new CniError(code.decodingFailure, 'network configuration (stdin) is not JSON', cause);
  }
  if (!isFields(value)) throw new CniError(code.decodingFailure, 'network configuration (stdin) is not a JSON object');
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textField(fields: Fields, field: string, absent: string, form: RegExp): string {
  const value = fields[field];
  if (value === undefined) return absent;
  if (typeof value !== 'string' || !form.test(value)) {
    throw invalid(field, `is ${JSON.stringify(value)}; leave it out for ${JSON.stringify(absent)}`);
  }
  return value;
}

function names(fields: Fields, field: string, absent: readonly string[]): readonly string[] {
  const value = fields[field];
  if (value === undefined) return absent;
  if (!Array.isArray(value) || !value.every((name) => typeof name === 'string' && NAME.test(name))) {
    throw invalid(field, `is not a list of namespaces, e.g. ["kube-system"]`);
  }
  return value as readonly string[];
}

function invalid(field: string, reason: string): CniError {
  return new CniError(code.invalidConfig, `network configuration of weir-cni: ${field} ${reason}`);
}
