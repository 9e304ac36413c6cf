/** Fields that occur in several kinds of resources: names, ports, addresses, host names, header names, matches of text. */
import { canonicalIp, parseCidr } from './ip.ts';
import {
  anyText,
  type Check,
  closed,
  fault,
  integer,
  list,
  oneOf,
  orNull,
  record,
  written,
} from './validate-shapes.ts';
import { regexRefusal } from './value-match.ts';

/** A Kubernetes namespace (RFC 1123 label). */
export const namespace = written(
  /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
  'must be a namespace: lower-case letters, digits and "-", at most 63',
);

/** A Kubernetes object name (RFC 1123 subdomain). */
export const objectName = written(
  /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
  'must be an object name: lower-case letters, digits, "-" and ".", at most 253',
);

/** One half of `namespace/name`. */
const name = written(/^[^/\s]{1,255}$/, 'must be a non-empty name without / and spaces');

export const namespacedName = written(/^[^/\s]{1,255}\/[^/\s]{1,255}$/, 'must be written namespace/name');

export const port = integer(1, 65_535);
/** A key of a map by ports. */
export const portText = written(
  /^([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/,
  'must be a port from 1 to 65535',
);
export const portProtocol = oneOf('http', 'http2', 'grpc', 'tls', 'tcp', 'detect');

/** Milliseconds since the epoch, 0: unknown. */
export const createdMs = integer(0, Number.MAX_SAFE_INTEGER);
/** Milliseconds of a limit or a delay: the longest duration of Kubernetes, 2^63 ns, is never meant; a year is enough. */
export const durationMs = integer(1, 31_536_000_000);

export const labels = record(anyText);
/** null: everything in scope. */
export const selector = orNull(labels);

/** Namespaces for which something holds; `*`: all. */
export const namespaces = list((value, at) => (value === '*' ? null : namespace(value, at)));

/** An address as the model writes it. */
export const address: Check = (value, at) => {
  if (typeof value !== 'string') return fault(at, value, 'must be an IP address');
  const canonical = canonicalIp(value);
  if (canonical === null) return fault(at, value, 'is not an IP address');
  return canonical === value ? null : fault(at, value, `must be written ${canonical}`);
};

export const block: Check = (value, at) =>
  typeof value === 'string' && parseCidr(value) !== null
    ? null
    : fault(at, value, 'is not an address or CIDR block: write for example 10.1.0.0/16');

/** RFC 1123, optionally with `*.` before it; lower case, as server names are compared (Gateway API Hostname). */
export const hostname: Check = (value, at) =>
  typeof value === 'string' && value.length <= 253 && /^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value)
    ? null
    : fault(at, value, 'is not a host name: write for example a.example.com or *.example.com');

/** A Service, or a ServiceEntry host: what routes, parents and backends name. */
export const target = { namespace: name, name, port: integer(0, 65_535) } as const;
export const parent = closed({ namespace: name, name, port: orNull(port) });

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A method is a token (RFC 9110 section 9.1). */
export const method = written(TOKEN, 'is not a method');

/** A name that headers are compared by: lower case, as HTTP/2 has it. */
export const headerName: Check = (value, at) => {
  if (typeof value !== 'string' || value.length > 256 || !TOKEN.test(value))
    return fault(at, value, 'is not a header name (RFC 9110 section 5.1)');
  return value === value.toLowerCase() ? null : fault(at, value, `must be written ${value.toLowerCase()}`);
};

/** RE2 syntax, bounded as value-match.ts says. */
export const regex: Check = (value, at) => {
  if (typeof value !== 'string') return fault(at, value, 'must be a string');
  const refusal = regexRefusal(value);
  return refusal === null ? anyText(value, at) : fault(at, value, refusal);
};

/** For the end of a check of `{type, value}`: the value of type `regex` compiles. */
export const regexCompiles: Check = (match, at) => {
  const { type, value } = match as { readonly type: string; readonly value: string };
  return type === 'regex' ? regex(value, `${at}.value`) : null;
};

export const stringMatch = closed({ type: oneOf('exact', 'prefix', 'regex'), value: anyText }, regexCompiles);

/** Of the client: its namespace and labels. */
export const clientMatch = closed({ namespace: orNull(namespace), labels });
