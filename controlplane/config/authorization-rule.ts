/** The rules of an AuthorizationPolicy: sources, operations and conditions, as Istio's own validation takes them. */
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from '../../mesh/policy-model.ts';
import { CONDITION_KEYS } from '../../mesh/policy-model.ts';
import { compilePathTemplate, isPathTemplate } from '../../mesh/path-template.ts';
import { closestWord } from './did-you-mean.ts';
import { HEADER_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import { readBlocks, readFilledList, readPortTexts, readServiceAccounts, readTexts } from './text-fields.ts';

/** What reading a rule depends on beside the rule. */
export interface RuleContext {
  readonly namespace: string;
  /** Istio lets an external authorizer see neither peer identities nor tokens in its matching rules. */
  readonly isCustom: boolean;
}

/** Reads one rule; each level that is written must say something. */
export function readAuthorizationRule(rule: ObjectReader, context: RuleContext): PolicyRule {
  const from = readClauses(rule, 'from', 'source').map((source) => readSource(source, context));
  const to = readClauses(rule, 'to', 'operation').map(readOperation);
  const when = readFilledList(rule, 'when')
    .flatMap((item) => rule.over(item.value, item.path) ?? [])
    .flatMap((condition) => readCondition(condition, context) ?? []);
  rule.finish();
  return { from, to, when };
}

/** `from: [{source: …}]` and `to: [{operation: …}]`. */
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

const PEER_FIELDS = ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const;
const ACCOUNT_FIELDS = ['serviceAccounts', 'notServiceAccounts'] as const;
const TOKEN_FIELDS = ['requestPrincipals', 'notRequestPrincipals'] as const;
const REMOTE_FIELDS = ['remoteIpBlocks', 'notRemoteIpBlocks'] as const;

function readSource(source: ObjectReader, { namespace, isCustom }: RuleContext): PolicySource {
  const others = PEER_FIELDS.filter((field) => source.has(field));
  if (ACCOUNT_FIELDS.some((field) => source.has(field)) && others.length > 0) {
    const reason = `serviceAccounts stands beside ${others.join(' and ')}`;
    const remedy = `write two entries, or remove ${others.join(' and ')}`;
    source.problems.error('INVALID_VALUE', source.path, reason, remedy);
  }
  const result: PolicySource = {
    principals: readPrincipals(source, 'principals'),
    notPrincipals: readPrincipals(source, 'notPrincipals'),
    requestPrincipals: readTexts(source, 'requestPrincipals'),
    notRequestPrincipals: readTexts(source, 'notRequestPrincipals'),
    namespaces: readTexts(source, 'namespaces'),
    notNamespaces: readTexts(source, 'notNamespaces'),
    serviceAccounts: readServiceAccounts(source, 'serviceAccounts', namespace),
    notServiceAccounts: readServiceAccounts(source, 'notServiceAccounts', namespace),
    ipBlocks: readBlocks(source, 'ipBlocks'),
    notIpBlocks: readBlocks(source, 'notIpBlocks'),
    remoteIpBlocks: readBlocks(source, 'remoteIpBlocks'),
    notRemoteIpBlocks: readBlocks(source, 'notRemoteIpBlocks'),
  };
  for (const field of REMOTE_FIELDS) if (source.has(field)) warnOfForwarded(source, field);
  for (const field of TOKEN_FIELDS) if (source.has(field)) warnOfTokens(source, field, field);
  if (isCustom) {
    for (const field of [...PEER_FIELDS, ...ACCOUNT_FIELDS, ...TOKEN_FIELDS])
      if (source.has(field)) refuseInCustom(source, field, field);
  }
  source.finish();
  return result;
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

function readOperation(operation: ObjectReader): PolicyOperation {
  const result: PolicyOperation = {
    hosts: readTexts(operation, 'hosts'),
    notHosts: readTexts(operation, 'notHosts'),
    ports: readPortTexts(operation, 'ports').map(Number),
    notPorts: readPortTexts(operation, 'notPorts').map(Number),
    methods: readTexts(operation, 'methods'),
    notMethods: readTexts(operation, 'notMethods'),
    paths: readPaths(operation, 'paths'),
    notPaths: readPaths(operation, 'notPaths'),
  };
  operation.finish();
  return result;
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

/** Names in brackets: `request.headers[x-token]`, `request.auth.claims[realm][roles]`. */
const HEADER_KEY = /^request\.headers\[([^[\]]*)\]$/;
const CLAIMS_KEY = /^request\.auth\.claims(\[[^[\]]+\])+$/;
const KEYS_WITH_NAMES = [...CONDITION_KEYS, 'request.headers[name]', 'request.auth.claims[name]'];
/** What Istio forbids where an external authorizer decides. */
const IDENTITY_KEYS = ['source.namespace', 'source.serviceAccount', 'source.principal'];

function readCondition(condition: ObjectReader, { namespace, isCustom }: RuleContext): PolicyCondition | null {
  const written = condition.requiredText('key');
  const key = written === null ? null : normalKey(condition, written);
  const [values, notValues] = ['values', 'notValues'].map((field) => readValues(condition, field, key, namespace));
  condition.finish();
  if (!condition.has('values') && !condition.has('notValues')) {
    condition.missing('values', 'add values or notValues');
  }
  if (key === null) return null;
  const isOfToken = key.startsWith('request.auth.');
  if (isOfToken) warnOfTokens(condition, 'key', key);
  if (key === 'remote.ip') warnOfForwarded(condition, 'key');
  if (isCustom && (isOfToken || IDENTITY_KEYS.includes(key))) refuseInCustom(condition, 'key', key);
  return { key, values: values ?? [], notValues: notValues ?? [] };
}

/** The key as the model writes it (header names in lower case); null when it is none. */
function normalKey(condition: ObjectReader, written: string): string | null {
  if ((CONDITION_KEYS as readonly string[]).includes(written) || CLAIMS_KEY.test(written)) return written;
  const header = HEADER_KEY.exec(written)?.[1];
  if (header !== undefined && HEADER_NAME.pattern.test(header)) return `request.headers[${header.toLowerCase()}]`;
  if (written.startsWith('experimental.')) {
    const remedy = 'remove it; until then the policy is not applied';
    const reason = `the condition ${quote(written)} asks for metadata of Envoy's filters, which weir has not`;
    condition.problems.error('UNSUPPORTED', condition.at('key'), reason, remedy);
    return null;
  }
  const close = closestWord(written, KEYS_WITH_NAMES);
  const remedy = close === null ? `write one of ${KEYS_WITH_NAMES.join(', ')}` : `did you mean ${close}?`;
  condition.problems.error('INVALID_VALUE', condition.at('key'), `is ${quote(written)}`, remedy);
  return null;
}

function readValues(condition: ObjectReader, field: string, key: string | null, namespace: string): string[] {
  switch (key) {
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip':
      return readBlocks(condition, field);
    case 'destination.port':
      return readPortTexts(condition, field);
    case 'source.serviceAccount':
      return readServiceAccounts(condition, field, namespace);
    default:
      return readTexts(condition, field);
  }
}

/** Istio also takes the remote address from X-Forwarded-For. */
function warnOfForwarded(reader: ObjectReader, field: string): void {
  const reason = 'knows the address of a PROXY protocol header, else the peer: X-Forwarded-For is not looked at yet';
  const remedy = 'do not rely on it behind a proxy that sends only that';
  reader.problems.warning('UNSUPPORTED', reader.at(field), reason, remedy);
}

function warnOfTokens(reader: ObjectReader, field: string, what: string): void {
  const reason = `${what} is accepted, not yet enforced: tokens are not verified yet, so no request has a principal or claims`;
  reader.problems.warning('NOT_ENFORCED', reader.at(field), reason, 'do not rely on it yet', 'key');
}

function refuseInCustom(reader: ObjectReader, field: string, what: string): void {
  const remedy = 'remove it, or write a policy with ALLOW or DENY beside this one';
  reader.problems.error(
    'INVALID_VALUE',
    reader.at(field),
    `${what} cannot stand in a policy with action CUSTOM`,
    remedy,
  );
}
