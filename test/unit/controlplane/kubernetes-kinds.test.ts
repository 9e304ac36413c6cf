/** Services of all types, EndpointSlices, Nodes and Namespaces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshLinker } from '../../../controlplane/config/linker.ts';
import { compareText } from '../../../controlplane/finding.ts';
import { ObjectStore } from '../../../controlplane/config/object-store.ts';
import { parseYaml } from '../../../controlplane/sources/yaml-document.ts';
import { testRefusals } from './refusal-rows.ts';
import { Translation, translate } from './translate.ts';

const service = (spec: string, name = 's'): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

const pod = (name: string, address: string, more = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, uid: ${name}}\nspec: {nodeName: n1, containers: []}\n` +
  `status: {podIP: ${address}, conditions: [{type: Ready, status: "True"}]${more}}\n`;

const node = (name: string, labels: string): string =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}, labels: {${labels}}}\n`;

const slice = (endpoints: string, ports = '[{name: http, port: 8080}]', name = 'sl', more = ''): string =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n` +
  `metadata: {name: ${name}, labels: {kubernetes.io/service-name: s}}\nendpoints: ${endpoints}\nports: ${ports}\n${more}`;

test('traffic policies of a Service', () => {
  const rows: readonly [string, string, string | null][] = [
    ['', 'Cluster', null],
    ['internalTrafficPolicy: Local', 'Local', null],
    ['trafficDistribution: PreferClose', 'Cluster', 'PreferSameZone'],
    ['trafficDistribution: PreferSameZone', 'Cluster', 'PreferSameZone'],
    ['trafficDistribution: PreferSameNode', 'Cluster', 'PreferSameNode'],
  ];
  for (const [more, policy, distribution] of rows) {
    const translation = translate(service(`{ports: [{port: 80}], ${more}}`));
    const [found] = translation.of('service');
    assert.deepEqual([found?.internalTrafficPolicy, found?.trafficDistribution], [policy, distribution], more);
    assert.deepEqual(translation.findings, [], more);
  }
});

test('NodePort and LoadBalancer are ClusterIPs inside the cluster', () => {
  for (const type of ['ClusterIP', 'NodePort', 'LoadBalancer']) {
    const text = service(
      `{type: ${type}, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30000}], externalIPs: [192.0.2.1]}`,
    );
    const translation = translate(text);
    assert.deepEqual([translation.of('service')[0]?.addresses, translation.findings], [['10.96.0.1'], []], type);
  }
});

test('ExternalName: a name, and neither addresses nor pods', () => {
  const text = service(
    '{type: ExternalName, externalName: DB.example.com., selector: {app: x}, ports: [{port: 5432}]}',
  );
  const labelled = pod('a', '10.0.0.1').replace('uid: a', 'uid: a, labels: {app: x}');
  const translation = translate(`${text}---\n${labelled}`);
  const [found] = translation.of('service');
  assert.deepEqual(
    [found?.externalName, found?.addresses, found?.ports.map(({ port }) => port)],
    ['db.example.com', [], [5432]],
  );
  assert.deepEqual(translation.of('workload')[0]?.services, {});
  assert.deepEqual(translation.findings, []);
});

test('sessionAffinity is taken and reported as not enforced', () => {
  const findings = translate(service('{sessionAffinity: ClientIP, ports: [{port: 80}]}')).findings;
  assert.deepEqual(
    findings.map(({ severity, code, field }) => [severity, code, field]),
    [['warning', 'NOT_ENFORCED', 'spec.sessionAffinity']],
  );
  assert.deepEqual(translate(service('{sessionAffinity: None, ports: [{port: 80}]}')).findings, []);
});

test('without a selector EndpointSlices say which pods back a Service: by reference, or by address', () => {
  const translation = new Translation().change({
    's.yaml': service('{ports: [{name: http, port: 80}, {name: more, port: 81}]}'),
    'a.yaml': pod('a', '10.0.0.1'),
    'b.yaml': pod('b', '10.0.0.2'),
    'c.yaml': pod('c', '10.0.0.3'),
    'sl.yaml': slice(
      '[{addresses: [192.0.2.9], targetRef: {kind: Pod, name: a}}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3], conditions: {ready: false}}]',
    ),
  });
  const services = (): unknown => translation.of('workload').map((workload) => Object.values(workload.services).flat());
  const http = { servicePort: 80, targetPort: 8080 };
  assert.deepEqual([services(), translation.findings], [[[http], [http], []], []]);
  // A second slice of the same Service has the other port.
  translation.change({ 'sl2.yaml': slice('[{addresses: [10.0.0.2]}]', '[{name: more, port: 9}]', 'sl2') });
  assert.deepEqual(services(), [[http], [http, { servicePort: 81, targetPort: 9 }], []]);
  // The address moves to another pod.
  translation.change({ 'b.yaml': pod('b', '10.0.0.7'), 'c.yaml': pod('c', '10.0.0.2') });
  assert.deepEqual(services(), [[http], [], [http, { servicePort: 81, targetPort: 9 }]]);
  // With a selector the Service has the pods that it selects, and only those.
  translation.change({ 's.yaml': service('{selector: {app: x}, ports: [{name: http, port: 80}]}') });
  assert.deepEqual(services(), [[], [], []]);
  translation.change({ 's.yaml': service('{ports: [{name: http, port: 80}]}'), 'sl.yaml': null, 'sl2.yaml': null });
  assert.deepEqual(services(), [[], [], []]);
});

test('endpoints that are no pods are reported until there is a pod', () => {
  const translation = new Translation().change({
    's.yaml': service('{ports: [{name: http, port: 80}]}'),
    'sl.yaml': slice('[{addresses: [10.0.0.1]}, {addresses: [192.0.2.1]}, {addresses: [192.0.2.2]}]'),
  });
  const found = (): unknown =>
    translation.findings.map(({ code, field, reason }) => [code, field, /the address (\S+)/.exec(reason)?.[1]]);
  assert.deepEqual(found(), [['NOT_ENFORCED', 'endpoints[0]', '10.0.0.1,']]);
  translation.change({ 'a.yaml': pod('a', '10.0.0.1') });
  assert.deepEqual(found(), [['NOT_ENFORCED', 'endpoints[1]', '192.0.2.1,']]);
  translation.change({ 's.yaml': service('{selector: {a: b}, ports: [{name: http, port: 80}]}') });
  assert.deepEqual(found(), [], 'the slices of a Service with a selector are the cluster’s own');
});

test('slices that cannot be used are reported: host names, no Service', () => {
  const fqdn = slice('[{addresses: [a.example]}]').replace('IPv4', 'FQDN');
  const stray = slice('[]').replace('labels: {kubernetes.io/service-name: s}', 'labels: {}');
  const codes = (text: string): unknown => translate(text).findings.map(({ severity, code }) => [severity, code]);
  assert.deepEqual(codes(fqdn), [['warning', 'NOT_ENFORCED']]);
  assert.deepEqual(codes(stray), [['warning', 'NO_EFFECT']]);
});

test('a pod is where its node is, as soon as the node says so', () => {
  const region = 'topology.kubernetes.io/region: eu';
  const zone = 'topology.kubernetes.io/zone: eu-1';
  const subzone = 'topology.istio.io/subzone: rack-7';
  const rows: readonly [string, string][] = [
    [`${region}, ${zone}, ${subzone}`, 'eu/eu-1/rack-7'],
    [`${region}, ${zone}`, 'eu/eu-1'],
    [region, 'eu'],
    [zone, '/eu-1'],
    ['', ''],
  ];
  const translation = new Translation().change({ 'a.yaml': pod('a', '10.0.0.1') });
  for (const [labels, locality] of rows) {
    translation.change({ 'n.yaml': node('n1', labels) });
    assert.deepEqual([translation.of('workload')[0]?.locality, translation.findings], [locality, []]);
  }
  translation.change({ 'n.yaml': node('n1', region) }).change({ 'n.yaml': node('n2', region) });
  assert.equal(translation.of('workload')[0]?.locality, '', 'its node is gone');
});

test('a Node has no namespace, whatever it says', () => {
  const translation = new Translation().change({
    'n.yaml': node('n1', 'topology.kubernetes.io/region: a').replace('name: n1', 'name: n1, namespace: x'),
    'm.yaml': node('n1', 'topology.kubernetes.io/region: b'),
    'a.yaml': pod('a', '10.0.0.1'),
  });
  assert.equal(translation.of('workload')[0]?.locality, 'b', 'the first file counts');
  assert.deepEqual(
    translation.findings.map(({ code, object }) => [code, object]),
    [['DUPLICATE_OBJECT', 'Node n1']],
  );
});

test('namespaces: those that are defined, and those that only occur, with the label of their name', () => {
  const store = new ObjectStore({ rootNamespace: 'istio-system' });
  const linker = new MeshLinker('istio-system');
  const change = (file: string, text: string | null): void => {
    const parsed = text === null ? null : parseYaml(text, file);
    if (parsed?.ok === false) assert.fail(parsed.problem.reason);
    const documents = parsed?.documents ?? [];
    linker.update(store.apply([text === null ? { type: 'gone', file } : { type: 'parsed', file, documents }]));
  };
  const all = (): unknown =>
    [...linker.view.namespaces()].sort((a, b) => compareText(a.name, b.name)).map(({ name, labels }) => [name, labels]);
  const label = (name: string): unknown => ({ 'kubernetes.io/metadata.name': name });
  change('s.yaml', service('{ports: [{port: 80}]}').replace('name: s', 'name: s, namespace: b'));
  change('n.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: x}}\n');
  assert.deepEqual(all(), [
    ['a', { team: 'x', 'kubernetes.io/metadata.name': 'a' }],
    ['b', label('b')],
  ]);
  change('m.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {team: y}}\n');
  assert.deepEqual(all(), [
    ['a', { team: 'x', 'kubernetes.io/metadata.name': 'a' }],
    ['b', { team: 'y', 'kubernetes.io/metadata.name': 'b' }],
  ]);
  change('m.yaml', null);
  change('n.yaml', null);
  change('s.yaml', null);
  assert.deepEqual(all(), []);
});

test('a pod that more Services select than agents take backs the first of them by name, and this is told', () => {
  const services = Array.from({ length: 4_098 }, (_, index) => `s${String(index).padStart(4, '0')}`);
  const text = services.map((name) => service('{selector: {app: x}, ports: [{port: 80}]}', name)).join('---\n');
  const labelled = pod('a', '10.0.0.1').replace('uid: a', 'uid: a, labels: {app: x}');
  const translation = new Translation().change({ 's.yaml': text, 'a.yaml': labelled });
  const backed = Object.keys(translation.of('workload')[0]?.services ?? {});
  assert.deepEqual([backed.length, backed.at(-1)], [4_096, 'default/s4095']);
  assert.deepEqual(
    translation.findings.map(({ code, object, reason }) => [code, object, /default\/\S+/.exec(reason)?.[0]]),
    [['UNSUPPORTED', 'Pod default/a', 'default/s4096']],
  );
  assert.deepEqual(translation.change({ 'a.yaml': null }).findings, []);
});

testRefusals(
  'Service',
  `apiVersion: v1
kind: Service
metadata: {name: s, namespace: demo}
spec:
  type: ExternalName
  externalName: db.example
`,
  [
    ['  externalName: db.example\n', '', 5, 'spec.externalName', /is missing/, /add the name/],
    ['db.example', '"db example"', 6, 'spec.externalName', /"db example"/, /a host name/],
    ['ExternalName', 'ExternalNam', 5, 'spec.type', /"ExternalNam"/, /did you mean ExternalName\?/],
    [
      '  externalName',
      '  internalTrafficPolicy: local\n  externalName',
      6,
      'spec.internalTrafficPolicy',
      /"local"/,
      /Local\?/,
    ],
    [
      '  externalName',
      '  trafficDistribution: Close\n  externalName',
      6,
      'spec.trafficDistribution',
      /"Close"/,
      /PreferSameZone/,
    ],
  ],
);

test('a malformed EndpointSlice backs nothing', () => {
  const rows: readonly [string, string][] = [
    [slice('[{addresses: [10.0.0.1]}]').replace('addressType: IPv4\n', ''), 'addressType'],
    [slice('[{addresses: [10.0.0.256]}]'), 'endpoints[0].addresses[0]'],
    [slice('[{}]'), 'endpoints[0].addresses'],
    [slice('[{addresses: [10.0.0.1]}]', '[{name: http, port: 0}]'), 'ports[0].port'],
    [slice('[{addresses: [10.0.0.1]}]', '[{name: "A!", port: 1}]'), 'ports[0].name'],
    [slice('[{addresses: [10.0.0.1], conditions: {ready: "yes"}}]'), 'endpoints[0].conditions.ready'],
  ];
  for (const [text, field] of rows) {
    const files = {
      's.yaml': service('{ports: [{name: http, port: 80}]}'),
      'a.yaml': pod('a', '10.0.0.1'),
      'sl.yaml': text,
    };
    const translation = new Translation().change(files);
    const errors = translation.findings.filter(({ severity }) => severity === 'error');
    assert.deepEqual([errors[0]?.field, errors.length], [field, 1], text);
    assert.deepEqual(translation.of('workload')[0]?.services, {});
  }
});
