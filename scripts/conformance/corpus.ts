/**
 * The official mesh conformance cases, as they stand in a folder outside the repository: one cases.json that was taken from the
 * suite's Go files, and the manifests they name. What the extraction left as a Go expression is filled in from originals.ts.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  casesWrittenOut,
  CLIENTS,
  DEFAULT_HOST,
  EXPRESSIONS,
  MESH_NAMESPACE,
  PATHS_NEVER_COMPARED,
  sharedCasesOf,
} from './originals.ts';

/** Where the corpus lies when nothing else is said: beside the repository. */
const DEFAULT_FOLDER = fileURLToPath(new URL('../../../shared/corpora/gateway-api-mesh', import.meta.url));
/** The file that all cases share: namespaces, deployments, Services. */
export const SHARED_MANIFESTS = 'manifests.yaml';

/** What is sent; the client pod asks `host` and says `headers.Host` if that is given. */
export interface CaseRequest {
  readonly protocol: 'http' | 'grpc';
  /** `name[:port]`, or POD_ADDRESS of originals.ts. */
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Parts of a Location; what is null is that of the request. */
export interface ExpectedRedirect {
  readonly scheme: string | null;
  readonly host: string | null;
  readonly port: string | null;
  readonly path: string | null;
}

/** What the backend must have been sent. */
export interface ExpectedForward {
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly absentHeaders: readonly string[];
}

/** One request and everything that must be true of its answer. */
export interface ConformanceCase {
  readonly name: string;
  /** Labels of the pod that asks: app echo, this version, this namespace. */
  readonly client: { readonly version: string; readonly namespace: string };
  readonly request: CaseRequest;
  readonly status: number;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly absentResponseHeaders: readonly string[];
  /** Start of the answering pod's name; null: any. */
  readonly backend: string | null;
  /** null: weir answers itself. */
  readonly forwarded: ExpectedForward | null;
  readonly redirect: ExpectedRedirect | null;
  /** Share of the answers by start of the pod's name; null: not a case about weights. */
  readonly weights: Readonly<Record<string, number>> | null;
}

export interface ConformanceTest {
  readonly name: string;
  readonly features: readonly string[];
  /** Absolute paths. */
  readonly manifests: readonly string[];
  readonly cases: readonly ConformanceCase[];
}

export interface Corpus {
  readonly folder: string;
  readonly tests: readonly ConformanceTest[];
}

type Json = Readonly<Record<string, unknown>>;

/** The folder to read: the argument, else WEIR_GATEWAY_API_CORPUS, else the one beside the repository. Throws with what to set. */
export function corpusFolder(argument: string | undefined): string {
  const folder = argument ?? process.env['WEIR_GATEWAY_API_CORPUS'] ?? DEFAULT_FOLDER;
  if (existsSync(join(folder, 'cases.json'))) return folder;
  throw new Error(
    `the Gateway API mesh conformance cases are not at ${folder} (no cases.json): give their folder as argument or set WEIR_GATEWAY_API_CORPUS`,
  );
}

/** Reads all tests; throws when one has no case, names a missing manifest, or a manifest belongs to no test. */
export function readCorpus(folder: string): Corpus {
  const entries = list(JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')), 'cases.json');
  const tests = entries.flatMap((entry) => readEntry(folder, mapping(entry, 'cases.json')));
  const used = new Set(tests.flatMap(({ manifests }) => manifests.map((path) => basename(path))));
  const unused = readdirSync(folder).filter(
    (name) => name.endsWith('.yaml') && name !== SHARED_MANIFESTS && !used.has(name),
  );
  if (unused.length > 0) throw new Error(`no test of cases.json uses ${unused.join(', ')}`);
  return { folder, tests };
}

function readEntry(folder: string, entry: Json): ConformanceTest[] {
  const file = text(entry['file'], 'file');
  const all = list(entry['cases'], `${file}: cases`).map((each) => mapping(each, file));
  return list(entry['tests'], `${file}: tests`).map((each): ConformanceTest => {
    const test = mapping(each, file);
    const name = text(test['shortName'], `${file}: shortName`);
    const own = all.filter((one) => one['$test'] === sharedCasesOf(name));
    const cases = own.flatMap((one, at) => (casesWrittenOut(name) ?? [one]).map((raw) => readCase(name, raw, at)));
    if (cases.length === 0) throw new Error(`${file}: test ${name} has no case`);
    const manifests = list(test['manifests'], file).map((path) => join(folder, basename(text(path, file))));
    const missing = manifests.find((path) => !existsSync(path));
    if (missing !== undefined) throw new Error(`${file}: test ${name} needs ${missing}, which is not there`);
    return { name, features: list(test['features'], file).map((feature) => text(feature, file)), manifests, cases };
  });
}

/** Defaults are the official runner's: GET, 200, and the mesh's echo Service where no host is said. */
function readCase(test: string, raw: Json, at: number): ConformanceCase {
  const request = readRequest(test, mapping(raw['Request'], test));
  const response = optional(raw['Response']);
  const expected = optional(raw['ExpectedRequest']);
  const redirect =
    raw['RedirectRequest'] === undefined ? null : readRedirect(test, mapping(raw['RedirectRequest'], test));
  const statuses =
    response['StatusCodes'] === undefined ? [response['StatusCode'] ?? 200] : list(response['StatusCodes'], test);
  const status = Number(statuses[0]);
  const given = raw['TestCaseName'];
  const about = Object.entries(request.headers).map(([name, value]) => ` ${name}=${value}`);
  return {
    name:
      typeof given === 'string'
        ? `${given} (${request.host})`
        : `${request.method} ${request.host}${request.path}${about.join('')}`,
    client: CLIENTS[test]?.[at] ?? readClient(raw),
    request,
    status,
    responseHeaders: headerValues(response['Headers'], test),
    absentResponseHeaders: names(response['AbsentHeaders'], test),
    backend: raw['Backend'] === undefined ? null : text(raw['Backend'], `${test}: Backend`),
    forwarded: redirect !== null || status !== 200 ? null : readForward(test, request, expected),
    redirect,
    weights: raw['Weights'] === undefined ? null : (mapping(raw['Weights'], test) as Readonly<Record<string, number>>),
  };
}

function readRequest(test: string, raw: Json): CaseRequest {
  const grpc = raw['Protocol'] === 'grpc';
  return {
    protocol: grpc ? 'grpc' : 'http',
    host: raw['Host'] === undefined ? DEFAULT_HOST : text(raw['Host'], `${test}: Host`),
    method: raw['Method'] === undefined ? 'GET' : text(raw['Method'], `${test}: Method`),
    path: grpc ? '/proto.EchoTestService/Echo' : raw['Path'] === undefined ? '/' : text(raw['Path'], `${test}: Path`),
    headers: headerValues(raw['Headers'], test),
  };
}

/** Unless the case says otherwise the backend must see the path, host and headers that were sent. */
function readForward(test: string, sent: CaseRequest, expected: Json): ExpectedForward {
  const request = optional(expected['Request']);
  const said = PATHS_NEVER_COMPARED[test]?.[sent.path] ?? request['Path'];
  const host = request['Host'] ?? sent.headers['Host'] ?? sent.host;
  // A case that states an expected request states all headers it wants; one that states none wants what was sent.
  const wanted = Object.keys(expected).length === 0 ? sent.headers : headerValues(request['Headers'], test);
  const headers = Object.fromEntries(Object.entries(wanted).filter(([name]) => name !== 'Host'));
  return {
    path: said === undefined ? sent.path : text(said, `${test}: Path`),
    host: text(host, `${test}: Host`),
    headers,
    absentHeaders: names(expected['AbsentHeaders'], test),
  };
}

function readRedirect(test: string, raw: Json): ExpectedRedirect {
  const part = (name: string): string | null => (raw[name] === undefined ? null : text(raw[name], `${test}: ${name}`));
  return { scheme: part('Scheme'), host: part('Host'), port: part('Port'), path: part('Path') };
}

function readClient(raw: Json): ConformanceCase['client'] {
  const version = raw['ClientVersion'];
  return { version: typeof version === 'string' ? version : 'v1', namespace: MESH_NAMESPACE };
}

function headerValues(value: unknown, what: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(optional(value)).map(([name, each]) => [name, text(each, `${what}: ${name}`)]),
  );
}

function names(value: unknown, what: string): string[] {
  return value === undefined ? [] : list(value, what).map((name) => text(name, what));
}

function optional(value: unknown): Json {
  return value === undefined ? {} : mapping(value, 'cases.json');
}

function mapping(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new Error(`${what}: a mapping was expected, found ${JSON.stringify(value)}`);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${what}: a list was expected, found ${JSON.stringify(value)}`);
}

/** Text, or a Go expression that originals.ts knows. */
function text(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  const expression = typeof value === 'object' && value !== null ? (value as Json)['$expr'] : undefined;
  const known = typeof expression === 'string' ? EXPRESSIONS[expression] : undefined;
  if (known !== undefined) return known;
  throw new Error(`${what}: ${JSON.stringify(value)} is not known: write it out in scripts/conformance/originals.ts`);
}
