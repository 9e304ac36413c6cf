/**
 * Rows of bench-mesh.ts: what AuthorizationPolicy costs when 10 to 10,000 policies of 10 rules select one workload. Each kind of rule
 * is measured per request, per connection, and once from the resources to the first answer (compilation).
 */
import type { ConnectionFacts } from '../mesh/authz.ts';
import type { Identity, Workload } from '../mesh/model.ts';
import { PolicyIndex } from '../mesh/policy-index.ts';
import type { AuthorizationPolicy, PolicyOperation, PolicyRule, PolicySource } from '../mesh/policy-model.ts';
import type { RequestView } from '../mesh/request.ts';
import { NO_OPERATION, NO_SOURCE } from '../test/harness/policy-parts.ts';

/** One figure in ns; `ratio`: to the same with 10 policies. */
export interface AuthorizationRow {
  readonly name: string;
  readonly nanoseconds: number;
  readonly ratio: number;
}

const POLICY_COUNTS = [10, 100, 1_000, 10_000];
const RULES_EACH = 10;
/** Requests and connections that are asked in turn: they hit rules from the first policy to the last, and none. */
const QUESTIONS = 256;

function rule(source: Partial<PolicySource> | null, operation: Partial<PolicyOperation>): PolicyRule {
  return {
    from: source === null ? [] : [{ ...NO_SOURCE, ...source }],
    to: [{ ...NO_OPERATION, ...operation }],
    when: [],
  };
}

/** Rule `n` of all, as each kind of policy has it. */
const KINDS: Readonly<Record<string, (n: number) => PolicyRule>> = {
  'exact paths': (n) => rule(null, { methods: ['GET'], paths: [`/api/v1/resource${n}`] }),
  prefixes: (n) => rule(null, { methods: ['GET'], paths: [`/api/v1/resource${n}/*`] }),
  principals: (n) => rule({ principals: [principal(n)] }, { methods: ['GET'] }),
  mixed: (n) => {
    switch (n % 5) {
      case 0:
        return rule({ principals: [principal(n)] }, { paths: [`/api/v1/resource${n}`] });
      case 1:
        return rule({ namespaces: ['shop'] }, { paths: [`/api/v1/resource${n}/*`], methods: ['GET', 'POST'] });
      case 2:
        return rule({ ipBlocks: [`10.${(n >> 8) & 255}.${n & 255}.0/24`] }, { paths: [`*/resource${n}`] });
      case 3:
        return rule({ namespaces: ['shop'], notPrincipals: ['*/sa/admin'] }, { hosts: [`host${n}.example`] });
      default:
        return rule(null, { paths: [`/api/{*}/resource${n}/{**}`], notMethods: ['DELETE'] });
    }
  },
};

function principal(n: number): string {
  return `cluster.local/ns/client-${n % 100}/sa/account-${n}`;
}

function policies(kind: (n: number) => PolicyRule, count: number): AuthorizationPolicy[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'authorizationPolicy' as const,
    namespace: 'shop',
    name: `p-${String(i).padStart(6, '0')}`,
    action: i % 5 === 0 ? ('DENY' as const) : ('ALLOW' as const),
    dryRun: false,
    meshWide: false,
    selector: { app: 'web' },
    targetServices: [],
    rules: Array.from({ length: RULES_EACH }, (__, r) => kind(i * RULES_EACH + r)),
  }));
}

const TARGET: Workload = {
  kind: 'workload',
  uid: 'pod-1',
  namespace: 'shop',
  name: 'pod-1',
  serviceAccount: 'default',
  node: 'n1',
  addresses: ['10.0.0.1'],
  ready: true,
  hostNetwork: false,
  labels: { app: 'web' },
  annotations: {},
  workloadName: 'web',
  canonicalName: 'web',
  canonicalRevision: 'latest',
  namedPorts: {},
  locality: '',
  services: {},
};

/** Texts as the codecs read them: out of octets, not concatenated. */
function view(n: number): RequestView {
  const read = (text: string): string => Buffer.from(text, 'latin1').toString('latin1');
  const suffix = ['', '/item', '', '', '/a/b'][n % 5];
  const path = read(n % 7 === 0 ? `/other/${n}` : `/api/v1/resource${n}${suffix}`);
  const host = read(`host${n}.example`);
  return { method: 'GET', path, query: '', host, header: () => undefined, headerValues: () => [] };
}

function facts(n: number): ConnectionFacts {
  const identity: Identity =
    n % 3 === 0
      ? { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' }
      : { trustDomain: 'cluster.local', namespace: `client-${n % 100}`, serviceAccount: `account-${n}` };
  const sourceIp = `10.${(n >> 8) & 255}.${n & 255}.7`;
  return { identity, sourceIp, remoteIp: sourceIp, serverName: '', destinationIp: '10.0.0.1', destinationPort: 8080 };
}

/** `measure`: ns per call of `work(i)`, whose results are summed. */
export function authorizationRows(measure: (work: (i: number) => number) => number): AuthorizationRow[] {
  const rows: AuthorizationRow[] = [];
  for (const [kindName, kind] of Object.entries(KINDS)) {
    const first = new Map<string, number>();
    for (const count of POLICY_COUNTS) {
      for (const [what, nanoseconds] of measured(policies(kind, count), measure)) {
        const base = first.get(what) ?? nanoseconds;
        first.set(what, base);
        const name = `authz ${what}, ${kindName}, ${count} policies × ${RULES_EACH} rules`;
        rows.push({ name, nanoseconds, ratio: nanoseconds / base });
      }
    }
  }
  return rows;
}

function measured(
  all: readonly AuthorizationPolicy[],
  measure: (work: (i: number) => number) => number,
): [string, number][] {
  const total = all.length * RULES_EACH;
  const spread = Array.from({ length: QUESTIONS }, (_, i) => Math.floor((i * total) / QUESTIONS) + (i % 5));
  const connections = spread.map(facts);
  const views = spread.map(view);
  const start = performance.now();
  const index = new PolicyIndex();
  for (const policy of all) index.add(policy);
  const authorization = index.for(TARGET).forPort(8080);
  authorization.bind(connections[0] as ConnectionFacts).request(views[0] as RequestView);
  const compileNs = (performance.now() - start) * 1e6;
  const bound = connections.map((connection) => authorization.bind(connection));
  const decision = measure((i) => bound[i % QUESTIONS]?.request(views[(i * 7) % QUESTIONS] as RequestView).rule ?? 0);
  const bind = measure((i) =>
    authorization.bind(connections[i % QUESTIONS] as ConnectionFacts).settled === null ? 1 : 0,
  );
  // Last: it changes what the others ask.
  const middle = all[all.length >> 1] as AuthorizationPolicy;
  const turned: AuthorizationPolicy = { ...middle, action: middle.action === 'DENY' ? 'ALLOW' : 'DENY' };
  let present = middle;
  const change = measure((i) => {
    index.remove(present);
    present = present === middle ? turned : middle;
    index.add(present);
    const bound = index
      .for(TARGET)
      .forPort(8080)
      .bind(connections[i % QUESTIONS] as ConnectionFacts);
    return bound.request(views[i % QUESTIONS] as RequestView).rule;
  });
  return [
    ['decision', decision],
    ['bind', bind],
    ['compilation', compileNs],
    ['change of one policy, then asked,', change],
  ];
}
