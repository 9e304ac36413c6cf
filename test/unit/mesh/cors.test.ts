/** Cross-origin requests: which preflights are answered and how, and what is added to answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileCors, corsPreflight, corsResponseHeaders } from '../../../mesh/cors.ts';
import type { Cors, NameValue } from '../../../mesh/route-model.ts';
import { request } from './resources.ts';

const SHOP = 'https://shop.example';

function cors(fields: Partial<Cors>): Cors {
  return {
    type: 'cors',
    allowOrigins: [{ type: 'exact', value: SHOP }],
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: false,
    maxAgeS: null,
    unmatchedPreflights: 'forward',
    ...fields,
  };
}

function preflight(filter: Cors, origin = SHOP, asked: [string, string][] = [], method = 'OPTIONS'): string[] | null {
  const headers: [string, string][] = [['origin', origin], ['access-control-request-method', 'PUT'], ...asked];
  return shown(corsPreflight(compileCors(filter), origin, request({ method, headers })));
}

function shown(headers: readonly NameValue[] | null): string[] | null {
  return headers?.map(({ name, value }) => `${name.replace('access-control-', '')}: ${value}`) ?? null;
}

const any: Cors['allowOrigins'] = [{ type: 'exact', value: '*' }];
const ORIGIN = [`allow-origin: ${SHOP}`, 'vary: Origin'];
const asksX: [string, string][] = [['access-control-request-headers', 'x-a, x-b']];

describe('the answer to a preflight', () => {
  const rows: [string, Partial<Cors>, [string, string][], string[]][] = [
    ['tells the origin back', {}, [], ORIGIN],
    ['is * where any origin is allowed', { allowOrigins: any }, [], ['allow-origin: *']],
    [
      'is the origin where any is allowed with credentials',
      { allowOrigins: any, allowCredentials: true },
      [],
      [...ORIGIN, 'allow-credentials: true'],
    ],
    [
      'lists methods, headers and age',
      { allowMethods: ['GET', 'PUT'], allowHeaders: ['x-a', 'x-c'], maxAgeS: 600 },
      asksX,
      [...ORIGIN, 'allow-methods: GET, PUT', 'allow-headers: x-a, x-c', 'max-age: 600'],
    ],
    [
      'passes * on',
      { allowMethods: ['*'], allowHeaders: ['*'] },
      asksX,
      [...ORIGIN, 'allow-methods: *', 'allow-headers: *'],
    ],
    [
      'tells back what was asked for with * and credentials, for which * is a name like any other',
      { allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true },
      asksX,
      [...ORIGIN, 'allow-credentials: true', 'allow-methods: PUT', 'allow-headers: x-a, x-b'],
    ],
    [
      'has no list of headers with * and credentials where none is asked for',
      { allowHeaders: ['*'], allowCredentials: true },
      [],
      [...ORIGIN, 'allow-credentials: true'],
    ],
    ['says nothing of exposed headers', { exposeHeaders: ['x-a'] }, [], ORIGIN],
    ['has an age of 0', { maxAgeS: 0 }, [], [...ORIGIN, 'max-age: 0']],
  ];
  for (const [name, fields, asked, expected] of rows) {
    it(name, () => assert.deepEqual(preflight(cors(fields), SHOP, asked), expected));
  }

  it('is left to the backend, or empty, where the origin is not allowed', () => {
    assert.equal(preflight(cors({}), 'https://evil.example'), null);
    assert.deepEqual(preflight(cors({ unmatchedPreflights: 'answer' }), 'https://evil.example'), []);
    assert.equal(preflight(cors({ allowOrigins: [] })), null);
  });

  it('is for OPTIONS that ask for a method alone', () => {
    assert.equal(preflight(cors({}), SHOP, [], 'GET'), null);
    const plain = request({ method: 'OPTIONS', headers: [['origin', SHOP]] });
    assert.equal(corsPreflight(compileCors(cors({})), SHOP, plain), null);
  });
});

describe('origins', () => {
  const rows: [Cors['allowOrigins'][number], string, boolean][] = [
    [{ type: 'exact', value: SHOP }, SHOP, true],
    [{ type: 'exact', value: SHOP }, 'https://shop.example.evil.test', false],
    [{ type: 'exact', value: SHOP }, 'http://shop.example', false],
    [{ type: 'exact', value: SHOP }, 'https://shop.example:8443', false],
    [{ type: 'exact', value: 'null' }, 'null', true],
    [{ type: 'prefix', value: 'https://shop.' }, 'https://shop.test', true],
    [{ type: 'prefix', value: 'https://shop.' }, 'http://shop.test', false],
    [{ type: 'regex', value: 'https://[^/:]*\\.a\\.com' }, 'https://x.a.com', true],
    [{ type: 'regex', value: 'https://[^/:]*\\.a\\.com' }, 'https://x.a.com.evil.test', false],
    [{ type: 'regex', value: 'https://[^/:]*\\.a\\.com' }, 'https://a.com', false],
    [{ type: 'prefix', value: '*' }, SHOP, false],
  ];
  for (const [wanted, origin, expected] of rows) {
    it(`${wanted.type} ${wanted.value} ${expected ? 'allows' : 'does not allow'} ${origin}`, () => {
      const headers = corsResponseHeaders(compileCors(cors({ allowOrigins: [wanted] })), origin);
      assert.equal(headers.length > 0, expected);
    });
  }
});

describe('what is added to an answer', () => {
  it('is the origin and what may be seen', () => {
    const compiled = compileCors(cors({ exposeHeaders: ['X-A', 'X-B'], allowMethods: ['GET'], maxAgeS: 5 }));
    assert.deepEqual(shown(corsResponseHeaders(compiled, SHOP)), [...ORIGIN, 'expose-headers: X-A, X-B']);
    assert.deepEqual(corsResponseHeaders(compiled, 'https://evil.example'), []);
  });

  it('never allows credentials to *, nor an origin that is not allowed', () => {
    const origins = fc.constantFrom(SHOP, 'https://evil.example', 'null', '*', '');
    const filters = fc.record({
      allowOrigins: fc.subarray([...any, { type: 'exact' as const, value: SHOP }]),
      allowCredentials: fc.boolean(),
      allowMethods: fc.subarray(['*', 'GET']),
      allowHeaders: fc.subarray(['*', 'x-a']),
    });
    fc.assert(
      fc.property(filters, origins, fc.boolean(), (fields, origin, isPreflight) => {
        const filter = cors(fields);
        const headers = isPreflight
          ? preflight(filter, origin, asksX)
          : shown(corsResponseHeaders(compileCors(filter), origin));
        const allowed = fields.allowOrigins.some(({ value }) => value === '*' || value === origin);
        assert.equal(headers !== null && headers.length > 0, allowed);
        if (!fields.allowCredentials || !allowed || headers === null) return;
        assert.ok(headers.includes(`allow-origin: ${origin}`));
        assert.ok(headers.includes('vary: Origin'));
        for (const header of headers.filter((each) => each !== 'allow-origin: *')) assert.ok(!header.endsWith(': *'));
      }),
    );
  });
});
