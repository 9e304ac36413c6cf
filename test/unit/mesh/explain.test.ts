/** What `weir explain` answers: the JSON-lines contract, and that a decision is the one that the tables give. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { explain } from '../../../mesh/explain.ts';
import { type Asked, questionOf } from '../../../mesh/explain-ask.ts';
import { parseExplainRequest, readExplainRequest } from '../../../mesh/explain-request.ts';
import type { MeshResource } from '../../../mesh/model.ts';
import { MeshState } from '../../../mesh/state.ts';
import { backend, policy, prefixRoute, rule, service, stateWith, workload } from './explain-resources.ts';

const WEB = 'spiffe://cluster.local/ns/shop/sa/web';

interface Written {
  readonly principal?: string | null;
  readonly path?: string;
  readonly method?: string;
  readonly host?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly port?: number;
  readonly serviceHost?: string;
  readonly tls?: 'mtls' | 'none';
  readonly tcp?: boolean;
  readonly jwt?: unknown;
}

function line(written: Written): unknown {
  const { principal = WEB, path = '/', method = 'GET', host = 'echo.shop', headers = [], port = 8080 } = written;
  return {
    id: 'q',
    source: { principal, namespace: null, serviceAccount: null, ip: '10.0.0.1', remoteIp: null },
    destination: {
      namespace: 'shop',
      labels: written.labels ?? { app: 'echo' },
      ip: '10.0.0.2',
      port,
      serviceHost: written.serviceHost ?? '',
    },
    connection: {
      protocol: written.tcp === true ? 'tcp' : 'http',
      tls: written.tls ?? (principal === null ? 'none' : 'mtls'),
      sni: null,
    },
    http: written.tcp === true ? null : { method, path, host, headers, jwt: written.jwt ?? null },
  };
}

function decide(resources: readonly MeshResource[], written: Written) {
  const question = readExplainRequest(line(written));
  assert.ok(question.ok, question.ok ? '' : question.error);
  return explain(stateWith(...resources), question.request);
}

const echo = service({ name: 'echo', addresses: ['10.96.0.1'] });
const pod = workload({
  uid: 'echo-1',
  addresses: ['10.0.0.2'],
  labels: { app: 'echo' },
  services: { 'shop/echo': [{ servicePort: 80, targetPort: 8080 }] },
});

describe('explain: policy', () => {
  const readers = policy({
    name: 'readers',
    rules: [rule({ methods: ['GET'], principals: ['cluster.local/ns/shop/sa/web'] })],
  });
  const admin = policy({
    name: 'admin',
    action: 'DENY',
    rules: [rule({ methods: ['POST'] }), rule({ paths: ['/admin*'] })],
  });

  it('without policy everything is allowed', () => {
    const { verdict, status, policy: decided, rule: at, error } = decide([pod], {});
    assert.deepEqual(
      { verdict, status, decided, at, error },
      { verdict: 'allow', status: 200, decided: null, at: null, error: null },
    );
  });
  it('names the ALLOW policy and rule that let it in', () => {
    const { verdict, policy: decided, rule: at } = decide([pod, readers], {});
    assert.deepEqual([verdict, decided, at], ['allow', 'shop/readers', 0]);
  });
  it('names the DENY rule, and judges the normalised path', () => {
    const { verdict, status, policy: decided, rule: at, path } = decide([pod, admin], { path: '/x/../admin/y?q=1' });
    assert.deepEqual([verdict, status, decided, at, path], ['deny', 403, 'shop/admin', 1, '/admin/y?q=1']);
  });
  it('says what an ALLOW rule wanted', () => {
    const decision = decide([pod, readers], { method: 'PUT' });
    assert.deepEqual([decision.verdict, decision.status, decision.policy, decision.rule], ['deny', 403, null, null]);
    assert.match(decision.hints.join('\n'), /shop\/readers rule 0: .*methods.*PUT.*GET/);
  });
  it('a destination that is no pod is judged by its namespace and labels', () => {
    const selective = policy({ name: 's', action: 'DENY', selector: { app: 'new' }, rules: [rule({})] });
    assert.equal(decide([selective], { labels: { app: 'new' } }).verdict, 'deny');
    assert.equal(decide([selective], { labels: { app: 'old' } }).verdict, 'allow');
  });
  it('plain TCP has no status', () => {
    const { verdict, status, path } = decide([pod, readers], { tcp: true });
    assert.deepEqual([verdict, status, path], ['deny', null, null]);
  });
  it('STRICT refuses plaintext, and says that agents do not yet', () => {
    const strict: MeshResource = {
      kind: 'peerAuthentication',
      namespace: 'shop',
      name: 'default',
      meshWide: false,
      selector: null,
      mode: 'STRICT',
      portModes: {},
      createdMs: 0,
    };
    const decision = decide([pod, strict], { principal: null });
    assert.deepEqual([decision.verdict, decision.status, decision.policy], ['deny', null, 'shop/default']);
    assert.equal(decide([pod, strict], {}).verdict, 'allow');
  });
  for (const [path, reason] of [
    ['/a%00', 'PATH_NUL'],
    ['/a#b', 'FRAGMENT'],
    ['a', 'PATH_NOT_ABSOLUTE'],
    ['/%zz', 'PATH_BAD_PERCENT'],
  ] as const) {
    it(`${path} is answered with 400`, () => {
      const decision = decide([pod], { path });
      assert.deepEqual([decision.verdict, decision.status], ['deny', 400]);
      assert.match(decision.because, new RegExp(reason));
    });
  }
});

describe('explain: routes', () => {
  const host = 'echo.shop.svc.cluster.local';
  const other = service({ name: 'other' });
  const rewriting = prefixRoute('/api', {
    backends: [backend('other')],
    filters: [
      { type: 'urlRewrite', hostname: 'inner.example', path: { type: 'prefix', value: '/v1' } },
      {
        type: 'requestHeaderModifier',
        set: [{ name: 'x-a', value: '1' }],
        add: [{ name: 'x-b', value: '2' }],
        remove: ['x-c'],
      },
    ],
  });

  it('policy judges what is forwarded', () => {
    const denied = policy({
      name: 'v1',
      action: 'DENY',
      rules: [rule({ paths: ['/v1/*'], hosts: ['inner.example'] })],
    });
    const decision = decide([echo, other, pod, rewriting, denied], {
      serviceHost: host,
      path: '/api/x?y=1',
      headers: [
        ['X-B', '1'],
        ['x-c', '0'],
      ],
    });
    assert.equal(decision.policy, 'shop/v1');
    assert.deepEqual(
      {
        route: decision.route,
        rule: decision.routeRule,
        path: decision.path,
        host: decision.host,
        backend: decision.backend,
      },
      { route: 'shop/r', rule: 0, path: '/v1/x?y=1', host: 'inner.example', backend: 'shop/other:80' },
    );
    assert.deepEqual(decision.headers, { set: { host: 'inner.example', 'x-a': '1', 'x-b': '1, 2' }, remove: ['x-c'] });
  });
  it('no rule, 404; a broken backend, 500; a redirect is answered', () => {
    assert.deepEqual([decide([echo, pod, rewriting], { serviceHost: host }).status], [404]);
    const broken = prefixRoute('/', { backends: [backend('gone', { valid: false })] });
    assert.equal(decide([echo, pod, broken], { serviceHost: host }).status, 500);
    const moved = prefixRoute('/', {
      filters: [
        { type: 'requestRedirect', scheme: 'https', hostname: null, port: 'scheme', path: null, statusCode: 308 },
      ],
    });
    const decision = decide([echo, pod, moved], { serviceHost: host, path: '/a' });
    assert.deepEqual([decision.verdict, decision.status], ['allow', 308]);
    assert.match(decision.because, /https:\/\/echo\.shop\/a/);
  });
});

describe('explain: expressions that would take too long', () => {
  const costly = '(?:a?){300}b(?:a|b){300}';
  const host = 'echo.shop.svc.cluster.local';
  it('of a match: 431, as an agent answers', () => {
    const ofHeader = prefixRoute('/', { backends: [backend('echo')] }, [{ name: 'x-a', type: 'regex', value: costly }]);
    const ask = (length: number): readonly unknown[] => {
      const decision = decide([echo, pod, ofHeader], { serviceHost: host, headers: [['x-a', 'a'.repeat(length)]] });
      return [decision.verdict, decision.status];
    };
    assert.deepEqual(
      [ask(10), ask(10_000), ask(10)],
      [
        ['deny', 404],
        ['deny', 431],
        ['deny', 404],
      ],
    );
  });
  it('of a rewrite: likewise', () => {
    const rewrite = {
      type: 'urlRewrite',
      hostname: null,
      path: { type: 'regex', pattern: costly, value: '/x' },
    } as const;
    const rewritten = prefixRoute('/', { backends: [backend('echo')], filters: [rewrite] });
    const decision = decide([echo, pod, rewritten], { serviceHost: host, path: `/${'a'.repeat(10_000)}` });
    assert.equal(decision.status, 431);
  });
});

describe('explain: as a person asks', () => {
  const asked: Asked = {
    from: 'shop/web',
    to: 'echo.shop:80',
    method: 'GET',
    path: '/',
    host: '',
    headers: [],
    tcp: false,
    sni: '',
  };
  const ask = (changes: Partial<Asked>, ...resources: MeshResource[]) => {
    const state = stateWith(...resources);
    const question = questionOf(state, { ...asked, ...changes }, 'a');
    return question.ok ? explain(state, question.request) : question.error;
  };
  it('reaches an endpoint of the Service', () => {
    const decision = ask({}, echo, pod);
    assert.ok(typeof decision !== 'string');
    assert.deepEqual([decision.verdict, decision.status, decision.backend], ['allow', 200, 'shop/echo:80']);
  });
  it('a Service without pods is answered with 503', () => {
    const decision = ask({}, echo);
    assert.ok(typeof decision !== 'string');
    assert.deepEqual([decision.verdict, decision.status], ['deny', 503]);
  });
  for (const [changes, wanted] of [
    [{ to: 'echo.shop' }, /HOST:PORT/],
    [{ to: 'echo.shop:81' }, /Service shop\/echo has 80/],
    [{ to: 'nobody.shop:80' }, /no Service shop\/nobody/],
    [{ from: 'web' }, /NAMESPACE\/SERVICEACCOUNT/],
  ] as const) {
    it(`${JSON.stringify(changes)} is refused with what there is`, () => {
      const refusal = ask(changes, echo, pod);
      assert.ok(typeof refusal === 'string');
      assert.match(refusal, wanted);
    });
  }
});

describe('explain: questions from outside', () => {
  const rows: readonly [string, RegExp][] = [
    ['', /not JSON/],
    ['[]', /must be a JSON object/],
    ['{}', /id is missing/],
    [JSON.stringify({ ...(line({}) as object), connection: { protocol: 'udp' } }), /connection\.protocol/],
    [JSON.stringify({ ...(line({}) as object), destination: { port: 0 } }), /destination\.port/],
    [JSON.stringify({ ...(line({}) as object), source: { principal: 'web', ip: '10.0.0.1' } }), /source\.principal/],
    [
      JSON.stringify({ ...(line({}) as object), source: { principal: WEB, namespace: 'other', ip: '10.0.0.1' } }),
      /agree/,
    ],
    [JSON.stringify({ ...(line({}) as object), source: { ip: 'x' } }), /source\.ip/],
    ['x'.repeat(300_000), /longer than/],
  ];
  for (const [text, wanted] of rows) {
    it(`${text.slice(0, 40)} is refused: ${wanted.source}`, () => {
      const question = parseExplainRequest(text);
      assert.ok(!question.ok);
      assert.match(question.error, wanted);
    });
  }
  it('never throws, whatever JSON it is given', () => {
    const state = new MeshState();
    const valid = line({}) as Record<string, unknown>;
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(valid)), fc.jsonValue(), (field, value) => {
        const question = readExplainRequest({ ...valid, [field]: value });
        if (question.ok) explain(state, question.request);
      }),
    );
  });
});
