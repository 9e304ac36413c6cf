/** Linking what changed gives what linking everything gives, over random histories of documents of all kinds that meet each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { heldKeys } from '../../../controlplane/config/link/registry.ts';
import { keyOf, type ResourceKey } from '../../../mesh/model.ts';
import { Translation, translate } from './translate.ts';

/** Few names, so that references are often met, broken and met again. */
const namespace = fc.constantFrom('a', 'b');
const name = fc.constantFrom('s', 's', 's', 't');
const port = fc.constantFrom(80, 80, 80, 81);
const labels = fc.constantFrom('{app: x}', '{app: y}');
const address = fc.constantFrom('10.0.0.1', '10.0.0.2');

const gateway = (kind: string, version: string, metadata: string, spec: string): string =>
  `apiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\nmetadata: ${metadata}\nspec: ${spec}\n`;

const pod = fc
  .record({
    namespace,
    name,
    labels,
    address,
    node: name,
    phase: fc.constantFrom('Running', 'Running', 'Failed'),
    uid: fc.nat(2),
  })
  .map(
    (each) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: ${each.name}, namespace: ${each.namespace}, uid: u${each.uid}, labels: ${each.labels}}\n` +
      `spec: {nodeName: ${each.node}, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}\n` +
      `status: {phase: ${each.phase}, podIP: ${each.address}}\n`,
  );

const service = fc
  .record({
    namespace,
    name,
    port,
    selector: fc.constantFrom('', '', 'selector: {app: x}', 'selector: {app: y}'),
    target: fc.constantFrom('web', '9'),
    more: fc.constantFrom('', '', '', 'publishNotReadyAddresses: true', 'type: ExternalName, externalName: x.example'),
  })
  .map(
    (each) =>
      `apiVersion: v1\nkind: Service\nmetadata: {name: ${each.name}, namespace: ${each.namespace}}\n` +
      `spec: {${[each.selector, each.more].filter((part) => part !== '').join(', ')}${each.selector === '' && each.more === '' ? '' : ', '}` +
      `ports: [{name: http, port: ${each.port}, targetPort: ${each.target}}]}\n`,
  );

const slice = fc
  .record({ namespace, name, service: name, address, pod: fc.option(name), ready: fc.boolean() })
  .map(
    (each) =>
      `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n` +
      `metadata: {name: ${each.name}, namespace: ${each.namespace}, labels: {kubernetes.io/service-name: ${each.service}}}\n` +
      `endpoints: [{addresses: [${each.address}], conditions: {ready: ${each.ready}}` +
      `${each.pod === null ? '' : `, targetRef: {kind: Pod, name: ${each.pod}}`}}]\nports: [{name: http, port: 7}]\n`,
  );

const node = fc
  .record({ name, region: fc.constantFrom('r', 'q') })
  .map(
    (each) =>
      `apiVersion: v1\nkind: Node\nmetadata: {name: ${each.name}, labels: {topology.kubernetes.io/region: ${each.region}}}\n`,
  );

const parent = fc
  .record({ namespace, name, which: fc.constantFrom('', ', port: 80', ', sectionName: http', ', sectionName: other') })
  .map((each) => `{group: "", kind: Service, namespace: ${each.namespace}, name: ${each.name}${each.which}}`);

const backend = fc
  .record({ namespace, name, port })
  .map((each) => `{namespace: ${each.namespace}, name: ${each.name}, port: ${each.port}}`);

const extension = '{type: ExtensionRef, extensionRef: {group: x.io, kind: Y, name: z}}';
const route = fc
  .record({
    kind: fc.constantFrom('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'),
    namespace,
    name,
    parents: fc.array(parent, { minLength: 1, maxLength: 3 }),
    backends: fc.array(backend, { minLength: 1, maxLength: 3 }),
    mirror: fc.option(backend),
    unsupported: fc.boolean(),
  })
  .map(({ kind, namespace: own, name: called, parents, backends, mirror, unsupported }) => {
    const isHttp = kind === 'HTTPRoute' || kind === 'GRPCRoute';
    const filters = [
      ...(mirror === null ? [] : [`{type: RequestMirror, requestMirror: {backendRef: ${mirror}}}`]),
      ...(unsupported ? [extension] : []),
    ];
    const rule = `backendRefs: [${backends.join(', ')}]${isHttp ? `, filters: [${filters.join(', ')}]` : ''}`;
    const metadata = `{name: ${called}, namespace: ${own}}`;
    return gateway(kind, 'v1', metadata, `{parentRefs: [${parents.join(', ')}], rules: [{${rule}}]}`);
  });

const grant = fc
  .record({ namespace, name, from: namespace, kind: fc.constantFrom('HTTPRoute', 'TCPRoute'), to: fc.option(name) })
  .map((each) => {
    const from = ['GRPCRoute', each.kind]
      .map((kind) => `{group: gateway.networking.k8s.io, kind: ${kind}, namespace: ${each.from}}`)
      .join(', ');
    const to = `{group: "", kind: Service${each.to === null ? '' : `, name: ${each.to}`}}`;
    const metadata = `{name: ${each.name}, namespace: ${each.namespace}}`;
    return gateway('ReferenceGrant', 'v1beta1', metadata, `{from: [${from}], to: [${to}]}`);
  });

const namespaceObject = fc
  .record({ name: namespace, labels })
  .map((each) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${each.name}, labels: ${each.labels}}\n`);

const policy = fc
  .record({ namespace, name })
  .map(
    (each) =>
      `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: ${each.namespace}}\n` +
      `spec: {targetRefs: [{kind: Service, group: "", name: ${each.name}}], rules: [{}]}\n`,
  );

const kinds = [pod, service, slice, node, route, grant, namespaceObject, policy];
/** One of each kind and two of those that depend on others, so that from the first change on there is something to miss. */
const start = fc.tuple(pod, pod, service, service, slice, slice, node, route, route, grant, namespaceObject, policy);
const file = fc.nat(11).map((index) => `${index}.yaml`);
const step = fc.dictionary(file, fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, ...kinds), {
  maxKeys: 2,
  noNullPrototype: true,
});

test('every document is valid: the property below is about linking', () => {
  for (const kind of kinds) {
    fc.assert(
      fc.property(kind, (text) => {
        assert.deepEqual(
          translate(text).findings.filter(({ severity }) => severity === 'error'),
          [],
          text,
        );
      }),
      { numRuns: 30 },
    );
  }
});

test('following changes one by one gives what translating the final files from scratch gives', () => {
  let resources = 0;
  fc.assert(
    fc.property(start, fc.array(step, { minLength: 1, maxLength: 6 }), (documents, steps) => {
      const final: Record<string, string | null> = Object.fromEntries(
        documents.map((text, index) => [`${index}.yaml`, text]),
      );
      const followed = new Translation().change(final);
      for (const changes of steps) {
        followed.change(changes);
        Object.assign(final, changes);
      }
      const fresh = new Translation().change(final);
      assert.deepEqual(followed.mesh, fresh.mesh);
      assert.deepEqual(followed.findings, fresh.findings);
      assert.deepEqual(followed.routeStatuses, fresh.routeStatuses);
      resources += fresh.mesh.length;
    }),
    { numRuns: 200 },
  );
  assert.ok(resources > 250, 'the histories lead somewhere');
});

test('what agents may keep of an object without a valid version is what it is linked to', () => {
  fc.assert(
    fc.property(fc.oneof(service, route, policy), (text) => {
      const files = {
        '1.yaml': text,
        // Parents, so that a route has a resource.
        '2.yaml': ['a', 'b']
          .flatMap((own) => ['s', 't'].map((called) => `{name: ${called}, namespace: ${own}}`))
          .map(
            (metadata) =>
              `apiVersion: v1\nkind: Service\nmetadata: ${metadata}\nspec: {ports: [{name: http, port: 80}]}\n`,
          )
          .join('---\n'),
      };
      const made = new Translation().change(files).mesh.map(keyOf);
      const kind = /kind: (\w+)/.exec(text)?.[1] ?? '';
      const own = /namespace: (\w)/.exec(text)?.[1] ?? '';
      const called = /name: (\w)/.exec(text)?.[1] ?? '';
      const held = heldKeys(`${kind} ${own}/${called}`);
      assert.equal(held.length, 1);
      const shown = ({ kind: of, key }: ResourceKey): string => `${of} ${key}`;
      // A route whose parents all lack is not there at all.
      if (kind.endsWith('Route') && !made.some((key) => shown(key) === shown(held[0] as ResourceKey))) {
        assert.match(text, /sectionName: other/);
      } else assert.ok(made.map(shown).includes(shown(held[0] as ResourceKey)), text);
    }),
    { numRuns: 200 },
  );
  assert.deepEqual(heldKeys('Pod a/s'), [], 'its address may be another’s by now');
  for (const { key } of heldKeys('VirtualService a/s')) assert.equal(key, 'VirtualService/a/s');
  assert.deepEqual(heldKeys('Nonsense a/s'), []);
});
