/**
 * Layering: imports point downward only, `mesh` <- codecs <- engine <- proxy <- supervisor, and what is installed apart
 * (agent, CNI plugin, controller) never imports each other. test/unit/repository/layering.test.ts plants one violation
 * of each rule and checks that it is caught, because a checker that reads nothing is green too.
 */
const deny = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });
/** Everything of ours that is not matched by `allowed`. */
const onlyOurs = (...allowed) => ({
  path: '^(mesh|agent|cni-plugin|controlplane|sandbox|cli|test|scripts)/',
  pathNot: allowed,
});
const PARTS = ['mesh', 'agent', 'cni-plugin', 'controlplane', 'sandbox', 'cli'];

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    deny(
      'no-cycles',
      'A cycle has no top and no bottom. (Types alone may refer to each other: nothing of that is left at run time.)',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    deny('no-unresolvable', 'An import that leads nowhere.', {}, { couldNotResolve: true }),
    deny(
      'mesh-is-the-bottom',
      'mesh decides for everyone and depends on no part.',
      { path: '^mesh/' },
      onlyOurs('^mesh/'),
    ),
    deny(
      'mesh-is-pure',
      'No I/O, no clock: mesh imports nothing of Node, and of npm only the protobuf runtime (wire) and tables.',
      { path: '^mesh/' },
      {
        dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-no-pkg', 'npm-unknown'],
        pathNot: ['node_modules/(protobufjs|lru-cache|re2js|yaml)/'],
      },
    ),
    deny(
      'codecs-know-no-sockets',
      'Codecs work on bytes: mesh (RequestView, addresses) and the bounds are all they need.',
      { path: '^agent/(http1|tls|proxy-protocol)/' },
      onlyOurs('^mesh/', '^agent/(http1|tls|proxy-protocol)/', '^agent/limits\\.ts$'),
    ),
    deny(
      'http2-knows-no-sockets',
      'agent/http2 works on bytes, and judges targets and fields by the code of http1.',
      { path: '^agent/http2/' },
      onlyOurs('^mesh/', '^agent/http[12]/', '^agent/limits\\.ts$'),
    ),
    deny(
      'codecs-do-no-io',
      'The codecs import nothing that does I/O.',
      { path: '^agent/(http[12]|tls|proxy-protocol)/' },
      { dependencyTypes: ['core', 'npm'], pathNot: ['^(node:)?buffer$'] },
    ),
    deny(
      'engine-knows-no-mesh',
      'The I/O floor carries bytes for anyone.',
      { path: '^agent/engine/' },
      onlyOurs('^agent/engine/', '^agent/limits\\.ts$'),
    ),
    deny(
      'data-plane-below-supervisor',
      'capture, upstream and proxy run inside a worker: nothing of the supervisor is there.',
      { path: '^agent/(capture|upstream|proxy)/' },
      onlyOurs(
        '^mesh/',
        '^agent/(engine|http1|http2|tls|proxy-protocol|ipc|capture|upstream|proxy)/',
        '^agent/limits\\.ts$',
        '^agent/telemetry/',
      ),
    ),
    deny(
      'upstream-below-proxy',
      'The pools do not know who uses them.',
      { path: '^agent/upstream/' },
      { path: '^agent/proxy/' },
    ),
    deny(
      'agent-stands-alone',
      'Installed apart: agent and controller share mesh only.',
      { path: '^agent/', pathNot: '^agent/cli/' },
      onlyOurs('^mesh/', '^agent/'),
    ),
    deny(
      'agent-does-not-know-its-commands',
      'agent/cli is the command line of a node: above the agent, a client of its admin API.',
      { path: '^agent/', pathNot: '^agent/cli/' },
      { path: '^agent/cli/' },
    ),
    deny(
      'node-commands-below-cli',
      'agent/cli uses what all commands print and find with, and nothing else of cli.',
      { path: '^agent/cli/' },
      onlyOurs('^mesh/', '^agent/', '^cli/(output|sandbox-registry)\\.ts$'),
    ),
    deny(
      'controlplane-stands-alone',
      'Installed apart: agent and controller share mesh only.',
      { path: '^controlplane/' },
      onlyOurs('^mesh/', '^controlplane/'),
    ),
    deny(
      'plugin-is-self-contained',
      'Started for every pod on a host without node_modules: Node built-ins and its own folder only.',
      { path: '^cni-plugin/' },
      { pathNot: ['^cni-plugin/'], dependencyTypesNot: ['core'] },
    ),
    deny(
      'sandbox-starts-processes',
      'The sandbox runs the parts as a cluster would, as processes.',
      { path: '^sandbox/' },
      onlyOurs('^mesh/', '^sandbox/'),
    ),
    deny(
      'nobody-imports-the-cli',
      'cli is the top.',
      { path: '^(mesh|agent|cni-plugin|controlplane|sandbox)/', pathNot: '^agent/cli/' },
      { path: '^cli/' },
    ),
    deny(
      'cli-loads-lazily',
      'Each part is loaded by import() when its command runs, so that `weir cni` does not pay for the controller.',
      { path: '^cli/weir\\.ts$' },
      { path: '^(agent|cni-plugin|controlplane|sandbox)/', dependencyTypesNot: ['dynamic-import', 'type-only'] },
    ),
    deny(
      'one-ffi',
      'koffi can be replaced in one file; only tests may look behind it.',
      { pathNot: ['^agent/engine/ffi\\.ts$', '^test/'] },
      { path: 'node_modules/koffi/' },
    ),
    deny(
      'product-without-tools',
      'What is shipped needs neither tests nor scripts nor development packages.',
      { path: `^(${PARTS.join('|')})/` },
      { path: ['^(test|scripts)/', 'node_modules/'], dependencyTypesNot: ['npm', 'core'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js'],
    },
  },
};
