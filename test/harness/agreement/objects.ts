/** Random policies and routes for the cluster of cluster.ts: valid, and about things that its requests have. */
import fc from 'fast-check';
import { SERVICES } from './cluster.ts';

type Json = Readonly<Record<string, unknown>>;

interface Generated {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly namespace: string };
  readonly spec: Json;
}

const maybe = <T>(value: fc.Arbitrary<T>, name: string): fc.Arbitrary<Json> =>
  fc.option(value, { nil: undefined, freq: 2 }).map((given) => (given === undefined ? {} : { [name]: given }));

/** What narrows a match: seldom, or next to nothing would match. */
const seldom = <T>(value: fc.Arbitrary<T>, name: string): fc.Arbitrary<Json> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant<Json>({}) },
    { weight: 1, arbitrary: value.map((given) => ({ [name]: given })) },
  );

/** Some of these fields, each absent as often as not. */
const some = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<Json> =>
  fc
    .tuple(...Object.entries(fields).map(([name, value]) => maybe(value, name)))
    .map((parts) => Object.assign({}, ...parts) as Json);

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const few = <T>(...values: readonly T[]): fc.Arbitrary<T[]> =>
  fc.subarray([...values], { minLength: 1, maxLength: Math.min(2, values.length) });

const WEB = SERVICES[0] as (typeof SERVICES)[number];
const PATHS = ['/a', '/a/*', '/admin*', '*', '*/public', '/A', '/%61', '/b/{*}/c', '/a/{**}', '/'];
const METHODS = ['GET', 'POST', 'HEAD', 'DELETE', 'get'];
const HOSTS = ['web.shop', 'WEB.SHOP', 'web*', '*.example', 'vault.bank', '*'];
const USERS = ['alice', 'jason', 'a*', '*b', '*', 'x,y'];
/** None tells pods of one Service apart: which of them is reached would then decide. */
const LABELS = [{ app: 'web' }, { app: 'vault' }, { app: 'alice' }, {}];

const source = some({
  principals: few('cluster.local/ns/shop/sa/alice', 'cluster.local/ns/bank/*', '*', '*/sa/bob'),
  notPrincipals: few('cluster.local/ns/shop/sa/bob', 'cluster.local/ns/bank/sa/carol'),
  namespaces: few('shop', 'bank', 'b*'),
  notNamespaces: few('bank', '*'),
  ipBlocks: few('10.0.0.0/8', 'fd00::/8', '192.0.2.0/24'),
  remoteIpBlocks: few('198.51.100.0/24', '10.0.0.0/8', 'fd00::/8'),
}).filter((fields) => Object.keys(fields).length > 0);

const operation = some({
  hosts: few(...HOSTS),
  notHosts: few(...HOSTS),
  ports: few('8080', '8081'),
  notPorts: few('8081'),
  methods: few(...METHODS),
  notMethods: few(...METHODS),
  paths: few(...PATHS),
  notPaths: few(...PATHS),
}).filter((fields) => Object.keys(fields).length > 0);

const condition = fc.oneof(
  // What routes edit, so that judging the wrong version of a request shows.
  { weight: 4, arbitrary: fc.record({ key: oneOf('request.headers[x-user]'), values: few(...USERS) }) },
  { weight: 4, arbitrary: fc.record({ key: oneOf('request.headers[X-User]'), notValues: few(...USERS) }) },
  fc.record({ key: oneOf('request.headers[x-none]'), values: few(...USERS) }),
  fc.record({ key: oneOf('source.namespace'), values: few('shop', 'bank') }),
  fc.record({ key: oneOf('destination.port'), values: few('8080', '8081') }),
  fc.record({ key: oneOf('source.principal'), notValues: few('cluster.local/ns/shop/sa/alice', '*') }),
);

const list = <T>(item: fc.Arbitrary<T>, most = 2): fc.Arbitrary<T[]> =>
  fc.array(item, { minLength: 1, maxLength: most });

const rule = some({
  from: list(source.map((each) => ({ source: each }))),
  to: list(operation.map((each) => ({ operation: each }))),
  when: list(condition, 1),
});

/** Nothing but a header decides: what a route does to it shows. */
const headerRule = list(condition, 1).map((when): Json => ({ when }));

const authorizationPolicy = fc
  .record({
    namespace: oneOf('shop', 'bank', 'shop', 'bank', 'istio-system'),
    action: oneOf('ALLOW', 'DENY', 'DENY', 'AUDIT'),
    selector: maybe(
      oneOf(...LABELS.slice(0, 2)).map((matchLabels) => ({ matchLabels })),
      'selector',
    ),
    rules: fc.oneof(
      { weight: 8, arbitrary: list(fc.oneof(rule, headerRule), 3) },
      { weight: 1, arbitrary: oneOf([], [{}]) },
    ),
  })
  .map(({ namespace, action, selector, rules }) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace },
    // A DENY or AUDIT without rules is refused: it could never match.
    spec: { ...selector, action: rules.length === 0 ? 'ALLOW' : action, rules },
  }));

const podSelector = oneOf(...LABELS).map((matchLabels) => ({ matchLabels }));
const networkPeer = fc.oneof(
  fc.record({ podSelector }),
  fc.record({ namespaceSelector: oneOf({ matchLabels: { team: 'shop' } }, {}) }),
  fc.record({ podSelector, namespaceSelector: oneOf({ matchLabels: { team: 'bank' } }) }),
  oneOf(
    { ipBlock: { cidr: '10.0.0.0/8' } },
    { ipBlock: { cidr: 'fd00::/8' } },
    { ipBlock: { cidr: '0.0.0.0/0', except: ['10.96.0.0/12'] } },
  ),
);
const networkPorts = maybe(list(oneOf<Json>({ port: 8080 }, { port: 'web' }, { port: 8080, endPort: 8090 })), 'ports');
const ingress = list(
  fc.tuple(maybe(list(networkPeer), 'from'), networkPorts).map(([from, ports]) => ({ ...from, ...ports })),
);
const egress = list(fc.tuple(maybe(list(networkPeer), 'to'), networkPorts).map(([to, ports]) => ({ ...to, ...ports })));
const networkPolicy = fc
  .record({
    namespace: oneOf('shop', 'bank'),
    podSelector,
    ingress,
    egress,
    types: oneOf('Ingress', 'Ingress', 'Egress'),
  })
  .map(({ namespace, types, ...rest }) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { namespace },
    spec: {
      podSelector: rest.podSelector,
      policyTypes: [types],
      ...(types === 'Ingress' ? { ingress: rest.ingress } : { egress: rest.egress }),
    },
  }));

const edits = some({
  set: list(oneOf({ name: 'X-User', value: 'jason' }, { name: 'X-Set', value: '1' })).map(distinct),
  add: list(oneOf({ name: 'x-user', value: 'alice' }, { name: 'x-add', value: 'b' })).map(distinct),
  remove: few('x-user', 'x-gone'),
}).filter((fields) => Object.keys(fields).length > 0);

function distinct<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [item.name.toLowerCase(), item])).values()];
}

const pathModifier = (isPrefix: boolean): fc.Arbitrary<Json> =>
  isPrefix
    ? oneOf<Json>(
        { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' },
        { type: 'ReplacePrefixMatch', replacePrefixMatch: '/admin' },
        { type: 'ReplaceFullPath', replaceFullPath: '/a/b' },
      )
    : oneOf<Json>(
        { type: 'ReplaceFullPath', replaceFullPath: '/admin' },
        { type: 'ReplaceFullPath', replaceFullPath: '/' },
      );

/** Backends in other namespaces have no grant, and one does not exist: both give 500. One entry has all the weight. */
const backends = (namespace: string): fc.Arbitrary<Json[]> => {
  const names = [...SERVICES.filter((each) => each.namespace === namespace).map(({ name }) => name), 'missing'];
  const one = fc.oneof(
    { weight: 6, arbitrary: fc.record({ name: oneOf(...names), port: oneOf(80, 81) }) },
    {
      weight: 1,
      arbitrary: oneOf<Json>({
        name: namespace === 'shop' ? 'vault' : 'web',
        namespace: namespace === 'shop' ? 'bank' : 'shop',
        port: 80,
      }),
    },
  );
  return fc.tuple(one, fc.boolean()).map(([backend, beside]) =>
    beside
      ? [
          { ...backend, weight: 3 },
          { name: names[0], port: 80, weight: 0 },
        ]
      : [backend],
  );
};

const httpRouteRule = (namespace: string): fc.Arbitrary<Json> =>
  fc.boolean().chain((isPrefix) => {
    const path = isPrefix
      ? oneOf('/', '/', '/a', '/admin', '/a/b').map((value) => ({ type: 'PathPrefix', value }))
      : oneOf(
          { type: 'Exact', value: '/a' },
          { type: 'Exact', value: '/' },
          { type: 'RegularExpression', value: '/[ab]+/.*' },
        );
    const match = fc.tuple(
      path.map((each) => ({ path: each })),
      seldom(
        list(oneOf({ name: 'x-user', value: 'alice' }, { type: 'RegularExpression', name: 'X-User', value: 'j.*' }), 1),
        'headers',
      ),
      seldom(list(oneOf({ name: 'x', value: '1' }), 1), 'queryParams'),
      seldom(oneOf('GET', 'POST'), 'method'),
    );
    const rewrite = some({ hostname: oneOf('vault.bank', 'other.example'), path: pathModifier(isPrefix) }).map(
      (urlRewrite) => ({ type: 'URLRewrite', urlRewrite }),
    );
    const redirect = some({
      scheme: oneOf('https', 'http'),
      hostname: oneOf('example.org'),
      port: oneOf(8443, 80),
      statusCode: oneOf(301, 302, 307),
      path: pathModifier(isPrefix),
    }).map((requestRedirect) => ({ type: 'RequestRedirect', requestRedirect }));
    const cors = oneOf<Json>({
      type: 'CORS',
      cors: { allowOrigins: ['https://good.example'], allowMethods: ['GET', 'PUT'] },
    });
    const filters = fc.tuple(
      maybe(fc.constant(null), 'redirects'),
      redirect,
      maybe(rewrite, 'rewrite'),
      maybe(
        edits.map((requestHeaderModifier) => ({ type: 'RequestHeaderModifier', requestHeaderModifier })),
        'edits',
      ),
      maybe(cors, 'cors'),
    );
    return fc
      .tuple(list(match, isPrefix ? 1 : 2), filters, backends(namespace), fc.nat(5))
      .map(([matches, [, to, ...others], refs, dice]): Json => {
        const rest = others.flatMap((each) => Object.values(each));
        const parts = matches.map((each) => Object.assign({}, ...each) as Json);
        // A redirect stands for a backend: no rewrite beside it, nowhere to go.
        return dice === 0 ? { matches: parts, filters: [to] } : { matches: parts, filters: rest, backendRefs: refs };
      });
  });

const httpRoute = fc
  .record({
    namespace: oneOf('shop', 'shop', 'bank'),
    parent: oneOf(...SERVICES, WEB, WEB, WEB),
    port: maybe(oneOf(80, 81), 'port'),
  })
  .chain(({ namespace, parent, port }) =>
    list(httpRouteRule(namespace), 3).map((rules) => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { namespace },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: parent.name, namespace: parent.namespace, ...port }],
        rules,
      },
    })),
  );

const stringMatch = oneOf<Json>({ exact: '/a' }, { prefix: '/a' }, { prefix: '/admin' }, { regex: '/[a-z]+/b' });
const virtualMatch = some({
  uri: stringMatch,
  method: oneOf({ exact: 'GET' }, { regex: 'P.*' }),
  headers: oneOf({ 'x-user': { exact: 'alice' } }, { 'x-user': { prefix: 'j' } }),
  withoutHeaders: oneOf({ 'x-user': {} }),
  queryParams: oneOf({ x: { exact: '1' } }),
  authority: oneOf({ prefix: 'web' }),
  port: oneOf(80, 81),
  sourceNamespace: oneOf('shop', 'bank'),
}).filter((fields) => Object.keys(fields).length > 0);
/** `web` has the subsets v1, v2 and one that no pod is in, in rounds that have the DestinationRule. */
const destination = fc
  .tuple(oneOf(...SERVICES), oneOf('v1', 'v2', 'none', null, null))
  .map(([{ name, namespace }, subset]) => {
    const host = `${name}.${namespace}.svc.cluster.local`;
    return [{ destination: { host, port: { number: 80 }, ...(subset !== null && name === 'web' ? { subset } : {}) } }];
  });
const SUBSETS: Generated = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { namespace: 'shop' },
  spec: {
    host: 'web.shop.svc.cluster.local',
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      { name: 'v2', labels: { version: 'v2' } },
      { name: 'none', labels: { version: 'v9' } },
    ],
  },
};
const MODES = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'];
/** The mesh's own settings, as Istio has them. */
const settings = oneOf(...MODES).map((normalization) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'istio-system', name: 'istio' },
  data: { mesh: `pathNormalization: {normalization: ${normalization}}\n` },
}));
const virtualHeaders = oneOf<Json>(
  { request: { set: { 'x-user': 'jason' }, remove: ['x-gone'] } },
  { request: { add: { 'x-add': 'v' } } },
);
const virtualAction = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        destination,
        maybe(oneOf<Json>({ uri: '/admin' }, { uri: '/', authority: 'vault.bank' }), 'rewrite'),
        maybe(virtualHeaders, 'headers'),
      )
      .map(([route, ...rest]): Json => ({ route, ...rest[0], ...rest[1] })),
  },
  {
    weight: 1,
    arbitrary: oneOf<Json>(
      { redirect: { uri: '/moved', authority: 'example.org' } },
      { directResponse: { status: 418 } },
    ),
  },
  {
    weight: 1,
    arbitrary: destination.map(
      (route): Json => ({ route, fault: { abort: { percentage: { value: 100 }, httpStatus: 555 } } }),
    ),
  },
);
const virtualService = fc
  .record({ host: oneOf(...SERVICES, WEB, WEB), namespace: oneOf('shop', 'bank') })
  .chain(({ host, namespace }) =>
    list(
      fc.tuple(maybe(list(virtualMatch), 'match'), virtualAction).map(([match, action]) => ({ ...match, ...action })),
      3,
    ).map((http) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { namespace },
      spec: { hosts: [`${host.name}.${host.namespace}.svc.cluster.local`], http },
    })),
  );

/** One round's objects, named in order. */
export const objects: fc.Arbitrary<readonly Json[]> = fc
  .tuple(
    fc.array<Generated>(authorizationPolicy, { maxLength: 4 }),
    fc.array<Generated>(networkPolicy, { maxLength: 1 }),
    fc.array<Generated>(httpRoute, { maxLength: 4 }),
    fc.array<Generated>(virtualService, { maxLength: 3 }),
    fc.subarray<Generated>([SUBSETS]),
    settings,
  )
  .map(([policies, networks, routes, services, subsets, mesh]): Json[] => {
    const all = [...policies, ...networks, ...routes, ...services, ...subsets];
    return [...all.map((each, at) => ({ ...each, metadata: { ...each.metadata, name: `random-${at}` } })), mesh];
  });

/** The first round's, never random: some of everything that a run must have seen. */
export const CERTAIN: readonly Json[] = [
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { namespace: 'shop', name: 'certain' },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'web' }],
      rules: [
        {
          matches: [{ path: { type: 'PathPrefix', value: '/b' } }],
          filters: [{ type: 'RequestRedirect', requestRedirect: { hostname: 'example.org', statusCode: 301 } }],
        },
        {
          matches: [{ path: { type: 'PathPrefix', value: '/a' } }],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { remove: ['x-user'] } },
            {
              type: 'URLRewrite',
              urlRewrite: { hostname: 'a.test', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/c' } },
            },
          ],
          backendRefs: [{ name: 'web-v1', port: 80 }],
        },
        {
          matches: [{ path: { type: 'PathPrefix', value: '/admin' } }],
          filters: [
            { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-user', value: 'jason' }] } },
          ],
          backendRefs: [{ name: 'web-v2', port: 80 }],
        },
      ],
    },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace: 'shop', name: 'certain' },
    spec: { action: 'DENY', rules: [{ when: [{ key: 'request.headers[x-user]', values: ['jason', 'alice'] }] }] },
  },
];
