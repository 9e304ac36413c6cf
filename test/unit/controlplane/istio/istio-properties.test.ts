/** update(delta) gives what update(all) gives, for random files of Istio's kinds, Services and pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Translation } from '../translate.ts';
import { object } from './mesh-yaml.ts';

const namespace = fc.constantFrom('a', 'a', 'b');
// Often the same: what refers to nothing shows nothing.
const host = fc.constantFrom(
  's',
  's',
  's',
  's.a',
  't',
  's.a',
  't.b.svc.cluster.local',
  'x.com',
  '"*.com"',
  '"*.a.svc.cluster.local"',
);
const exportTo = fc.constantFrom('"*"', '"."', 'b');
const subset = fc.constantFrom('', ', subset: v1', ', subset: v1', ', subset: v2');
const created = fc.constantFrom('2024', '2025').map((year) => `creationTimestamp: "${year}-01-01T00:00:00Z"`);

const service = fc
  .record({ name: fc.constantFrom('s', 't'), namespace, port: fc.constantFrom(80, 81) })
  .map(
    (each) =>
      `apiVersion: v1\nkind: Service\nmetadata: {name: ${each.name}, namespace: ${each.namespace}}\nspec: {selector: {app: x}, ports: [{port: ${each.port}}]}\n`,
  );
const pod = fc
  .record({ name: fc.constantFrom('p', 'q'), namespace, app: fc.constantFrom('x', 'y') })
  .map(
    (each) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: ${each.name}, namespace: ${each.namespace}, labels: {app: ${each.app}}}\nspec: {containers: []}\n`,
  );
const virtualService = fc
  .record({
    name: fc.constantFrom('v', 'w'),
    namespace,
    created,
    host,
    exportTo,
    to: host,
    subset,
    delegate: fc.nat(3).map((number) => number === 0),
  })
  .filter((each) => each.to !== '"*.com"')
  .map((each) => {
    // A refused object would leave its last version, which no file says any more: all of them are valid.
    const bare = each.delegate && each.name === 'w';
    const forwards = `route: [{destination: {host: ${each.to}${each.subset}}}]`;
    const root = each.delegate && !bare ? 'delegate: {name: w, namespace: b}' : forwards;
    const hosts = bare ? '' : `  hosts: [${each.host}]\n`;
    const metadata = `{name: ${each.name}, namespace: ${each.namespace}, ${each.created}}`;
    return object('VirtualService', metadata, `${hosts}  exportTo: [${each.exportTo}]\n  http: [{${root}}]\n`);
  });
const destinationRule = fc
  .record({ name: fc.constantFrom('d', 'e'), namespace, created, host, exportTo, version: fc.constantFrom('v1', 'v2') })
  .map((each) => {
    const metadata = `{name: ${each.name}, namespace: ${each.namespace}, ${each.created}}`;
    const subsets = `[{name: ${each.version}, labels: {by: ${each.name}}}]`;
    return object(
      'DestinationRule',
      metadata,
      `  host: ${each.host}\n  exportTo: [${each.exportTo}]\n  subsets: ${subsets}`,
    );
  });
const serviceEntry = fc
  .record({ name: fc.constantFrom('e', 'f'), namespace, created, host: fc.constantFrom('x.com', '"*.com"'), exportTo })
  .map((each) => {
    const metadata = `{name: ${each.name}, namespace: ${each.namespace}, ${each.created}}`;
    const spec = `  hosts: [${each.host}]\n  exportTo: [${each.exportTo}]\n  resolution: STATIC\n  workloadSelector: {labels: {app: x}}`;
    return object('ServiceEntry', metadata, `${spec}\n  ports: [{number: 80, name: http}]`);
  });
const workloadEntry = fc
  .record({ name: fc.constantFrom('m', 'n'), namespace, app: fc.constantFrom('x', 'y') })
  .map((each) =>
    object(
      'WorkloadEntry',
      `{name: ${each.name}, namespace: ${each.namespace}}`,
      `  address: 10.0.0.1\n  labels: {app: ${each.app}}`,
    ),
  );
const gatewayRoute = fc
  .constantFrom('s', 's', 't')
  .map(
    (name) =>
      `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: g, namespace: a}\nspec: {parentRefs: [{group: "", kind: Service, name: ${name}}], rules: [{}]}\n`,
  );

/** Are there from the beginning, and may change and go. */
const FIRST: Readonly<Record<string, string>> = {
  '1.yaml': 'apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: a}\nspec: {ports: [{port: 80}]}\n',
  '2.yaml': object(
    'VirtualService',
    '{name: v, namespace: a}',
    '  hosts: [s]\n  http: [{delegate: {name: w, namespace: b}}, {route: [{destination: {host: s, subset: v1}}]}]',
  ),
  '3.yaml': object(
    'DestinationRule',
    '{name: d, namespace: a}',
    '  host: s\n  subsets: [{name: v1, labels: {by: first}}]',
  ),
  '5.yaml': object(
    'VirtualService',
    '{name: u, namespace: a}',
    '  hosts: [x.com]\n  http: [{route: [{destination: {host: x.com}}]}]',
  ),
  '4.yaml': object(
    'VirtualService',
    '{name: w, namespace: b}',
    '  http: [{route: [{destination: {host: s.a, subset: v1}}]}]',
  ),
};

const document = fc.oneof(
  fc.constant(null),
  service,
  service,
  pod,
  virtualService,
  virtualService,
  destinationRule,
  destinationRule,
  serviceEntry,
  serviceEntry,
  workloadEntry,
  gatewayRoute,
  gatewayRoute,
);

test('update(delta) equals update(all), whatever comes, changes and goes in whichever order', () => {
  const file = fc.constantFrom('1.yaml', '2.yaml', '3.yaml', '4.yaml', '5.yaml', '6.yaml', '7.yaml');
  const step = fc.dictionary(file, document, { minKeys: 1, maxKeys: 2, noNullPrototype: true });
  let linked = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6, size: 'max' }), (steps) => {
      const files: Record<string, string | null> = { ...FIRST };
      const stepwise = new Translation().change(files);
      for (const changes of steps) {
        stepwise.change(changes);
        for (const [name, text] of Object.entries(changes)) {
          if (text === null) delete files[name];
          else files[name] = text;
        }
      }
      const whole = new Translation().change(files);
      assert.deepEqual(stepwise.mesh, whole.mesh);
      assert.deepEqual(stepwise.findings, whole.findings);
      linked += whole.of('httpRoute').filter(({ source }) => source === 'VirtualService').length;
    }),
    { numRuns: 250 },
  );
  assert.ok(linked > 20, `VirtualServices that became routes: ${linked}`);
});
