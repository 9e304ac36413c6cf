/** What policy and routes see of a request is the same whichever version of HTTP brought it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RequestHead } from '../../../agent/http1/request-head.ts';
import { RequestFacts } from '../../../agent/http2/request-facts.ts';
import { normalisePath, type PathNormalization } from '../../../mesh/path.ts';
import { table } from './session-support.ts';

const head = new RequestHead();

interface View {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly values: readonly (readonly string[])[];
  readonly joined: readonly (string | undefined)[];
}

const NAMES = ['x-a', 'x-b', 'cookie', 'host'];

function view(of: RequestHead | RequestFacts): View {
  const { method, path, query, host } = of;
  return {
    method,
    path,
    query,
    host,
    values: NAMES.map((name) => of.headerValues(name)),
    joined: NAMES.map((name) => of.header(name)),
  };
}

type Fields = readonly (readonly [name: string, value: string])[];

/** As HTTP/1.1, or null when it is refused. */
function asHttp1(
  method: string,
  target: string,
  host: string,
  fields: Fields,
  normalization: PathNormalization = 'BASE',
): View | null {
  head.target.normalization = normalization;
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const octets = Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: ${host}\r\n${lines}\r\n`, 'latin1');
  return head.parse(octets, 0, octets.length) === octets.length ? view(head) : null;
}

/** As HTTP/2, or null when it is malformed or refused. */
function asHttp2(
  method: string,
  target: string,
  host: string,
  fields: Fields,
  normalization: PathNormalization = 'BASE',
): View | null {
  const names = [':method', ':scheme', ':path', ':authority', ...fields.map(([name]) => name)];
  const values = [method, 'http', target, host, ...fields.map(([, value]) => value)];
  const facts = RequestFacts.of(table.intern(names, values, null), normalization);
  return facts.malformed === '' && facts.refusedStatus === 0 ? view(facts) : null;
}

const piece = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2F',
  '%5c',
  '\\',
  'a',
  'B',
  '%41',
  '%',
  '%0',
  '%00',
  '?',
  '#',
  ' ',
  ';',
  '=',
  '&',
  '*',
  '\t',
  '\x00',
  '\x7f',
  '\xe9',
  '\r\n',
  ':',
  '@',
  'http://',
); // prettier-ignore
const target = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
const host = fc
  .array(fc.constantFrom('web', 'WEB', '.', ':', '80', '@', '[', ']', '::1', ' ', ',', '%', '_', '\x00', '\xe9'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((pieces) => pieces.join('').trim());
const value = fc
  .array(fc.constantFrom('a', ' ', ',', '\t', ';', '\xff'), { maxLength: 4 })
  .map((pieces) => pieces.join('').trim()); // prettier-ignore
const fields = fc.array(fc.tuple(fc.constantFrom('x-a', 'x-b'), value), { maxLength: 4 });
const method = fc.constantFrom('GET', 'get', 'POST', 'OPTIONS', 'G T', 'CONNECTX', '');

describe('a request in HTTP/1.1 and in HTTP/2', () => {
  it('is accepted or refused alike, and says the same', () => {
    fc.assert(
      fc.property(method, target, host, fields, (...request) => {
        assert.deepEqual(asHttp2(...request), asHttp1(...request));
      }),
      { numRuns: 20_000 },
    );
  });

  for (const mode of ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const) {
    it(`has the path that the mesh makes of it under ${mode}`, () => {
      fc.assert(
        fc.property(target, (asked) => {
          const [http1, http2] = [asHttp1('GET', asked, 'a', [], mode), asHttp2('GET', asked, 'a', [], mode)];
          assert.deepEqual(http2, http1);
          if (http1 === null) return;
          const normal = normalisePath(asked.split('?')[0] as string, mode);
          assert.equal(http1.path, normal.ok ? normal.path : null);
        }),
        { numRuns: 5_000 },
      );
    });
  }

  it('is read anew when the mesh normalises otherwise than before', () => {
    const list = table.intern([':method', ':scheme', ':path', ':authority'], ['GET', 'http', '/a//b', 'a'], null);
    const paths = (['BASE', 'MERGE_SLASHES', 'BASE'] as const).map((mode) => RequestFacts.of(list, mode).path);
    assert.deepEqual(paths, ['/a//b', '/a/b', '/a//b']);
    assert.equal(RequestFacts.of(list, 'BASE'), RequestFacts.of(list, 'BASE'));
  });
});
