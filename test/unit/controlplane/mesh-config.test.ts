/** ConfigMap istio-system/istio: what is taken from it, and that nothing in it is passed over in silence. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFinding } from '../../../controlplane/finding.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { Translation, translate } from './translate.ts';

/** A ConfigMap with these texts below data, each as a block literal. */
function configMap(
  data: Readonly<Record<string, string>>,
  metadata = '{name: istio, namespace: istio-system}',
): string {
  const keys = Object.entries(data).map(([key, text]) => `  ${key}: |-\n${text.replaceAll(/^/gm, '    ')}\n`);
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: ${metadata}\ndata:\n${keys.join('')}`;
}

const settings = (fields: object): object => ({
  ...DEFAULT_SETTINGS,
  ...fields,
});

test('absent keys are the defaults; an empty list of providers is off, a list with one is on', () => {
  const rows: readonly [string, object][] = [
    ['{}', {}],
    ['defaultProviders: {}', {}],
    ['defaultProviders: {metrics: }', {}],
    ['defaultProviders: {metrics: [prometheus], accessLogging: [envoy]}', {}],
    ['defaultProviders: {metrics: []}', { metrics: false }],
    ['defaultProviders: {accessLogging: []}', { accessLog: false }],
    ['defaultProviders:\n  metrics: []\n  accessLogging: []', { metrics: false, accessLog: false }],
  ];
  for (const [mesh, expected] of rows) {
    const translation = translate(configMap({ mesh }));
    assert.deepEqual(translation.mesh, [settings(expected)], mesh);
    assert.deepEqual(translation.findings, [], mesh);
  }
  const empty = translate('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n');
  assert.deepEqual(empty.mesh, [settings({})]);
});

test('identities, paths, unknown destinations: as Istio writes them', () => {
  const rows: readonly [string, object][] = [
    [
      'trustDomain: td.example\ntrustDomainAliases: [old, older.example]',
      { trustDomain: 'td.example', trustDomainAliases: ['old', 'older.example'] },
    ],
    ['pathNormalization: {normalization: DEFAULT}', {}],
    ['pathNormalization: {normalization: NONE}', { pathNormalization: 'NONE' }],
    [
      'pathNormalization:\n  normalization: DECODE_AND_MERGE_SLASHES',
      { pathNormalization: 'DECODE_AND_MERGE_SLASHES' },
    ],
    ['pathNormalization: {}\noutboundTrafficPolicy: {}', {}],
    ['outboundTrafficPolicy: {mode: REGISTRY_ONLY}', { outboundTrafficPolicy: 'REGISTRY_ONLY' }],
    ['rootNamespace: config', { rootNamespace: 'config' }],
  ];
  for (const [mesh, expected] of rows) {
    const translation = translate(configMap({ mesh }));
    assert.deepEqual(translation.mesh, [settings(expected)], mesh);
    assert.deepEqual(translation.findings, [], mesh);
  }
});

test('policies of the root namespace hold for the whole mesh, whichever it is said to be, before or after', () => {
  const policies = ['AuthorizationPolicy', 'PeerAuthentication', 'RequestAuthentication']
    .flatMap((kind) =>
      ['istio-system', 'config'].map(
        (namespace) =>
          `apiVersion: security.istio.io/v1\nkind: ${kind}\nmetadata: {name: p, namespace: ${namespace}}\n`,
      ),
    )
    .join('---\n');
  const sidecar =
    'apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: p, namespace: config}\nspec: {egress: [{hosts: ["./*"]}]}\n';
  const meshWide = (translation: Translation): string[] =>
    translation.mesh.flatMap((resource) =>
      'meshWide' in resource && resource.meshWide ? `${resource.kind} ${resource.namespace}` : [],
    );
  const translation = translate(`${policies}---\n${sidecar}`);
  const ofRoot = (namespace: string): string[] =>
    ['authorizationPolicy', 'peerAuthentication', 'requestAuthentication'].map((kind) => `${kind} ${namespace}`);
  assert.deepEqual(meshWide(translation), ofRoot('istio-system'));
  translation.change({ 'm.yaml': configMap({ mesh: 'rootNamespace: config' }) });
  assert.deepEqual(meshWide(translation), [...ofRoot('config'), 'sidecarScope config']);
  translation.change({ 'm.yaml': null });
  assert.deepEqual(meshWide(translation), ofRoot('istio-system'));
});

test('bypass is a key of data.weir; without telemetry off it is taken and reported as useless', () => {
  const off = 'defaultProviders: {metrics: [], accessLogging: []}';
  const quiet = translate(configMap({ mesh: off, weir: 'bypass: true' }));
  assert.deepEqual(quiet.mesh, [settings({ metrics: false, accessLog: false, bypass: true })]);
  assert.deepEqual(quiet.findings, []);
  const useless = translate(configMap({ weir: 'bypass: true' }));
  assert.deepEqual(useless.mesh, [settings({ bypass: true })]);
  assert.match(
    useless.findings.map(formatFinding).join(),
    /f\.yaml:6: .*data\.weir\.bypass: has no effect while metrics/,
  );
});

test('only the root namespace’s ConfigMap of that name counts; others are left alone', () => {
  const rows = ['{name: istio, namespace: shop}', '{name: istio}', '{name: settings, namespace: istio-system}'];
  for (const metadata of rows) {
    const translation = translate(configMap({ mesh: 'nonsense: [' }, metadata));
    assert.deepEqual([translation.mesh, translation.findings], [[], []], metadata);
  }
});

test('keys that do nothing are named with the line they stand on inside the text', () => {
  const mesh = 'defaultProviders:\n  metrics:\n  - prometheus\n  - stackdriver\nmeshMTLS: {}\ndefaultProvider: {}';
  const found = translate(configMap({ mesh, weir: 'bypas: true', meshNetworks: 'networks: {}' })).findings;
  assert.deepEqual(
    found.map(({ severity, code, line, field }) => [severity, code, line, field]),
    [
      ['warning', 'UNSUPPORTED', 9, 'data.mesh.defaultProviders.metrics[1]'],
      ['warning', 'NOT_ENFORCED', 10, 'data.mesh.meshMTLS'],
      ['warning', 'UNKNOWN_FIELD', 11, 'data.mesh.defaultProvider'],
      ['warning', 'UNKNOWN_FIELD', 13, 'data.weir.bypas'],
      ['warning', 'NOT_ENFORCED', 14, 'data.meshNetworks'],
    ],
  );
  assert.match(found[2]?.remedy ?? '', /did you mean defaultProviders\?/);
});

test('what is wrong is refused with file and line, and the last valid version stays', () => {
  const good = configMap({ mesh: 'defaultProviders: {metrics: []}' });
  const rows: readonly [Record<string, string>, RegExp][] = [
    [{ mesh: 'a: [' }, /f\.yaml:5: .*data\.mesh: line 1 of it: /],
    [{ mesh: '- a' }, /f\.yaml:\d+: .*data\.mesh: is a list, not a mapping/],
    [{ mesh: 'a: 1\n---\nb: 1' }, /data\.mesh: holds several YAML documents/],
    [{ mesh: 'defaultProviders: {metrics: prometheus}' }, /f\.yaml:6: .*metrics: is the text "prometheus", not a list/],
    [{ mesh: 'trustDomain: Td' }, /data\.mesh\.trustDomain: is "Td"; it must be a trust domain/],
    [{ mesh: 'trustDomainAliases: [a, "b c"]' }, /data\.mesh\.trustDomainAliases\[1\]: is "b c"/],
    [{ mesh: 'rootNamespace: a.b' }, /data\.mesh\.rootNamespace: is "a\.b"; it must be lower-case/],
    [{ mesh: 'pathNormalization: {normalization: BASIC}' }, /normalization: is "BASIC"; did you mean BASE\?/],
    [{ mesh: 'outboundTrafficPolicy: {mode: DENY_ALL}' }, /outboundTrafficPolicy\.mode: is "DENY_ALL"/],
    [{ weir: 'bypass: "yes"' }, /f\.yaml:6: .*data\.weir\.bypass: is the text "yes", not a boolean/],
  ];
  for (const [data, expected] of rows) {
    const translation = translate(good).change({ 'f.yaml': configMap(data) });
    assert.match(translation.findings.map(formatFinding).join('\n'), expected);
    assert.deepEqual(translation.mesh, [settings({ metrics: false })]);
  }
});

test('a deleted ConfigMap takes its settings with it', () => {
  const translation = new Translation().change({ 'm.yaml': configMap({ weir: 'bypass: false' }) });
  assert.equal(translation.mesh.length, 1);
  assert.deepEqual(translation.change({ 'm.yaml': null }).mesh, []);
});

test('as many findings as lines are no more work than that', () => {
  // Quadratic, this would take minutes.
  const mesh = Array.from({ length: 10_000 }, (_, i) => `k${i}: 1`).join('\n');
  const { findings } = translate(configMap({ mesh }));
  assert.equal(findings.length, 10_000);
  assert.match(formatFinding(findings[9_999] as (typeof findings)[number]), /^\S* ?f\.yaml:10005|f\.yaml:10005/);
});
