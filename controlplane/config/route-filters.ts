/** Filters of HTTPRoute and GRPCRoute, of a rule or of one of its backends. */
import type { BackendTarget, HttpFilter, PathModifier, RequestRedirect, UrlRewrite } from '../../mesh/route-model.ts';
import { readCors } from './cors-filter.ts';
import { readHeaderModifier } from './header-modifier.ts';
import { HOSTNAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import { readMirror } from './mirror-filter.ts';
import type { BackendReference, UnsupportedFilter } from './route-objects.ts';
import { refusePath } from './route-matches.ts';
import { ELEMENTS_MAX } from './route-references.ts';

const GRPC_FILTERS = ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'ExtensionRef'] as const;
const HTTP_FILTERS = [...GRPC_FILTERS, 'RequestRedirect', 'URLRewrite', 'CORS', 'ExternalAuth'] as const;
type FilterType = (typeof HTTP_FILTERS)[number];

/** The field that holds a filter's own settings. */
const FIELDS: Readonly<Record<FilterType, string>> = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestMirror: 'requestMirror',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  CORS: 'cors',
  ExternalAuth: 'externalAuth',
  ExtensionRef: 'extensionRef',
};

/** Where the filters stand, and the route's references, which those of mirrors join. */
export interface FilterContext {
  readonly route: 'HTTPRoute' | 'GRPCRoute';
  readonly namespace: string;
  readonly references: Map<BackendTarget, BackendReference>;
}

/** The filters of a rule or backend. */
export interface Filters {
  readonly filters: readonly HttpFilter[];
  /** The first that weir has not. */
  readonly unsupported: UnsupportedFilter | null;
}

/**
 * Reads `filters` of a rule or one of its backends; which of them may stand together is checked too (Gateway API, CRD validation).
 * Of a backend only those are applied that change what is forwarded to it.
 */
export function readFilters(owner: ObjectReader, of: 'rule' | 'backend', context: FilterContext): Filters {
  const filters: HttpFilter[] = [];
  let unsupported: UnsupportedFilter | null = null;
  const seen = new Set<FilterType>();
  const types: readonly FilterType[] = context.route === 'HTTPRoute' ? HTTP_FILTERS : GRPC_FILTERS;
  for (const reader of owner.objects('filters', ELEMENTS_MAX)) {
    const type = reader.choice('type', types);
    if (!reader.has('type')) reader.missing('type', `write one of ${types.join(', ')}`);
    if (type === null) continue;
    if (seen.has(type) && type !== 'RequestMirror' && type !== 'ExtensionRef') {
      reader.problems.error('INVALID_VALUE', reader.at('type'), `${type} stands here twice`, 'make one filter of both');
    }
    seen.add(type);
    if (!reader.has(FIELDS[type])) reader.missing(FIELDS[type]);
    const filter = readFilter(type, reader, context);
    // Forwarding what is to be redirected would be worse than answering 500.
    const isUnsupported = filter === 'unsupported' || (of === 'backend' && type === 'RequestRedirect');
    if (isUnsupported) unsupported ??= { path: reader.at('type'), type: of === 'rule' ? type : `${type} of a backend` };
    else if (filter !== null) filters.push(filter);
    if (of === 'backend' && (type === 'RequestMirror' || type === 'CORS')) {
      const reason = `${type} of a backend is accepted but not enforced yet`;
      reader.problems.warning('NOT_ENFORCED', reader.at('type'), reason, 'make it a filter of the rule');
    }
    reader.finish();
  }
  if (seen.has('RequestRedirect') && seen.has('URLRewrite')) {
    const reason = 'has both RequestRedirect and URLRewrite';
    owner.problems.error('INVALID_VALUE', owner.at('filters'), reason, 'keep one: what is redirected is not forwarded');
  }
  return { filters, unsupported };
}

function readFilter(type: FilterType, reader: ObjectReader, context: FilterContext): HttpFilter | 'unsupported' | null {
  if (type === 'ExternalAuth' || type === 'ExtensionRef') {
    reader.take(FIELDS[type]);
    return 'unsupported';
  }
  const settings = reader.object(FIELDS[type]);
  if (settings === null) return null;
  switch (type) {
    case 'RequestHeaderModifier':
      return readHeaderModifier(settings, 'requestHeaderModifier');
    case 'ResponseHeaderModifier':
      return readHeaderModifier(settings, 'responseHeaderModifier');
    case 'RequestMirror':
      return readMirror(settings, context);
    case 'RequestRedirect':
      return readRedirect(settings);
    case 'URLRewrite':
      return readRewrite(settings);
    case 'CORS':
      return readCors(settings);
  }
}

function readRedirect(reader: ObjectReader): RequestRedirect {
  const scheme = reader.choice('scheme', ['http', 'https']);
  const hostname = readHostname(reader);
  const path = readPathModifier(reader);
  const port = reader.integer('port', 1, 65_535);
  const code = reader.integer('statusCode', 301, 308) ?? 302;
  reader.finish();
  const statusCode = ([301, 302, 303, 307, 308] as const).find((each) => each === code);
  if (statusCode === undefined) {
    const remedy = 'write 301, 302, 303, 307 or 308';
    reader.problems.error('INVALID_VALUE', reader.at('statusCode'), `is ${code}`, remedy);
  }
  return {
    type: 'requestRedirect',
    scheme,
    hostname,
    port: port ?? (scheme === null ? 'request' : 'scheme'),
    path,
    statusCode: statusCode ?? 302,
  };
}

function readRewrite(reader: ObjectReader): UrlRewrite {
  const hostname = readHostname(reader);
  const path = readPathModifier(reader);
  reader.finish();
  return { type: 'urlRewrite', hostname, path };
}

/** Gateway API PreciseHostname. */
function readHostname(reader: ObjectReader): string | null {
  const hostname = reader.text('hostname', HOSTNAME);
  if (hostname?.startsWith('*') !== true) return hostname;
  reader.problems.error('INVALID_VALUE', reader.at('hostname'), `is ${quote(hostname)}`, 'write one host name');
  return null;
}

/** Gateway API HTTPPathModifier. */
function readPathModifier(owner: ObjectReader): PathModifier | null {
  const reader = owner.object('path');
  if (reader === null) return null;
  const type = reader.choice('type', ['ReplaceFullPath', 'ReplacePrefixMatch']);
  if (!reader.has('type')) reader.missing('type', 'write ReplaceFullPath or ReplacePrefixMatch');
  const field = type === 'ReplacePrefixMatch' ? 'replacePrefixMatch' : 'replaceFullPath';
  const value = type === null ? null : reader.requiredText(field);
  reader.finish(type === null ? ['replacePrefixMatch', 'replaceFullPath'] : []);
  if (value === null) return null;
  // An empty prefix takes the matched segments away.
  if (value !== '') refusePath(reader, field, value);
  return { type: field === 'replacePrefixMatch' ? 'prefix' : 'full', value: value === '' ? '/' : value };
}

/** What a rule's filters ask of the rest of the rule (Gateway API, CRD validation). */
export function checkPrefixModifiers(
  owner: ObjectReader,
  filters: readonly HttpFilter[],
  matches: readonly { readonly path: { readonly type: string } | null }[],
): void {
  const replacesPrefix = filters.some(
    (filter) => (filter.type === 'requestRedirect' || filter.type === 'urlRewrite') && filter.path?.type === 'prefix',
  );
  const [match] = matches;
  // No match at all is the prefix "/".
  if (!replacesPrefix || matches.length === 0 || (matches.length === 1 && match?.path?.type === 'prefix')) return;
  const reason = 'replacePrefixMatch needs a rule with exactly one match, and that by PathPrefix';
  owner.problems.error('INVALID_VALUE', owner.at('filters'), reason, 'write one rule for each path');
}
