/** Serves the control socket (control-api.ts), mode 0600 in a folder of mode 0700. */
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Cluster } from './cluster.ts';
import type {
  ApplyRequest,
  ChangeAnswer,
  DeleteRequest,
  LocateRequest,
  Location,
  RestartRequest,
  ScaleRequest,
} from './control-api.ts';
import { type ClusterListing, listCluster } from './listing.ts';
import type { Mesh } from './mesh.ts';
import type { SandboxPaths } from './paths.ts';
import type { PodNode } from './pod.ts';
import { messageOf, type Patience } from './processes.ts';
import { describeObject, isFields, keyOfObject, readObjects, type SourceObject } from './source.ts';
import { stringify } from 'yaml';

/** A request is at most all YAML of a cluster. */
const REQUEST_BYTES_MAX = 64 * 1024 * 1024;

export interface ControlOptions {
  readonly cluster: Cluster;
  readonly mesh: Mesh | null;
  readonly nodes: readonly PodNode[];
  readonly paths: SandboxPaths;
  /** Aborted when the sandbox ends: operations under way give up. */
  readonly signal: AbortSignal;
  readonly stop: () => void;
}

type Handler = (body: unknown, options: ControlOptions) => unknown;

const HANDLERS: Readonly<Record<string, Handler>> = {
  get: (_body, { cluster, nodes, mesh, paths }): ClusterListing => listCluster(cluster, nodes, mesh, paths),
  apply: (body, options) => apply(body as ApplyRequest, options),
  delete: (body, options) => remove(body as DeleteRequest, options),
  scale: (body, options) => scale(body as ScaleRequest, options),
  restart: (body, options) => restart(body as RestartRequest, options),
  locate: (body, options) => locate(body as LocateRequest, options),
  stop: (_body, options): ChangeAnswer => {
    setImmediate(options.stop); // after the answer
    return { lines: [] };
  },
};

/** Starts to listen; resolves when the socket can be used. */
export function serveControl(options: ControlOptions): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request, options).then(({ status, body }) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    });
  });
  server.requestTimeout = 0; // an apply waits for pods
  return new Promise((done, fail) => {
    server.on('error', fail);
    server.listen(options.paths.controlSocket, () => {
      chmodSync(options.paths.controlSocket, 0o600);
      done(server);
    });
  });
}

async function answer(request: IncomingMessage, options: ControlOptions): Promise<{ status: number; body: unknown }> {
  const operation = /^\/v1\/([a-z]+)$/.exec(request.url ?? '')?.[1] ?? '';
  const handler = Object.hasOwn(HANDLERS, operation) ? HANDLERS[operation] : undefined;
  if (handler === undefined || request.method !== 'POST')
    return { status: 404, body: { error: `no operation ${request.url ?? ''}` } };
  try {
    return { status: 200, body: await handler(await readBody(request), options) };
  } catch (error) {
    return { status: 409, body: { error: messageOf(error) } };
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > REQUEST_BYTES_MAX) throw new Error('the request is too large');
    chunks.push(chunk as Buffer);
  }
  return bytes === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function patience(timeoutMs: number, options: ControlOptions): Patience {
  return { deadlineMs: Date.now() + timeoutMs, signal: options.signal };
}

async function apply(body: ApplyRequest, options: ControlOptions): Promise<ChangeAnswer> {
  const objects = readObjects(body.files);
  if (objects.length === 0) throw new Error('there is no object in what was given');
  return { lines: await options.cluster.apply(objects, patience(body.timeoutMs, options)) };
}

async function remove(body: DeleteRequest, options: ControlOptions): Promise<ChangeAnswer> {
  const { cluster } = options;
  const known = [...cluster.state.objects.values()];
  const wanted = readObjects(body.files).map((object) => ({
    object,
    found: cluster.state.objects.get(keyOfObject(object)),
  }));
  const missing = wanted.filter(({ found }) => found === undefined).map(({ object }) => describeObject(object));
  const found = wanted.flatMap((entry) => entry.found ?? []);
  if (body.named !== null) {
    const { kind, name, namespace } = body.named;
    const matches = known.filter((object) => isKind(object, kind) && object.name === name && isIn(object, namespace));
    if (matches.length === 0) missing.push(`${kind} ${namespace ?? 'default'}/${name}`);
    found.push(...matches);
  }
  if (missing.length > 0)
    throw new Error(`not found: ${missing.join(', ')}; nothing was deleted (see weir sandbox get objects)`);
  await cluster.delete(found.map(keyOfObject), patience(body.timeoutMs, options));
  return { lines: found.map((object) => `${describeObject(object)} deleted`) };
}

/** `pod`, `pods` and `Pod` are the same kind. */
function isKind(object: SourceObject, kind: string): boolean {
  const own = object.kind.toLowerCase();
  const asked = kind.toLowerCase();
  return own === asked || `${own}s` === asked || (own.endsWith('y') && `${own.slice(0, -1)}ies` === asked);
}

function isIn(object: SourceObject, namespace: string | null): boolean {
  return object.namespace === null || object.namespace === (namespace ?? 'default');
}

async function scale(body: ScaleRequest, options: ControlOptions): Promise<ChangeAnswer> {
  const namespace = body.namespace ?? 'default';
  const object = [...options.cluster.state.objects.values()].find(
    (candidate) =>
      candidate.kind === 'Deployment' && candidate.name === body.deployment && candidate.namespace === namespace,
  );
  if (object === undefined) throw new Error(`there is no Deployment ${namespace}/${body.deployment}`);
  const spec = isFields(object.fields['spec']) ? object.fields['spec'] : {};
  const fields = { ...object.fields, spec: { ...spec, replicas: body.replicas } };
  await options.cluster.apply([{ ...object, fields, text: stringify(fields) }], patience(body.timeoutMs, options));
  return { lines: [`${describeObject(object)} scaled to ${body.replicas}`] };
}

async function restart(body: RestartRequest, options: ControlOptions): Promise<ChangeAnswer> {
  const { mesh, cluster, nodes } = options;
  if (mesh === null) throw new Error('this sandbox runs without a mesh (--no-mesh): there is no agent or controller');
  const limits = patience(body.timeoutMs, options);
  if (body.what === 'controller') {
    await cluster.exclusively(() => mesh.restartController(body.kill, limits));
    return { lines: ['controller restarted'] };
  }
  const names = nodes.map((node) => node.network.name);
  const wanted =
    body.node === null ? names : names.filter((name) => name === body.node || name === `node-${body.node}`);
  if (wanted.length === 0) throw new Error(`there is no node ${body.node}; this sandbox has ${names.join(', ')}`);
  const manner = body.kill ? 'kill' : body.hard === true ? 'terminate' : 'replace';
  await cluster.exclusively(async () => {
    for (const name of wanted) await mesh.restartAgent(name, manner, limits);
  });
  return { lines: wanted.map((name) => `agent on ${name} restarted`) };
}

function locate(body: LocateRequest, { cluster, paths }: ControlOptions): Location {
  const pod = cluster.findPod(body.pod);
  if (pod === null) {
    const names = cluster.pods.map((each) => `${each.name}.${each.namespace}`).join(', ');
    throw new Error(`there is no pod ${body.pod}; there are: ${names === '' ? 'none' : names}`);
  }
  const all = [...pod.containers, ...pod.initContainers];
  const container = body.container === null ? pod.containers[0] : all.find((each) => each.spec.name === body.container);
  if (container === undefined) {
    throw new Error(
      `pod ${pod.name} has no container ${body.container}; it has ${all.map((each) => each.spec.name).join(', ')}`,
    );
  }
  if (container.state.kind !== 'running') {
    const log = paths.containerLog(pod.uid, container.spec.name);
    throw new Error(
      `container ${container.spec.name} of pod ${pod.name} does not run: ${pod.status} (its log: ${log})`,
    );
  }
  const command = pod.resolve(container.spec);
  return {
    pid: container.state.pid,
    env: command.ok ? command.env : {},
    workingDir: container.spec.workingDir ?? cluster.workingDir,
    capabilities: container.spec.addCapabilities,
  };
}
