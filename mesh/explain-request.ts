/**
 * The question `weir explain` answers, and how it is read from JSON somebody wrote (one object per line). Pure; nothing in it is
 * trusted: what is wrong comes back as one line that names the field and what to write.
 *
 *   {"id": "1",
 *    "source": {"principal": "spiffe://cluster.local/ns/shop/sa/web", "namespace": "shop", "serviceAccount": "web", "ip": "10.0.0.1", "remoteIp": null},
 *    "destination": {"namespace": "shop", "labels": {"app": "echo"}, "ip": "10.0.0.2", "port": 8080, "serviceHost": "echo.shop.svc.cluster.local"},
 *    "connection": {"protocol": "http", "tls": "mtls", "sni": null},
 *    "http": {"method": "GET", "path": "/a?b=c", "host": "echo.shop", "headers": [["x-user", "7"]], "jwt": null}}
 */
import { canonicalIp } from './ip.ts';
import type { JwtClaims } from './jwt.ts';
import type { Identity, Ip } from './model.ts';
import type { NameValue } from './route-model.ts';

export interface ExplainSource {
  /** null: no verified identity. */
  readonly identity: Identity | null;
  /** Of the client, for what goes by namespace without identity (consumer routes); '' unknown. */
  readonly namespace: string;
  readonly ip: Ip;
  /** The address before the proxies in front; `ip` where none told. */
  readonly remoteIp: Ip;
}

export interface ExplainDestination {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: Ip;
  /** Of the workload; with `routed` the one that was dialled. */
  readonly port: number;
  /** The Service that was dialled, by host name; '': none. */
  readonly serviceHost: string;
  /** True: which workload is reached is part of the question; namespace and labels say nothing. Never so in JSON lines. */
  readonly routed: boolean;
}

export interface ExplainHttp {
  readonly method: string;
  /** Raw request target: path with query. */
  readonly target: string;
  readonly host: string;
  readonly headers: readonly NameValue[];
  /** `claims`: verified. `token`: as it stands in a header; nobody has verified it. */
  readonly jwt: { readonly claims: JwtClaims } | { readonly token: string } | null;
}

export interface ExplainRequest {
  readonly id: string;
  readonly source: ExplainSource;
  readonly destination: ExplainDestination;
  readonly connection: {
    readonly protocol: 'http' | 'tcp';
    readonly tls: 'mtls' | 'none';
    /** null: no TLS, or none that is looked at. */
    readonly sni: string | null;
  };
  /** null: plain TCP. */
  readonly http: ExplainHttp | null;
}

export type ParsedRequest =
  | { readonly ok: true; readonly request: ExplainRequest }
  /** `id`: what could be read of it, '' otherwise. */
  | { readonly ok: false; readonly id: string; readonly error: string };

/** UTF-16 units of one line: several times what the largest head of a request takes, and what agents are asked at once. */
export const REQUEST_LINE_MAX = 262_144;
/** Header fields of one request: what agents accept (agent/limits.ts). */
const HEADERS_MAX = 1_024;
/** UTF-16 units of one text: an agent takes heads of 64 KiB at most, in octets. */
const TEXT_MAX = 16_384;
const PRINCIPAL = /^(?:spiffe:\/\/)?([^/]{1,255})\/ns\/([^/]{1,255})\/sa\/([^/]{1,255})$/;

type Json = Readonly<Record<string, unknown>>;

/** What is wrong with a field; thrown within this file only, so that readers stay short. */
class Fault extends Error {}

/** Reads one line. Never throws, whatever is in it. */
export function parseExplainRequest(line: string): ParsedRequest {
  if (line.length > REQUEST_LINE_MAX)
    return { ok: false, id: '', error: `is longer than ${REQUEST_LINE_MAX} characters` };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { ok: false, id: '', error: `is not JSON: ${(error as Error).message}` };
  }
  return readExplainRequest(value);
}

/** The same from a value that is JSON already. */
export function readExplainRequest(value: unknown): ParsedRequest {
  const id =
    isObject(value) && (typeof value['id'] === 'string' || typeof value['id'] === 'number') ? String(value['id']) : '';
  try {
    return { ok: true, request: readRequest(mapping(value, 'the request'), id) };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, id, error: error.message };
    throw error;
  }
}

function readRequest(value: Json, id: string): ExplainRequest {
  if (id === '') throw new Fault('id is missing: give each request a text or number of its own');
  const connection = readConnection(value['connection']);
  const http = value['http'] === null || value['http'] === undefined ? null : readHttp(mapping(value['http'], 'http'));
  if (connection.protocol === 'http' && http === null)
    throw new Fault('http is missing: connection.protocol says http');
  return {
    id,
    source: readSource(mapping(value['source'], 'source')),
    destination: readDestination(mapping(value['destination'], 'destination')),
    connection,
    http: connection.protocol === 'tcp' ? null : http,
  };
}

function readSource(source: Json): ExplainSource {
  const principal = optionalText(source['principal'], 'source.principal');
  const namespace = optionalText(source['namespace'], 'source.namespace');
  const serviceAccount = optionalText(source['serviceAccount'], 'source.serviceAccount');
  const ip = address(source['ip'], 'source.ip');
  const remote = source['remoteIp'];
  const remoteIp = remote === null || remote === undefined ? ip : address(remote, 'source.remoteIp');
  if (principal === null) return { identity: null, namespace: namespace ?? '', ip, remoteIp };
  const parts = PRINCIPAL.exec(principal);
  if (parts === null) {
    throw new Fault(
      `source.principal is ${JSON.stringify(principal)}: write spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT, or null`,
    );
  }
  const identity = {
    trustDomain: parts[1] as string,
    namespace: parts[2] as string,
    serviceAccount: parts[3] as string,
  };
  agree(namespace, identity.namespace, 'source.namespace');
  agree(serviceAccount, identity.serviceAccount, 'source.serviceAccount');
  return { identity, namespace: identity.namespace, ip, remoteIp };
}

function agree(given: string | null, proven: string, field: string): void {
  if (given !== null && given !== proven) {
    throw new Fault(
      `${field} is ${JSON.stringify(given)}, source.principal says ${JSON.stringify(proven)}: make them agree, or leave one out`,
    );
  }
}

function readDestination(destination: Json): ExplainDestination {
  const labels: Record<string, string> = {};
  const given = destination['labels'];
  if (given !== null && given !== undefined) {
    for (const [name, value] of Object.entries(mapping(given, 'destination.labels'))) {
      if (name === '__proto__') throw new Fault('destination.labels has the key __proto__');
      labels[name] = text(value, `destination.labels[${JSON.stringify(name)}]`);
    }
  }
  const port = destination['port'];
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Fault('destination.port must be a whole number from 1 to 65535: the port of the workload');
  }
  const host = optionalText(destination['serviceHost'], 'destination.serviceHost') ?? '';
  return {
    namespace: optionalText(destination['namespace'], 'destination.namespace') ?? '',
    labels,
    ip: address(destination['ip'], 'destination.ip'),
    port,
    serviceHost: host.toLowerCase().replace(/\.$/, ''),
    routed: false,
  };
}

function readConnection(value: unknown): ExplainRequest['connection'] {
  const connection = mapping(value, 'connection');
  const { protocol, tls } = connection;
  if (protocol !== 'http' && protocol !== 'tcp') throw new Fault('connection.protocol must be "http" or "tcp"');
  const proven = tls ?? 'none';
  if (proven !== 'mtls' && proven !== 'none') throw new Fault('connection.tls must be "mtls" or "none"');
  const sni = optionalText(connection['sni'], 'connection.sni');
  return { protocol, tls: proven, sni: sni === null || sni === '' ? null : sni.toLowerCase() };
}

function readHttp(http: Json): ExplainHttp {
  const list = http['headers'] ?? [];
  if (!Array.isArray(list)) throw new Fault('http.headers must be a list of [name, value]');
  if (list.length > HEADERS_MAX) throw new Fault(`http.headers has more than ${HEADERS_MAX} entries`);
  const headers = list.map((pair: unknown, at): NameValue => {
    if (!Array.isArray(pair) || pair.length !== 2) throw new Fault(`http.headers[${at}] must be [name, value]`);
    const name = text(pair[0], `http.headers[${at}][0]`).toLowerCase();
    return { name, value: text(pair[1], `http.headers[${at}][1]`) };
  });
  const method = text(http['method'], 'http.method');
  if (method === '') throw new Fault('http.method is empty');
  return {
    method,
    target: text(http['path'], 'http.path'),
    host: optionalText(http['host'], 'http.host') ?? '',
    headers,
    jwt: readJwt(http['jwt']),
  };
}

function readJwt(value: unknown): ExplainHttp['jwt'] {
  if (value === null || value === undefined) return null;
  const jwt = mapping(value, 'http.jwt');
  if (jwt['claims'] !== undefined) return { claims: mapping(jwt['claims'], 'http.jwt.claims') as JwtClaims };
  if (typeof jwt['token'] === 'string') return { token: jwt['token'] };
  throw new Fault('http.jwt must be null, {"claims": {…}} or {"token": "…"}');
}

function mapping(value: unknown, field: string): Json {
  if (isObject(value)) return value;
  throw new Fault(`${field} must be a JSON object`);
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new Fault(`${field} must be text`);
  if (value.length > TEXT_MAX) throw new Fault(`${field} is longer than ${TEXT_MAX} characters, which no agent takes`);
  return value;
}

function optionalText(value: unknown, field: string): string | null {
  return value === null || value === undefined ? null : text(value, field);
}

/** '' or absent: unknown, which is written as the unspecified address. */
function address(value: unknown, field: string): Ip {
  if (value === null || value === undefined || value === '') return '0.0.0.0';
  const ip = canonicalIp(text(value, field));
  if (ip === null) throw new Fault(`${field} is ${JSON.stringify(value)}: write an IPv4 or IPv6 address`);
  return ip;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
