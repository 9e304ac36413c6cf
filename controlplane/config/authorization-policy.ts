/**
 * security.istio.io AuthorizationPolicy → the model's AuthorizationPolicy, with the rules of Istio's own validation. A
 * policy is taken whole or not at all: a field that is unknown, unsupported or empty by a slip refuses it, because a
 * policy with a condition left out permits more than its author wrote.
 */
import { parseCidr } from '../../mesh/ip.ts';
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from '../../mesh/policy-model.ts';
import { compilePathTemplate, isPathTemplate } from '../../mesh/path-template.ts';
import type { FieldPath } from '../finding.ts';
import { closestWord } from './did-you-mean.ts';
import { readMetadata } from './metadata.ts';
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME } from './names.ts';
import { type ListItem, type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { AuthorizationPolicyObject } from './policy-objects.ts';

/** targetRefs of one policy (Istio's bound). */
const TARGET_REFS_MAX = 16;

/** Reads an AuthorizationPolicy; whatever it returns is only to be used when no error was recorded. */
export function readAuthorizationPolicy(
  object: ObjectReader,
  origin: ObjectOrigin,
  rootNamespace: string,
): AuthorizationPolicyObject | null {
  const metadata = object.object('metadata');
  if (metadata === null) {
    if (!object.has('metadata')) object.missing('metadata');
    return null;
  }
  const meta = readMetadata(metadata, OBJECT_NAME);
  if (meta?.annotations['istio.io/dry-run'] === 'true') {
    const remedy = 'remove the annotation to enforce the policy; until then the last enforced version stays';
    const path = metadata.at('annotations');
    object.problems.error(
      'UNSUPPORTED',
      [...path, 'istio.io/dry-run'],
      'dry-run is not supported by weir yet',
      remedy,
      'key',
    );
  }
  // No spec at all is Istio's "allow nothing".
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status', 'spec']);
  const scope = spec === null ? { selector: null, targets: [] } : readScope(spec, meta?.namespace ?? '');
  const action = spec === null ? 'ALLOW' : readAction(spec);
  const rules =
    spec === null || meta === null ? [] : spec.objects('rules').map((rule) => readRule(rule, meta.namespace));
  spec?.unsupported('provider');
  spec?.finish();
  if (meta === null) return null;
  const { namespace, name } = meta;
  return {
    kind: 'AuthorizationPolicy',
    namespace,
    name,
    policy: {
      kind: 'authorizationPolicy',
      namespace,
      name,
      action,
      meshWide: namespace === rootNamespace,
      selector: scope.selector,
      targetServices: scope.targets.map((target) => target.service),
      rules,
    },
    targetPaths: scope.targets.map((target) => target.path),
    origin,
  };
}

function readAction(spec: ObjectReader): 'ALLOW' | 'DENY' {
  const action = spec.choice('action', ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']);
  if (action === 'AUDIT' || action === 'CUSTOM') {
    const remedy = 'write ALLOW or DENY; until then the policy is not applied';
    spec.problems.error('UNSUPPORTED', spec.at('action'), `action ${action} is not supported by weir yet`, remedy);
  }
  return action === 'DENY' ? 'DENY' : 'ALLOW';
}

interface Target {
  readonly service: string;
  readonly path: FieldPath;
}

interface Scope {
  readonly selector: Readonly<Record<string, string>> | null;
  readonly targets: readonly Target[];
}

function readScope(spec: ObjectReader, namespace: string): Scope {
  const selectorReader = spec.object('selector');
  const matchLabels = selectorReader?.textMap('matchLabels', LABEL_KEY, LABEL_VALUE) ?? {};
  selectorReader?.finish();
  const references = spec.objects('targetRefs', TARGET_REFS_MAX);
  const single = spec.object('targetRef');
  if (single !== null) references.push(single);
  const targets = references.flatMap((reference) => readTarget(reference, namespace) ?? []);
  if (selectorReader !== null && references.length > 0) {
    const remedy = 'keep selector or targetRefs';
    spec.problems.error('INVALID_VALUE', spec.at('selector'), 'stands beside targetRefs', remedy, 'key');
  }
  // An empty selector selects every workload in scope, as in Istio.
  return { selector: Object.keys(matchLabels).length === 0 ? null : matchLabels, targets };
}

function readTarget(reference: ObjectReader, namespace: string): Target | null {
  const group = reference.text('group') ?? '';
  const kind = reference.requiredText('kind') ?? 'Service';
  const name = reference.requiredText('name', LABEL_NAME);
  const otherNamespace = reference.text('namespace', LABEL_NAME);
  reference.finish();
  const { problems } = reference;
  if (kind !== 'Service' || (group !== '' && group !== 'core')) {
    const remedy = 'target a Service, or use a selector';
    problems.error(
      'UNSUPPORTED',
      reference.path,
      `a target of kind ${quote(kind)} is not supported by weir yet`,
      remedy,
    );
  }
  if (otherNamespace !== null && otherNamespace !== namespace) {
    const remedy = `remove it, or move the policy to the namespace ${otherNamespace}`;
    problems.error('INVALID_VALUE', reference.at('namespace'), 'a policy targets its own namespace only', remedy);
  }
  return name === null ? null : { service: `${namespace}/${name}`, path: reference.path };
}

function readRule(rule: ObjectReader, namespace: string): PolicyRule {
  const from = readClauses(rule, 'from', 'source').map((source) => readSource(source, namespace));
  const to = readClauses(rule, 'to', 'operation').map(readOperation);
  const when = readPair(rule, 'when')
    .flatMap((item) => rule.over(item.value, item.path) ?? [])
    .flatMap((condition) => readCondition(condition) ?? []);
  rule.finish();
  return { from, to, when };
}

/** Istio's condition keys. Another is a mistake, one that weir cannot judge yet refuses the policy. */
const CONDITION_KEYS = [
  'connection.sni',
  'remote.ip',
  'source.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
];

function readCondition(condition: ObjectReader): PolicyCondition | null {
  const key = condition.requiredText('key');
  const values = readTexts(condition, 'values');
  const notValues = readTexts(condition, 'notValues');
  condition.finish();
  if (!condition.has('values') && !condition.has('notValues')) {
    condition.missing('values', 'add values or notValues');
  }
  if (key === null) return null;
  if (key === 'remote.ip') {
    checkBlocks(condition, 'values', values);
    checkBlocks(condition, 'notValues', notValues);
    warnOfForwarded(condition, 'key');
  } else if (key !== 'connection.sni') {
    const known = CONDITION_KEYS.includes(key) || /^(request\.headers|request\.auth\.claims)\[/.test(key);
    const close = closestWord(key, CONDITION_KEYS);
    const reason = known ? `the condition ${key} is not supported by weir yet` : `is ${quote(key)}`;
    const remedy = known
      ? 'remove it; until then the policy is not applied'
      : close === null
        ? `write one of ${CONDITION_KEYS.join(', ')}`
        : `did you mean ${close}?`;
    condition.problems.error(known ? 'UNSUPPORTED' : 'INVALID_VALUE', condition.at('key'), reason, remedy);
    return null;
  }
  return { key, values, notValues };
}

/** Istio also takes the remote address from X-Forwarded-For. */
function warnOfForwarded(reader: ObjectReader, field: string): void {
  const reason = 'knows the address of a PROXY protocol header, else the peer: X-Forwarded-For is not looked at yet';
  reader.problems.warning(
    'UNSUPPORTED',
    reader.at(field),
    reason,
    'do not rely on it behind a proxy that sends only that',
  );
}

/** `from: [{source: …}]` and `to: [{operation: …}]`: each level must say something. */
function readClauses(rule: ObjectReader, field: 'from' | 'to', inner: 'source' | 'operation'): ObjectReader[] {
  const clauses = rule.objects(field);
  if (rule.has(field) && clauses.length === 0) {
    rule.problems.error('INVALID_VALUE', rule.at(field), 'is an empty list', `remove it to match any ${inner}`, 'key');
  }
  return clauses.flatMap((clause) => {
    const reader = clause.object(inner);
    clause.finish();
    if (reader === null) {
      if (!clause.has(inner)) clause.missing(inner, `add ${inner} with at least one field below it`);
      return [];
    }
    if (reader.isEmpty) {
      const remedy = `remove the entry of "${field}" to match any ${inner}`;
      reader.problems.error('INVALID_VALUE', reader.path, 'has no field', remedy);
    }
    return [reader];
  });
}

function readSource(source: ObjectReader, namespace: string): PolicySource {
  const accounts = [...readPair(source, 'serviceAccounts'), ...readPair(source, 'notServiceAccounts')];
  const others = ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'].filter((field) => source.has(field));
  if (accounts.length > 0 && others.length > 0) {
    const remedy = `write two entries, or remove ${others.join(' and ')}`;
    source.problems.error(
      'INVALID_VALUE',
      source.path,
      `serviceAccounts stands beside ${others.join(' and ')}`,
      remedy,
    );
  }
  const result: PolicySource = {
    principals: readPrincipals(source, 'principals'),
    notPrincipals: readPrincipals(source, 'notPrincipals'),
    namespaces: readTexts(source, 'namespaces'),
    notNamespaces: readTexts(source, 'notNamespaces'),
    serviceAccounts: readServiceAccounts(source, 'serviceAccounts', namespace),
    notServiceAccounts: readServiceAccounts(source, 'notServiceAccounts', namespace),
    ipBlocks: readBlocks(source, 'ipBlocks'),
    notIpBlocks: readBlocks(source, 'notIpBlocks'),
    remoteIpBlocks: readBlocks(source, 'remoteIpBlocks'),
    notRemoteIpBlocks: readBlocks(source, 'notRemoteIpBlocks'),
  };
  for (const field of ['remoteIpBlocks', 'notRemoteIpBlocks']) if (source.has(field)) warnOfForwarded(source, field);
  for (const field of ['requestPrincipals', 'notRequestPrincipals']) source.unsupported(field);
  source.finish();
  return result;
}

function readOperation(operation: ObjectReader): PolicyOperation {
  const result: PolicyOperation = {
    hosts: readTexts(operation, 'hosts'),
    notHosts: readTexts(operation, 'notHosts'),
    ports: readPorts(operation, 'ports'),
    notPorts: readPorts(operation, 'notPorts'),
    methods: readTexts(operation, 'methods'),
    notMethods: readTexts(operation, 'notMethods'),
    paths: readPaths(operation, 'paths'),
    notPaths: readPaths(operation, 'notPaths'),
  };
  operation.finish();
  return result;
}

/** The elements of a list that, when it is written at all, must have some. */
function readPair(reader: ObjectReader, field: string): ListItem[] {
  const items = reader.list(field);
  if (items.length === 0 && reader.has(field)) {
    reader.problems.error('INVALID_VALUE', reader.at(field), 'is an empty list', 'add a value or remove it', 'key');
  }
  return items;
}

function readTexts(reader: ObjectReader, field: string): string[] {
  return readPair(reader, field).flatMap((item) => {
    const text = reader.asText(item);
    if (text !== '') return text ?? [];
    reader.problems.error('INVALID_VALUE', item.path, 'is empty', 'write a value, or "*" for any');
    return [];
  });
}

function readPrincipals(source: ObjectReader, field: string): string[] {
  const principals = readTexts(source, field);
  for (const [index, principal] of principals.entries()) {
    if (!principal.startsWith('spiffe://')) continue;
    const remedy = `write ${principal.slice('spiffe://'.length)}`;
    source.problems.error('INVALID_VALUE', [...source.at(field), index], 'would never match with its scheme', remedy);
  }
  return principals;
}

/** `account` means the policy's own namespace; `namespace/account` any (Istio 1.26). */
function readServiceAccounts(source: ObjectReader, field: string, namespace: string): string[] {
  return readTexts(source, field).map((account, index) => {
    const path = [...source.at(field), index];
    const parts = account.split('/');
    if (account.includes('*') || parts.length > 2 || parts.some((part) => !OBJECT_NAME.pattern.test(part))) {
      const remedy = 'write serviceAccount or namespace/serviceAccount, without "*"';
      source.problems.error('INVALID_VALUE', path, `is ${quote(account)}`, remedy);
    }
    return parts.length === 1 ? `${namespace}/${account}` : account;
  });
}

function readBlocks(source: ObjectReader, field: string): string[] {
  const blocks = readTexts(source, field);
  checkBlocks(source, field, blocks);
  return blocks;
}

function checkBlocks(reader: ObjectReader, field: string, blocks: readonly string[]): void {
  for (const [index, block] of blocks.entries()) {
    if (parseCidr(block) !== null) continue;
    const remedy = 'write an address or a block such as 10.1.0.0/16';
    reader.problems.error('INVALID_VALUE', [...reader.at(field), index], `is ${quote(block)}`, remedy);
  }
}

/** Istio's ports are text: `"80"`. */
function readPorts(operation: ObjectReader, field: string): number[] {
  return readPair(operation, field).flatMap((item) => {
    const text = operation.asText(item);
    if (text === null) return [];
    const port = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : 0;
    if (port >= 1 && port <= 65_535) return port;
    operation.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, 'it must be a port from "1" to "65535"');
    return [];
  });
}

function readPaths(operation: ObjectReader, field: string): string[] {
  const paths = readTexts(operation, field);
  for (const [index, path] of paths.entries()) {
    const template = isPathTemplate(path) ? compilePathTemplate(path) : null;
    if (typeof template !== 'string') continue;
    operation.problems.error('INVALID_VALUE', [...operation.at(field), index], `is ${quote(path)}`, `it ${template}`);
  }
  return paths;
}
