/** The manifests must match what the code does: flags, paths, ports, and the fields of the CNI configuration. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { limits } from '../../../agent/limits.ts';

interface Container {
  readonly args: readonly string[];
  readonly ports?: readonly { readonly containerPort: number }[];
  readonly env?: readonly {
    readonly name: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly mountPropagation?: string;
  }[];
  readonly readinessProbe: { readonly exec?: { readonly command: readonly string[] } };
}
interface Update {
  readonly rollingUpdate: { readonly maxSurge?: number; readonly maxUnavailable: number };
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: {
    readonly ports?: readonly { readonly port: number }[];
    readonly updateStrategy?: Update;
    readonly template?: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly terminationGracePeriodSeconds?: number;
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

const folder = new URL('../../../manifests/', import.meta.url);
const cli = fileURLToPath(new URL('../../../dist/cli/weir.js', import.meta.url));
const manifests = read(folder);
const fragment = JSON.parse(readFileSync(new URL('cni-conflist-fragment.json', folder), 'utf8')) as Record<
  string,
  unknown
>;

function read(from: URL): Manifest[] {
  return readdirSync(from)
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(readFileSync(new URL(name, from), 'utf8')))
    .map((document) => {
      assert.deepEqual(document.errors, []);
      return document.toJS() as Manifest;
    });
}

function workload(name: string) {
  const spec = manifests.find((each) => each.metadata.name === name && each.spec?.template !== undefined)?.spec
    ?.template?.spec;
  const container = spec?.containers[0];
  assert.ok(spec !== undefined && container !== undefined, `no workload ${name}`);
  return { spec, container };
}

function helpOf(command: string): string {
  return execFileSync(process.execPath, [cli, command, '--help'], { encoding: 'utf8' });
}

/** `--flag=value` of a container as a map. */
function flagsOf(container: Container): Map<string, string> {
  return new Map(container.args.slice(1).map((arg) => arg.split('=', 2) as [string, string]));
}

for (const [name, command] of [
  ['weir-agent', 'agent'],
  ['weir-controller', 'controller'],
] as const) {
  test(`${name}: every flag exists in weir ${command} --help`, () => {
    const { container } = workload(name);
    assert.equal(container.args[0], command);
    const known = new Set(helpOf(command).match(/--[a-z-]+/g));
    for (const flag of flagsOf(container).keys())
      assert.ok(known.has(flag), `${flag} is not in: ${[...known].join(' ')}`);
  });
}

test('the agent keeps its folders where weir agent keeps them by default, mounted from the node', () => {
  const { spec, container } = workload('weir-agent');
  const flags = flagsOf(container);
  const help = helpOf('agent').replace(/\s+/g, ' ');
  for (const flag of ['--run-dir', '--state-dir']) {
    const path = flags.get(flag) ?? '';
    assert.match(help, new RegExp(`${flag} [^-]*${path.replaceAll('/', '\\/')}`));
    const mount = container.volumeMounts.find((each) => each.mountPath === path);
    assert.equal(spec.volumes.find((each) => each.name === mount?.name)?.hostPath?.path, path);
  }
});

test('namespaces made later by the runtime reach the agent', () => {
  const mount = workload('weir-agent').container.volumeMounts.find((each) => each.mountPath === '/run/netns');
  assert.equal(mount?.mountPropagation, 'HostToContainer');
});

test('an update replaces agents beside each other: surge, no ports, an instance, and time to drain', () => {
  const daemonSet = manifests.find((each) => each.kind === 'DaemonSet');
  assert.deepEqual(daemonSet?.spec?.updateStrategy?.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 });
  const { spec, container } = workload('weir-agent');
  assert.equal(container.ports, undefined);
  const instance = container.env?.find(({ name }) => name === 'WEIR_INSTANCE');
  assert.equal(instance?.valueFrom?.fieldRef?.fieldPath, 'metadata.uid');
  const flags = flagsOf(container);
  assert.equal(flags.get('--when-superseded'), 'wait');
  const needed = Number(flags.get('--drain-deadline')) + (limits.successorWaitMs + limits.cniCloseMs) / 1_000;
  assert.ok((spec.terminationGracePeriodSeconds ?? 0) > needed, `${needed} s may be needed`);
});

test('the node’s /proc/sys/net is where the agent looks for it', () => {
  const { spec, container } = workload('weir-agent');
  const mount = container.volumeMounts.find((each) => each.name === 'sysctl-net');
  assert.equal(spec.volumes.find((each) => each.name === 'sysctl-net')?.hostPath?.path, '/proc/sys/net');
  const source = readFileSync(new URL('../../../agent/capture/pod-settings.ts', import.meta.url), 'utf8');
  assert.ok(source.includes(`'${mount?.mountPath}'`));
});

test('every mount has a volume, and every service account exists', () => {
  for (const name of ['weir-agent', 'weir-controller']) {
    const { spec, container } = workload(name);
    const volumes = new Set(spec.volumes.map((each) => each.name));
    assert.deepEqual(
      container.volumeMounts.map((each) => each.name).filter((each) => !volumes.has(each)),
      [],
    );
    const accounts = manifests.filter((each) => each.kind === 'ServiceAccount').map((each) => each.metadata.name);
    assert.ok(accounts.includes(spec.serviceAccountName));
  }
});

test('agents dial the port that the controller listens on and its Service offers', () => {
  const controller = workload('weir-controller').container;
  const service = manifests.find((each) => each.kind === 'Service' && each.metadata.name === 'weir-controller');
  const port = /:(\d+)$/.exec(flagsOf(controller).get('--listen') ?? '')?.[1];
  assert.equal(service?.spec?.ports?.[0]?.port, Number(port));
  assert.equal(controller.ports?.[0]?.containerPort, Number(port));
  assert.equal(
    flagsOf(workload('weir-agent').container).get('--controller'),
    `weir-controller.weir-system.svc:${port}`,
  );
});

test('readiness probes run commands that exist', () => {
  const command = workload('weir-agent').container.readinessProbe.exec?.command ?? [];
  assert.equal(command[0], 'weir');
  assert.match(
    execFileSync(process.execPath, [cli, ...command.slice(1), '--help'], { encoding: 'utf8' }),
    /Usage: weir status/,
  );
});

test('the CNI fragment names the socket of the agent, excludes what the agent excludes, and has only fields the plugin reads', () => {
  const flags = flagsOf(workload('weir-agent').container);
  assert.equal(fragment['agentSocket'], `${flags.get('--run-dir')}/cni.sock`);
  assert.deepEqual(fragment['excludeNamespaces'], flags.get('--exclude-namespaces')?.split(','));
  const plugin = new URL('../../../cni-plugin/', import.meta.url);
  const source = readdirSync(plugin)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(new URL(name, plugin), 'utf8'))
    .join('\n');
  // A field that is not named in the plugin's source cannot be read by it.
  for (const field of Object.keys(fragment))
    assert.match(source, new RegExp(`\\b${field}\\b`), `${field} is not read by the plugin`);
});

test('the demo’s objects parse and live in the namespaces they declare', () => {
  const demo = read(new URL('demo/', folder));
  const namespaces = new Set(demo.filter((each) => each.kind === 'Namespace').map((each) => each.metadata.name));
  const strays = demo.filter((each) => each.kind !== 'Namespace' && !namespaces.has(each.metadata.namespace ?? ''));
  assert.deepEqual(strays, []);
});
