/**
 * One clause of an AuthorizationPolicy rule after the other, as its author wrote them: which is the first that does not hold? The
 * plain reading of the semantics that authz-source.ts and authz-request.ts compile; for explanations only.
 */
import { comparableHost, conditionTexts, hasHttpFields, isRequestKey, requestPrincipalOf } from './authz-request.ts';
import type { ClauseFailure, Seen } from './authz-seen.ts';
import { parseConditionKey } from './condition-key.ts';
import { cidrContains, parseCidr, parseIp } from './ip.ts';
import { compilePathTemplate, isPathTemplate, templateMatches } from './path-template.ts';
import type { PolicyCondition, PolicyOperation, PolicyRule, PolicySource } from './policy-model.ts';
import { isDecodable, octetText, StringSet } from './string-match.ts';
import { comparablePrincipals } from './trust-domain.ts';

/** A pair of fields, `x` and `notX`: what they want, how a value of theirs compares, and what was seen. */
interface Clause {
  readonly field: string;
  readonly notField: string;
  readonly wanted: readonly string[];
  readonly unwanted: readonly string[];
  /** For people. */
  readonly saw: string;
  /** What was seen cannot be judged: a DENY matches, an ALLOW does not. */
  readonly unknown?: boolean;
  /** Cannot be said to be none of `unwanted`: as `unknown`, for those. */
  readonly unreadable?: boolean;
  readonly holds: (value: string) => boolean;
}

/** The first entry that fails, as its field and values; null: all hold. */
function firstFailure(path: string, clauses: readonly Clause[], denies: boolean): ClauseFailure | null {
  for (const { field, notField, wanted, unwanted, saw, unknown = false, unreadable = false, holds } of clauses) {
    if (unknown && denies) continue;
    if (wanted.length > 0 && (unknown || !wanted.some(holds))) {
      return { field: `${path}.${field}`, saw, wanted, negated: false };
    }
    if (unwanted.length > 0 && (unknown || (unreadable && !denies) || unwanted.some(holds))) {
      return { field: `${path}.${notField}`, saw, wanted: unwanted, negated: true };
    }
  }
  return null;
}

/** An entry of `from`. */
export function sourceFailure(source: PolicySource, path: string, seen: Seen, denies: boolean): ClauseFailure | null {
  const clauses = [
    principals(source.principals, source.notPrincipals, seen),
    namespaces(source.namespaces, source.notNamespaces, seen),
    serviceAccounts(source.serviceAccounts, source.notServiceAccounts, seen),
    blocks('ipBlocks', source.ipBlocks, source.notIpBlocks, seen.connection.sourceIp),
    blocks('remoteIpBlocks', source.remoteIpBlocks, source.notRemoteIpBlocks, seen.connection.remoteIp),
  ];
  if (seen.view !== null) {
    const principal = requestPrincipalOf(seen.view);
    clauses.push({
      ...named('requestPrincipals', source.requestPrincipals, source.notRequestPrincipals),
      saw: principal || 'no verified token',
      holds: (value) => stringHolds(value, principal),
    });
  }
  return firstFailure(path, clauses, denies);
}

/** An entry of `to`. */
export function operationFailure(
  operation: PolicyOperation,
  path: string,
  seen: Seen,
  denies: boolean,
): ClauseFailure | null {
  const port = seen.connection.destinationPort;
  const clauses = [ports(operation.ports.map(String), operation.notPorts.map(String), port)];
  const { view } = seen;
  if (view !== null) {
    clauses.push(
      {
        ...named('methods', operation.methods, operation.notMethods),
        saw: view.method,
        holds: (value) => stringHolds(value, view.method),
      },
      {
        ...named('paths', operation.paths, operation.notPaths),
        saw: view.path || 'no path',
        unreadable: !isDecodable(view.path, true),
        holds: (value) => pathHolds(octetText(value), view.path),
      },
      {
        ...named('hosts', operation.hosts, operation.notHosts),
        saw: view.host || 'no host',
        holds: (value) => stringHolds(comparableHost(value), view.host),
      },
    );
  }
  return firstFailure(path, clauses, denies);
}

/** An entry of `when`. `namespace`: the policy's. */
export function conditionFailure(
  { key, values, notValues }: PolicyCondition,
  path: string,
  seen: Seen,
  denies: boolean,
  namespace: string,
): ClauseFailure | null {
  const clause = conditionClause(key, values, notValues, seen, namespace);
  if (clause === null) return null;
  const failure = firstFailure(path, [{ ...clause, field: 'values', notField: 'notValues' }], denies);
  return failure === null ? null : { ...failure, saw: `${key} ${failure.saw}` };
}

function conditionClause(
  text: string,
  values: readonly string[],
  notValues: readonly string[],
  seen: Seen,
  namespace: string,
): Clause | null {
  const key = parseConditionKey(text);
  if (key === null) throw new Error(`condition key ${text} was not validated`);
  const { connection, view } = seen;
  if (isRequestKey(key)) {
    if (view === null) return null; // plain TCP: counts as matched
    const texts = conditionTexts(key, view);
    const isHeader = key.kind === 'request.headers';
    const comparable = isHeader ? octetText : (value: string): string => value;
    return {
      ...named('values', values, notValues),
      saw: texts.length === 0 ? 'absent' : texts.join(' and '),
      unreadable: isHeader && !texts.every((one) => isDecodable(one, false)),
      holds: (value) => texts.some((one) => (isHeader && value === '*') || stringHolds(comparable(value), one)),
    };
  }
  switch (key.kind) {
    case 'source.ip':
      return blocks('values', values, notValues, connection.sourceIp);
    case 'remote.ip':
      return blocks('values', values, notValues, connection.remoteIp);
    case 'destination.ip':
      return blocks('values', values, notValues, connection.destinationIp);
    case 'destination.port':
      return ports(values, notValues, connection.destinationPort);
    case 'source.namespace':
      return namespaces(values, notValues, seen);
    case 'source.principal':
      return principals(values, notValues, seen);
    case 'source.serviceAccount': {
      const whole = (account: string): string => (account.includes('/') ? account : `${namespace}/${account}`);
      return serviceAccounts(values.map(whole), notValues.map(whole), seen);
    }
    case 'connection.sni': {
      const { serverName } = connection;
      return {
        ...named('values', values, notValues),
        saw: serverName === null ? 'not known' : serverName || 'absent',
        unknown: serverName === null,
        holds: (value) => stringHolds(value.toLowerCase(), serverName ?? ''),
      };
    }
    default:
      throw new Error(`condition key ${text} has no meaning here`);
  }
}

function principals(wanted: readonly string[], unwanted: readonly string[], seen: Seen): Clause {
  return {
    ...named('principals', wanted, unwanted),
    saw: seen.principal || 'no identity',
    holds: (value) => comparablePrincipals([value], seen.trust).some((one) => stringHolds(one, seen.principal)),
  };
}

function namespaces(wanted: readonly string[], unwanted: readonly string[], seen: Seen): Clause {
  return {
    ...named('namespaces', wanted, unwanted),
    saw: seen.namespace || 'no identity',
    holds: (value) => StringSet.ofGlobs([value])?.matches(seen.namespace) === true,
  };
}

function serviceAccounts(wanted: readonly string[], unwanted: readonly string[], seen: Seen): Clause {
  return {
    ...named('serviceAccounts', wanted, unwanted),
    saw: seen.serviceAccount || 'no identity',
    holds: (value) => value === seen.serviceAccount,
  };
}

function blocks(field: string, wanted: readonly string[], unwanted: readonly string[], ip: string): Clause {
  const address = parseIp(ip);
  return {
    ...named(field, wanted, unwanted),
    saw: address === null ? `not an address (${ip})` : ip,
    unknown: address === null && wanted.length + unwanted.length > 0,
    holds: (value) => {
      const block = parseCidr(value);
      return block !== null && address !== null && cidrContains(block, address);
    },
  };
}

function ports(wanted: readonly string[], unwanted: readonly string[], port: number): Clause {
  return { ...named('ports', wanted, unwanted), saw: String(port), holds: (value) => Number(value) === port };
}

/** `x` with its twin `notX`. */
function named(
  field: string,
  wanted: readonly string[],
  unwanted: readonly string[],
): Pick<Clause, 'field' | 'notField' | 'wanted' | 'unwanted'> {
  const twin = `not${field.charAt(0).toUpperCase()}${field.slice(1)}`;
  return { field, notField: twin, wanted, unwanted };
}

function stringHolds(value: string, seen: string): boolean {
  return StringSet.of([value])?.matches(seen) === true;
}

function pathHolds(value: string, path: string): boolean {
  if (!isPathTemplate(value)) return stringHolds(value, path);
  const template = compilePathTemplate(value);
  return typeof template !== 'string' && templateMatches(template, path);
}

/** Which parts of a rule only a request can answer, and the first of their fields. */
export function usesHttpOnly(rule: PolicyRule): {
  readonly from: readonly boolean[];
  readonly to: readonly boolean[];
  readonly when: boolean;
  readonly field: string | null;
} {
  const from = rule.from.map((source) => source.requestPrincipals.length + source.notRequestPrincipals.length > 0);
  const to = rule.to.map(hasHttpFields);
  const when = rule.when.findIndex(({ key }) => {
    const parsed = parseConditionKey(key);
    return parsed !== null && isRequestKey(parsed);
  });
  const source = from.indexOf(true);
  const operation = to.indexOf(true);
  const field =
    source >= 0
      ? `from[${source}].source.requestPrincipals`
      : operation >= 0
        ? `to[${operation}].operation`
        : when >= 0
          ? `when[${when}].key`
          : null;
  return { from, to, when: when >= 0, field };
}
