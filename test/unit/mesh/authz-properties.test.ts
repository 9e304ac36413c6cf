/**
 * Authorization against an evaluator written from the semantics alone: no compilation, no binding, no indexes. It looks at every
 * policy for every question, one field at a time.
 */
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ConnectionFacts } from '../../../mesh/authz.ts';
import type { Workload } from '../../../mesh/model.ts';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyOperation,
  PolicyRule,
  PolicySource,
} from '../../../mesh/policy-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { MeshState } from '../../../mesh/state.ts';
import { applyAll, policy, request, workload } from './resources.ts';

// --- the naive evaluator

function stringHolds(pattern: string, value: string): boolean {
  if (pattern === '*') return value.length > 0;
  if (pattern.startsWith('*')) return value.length > 0 && value.endsWith(pattern.slice(1));
  if (pattern.endsWith('*')) return value.length > 0 && value.startsWith(pattern.slice(0, -1));
  return value === pattern;
}

function pathHolds(pattern: string, value: string): boolean {
  if (!pattern.includes('{')) return stringHolds(pattern, value);
  const expression = pattern.replaceAll('{**}', '\u0001').replaceAll('{*}', '[^/]+').replaceAll('\u0001', '.*');
  return new RegExp(`^${expression}$`).test(value);
}

function blockHolds(block: string, ip: string): boolean {
  const [address, prefix] = block.split('/') as [string, string | undefined];
  const list = new BlockList();
  list.addSubnet(
    address,
    Number(prefix ?? (address.includes(':') ? 128 : 32)),
    address.includes(':') ? 'ipv6' : 'ipv4',
  );
  return address.includes(':') === ip.includes(':') && list.check(ip, ip.includes(':') ? 'ipv6' : 'ipv4');
}

function field<T>(wanted: readonly T[], unwanted: readonly T[], holds: (value: T) => boolean): boolean {
  return (wanted.length === 0 || wanted.some(holds)) && !unwanted.some(holds);
}

function sourceHolds(source: PolicySource, connection: ConnectionFacts): boolean {
  const { identity, sourceIp, remoteIp } = connection;
  const principal =
    identity === null ? '' : `${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
  return (
    field(source.principals, source.notPrincipals, (p) => stringHolds(p, principal)) &&
    field(source.namespaces, source.notNamespaces, (n) => stringHolds(n, identity?.namespace ?? '')) &&
    field(
      source.serviceAccounts,
      source.notServiceAccounts,
      (s) => identity !== null && s === `${identity.namespace}/${identity.serviceAccount}`,
    ) &&
    field(source.ipBlocks, source.notIpBlocks, (b) => blockHolds(b, sourceIp)) &&
    field(source.remoteIpBlocks, source.notRemoteIpBlocks, (b) => blockHolds(b, remoteIp))
  );
}

/** A server name that is not known holds against the connection: for DENY, not for ALLOW. */
function conditionHolds(
  { key, values, notValues }: PolicyCondition,
  action: string,
  connection: ConnectionFacts,
): boolean {
  const { remoteIp, serverName } = connection;
  if (key === 'remote.ip') return field(values, notValues, (block) => blockHolds(block, remoteIp));
  if (serverName === null) return action === 'DENY';
  return field(values, notValues, (value) => stringHolds(value.toLowerCase(), serverName));
}

const HTTP_FIELDS = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;

function usesHttp(operation: PolicyOperation): boolean {
  return HTTP_FIELDS.some((name) => operation[name].length > 0);
}

function operationHolds(operation: PolicyOperation, port: number, view: RequestView | null): boolean {
  if (!field(operation.ports, operation.notPorts, (p) => p === port)) return false;
  if (view === null) return true; // plain TCP: what is left of the operation
  return (
    field(operation.methods, operation.notMethods, (m) => stringHolds(m, view.method)) &&
    field(operation.paths, operation.notPaths, (p) => pathHolds(p, view.path)) &&
    field(operation.hosts, operation.notHosts, (h) => stringHolds(h.toLowerCase().replace(/:(\d+|\*)$/, ''), view.host))
  );
}

function ruleHolds(rule: PolicyRule, action: string, connection: ConnectionFacts, view: RequestView | null): boolean {
  if (view === null && action === 'ALLOW' && rule.to.some(usesHttp)) return false;
  const from = rule.from.length === 0 || rule.from.some((source) => sourceHolds(source, connection));
  const to =
    rule.to.length === 0 || rule.to.some((operation) => operationHolds(operation, connection.destinationPort, view));
  return from && to && rule.when.every((condition) => conditionHolds(condition, action, connection));
}

function applies(candidate: AuthorizationPolicy, target: Workload, port: number): boolean {
  if (candidate.targetServices.length > 0) {
    return candidate.targetServices.some((service) =>
      (target.services[service] ?? []).some(({ targetPort }) => targetPort === port),
    );
  }
  if (!candidate.meshWide && candidate.namespace !== target.namespace) return false;
  return Object.entries(candidate.selector ?? {}).every(([label, value]) => target.labels[label] === value);
}

function naiveAllows(
  policies: readonly AuthorizationPolicy[],
  target: Workload,
  connection: ConnectionFacts,
  view: RequestView | null,
): boolean {
  const inScope = policies.filter((candidate) => applies(candidate, target, connection.destinationPort));
  const holds = (candidate: AuthorizationPolicy): boolean =>
    candidate.rules.some((rule) => ruleHolds(rule, candidate.action, connection, view));
  if (inScope.some((candidate) => candidate.action === 'DENY' && holds(candidate))) return false;
  const allows = inScope.filter((candidate) => candidate.action === 'ALLOW');
  return allows.length === 0 || allows.some(holds);
}

// --- arbitrary policies over a small world, so that fields meet often

const some = <T>(...values: T[]): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }) },
  );

const principals = some('cluster.local/ns/a/sa/x', '*/ns/b/sa/x', 'cluster.local/ns/a/*', '*', '*/sa/y', 'other/*');
const namespaces = some('a', 'b', 'a*', '*', '*b');
const accounts = some('a/x', 'a/y', 'b/x');
const blocks = some('10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', 'fd00::/8', '0.0.0.0/0', '::/0');
const anySource: fc.Arbitrary<PolicySource> = fc
  .record({
    principals,
    notPrincipals: principals,
    namespaces,
    notNamespaces: namespaces,
    serviceAccounts: accounts,
    notServiceAccounts: accounts,
    ipBlocks: blocks,
    notIpBlocks: blocks,
    remoteIpBlocks: blocks,
    notRemoteIpBlocks: blocks,
    requestPrincipals: fc.constant([]),
    notRequestPrincipals: fc.constant([]),
  })
  .filter((source) => Object.values(source).some((values) => values.length > 0));

const hosts = some('a.b', 'A.B:80', 'a.*', '*.b', 'a.b:*', '*');
const ports = some(80, 8080);
const methods = some('GET', 'P*', '*', '*T');
const paths = some('/a', '/a/*', '*/b', '/{*}/b', '/a/{**}', '*');
const anyOperation: fc.Arbitrary<PolicyOperation> = fc
  .record({ hosts, notHosts: hosts, ports, notPorts: ports, methods, notMethods: methods, paths, notPaths: paths })
  .filter((operation) => Object.values(operation).some((values) => values.length > 0));

const serverNames = some('a.example', 'A.EXAMPLE', '*.example', 'b.*', '*');
const anyCondition: fc.Arbitrary<PolicyCondition> = fc
  .oneof(
    fc.record({ key: fc.constant('connection.sni' as const), values: serverNames, notValues: serverNames }),
    fc.record({ key: fc.constant('remote.ip' as const), values: blocks, notValues: blocks }),
  )
  .filter(({ values, notValues }) => values.length + notValues.length > 0);

const anyRule: fc.Arbitrary<PolicyRule> = fc.record({
  from: fc.array(anySource, { maxLength: 2 }),
  to: fc.array(anyOperation, { maxLength: 2 }),
  when: fc.oneof(
    { weight: 3, arbitrary: fc.constant<PolicyCondition[]>([]) },
    { weight: 1, arbitrary: fc.array(anyCondition, { maxLength: 2 }) },
  ),
});

const anyScope = fc.constantFrom<Partial<AuthorizationPolicy>>(
  {},
  {},
  { namespace: 'other' },
  { namespace: 'root', meshWide: true },
  { selector: { app: 'web' } },
  { selector: { app: 'db' } },
  { namespace: 'root', meshWide: true, selector: { app: 'web' } },
  { targetServices: ['shop/web'] },
  { targetServices: ['shop/db', 'shop/web'] },
);

const anyPolicies = fc
  .array(
    fc.record({
      action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
      scope: anyScope,
      rules: fc.array(anyRule, { maxLength: 3 }),
    }),
    {
      maxLength: 4,
    },
  )
  .map((list) => list.map(({ action, scope, rules }, i) => policy({ name: `p${i}`, action, rules, ...scope })));

const anyConnection: fc.Arbitrary<ConnectionFacts> = fc.record({
  identity: fc.option(
    fc.record({
      trustDomain: fc.constantFrom('cluster.local', 'other'),
      namespace: fc.constantFrom('a', 'b', 'ab'),
      serviceAccount: fc.constantFrom('x', 'y'),
    }),
    { freq: 3 },
  ),
  sourceIp: fc.constantFrom('10.1.2.3', '10.1.9.9', '10.9.9.9', '192.168.0.1', 'fd00::1', '2001:db8::1'),
  remoteIp: fc.constantFrom('10.1.2.3', '192.168.0.1', 'fd00::1'),
  serverName: fc.constantFrom(null, '', '', 'a.example', 'b.example', 'b.test'),
  destinationIp: fc.constant('10.0.0.1'),
  destinationPort: fc.constantFrom(80, 8080, 9999),
});

const anyView = fc
  .record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'get'),
    path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/c/b', '/a/b/c', '*'),
    host: fc.constantFrom('a.b', 'a.c', 'c.b', ''),
  })
  .map((fields) => request(fields));

const WEB = workload({
  uid: 'web-1',
  labels: { app: 'web' },
  services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }], 'shop/db': [{ servicePort: 1, targetPort: 80 }] },
});

function stateOf(policies: readonly AuthorizationPolicy[]): MeshState {
  const state = new MeshState();
  applyAll(state, [WEB, ...policies]);
  return state;
}

function verdictsOf(
  policies: readonly AuthorizationPolicy[],
  connection: ConnectionFacts,
  views: readonly RequestView[],
): boolean[] {
  const bound = stateOf(policies).authorization(WEB, connection.destinationPort).bind(connection);
  return [bound.connection().allowed, ...views.map((view) => bound.request(view).allowed)];
}

/** The time limit bounds shrinking a failure (policies shrink slowly); the runs themselves take about a second. */
const RUNS = { numRuns: 4000, interruptAfterTimeLimit: 20_000 };
const views = fc.array(anyView, { minLength: 3, maxLength: 3 });

describe('authorization', () => {
  it('answers as the naive evaluator does, for requests and for plain TCP', () => {
    const outcomes = { allowed: 0, denied: 0 };
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const expected = [null, ...asked].map((view) => naiveAllows(policies, WEB, connection, view));
        assert.deepEqual(verdictsOf(policies, connection, asked), expected);
        for (const allowed of expected) outcomes[allowed ? 'allowed' : 'denied']++;
      }),
      RUNS,
    );
    const total = outcomes.allowed + outcomes.denied;
    assert.ok(Math.min(outcomes.allowed, outcomes.denied) > total / 10, `lopsided: ${JSON.stringify(outcomes)}`);
  });

  it('settled is what every request and the plain connection get', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const authorization = stateOf(policies).authorization(WEB, connection.destinationPort);
        const bound = authorization.bind(connection);
        if (bound.settled === null) {
          assert.ok(authorization.needsHttp, 'without HTTP rules everything is settled');
          return;
        }
        assert.equal(bound.connection().allowed, bound.settled.allowed);
        for (const view of asked) assert.equal(bound.request(view), bound.settled);
        if (authorization.isEmpty) assert.ok(bound.settled.allowed);
      }),
      RUNS,
    );
  });

  it('asks for a server name exactly where the answer can depend on it', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const authorization = stateOf(policies).authorization(WEB, connection.destinationPort);
        if (authorization.needsServerName) return;
        const answers = [null, '', 'a.example', 'b.test'].map((serverName) =>
          verdictsOf(policies, { ...connection, serverName }, asked),
        );
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
      }),
      { ...RUNS, numRuns: 1000 },
    );
  });

  it('a server name that is not known never allows more than one that is known', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const unknown = verdictsOf(policies, { ...connection, serverName: null }, asked);
        for (const serverName of ['', 'a.example', 'b.test']) {
          const known = verdictsOf(policies, { ...connection, serverName }, asked);
          unknown.forEach((allowed, i) => {
            assert.ok(!allowed || known[i]);
          });
        }
      }),
      { ...RUNS, numRuns: 1000 },
    );
  });

  it('a verdict names a policy and rule that decided', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, anyView, (policies, connection, view) => {
        const bound = stateOf(policies).authorization(WEB, connection.destinationPort).bind(connection);
        for (const [verdict, asked] of [[bound.request(view), view] as const, [bound.connection(), null] as const]) {
          const named = policies.find((candidate) => `${candidate.namespace}/${candidate.name}` === verdict.policy);
          if (named === undefined) {
            assert.equal(verdict.rule, -1);
            assert.equal(verdict.allowPolicies.length > 0, !verdict.allowed);
            continue;
          }
          assert.equal(named.action, verdict.allowed ? 'ALLOW' : 'DENY');
          assert.ok(ruleHolds(named.rules[verdict.rule] as PolicyRule, named.action, connection, asked));
        }
      }),
      RUNS,
    );
  });

  it('adding a DENY never allows', () => {
    fc.assert(
      fc.property(
        anyPolicies,
        fc.array(anyRule, { maxLength: 2 }),
        anyScope,
        anyConnection,
        views,
        (policies, rules, scope, connection, asked) => {
          const before = verdictsOf(policies, connection, asked);
          const after = verdictsOf(
            [...policies, policy({ name: 'extra', action: 'DENY', rules, ...scope })],
            connection,
            asked,
          );
          after.forEach((allowed, i) => {
            assert.ok(!allowed || before[i]);
          });
        },
      ),
      RUNS,
    );
  });

  it('the order of rules, sources, operations, values and policies never matters', () => {
    const reversed = <T>(items: readonly T[]): T[] => [...items].reverse();
    const turn = (candidate: AuthorizationPolicy): AuthorizationPolicy => ({
      ...candidate,
      rules: reversed(candidate.rules).map((rule) => ({
        from: reversed(rule.from).map((source) => ({
          ...source,
          principals: reversed(source.principals),
          ipBlocks: reversed(source.ipBlocks),
        })),
        when: reversed(rule.when),
        to: reversed(rule.to).map((operation) => ({
          ...operation,
          paths: reversed(operation.paths),
          hosts: reversed(operation.hosts),
        })),
      })),
    });
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        assert.deepEqual(
          verdictsOf(reversed(policies).map(turn), connection, asked),
          verdictsOf(policies, connection, asked),
        );
      }),
      RUNS,
    );
  });
});
