/**
 * What the extracted cases.json of the conformance suite leaves out, looked up in the suite's Go files (kubernetes-sigs/gateway-api,
 * conformance/tests/mesh): loops over tables, values of expressions, and which pod asks.
 */

export const MESH_NAMESPACE = 'gateway-conformance-mesh';
const CONSUMER_NAMESPACE = 'gateway-conformance-mesh-consumer';
/** Every route with cases that name no host is attached to this Service. */
export const DEFAULT_HOST = 'echo';
/** Stands for the address of the pod echo-v2 until the pods are known. */
export const POD_ADDRESS = '<echo-v2>';

/** Go expressions that cases.json quotes, and their values. */
export const EXPRESSIONS: Readonly<Record<string, string>> = {
  ns: MESH_NAMESPACE,
  'suite.MeshNamespace': MESH_NAMESPACE,
  host: DEFAULT_HOST,
  'http.Ipv6SafeHost(v2.Address) + ":8080"': `${POD_ADDRESS}:8080`,
};

interface Client {
  readonly version: string;
  readonly namespace: string;
}

/** The pod that asks, per case of the test in order; everywhere else echo-v1 of the mesh's namespace does. */
export const CLIENTS: Readonly<Record<string, readonly Client[]>> = {
  MeshConsumerRoute: [
    { version: 'v1', namespace: CONSUMER_NAMESPACE },
    { version: 'v1', namespace: MESH_NAMESPACE },
  ],
};

/**
 * Expected paths that the suite states and never compares, and that its own manifests contradict: the rule for /unnamed has no rewrite,
 * so its backend sees /unnamed.
 */
export const PATHS_NEVER_COMPARED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  MeshHTTPRouteNamedRule: { '/unnamed': '/unnamed' },
};

/** The test whose cases this one runs too (against manifests of its own), or itself. */
export function sharedCasesOf(test: string): string {
  return test === 'MeshHTTPRouteBackendRequestHeaderModifier' ? 'MeshHTTPRouteRequestHeaderModifier' : test;
}

type Case = Readonly<Record<string, unknown>>;

/** Cases of a test whose original is a loop, in the form of cases.json; null: they stand there. */
export function casesWrittenOut(test: string): readonly Case[] | null {
  return WRITTEN_OUT[test] ?? null;
}

const WEIGHTS = { 'echo-v1': 0.7, 'echo-v2': 0.3 };

const WRITTEN_OUT: Readonly<Record<string, readonly Case[]>> = {
  MeshHTTPRouteWeight: [{ Request: { Path: '/', Host: 'echo' }, Weights: WEIGHTS }],
  MeshGRPCRouteWeight: [{ Request: { Protocol: 'grpc', Host: 'echo:7070' }, Weights: WEIGHTS }],
  MeshGRPCRouteRequestHeaderModifier: [
    grpcHeaders('v1', 'set', {
      sent: { 'some-other-header': 'kept', 'x-header-set': 'replaced' },
      seen: { 'some-other-header': 'kept', 'x-header-set': 'set-overwrites-values' },
    }),
    grpcHeaders('v1', 'add', {
      sent: { 'x-header-add': 'first' },
      seen: { 'x-header-add': 'first,add-appends-values' },
    }),
    grpcHeaders('v1', 'remove', { sent: { 'x-header-remove': 'gone' }, seen: {}, absent: ['x-header-remove'] }),
    grpcHeaders('v2', 'multi', {
      sent: { 'x-header-set-2': 'replaced', 'x-header-add-2': 'first', 'x-header-remove-2': 'gone' },
      seen: {
        'x-header-set-1': 'header-set-1',
        'x-header-set-2': 'header-set-2',
        'x-header-add-1': 'header-add-1',
        'x-header-add-2': 'first,header-add-2',
      },
      absent: ['x-header-remove-1', 'x-header-remove-2'],
    }),
  ],
};

interface HeaderChange {
  readonly sent: Readonly<Record<string, string>>;
  readonly seen: Readonly<Record<string, string>>;
  readonly absent?: readonly string[];
}

/** The pod of `version` asks echo:7070 with the header that picks the rule; its own version's backend must answer. */
function grpcHeaders(version: string, rule: string, { sent, seen, absent = [] }: HeaderChange): Case {
  const picked = { 'x-test-case': rule };
  const target = { Protocol: 'grpc', Host: 'echo:7070' };
  return {
    ClientVersion: version,
    Request: { ...target, Headers: { ...picked, ...sent } },
    ExpectedRequest: { Request: { ...target, Headers: { ...picked, ...seen } }, AbsentHeaders: absent },
    Backend: `echo-${version}`,
  };
}
