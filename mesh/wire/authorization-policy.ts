/** weir.mesh.v1.AuthorizationPolicy: the model's AuthorizationPolicy on the wire. */
import type { AuthorizationPolicy, PolicyCondition, PolicyOperation, PolicySource } from '../policy-model.ts';
import { sorted, type WireCheck, type WireMessage } from './check.ts';
import { authorizationPolicyType } from './schema-root.ts';

/** Bytes of a weir.mesh.v1.AuthorizationPolicy. */
export function encodeAuthorizationPolicy(policy: AuthorizationPolicy): Uint8Array {
  return authorizationPolicyType
    .encode({
      namespace: policy.namespace,
      name: policy.name,
      action: policy.action === 'ALLOW' ? 1 : 2,
      meshWide: policy.meshWide,
      ...(policy.selector === null ? {} : { selector: { matchLabels: sorted(policy.selector) } }),
      targetServices: policy.targetServices,
      rules: policy.rules.map((rule) => ({ ...rule, when: rule.when.map(wireCondition) })),
    })
    .finish();
}

const CONDITION_KEYS = { 'connection.sni': 1, 'remote.ip': 2 } as const;

function wireCondition({ key, values, notValues }: PolicyCondition): WireMessage {
  return { key: CONDITION_KEYS[key], values, notValues };
}

/** Reads a decoded weir.mesh.v1.AuthorizationPolicy; what is wrong with it goes to `check`. */
export function readAuthorizationPolicy(wire: WireMessage, check: WireCheck): AuthorizationPolicy {
  const selector = wire['selector'];
  return {
    kind: 'authorizationPolicy',
    namespace: check.namespace(wire['namespace'], 'namespace'),
    name: check.objectName(wire['name'], 'name'),
    action: check.choice(wire['action'], 'action', { 1: 'ALLOW', 2: 'DENY' }),
    meshWide: check.flag(wire['meshWide'], 'mesh_wide'),
    selector: selector === null || selector === undefined ? null : readSelector(selector, check),
    targetServices: readTexts(wire['targetServices'], 'target_services', check, /^[^/]+\/[^/]+$/),
    rules: check.list(wire['rules'], 'rules', (item, field) => {
      const rule = check.message(item, field);
      return {
        from: check.list(rule['from'], `${field}.from`, (source, at) =>
          readSource(check.message(source, at), at, check),
        ),
        to: check.list(rule['to'], `${field}.to`, (operation, at) =>
          readOperation(check.message(operation, at), at, check),
        ),
        when: check.list(rule['when'], `${field}.when`, (condition, at) =>
          readCondition(check.message(condition, at), at, check),
        ),
      };
    }),
  };
}

function readSelector(value: unknown, check: WireCheck): Record<string, string> {
  const labels = check.message(value, 'selector')['matchLabels'];
  return check.map(labels, 'selector.match_labels', (label, field) => check.text(label, field));
}

function readSource(wire: WireMessage, field: string, check: WireCheck): PolicySource {
  const texts = (name: string, wireName: string): string[] => readTexts(wire[name], `${field}.${wireName}`, check, /./);
  return {
    principals: texts('principals', 'principals'),
    notPrincipals: texts('notPrincipals', 'not_principals'),
    namespaces: texts('namespaces', 'namespaces'),
    notNamespaces: texts('notNamespaces', 'not_namespaces'),
    serviceAccounts: texts('serviceAccounts', 'service_accounts'),
    notServiceAccounts: texts('notServiceAccounts', 'not_service_accounts'),
    ipBlocks: texts('ipBlocks', 'ip_blocks'),
    notIpBlocks: texts('notIpBlocks', 'not_ip_blocks'),
    remoteIpBlocks: texts('remoteIpBlocks', 'remote_ip_blocks'),
    notRemoteIpBlocks: texts('notRemoteIpBlocks', 'not_remote_ip_blocks'),
  };
}

function readCondition(wire: WireMessage, field: string, check: WireCheck): PolicyCondition {
  return {
    key: check.choice(wire['key'], `${field}.key`, { 1: 'connection.sni', 2: 'remote.ip' }),
    values: readTexts(wire['values'], `${field}.values`, check, /./),
    notValues: readTexts(wire['notValues'], `${field}.not_values`, check, /./),
  };
}

function readOperation(wire: WireMessage, field: string, check: WireCheck): PolicyOperation {
  const texts = (name: string, wireName: string): string[] => readTexts(wire[name], `${field}.${wireName}`, check, /./);
  const ports = (name: string, wireName: string): number[] =>
    check.list(wire[name], `${field}.${wireName}`, (port, at) => check.port(port, at));
  return {
    hosts: texts('hosts', 'hosts'),
    notHosts: texts('notHosts', 'not_hosts'),
    ports: ports('ports', 'ports'),
    notPorts: ports('notPorts', 'not_ports'),
    methods: texts('methods', 'methods'),
    notMethods: texts('notMethods', 'not_methods'),
    paths: texts('paths', 'paths'),
    notPaths: texts('notPaths', 'not_paths'),
  };
}

function readTexts(value: unknown, field: string, check: WireCheck, pattern: RegExp): string[] {
  return check.list(value, field, (item, at) => check.text(item, at, pattern));
}
