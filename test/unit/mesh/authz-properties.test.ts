/**
 * Authorization against an evaluator written from the semantics alone: no compilation, no binding, no indexes. It looks at every
 * policy for every question, one field at a time.
 */
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { explainAuthorization } from '../../../mesh/authz-explain.ts';
import type { Authorization, ConnectionFacts, Verdict } from '../../../mesh/authz.ts';
import type { JwtClaims } from '../../../mesh/jwt.ts';
import type { Workload } from '../../../mesh/model.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyOperation,
  PolicyRule,
  PolicySource,
} from '../../../mesh/policy-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import type { TrustDomains } from '../../../mesh/trust-domain.ts';
import { policy, request, workload } from './resources.ts';

// --- the naive evaluator

const TRUST: TrustDomains = { own: 'prod.example', aliases: ['old.example'] };

function stringHolds(pattern: string, value: string): boolean {
  if (pattern === '*') return value.length > 0;
  if (pattern.startsWith('*')) return value.length > 0 && value.endsWith(pattern.slice(1));
  if (pattern.endsWith('*')) return value.length > 0 && value.startsWith(pattern.slice(0, -1));
  return value === pattern && value !== '';
}

function namespaceHolds(pattern: string, value: string): boolean {
  return value !== '' && new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(value);
}

/** A peer of the mesh answers to every name of the mesh's trust domain; `cluster.local` is such a name, whoever else has it. */
function principalHolds(pattern: string, identity: ConnectionFacts['identity']): boolean {
  if (identity === null) return false;
  const { trustDomain, namespace, serviceAccount } = identity;
  const names = [TRUST.own, ...TRUST.aliases];
  const isOwn = names.includes(trustDomain);
  if (!isOwn && pattern.startsWith('cluster.local/')) return false;
  const spelled = isOwn ? [...names, 'cluster.local'] : [trustDomain];
  return spelled.some((domain) => stringHolds(pattern, `${domain}/ns/${namespace}/sa/${serviceAccount}`));
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

/** An address that cannot be read holds against the connection: for what denies, not for ALLOW. */
function blockField(wanted: readonly string[], unwanted: readonly string[], ip: string, denies: boolean): boolean {
  if (wanted.length + unwanted.length > 0 && ip === '?') return denies;
  return field(wanted, unwanted, (block) => blockHolds(block, ip));
}

function claimsOf(view: RequestView): JwtClaims {
  return view.claims?.() ?? {};
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function principalOfToken(view: RequestView): string {
  const { iss, sub } = claimsOf(view);
  return typeof iss === 'string' && typeof sub === 'string' ? `${iss}/${sub}` : '';
}

function sourceHolds(
  source: PolicySource,
  connection: ConnectionFacts,
  view: RequestView | null,
  denies: boolean,
): boolean {
  const { identity, sourceIp, remoteIp } = connection;
  return (
    field(source.principals, source.notPrincipals, (p) => principalHolds(p, identity)) &&
    field(source.namespaces, source.notNamespaces, (n) => namespaceHolds(n, identity?.namespace ?? '')) &&
    field(
      source.serviceAccounts,
      source.notServiceAccounts,
      (s) => identity !== null && s === `${identity.namespace}/${identity.serviceAccount}`,
    ) &&
    blockField(source.ipBlocks, source.notIpBlocks, sourceIp, denies) &&
    blockField(source.remoteIpBlocks, source.notRemoteIpBlocks, remoteIp, denies) &&
    (view === null ||
      field(source.requestPrincipals, source.notRequestPrincipals, (p) => stringHolds(p, principalOfToken(view))))
  );
}

/** A server name that is not known holds against the connection: for what denies, not for ALLOW. */
function conditionHolds(
  { key, values, notValues }: PolicyCondition,
  denies: boolean,
  connection: ConnectionFacts,
  view: RequestView | null,
): boolean {
  const { identity, serverName, destinationPort } = connection;
  const any = (seen: readonly string[]): boolean =>
    field(values, notValues, (value) => seen.some((one) => stringHolds(value, one)));
  switch (key) {
    case 'source.ip':
      return blockField(values, notValues, connection.sourceIp, denies);
    case 'remote.ip':
      return blockField(values, notValues, connection.remoteIp, denies);
    case 'destination.ip':
      return blockField(values, notValues, connection.destinationIp, denies);
    case 'destination.port':
      return field(values, notValues, (value) => Number(value) === destinationPort);
    case 'source.namespace':
      return field(values, notValues, (value) => namespaceHolds(value, identity?.namespace ?? ''));
    case 'source.principal':
      return field(values, notValues, (value) => principalHolds(value, identity));
    case 'source.serviceAccount':
      return field(
        values,
        notValues,
        (value) => identity !== null && value === `${identity.namespace}/${identity.serviceAccount}`,
      );
    case 'connection.sni':
      if (serverName === null) return denies;
      return field(values, notValues, (value) => stringHolds(value.toLowerCase(), serverName));
  }
  if (view === null) return true; // plain TCP: counts as matched
  switch (key) {
    case 'request.auth.principal':
      return any([principalOfToken(view)]);
    case 'request.auth.audiences':
      return any(texts(claimsOf(view)['aud']));
    case 'request.auth.presenter':
      return any(texts(claimsOf(view)['azp']));
    case 'request.auth.claims[a][b]':
      return any(texts((claimsOf(view)['a'] as JwtClaims | undefined)?.['b']));
    case 'request.headers[x-role]': {
      const seen = view.headerValues('x-role');
      return field(values, notValues, (value) =>
        value === '*' ? seen.length > 0 : seen.some((one) => stringHolds(value, one)),
      );
    }
    default:
      throw new Error(key);
  }
}

const HTTP_FIELDS = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;

function operationUsesHttp(operation: PolicyOperation): boolean {
  return HTTP_FIELDS.some((name) => operation[name].length > 0);
}

function sourceUsesHttp(source: PolicySource): boolean {
  return source.requestPrincipals.length + source.notRequestPrincipals.length > 0;
}

function conditionUsesHttp({ key }: PolicyCondition): boolean {
  return key.startsWith('request.');
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

/** `whole`: on plain TCP, only what needs no HTTP at all. */
function ruleHolds(
  rule: PolicyRule,
  action: string,
  connection: ConnectionFacts,
  view: RequestView | null,
  whole = false,
): boolean {
  const denies = action !== 'ALLOW';
  const usesHttp =
    rule.to.some(operationUsesHttp) || rule.from.some(sourceUsesHttp) || rule.when.some(conditionUsesHttp);
  if (view === null && !denies && usesHttp) return false;
  const sources = rule.from.filter((source) => sourceHolds(source, connection, view, denies));
  const operations = rule.to.filter((operation) => operationHolds(operation, connection.destinationPort, view));
  if (rule.from.length > 0 && sources.length === 0) return false;
  if (rule.to.length > 0 && operations.length === 0) return false;
  if (!rule.when.every((condition) => conditionHolds(condition, denies, connection, view))) return false;
  if (!whole) return true;
  return (
    (rule.from.length === 0 || !sources.every(sourceUsesHttp)) &&
    (rule.to.length === 0 || !operations.every(operationUsesHttp)) &&
    !rule.when.some(conditionUsesHttp)
  );
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

function nameOf({ namespace, name }: AuthorizationPolicy): string {
  return `${namespace}/${name}`;
}

type Answer = Pick<Verdict, 'allowed' | 'policy' | 'rule' | 'cause' | 'allowPolicies'>;

function naive(
  policies: readonly AuthorizationPolicy[],
  target: Workload,
  connection: ConnectionFacts,
  view: RequestView | null,
  withDryRun = false,
): Answer {
  const inScope = policies
    .filter((candidate) => applies(candidate, target, connection.destinationPort) && (withDryRun || !candidate.dryRun))
    .sort((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
  for (const action of ['CUSTOM', 'DENY', 'ALLOW']) {
    for (const candidate of inScope.filter((one) => one.action === action)) {
      const rule = candidate.rules.findIndex((one) => ruleHolds(one, action, connection, view));
      if (rule < 0) continue;
      const whole = view !== null || ruleHolds(candidate.rules[rule] as PolicyRule, action, connection, view, true);
      const cause =
        action === 'ALLOW'
          ? 'allow-rule'
          : action === 'CUSTOM'
            ? 'custom-rule'
            : whole
              ? 'deny-rule'
              : 'deny-rule-without-http';
      return { allowed: action === 'ALLOW', policy: nameOf(candidate), rule, cause, allowPolicies: [] };
    }
  }
  const allowPolicies = inScope.filter(({ action }) => action === 'ALLOW').map(nameOf);
  const cause = allowPolicies.length === 0 ? 'no-policy-matched' : 'no-allow-rule-matched';
  return { allowed: allowPolicies.length === 0, policy: null, rule: -1, cause, allowPolicies };
}

// --- arbitrary policies over a small world, so that fields meet often

const some = <T>(...values: T[]): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 }) },
  );

const principals = some(
  'cluster.local/ns/a/sa/x',
  'prod.example/ns/b/sa/x',
  'old.example/ns/a/sa/x',
  'old.example/ns/a/*',
  '*/ns/b/sa/x',
  '*.example/ns/a/sa/x',
  'cluster.local/ns/a/*',
  'cluster*',
  'old*',
  '*',
  '*/sa/y',
  'other/*',
);
const namespaces = some('a', 'b', 'a*', '*', '*b', 'a*b');
const accounts = some('a/x', 'a/y', 'b/x');
const blocks = some('10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', 'fd00::/8', '0.0.0.0/0', '::/0');
const tokens = some('https://a/u', 'https://a/*', '*/u', '*', 'b/u');
const anySource: fc.Arbitrary<PolicySource> = fc
  .record({
    principals,
    notPrincipals: principals,
    requestPrincipals: tokens,
    notRequestPrincipals: tokens,
    namespaces,
    notNamespaces: namespaces,
    serviceAccounts: accounts,
    notServiceAccounts: accounts,
    ipBlocks: blocks,
    notIpBlocks: blocks,
    remoteIpBlocks: blocks,
    notRemoteIpBlocks: blocks,
  })
  .filter((source) => Object.values(source).some((values) => values.length > 0));

const hosts = some('a.b', 'A.B:80', 'a.*', '*.b', 'a.b:*', '*');
const ports = some(80, 8080);
const methods = some('GET', 'P*', '*', '*T');
const paths = some('/a', '/a/*', '*/b', '/{*}/b', '/a/{**}', '*', '/a/{*}/c');
const anyOperation: fc.Arbitrary<PolicyOperation> = fc
  .record({ hosts, notHosts: hosts, ports, notPorts: ports, methods, notMethods: methods, paths, notPaths: paths })
  .filter((operation) => Object.values(operation).some((values) => values.length > 0));

const serverNames = some('a.example', 'A.EXAMPLE', '*.example', 'b.*', '*');
const words = some('a', 'b', 'a*', '*b', '*');
const when = (key: string, values: fc.Arbitrary<string[]>): fc.Arbitrary<PolicyCondition> =>
  fc.record({ key: fc.constant(key), values, notValues: values });
const anyCondition: fc.Arbitrary<PolicyCondition> = fc
  .oneof(
    when('connection.sni', serverNames),
    when('remote.ip', blocks),
    when('source.ip', blocks),
    when('destination.ip', blocks),
    when('destination.port', some('80', '8080')),
    when('source.namespace', namespaces),
    when('source.principal', principals),
    when('source.serviceAccount', accounts),
    when('request.auth.principal', tokens),
    when('request.auth.audiences', words),
    when('request.auth.presenter', words),
    when('request.auth.claims[a][b]', words),
    when('request.headers[x-role]', words),
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

const anyAction = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('ALLOW' as const, 'DENY' as const) },
  { weight: 1, arbitrary: fc.constantFrom('AUDIT' as const, 'CUSTOM' as const) },
);

function policiesOf(
  rule: fc.Arbitrary<PolicyRule>,
  size: { minLength: number; maxLength: number },
): fc.Arbitrary<AuthorizationPolicy[]> {
  const one = fc.record({
    action: anyAction,
    dryRun: fc.nat(7).map((dice) => dice === 0),
    scope: anyScope,
    rules: fc.array(rule, { maxLength: 3 }),
  });
  return fc
    .array(one, size)
    .map((list) =>
      list.map(({ action, dryRun, scope, rules }, i) => policy({ name: `p${i}`, action, dryRun, rules, ...scope })),
    );
}

const anyPolicies = policiesOf(anyRule, { minLength: 0, maxLength: 4 });

const anyConnection: fc.Arbitrary<ConnectionFacts> = fc.record({
  identity: fc.option(
    fc.record({
      trustDomain: fc.constantFrom('prod.example', 'prod.example', 'old.example', 'cluster.local', 'other'),
      namespace: fc.constantFrom('a', 'b', 'ab'),
      serviceAccount: fc.constantFrom('x', 'y'),
    }),
    { freq: 3 },
  ),
  sourceIp: fc.constantFrom('10.1.2.3', '10.1.9.9', '10.9.9.9', '192.168.0.1', 'fd00::1', '2001:db8::1', '?'),
  remoteIp: fc.constantFrom('10.1.2.3', '192.168.0.1', 'fd00::1', '?'),
  serverName: fc.constantFrom(null, '', '', 'a.example', 'b.example', 'b.test'),
  destinationIp: fc.constantFrom('10.0.0.1', 'fd00::9'),
  destinationPort: fc.constantFrom(80, 8080, 9999),
});

const anyClaims: fc.Arbitrary<JwtClaims | null> = fc.option(
  fc.record({
    iss: fc.constantFrom('https://a', 'b'),
    sub: fc.constantFrom('u', 'v'),
    aud: fc.constantFrom('a', ['b', 'ab'], 7),
    azp: fc.constantFrom('a', 'b'),
    a: fc.constantFrom({ b: 'a' }, { b: ['b', 'c'] }, { b: { c: 'a' } }, 'a'),
  }),
  { freq: 2 },
);

const anyView: fc.Arbitrary<RequestView> = fc
  .record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'get'),
    path: fc.constantFrom('/', '/a', '/a/', '/a/b', '/c/b', '/a/b/c', '*', ''),
    host: fc.constantFrom('a.b', 'a.c', 'c.b', ''),
    roles: fc.array(fc.constantFrom('a', 'b', 'ab', ''), { maxLength: 2 }),
    claims: anyClaims,
  })
  .map(({ roles, claims, ...fields }) => ({
    ...request({ ...fields, headers: roles.map((role) => ['x-role', role]) }),
    claims: () => claims,
  }));

const WEB = workload({
  uid: 'web-1',
  labels: { app: 'web' },
  services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }], 'shop/db': [{ servicePort: 1, targetPort: 80 }] },
});

function authorizationOf(policies: readonly AuthorizationPolicy[], port: number): Authorization {
  const index = new PolicyIndex(TRUST);
  for (const one of policies) index.add(one);
  return index.for(WEB).forPort(port);
}

function answerOf({ allowed, policy: name, rule, cause, allowPolicies }: Verdict): Answer {
  return { allowed, policy: name, rule, cause, allowPolicies };
}

/** First of the plain connection, then of each request. */
function answers(authorization: Authorization, connection: ConnectionFacts, asked: readonly RequestView[]): Answer[] {
  const bound = authorization.bind(connection);
  return [bound.connection(), ...asked.map((view) => bound.request(view))].map(answerOf);
}

function verdictsOf(
  policies: readonly AuthorizationPolicy[],
  connection: ConnectionFacts,
  asked: readonly RequestView[],
): boolean[] {
  return answers(authorizationOf(policies, connection.destinationPort), connection, asked).map(
    ({ allowed }) => allowed,
  );
}

/** The time limit bounds shrinking a failure (policies shrink slowly); the runs themselves take about a second. */
const RUNS = { numRuns: 4000, interruptAfterTimeLimit: 20_000 };
/** Rules that differ in what an index goes by. */
const telling: fc.Arbitrary<PolicyRule> = fc
  .tuple(fc.nat(30), fc.constantFrom('/a/', '/a/b', '/'), fc.constantFrom('GET', 'PUT'), fc.nat(3))
  .map(([i, path, method, shape]) => {
    const written = [`${path}`, `${path}*`, `/v${i}`, `*${path}`][shape] as string;
    const empty = { hosts: [], notHosts: [], ports: [], notPorts: [], notMethods: [], notPaths: [] };
    return { from: [], to: [{ ...empty, paths: [written, `/p${i}`], methods: [method] }], when: [] };
  });
const views = fc.array(anyView, { minLength: 3, maxLength: 3 });

describe('authorization', () => {
  it('answers as the naive evaluator does, policy and rule by name, for requests and for plain TCP', () => {
    const outcomes = { allowed: 0, denied: 0 };
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const expected = [null, ...asked].map((view) => naive(policies, WEB, connection, view));
        const authorization = authorizationOf(policies, connection.destinationPort);
        assert.deepEqual(answers(authorization, connection, asked), expected);
        for (const { allowed } of expected) outcomes[allowed ? 'allowed' : 'denied']++;
      }),
      RUNS,
    );
    const total = outcomes.allowed + outcomes.denied;
    assert.ok(Math.min(outcomes.allowed, outcomes.denied) > total / 10, `lopsided: ${JSON.stringify(outcomes)}`);
  });

  it('answers so when there are enough rules for every index to be split', () => {
    const crowd = policiesOf(fc.oneof(anyRule, telling), { minLength: 15, maxLength: 40 });
    fc.assert(
      fc.property(crowd, anyConnection, views, (policies, connection, asked) => {
        const expected = [null, ...asked].map((view) => naive(policies, WEB, connection, view));
        const authorization = authorizationOf(policies, connection.destinationPort);
        assert.deepEqual(answers(authorization, connection, asked), expected);
        // Splitting happened on the first question: the second time must be no different.
        assert.deepEqual(answers(authorization, connection, asked), expected);
      }),
      { ...RUNS, numRuns: 400 },
    );
  });

  it('answers so for rules whose sources and operations are too many to be combined', () => {
    const wide = fc.record({
      from: fc.array(anySource, { minLength: 9, maxLength: 12 }),
      to: fc.array(anyOperation, { minLength: 9, maxLength: 12 }),
      when: fc.oneof(fc.constant([]), fc.array(anyCondition, { maxLength: 1 })),
    });
    fc.assert(
      fc.property(
        policiesOf(fc.oneof(wide, anyRule), { minLength: 1, maxLength: 4 }),
        anyConnection,
        views,
        (policies, connection, asked) => {
          const expected = [null, ...asked].map((view) => naive(policies, WEB, connection, view));
          const authorization = authorizationOf(policies, connection.destinationPort);
          assert.deepEqual(answers(authorization, connection, asked), expected);
        },
      ),
      { ...RUNS, numRuns: 400 },
    );
  });

  it('explains the verdict that it gives, and every rule that fails by a clause', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, anyView, (policies, connection, view) => {
        const authorization = authorizationOf(policies, connection.destinationPort);
        const bound = authorization.bind(connection);
        for (const asked of [view, null]) {
          const { verdict, dryRun, policies: judged } = explainAuthorization(authorization, connection, asked);
          assert.deepEqual(verdict, asked === null ? bound.connection() : bound.request(asked));
          const shadow = authorization.dryRun?.bind(connection) ?? null;
          assert.deepEqual(dryRun, (asked === null ? shadow?.connection() : shadow?.request(asked)) ?? null);
          for (const { rules } of judged) {
            for (const { matches, failures } of rules) assert.equal(failures.length === 0, matches);
          }
        }
      }),
      RUNS,
    );
  });

  it('AUDIT and dry-run never change an answer, and what dry-run would do is told apart', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const port = connection.destinationPort;
        const authorization = authorizationOf(policies, port);
        const enforced = policies.filter(({ action, dryRun }) => action !== 'AUDIT' && !dryRun);
        const expected = answers(authorizationOf(enforced, port), connection, asked);
        assert.deepEqual(answers(authorization, connection, asked), expected);
        const { dryRun } = authorization;
        if (dryRun === null) return;
        const shadow = [null, ...asked].map((view) => naive(policies, WEB, connection, view, true));
        assert.deepEqual(answers(dryRun, connection, asked), shadow);
      }),
      RUNS,
    );
  });

  it('settled is what every request and the plain connection get', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const authorization = authorizationOf(policies, connection.destinationPort);
        const bound = authorization.bind(connection);
        if (bound.settled === null) {
          assert.ok(authorization.needsHttp, 'without HTTP rules everything is settled');
          return;
        }
        assert.equal(bound.connection().allowed, bound.settled.allowed);
        for (const view of asked) assert.equal(bound.request(view).allowed, bound.settled.allowed);
        if (authorization.isEmpty) assert.ok(bound.settled.allowed);
      }),
      RUNS,
    );
  });

  it('asks for a server name exactly where the answer can depend on it', () => {
    fc.assert(
      fc.property(anyPolicies, anyConnection, views, (policies, connection, asked) => {
        const authorization = authorizationOf(policies, connection.destinationPort);
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

  /** Two workloads that mostly share their policies, and part and meet again as those change. */
  const PODS = [
    WEB,
    workload({ uid: 'db-1', labels: { app: 'db' }, services: { 'shop/db': [{ servicePort: 1, targetPort: 80 }] } }),
  ];

  function everythingOf(
    index: PolicyIndex,
    connections: readonly ConnectionFacts[],
    asked: readonly RequestView[],
  ): unknown {
    return PODS.map((pod) =>
      connections.map((connection) => {
        const authorization = index.for(pod).forPort(connection.destinationPort);
        const { isEmpty, needsHttp, needsServerName, dryRun } = authorization;
        return [
          { isEmpty, needsHttp, needsServerName, settled: authorization.bind(connection).settled },
          answers(authorization, connection, asked),
          dryRun && answers(dryRun, connection, asked),
        ];
      }),
    );
  }

  it('an index that policies come to and leave answers as one made of those that stayed, asked in between or not', () => {
    const anyStep = fc.record({ slot: fc.nat(11), remove: fc.nat(2).map((dice) => dice === 0), ask: fc.boolean() });
    const few = fc.array(
      fc.record({
        action: anyAction,
        dryRun: fc.nat(7).map((dice) => dice === 0),
        scope: anyScope,
        rules: fc.array(anyRule, { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    const many = fc.array(
      fc.record({
        action: anyAction,
        dryRun: fc.constant(false),
        scope: fc.constant({}),
        rules: fc.array(telling, { minLength: 3, maxLength: 12 }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    let revised = 0;
    fc.assert(
      fc.property(
        fc.oneof(few, many),
        fc.array(anyStep, { minLength: 20, maxLength: 20 }),
        fc.array(anyConnection, { minLength: 2, maxLength: 2 }),
        views,
        (written, steps, connections, asked) => {
          const index = new PolicyIndex(TRUST);
          const present = new Map<string, AuthorizationPolicy>();
          everythingOf(index, connections, asked);
          const objects = PODS.map((pod) => index.for(pod));
          written.forEach(({ scope, ...fields }, i) => {
            const { slot, remove, ask } = steps[i] as (typeof steps)[number];
            const next = policy({ ...fields, name: `p${slot}`, ...scope });
            const key = nameOf(next);
            const before = present.get(key);
            if (before !== undefined) index.remove(before);
            present.delete(key);
            if (!remove) {
              index.add(next);
              present.set(key, next);
            }
            if (ask) everythingOf(index, connections, asked);
          });
          const fresh = new PolicyIndex(TRUST);
          for (const one of present.values()) fresh.add(one);
          assert.deepEqual(everythingOf(index, connections, asked), everythingOf(fresh, connections, asked));
          if (objects.includes(index.for(WEB))) revised++;
        },
      ),
      { numRuns: 150, interruptAfterTimeLimit: 20_000 },
    );
    assert.ok(revised > 75, `only ${revised} times was what there was revised`);
  });
});
