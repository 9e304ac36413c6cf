/** `weir analyze`, `weir diff` and `weir explain -f` as a user runs them: real files, real command lines. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

const WEIR = new URL('../../../dist/cli/weir.js', import.meta.url).pathname;

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function weir(args: readonly string[], input = ''): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [WEIR, ...args], {
    encoding: 'utf8',
    input,
    cwd: new URL('../../..', import.meta.url).pathname,
  });
  return { status, stdout, stderr };
}

const APPS = `
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  selector: {app: echo}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]
---
apiVersion: v1
kind: Service
metadata: {name: empty, namespace: shop}
spec: {clusterIP: 10.96.0.11, selector: {app: nobody}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: shop}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec: {serviceAccountName: echo, containers: [{name: a, image: b}]}
`;

function policy(name: string, spec: string): string {
  return `---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: shop}\nspec: ${spec}\n`;
}

function httpRoute(name: string, rules: string): string {
  return `---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: ${name}, namespace: shop}\nspec: {parentRefs: [{group: "", kind: Service, name: echo}], rules: ${rules}}\n`;
}

function virtualService(http: string): string {
  return `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: vs, namespace: shop}\nspec: {hosts: [echo], http: ${http}}\n`;
}

describe('weir analyze', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-analyze-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const rows: readonly [string, string, string, RegExp | null][] = [
    ['what is good', policy('p', '{rules: [{to: [{operation: {methods: [GET], ports: ["8080"]}}]}]}'), 'none', null],
    [
      'a policy that selects nothing',
      policy('p', '{selector: {matchLabels: {app: gone}}, rules: [{}]}'),
      'SELECTS_NOTHING',
      /spec\.selector/,
    ],
    ['an ALLOW without rules', policy('p', '{}'), 'DENIES_EVERYTHING', /"field":"spec"/],
    [
      'HTTP fields on a TCP port',
      policy('p', '{rules: [{to: [{operation: {methods: [GET]}}]}]}'),
      'HTTP_RULE_ON_TCP_PORT',
      /shop\/echo:5432/,
    ],
    [
      'a value and its twin',
      policy('p', '{rules: [{to: [{operation: {methods: [GET], notMethods: [GET], ports: ["8080"]}}]}]}'),
      'RULE_NEVER_MATCHES',
      /methods and notMethods/,
    ],
    [
      'equal rules',
      httpRoute('r', '[{backendRefs: [{name: echo, port: 80}]}, {backendRefs: [{name: echo, port: 80}]}]'),
      'SHADOWED_RULE',
      /rule 0 takes all/,
    ],
    [
      'a catch-all before others',
      virtualService(
        '[{route: [{destination: {host: echo, port: {number: 80}}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: echo, port: {number: 80}}}]}]',
      ),
      'SHADOWED_RULE',
      /spec\.http\[1\]/,
    ],
    [
      'two routes, one match',
      httpRoute('a', '[{backendRefs: [{name: echo, port: 80}]}]') +
        httpRoute('b', '[{backendRefs: [{name: echo, port: 80}]}]'),
      'CONFLICTING_ROUTES',
      /HTTPRoute shop\/a/,
    ],
    [
      'weights of 0',
      httpRoute('r', '[{backendRefs: [{name: echo, port: 80, weight: 0}]}]'),
      'WEIGHTS',
      /all weights are 0/,
    ],
    [
      'a backend without pods',
      httpRoute('r', '[{backendRefs: [{name: empty, port: 80}]}]'),
      'NO_ENDPOINTS',
      /Service shop\/empty/,
    ],
    [
      'an unknown backend',
      httpRoute('r', '[{backendRefs: [{name: ech, port: 80}]}]'),
      'REFERENCE_NOT_FOUND',
      /Service shop\/ech/,
    ],
    [
      'an invalid regular expression',
      httpRoute('r', '[{matches: [{path: {type: RegularExpression, value: "/(a"}}]}]'),
      'INVALID_VALUE',
      /RE2/,
    ],
  ];
  for (const [title, text, code, wanted] of rows) {
    it(`${title}: ${code}`, () => {
      const file = join(folder, 'mesh.yaml');
      writeFileSync(file, APPS + text);
      const { stdout, status, stderr } = weir(['analyze', '-f', file, '-o', 'json']);
      const { findings } = JSON.parse(stdout) as {
        findings: { code: string; line: number; file: string; severity: string }[];
      };
      if (wanted === null) assert.deepEqual([findings, status], [[], 0], stderr);
      else {
        const found = findings.filter((finding) => finding.code === code);
        assert.ok(found.length > 0, `found only ${findings.map((finding) => finding.code).join(', ')}`);
        assert.match(JSON.stringify(found), wanted);
        const lines = APPS.split('\n').length;
        assert.ok(found.every((finding) => finding.file === file && finding.line >= lines));
        assert.equal(status, findings.some(({ severity }) => severity === 'error') ? 1 : 0);
      }
    });
  }

  it('--fail-on decides the exit status, -o sarif is for code hosts', () => {
    const file = join(folder, 'mesh.yaml');
    writeFileSync(file, APPS + policy('p', '{}'));
    assert.equal(weir(['analyze', '-f', file, '--fail-on', 'warning']).status, 1);
    const { stdout, status } = weir(['analyze', '-f', file, '-o', 'sarif']);
    assert.equal(status, 0);
    const { runs } = JSON.parse(stdout) as { runs: { results: { ruleId: string; locations: unknown[] }[] }[] };
    assert.equal(runs[0]?.results[0]?.ruleId, 'DENIES_EVERYTHING');
    assert.equal(runs[0]?.results[0]?.locations.length, 1);
  });

  it('reads standard input, and says what is wrong with the command line', () => {
    assert.equal(weir(['analyze', '-f', '-'], APPS).status, 0);
    const { status, stderr } = weir(['analyze', '-f', join(folder, 'none')]);
    assert.deepEqual([status, /no such file/.test(stderr)], [2, true]);
    assert.equal(weir(['analyze']).status, 2);
  });

  it('weir diff tells objects and requests that are treated differently', () => {
    const [older, newer] = [join(folder, 'old.yaml'), join(folder, 'new.yaml')];
    const only = (method: string): string => policy('p', `{rules: [{to: [{operation: {methods: [${method}]}}]}]}`);
    writeFileSync(older, APPS + only('GET'));
    writeFileSync(newer, APPS + only('PUT'));
    assert.equal(weir(['diff', '-f', older, '-f', older]).status, 0);
    const { stdout, status } = weir(['diff', '-f', older, '-f', newer, '-o', 'json']);
    assert.equal(status, 1);
    const { objects, verdicts } = JSON.parse(stdout) as {
      objects: unknown[];
      verdicts: { request: string; before: { verdict: string }; after: { verdict: string } }[];
    };
    assert.deepEqual(objects, [{ change: 'changed', kind: 'authorizationPolicy', key: 'shop/p' }]);
    const get = verdicts.find(({ request }) => request.includes(':80 GET /'));
    assert.deepEqual([get?.before.verdict, get?.after.verdict], ['allow', 'deny']);
  });

  it('weir explain answers JSON lines in their order, also those that it cannot read', () => {
    const file = join(folder, 'mesh.yaml');
    writeFileSync(file, APPS + policy('p', '{rules: [{to: [{operation: {methods: [GET]}}]}]}'));
    const question = (id: string, method: string): string =>
      JSON.stringify({
        id,
        source: { principal: null, namespace: null, serviceAccount: null, ip: '10.1.1.1', remoteIp: '10.1.1.1' },
        destination: { namespace: 'shop', labels: { app: 'echo' }, ip: '10.1.1.2', port: 8080, serviceHost: '' },
        connection: { protocol: 'http', tls: 'none', sni: null },
        http: { method, path: '/', host: 'echo', headers: [], jwt: null },
      });
    const input = [question('a', 'GET'), 'nonsense', question('b', 'PUT')].join('\n');
    const { stdout, status } = weir(['explain', '-f', file, '--requests', '-', '-o', 'jsonl'], input);
    assert.equal(status, 0);
    const decisions = stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    assert.deepEqual(
      decisions.map(({ id, verdict, status: code, policy: decided, rule }) => [id, verdict, code, decided, rule]),
      [
        ['a', 'allow', 200, 'shop/p', 0],
        ['', 'deny', null, null, null],
        ['b', 'deny', 403, null, null],
      ],
    );
    assert.match(String(decisions[1]?.['error']), /not JSON/);
  });
});
