/**
 * The part of AuthorizationPolicy rules that only a request can answer: methods, paths, hosts, headers, and what its token says.
 * On plain TCP none of it can be known (see authz.ts for what follows).
 */
import { type ConditionKey, parseConditionKey } from './condition-key.ts';
import { claimTexts, requestPrincipal } from './jwt.ts';
import { compilePathTemplate, isPathTemplate, type PathTemplate, templateMatches } from './path-template.ts';
import type { CONDITION_KEYS, PolicyCondition, PolicyOperation, PolicySource } from './policy-model.ts';
import type { RequestView } from './request.ts';
import { isAscii, isDecodable, matchesAny, octetText, StringSet } from './string-match.ts';

/** One alternative of a rule as a request answers it: a part each of `to`, `from` and `when`, AND-ed; null or empty when absent. */
export class RequestMatch {
  readonly operation: OperationMatch | null;
  readonly principal: PrincipalMatch | null;
  readonly #conditions: readonly RequestCondition[];

  constructor(
    operation: OperationMatch | null,
    principal: PrincipalMatch | null,
    conditions: readonly RequestCondition[],
  ) {
    this.operation = operation;
    this.principal = principal;
    this.#conditions = conditions;
  }

  /** Cheapest questions first; each part of the view is read only when a field asks for it. */
  matches(view: RequestView): boolean {
    if (this.operation !== null && !this.operation.matches(view)) return false;
    if (this.principal !== null && !this.principal.matches(view)) return false;
    const conditions = this.#conditions;
    for (let i = 0; i < conditions.length; i++) if (!(conditions[i] as RequestCondition).matches(view)) return false;
    return true;
  }
}

/** The HTTP-only fields of one operation, AND-ed. */
export class OperationMatch {
  /** As the index keys them (authz-request-index.ts). */
  readonly methodPatterns: readonly string[];
  readonly pathPatterns: readonly string[];
  readonly hostPatterns: readonly string[];
  readonly #operation: PolicyOperation;
  readonly #denies: boolean;
  /** Made when it is first asked: most operations of many are never, because the index knows better. */
  #fields: OperationFields | null = null;

  /** null: the operation has no HTTP-only field. `denies`: of a DENY, which what cannot be judged matches. */
  static of(operation: PolicyOperation, denies: boolean): OperationMatch | null {
    return hasHttpFields(operation) ? new OperationMatch(operation, denies) : null;
  }

  private constructor(operation: PolicyOperation, denies: boolean) {
    this.#operation = operation;
    this.#denies = denies;
    this.methodPatterns = operation.methods;
    this.pathPatterns = operation.paths.every(isAscii) ? operation.paths : operation.paths.map(octetText);
    this.hostPatterns = operation.hosts.length === 0 ? operation.hosts : operation.hosts.map(comparableHost);
  }

  matches(view: RequestView): boolean {
    this.#fields ??= this.#compile();
    const { methods, notMethods, paths, notPaths, hosts, notHosts } = this.#fields;
    return (
      (methods === null || methods.matches(view.method)) &&
      (notMethods === null || !notMethods.matches(view.method)) &&
      (paths === null || paths.matches(view.path)) &&
      (notPaths === null || this.#isNone(notPaths, view.path)) &&
      (hosts === null || hosts.matches(view.host)) &&
      (notHosts === null || !notHosts.matches(view.host))
    );
  }

  #compile(): OperationFields {
    const { notMethods, notPaths, notHosts } = this.#operation;
    return {
      methods: StringSet.of(this.methodPatterns),
      notMethods: StringSet.of(notMethods),
      paths: PathSet.of(this.pathPatterns),
      notPaths: PathSet.of(notPaths.map(octetText)),
      hosts: StringSet.of(this.hostPatterns),
      notHosts: StringSet.of(notHosts.map(comparableHost)),
    };
  }

  /** A path that is no UTF-8 may be any path to the workload: an ALLOW cannot say that it is none of these. */
  #isNone(paths: PathSet, path: string): boolean {
    return !paths.matches(path) && (this.#denies || isDecodable(path, true));
  }
}

/** Each null when absent. */
interface OperationFields {
  readonly methods: StringSet | null;
  readonly notMethods: StringSet | null;
  readonly paths: PathSet | null;
  readonly notPaths: PathSet | null;
  readonly hosts: StringSet | null;
  readonly notHosts: StringSet | null;
}

/** requestPrincipals and notRequestPrincipals of one source. */
export class PrincipalMatch {
  readonly patterns: readonly string[];
  readonly #wanted: StringSet | null;
  readonly #unwanted: StringSet | null;

  /** null: the source has neither. */
  static of({ requestPrincipals, notRequestPrincipals }: PolicySource): PrincipalMatch | null {
    if (requestPrincipals.length + notRequestPrincipals.length === 0) return null;
    return new PrincipalMatch(requestPrincipals, notRequestPrincipals);
  }

  private constructor(wanted: readonly string[], unwanted: readonly string[]) {
    this.patterns = wanted;
    this.#wanted = StringSet.of(wanted);
    this.#unwanted = StringSet.of(unwanted);
  }

  matches(view: RequestView): boolean {
    const principal = requestPrincipalOf(view);
    return (
      (this.#wanted === null || this.#wanted.matches(principal)) &&
      (this.#unwanted === null || !this.#unwanted.matches(principal))
    );
  }
}

/** `issuer/subject` of the request's verified token; '' when it has none. */
export function requestPrincipalOf(view: RequestView): string {
  return requestPrincipal(view.claims?.() ?? null);
}

/** The keys that plain TCP cannot answer. */
export type RequestKey =
  | Exclude<ConditionKey, { readonly kind: (typeof CONDITION_KEYS)[number] }>
  | { readonly kind: 'request.auth.principal' | 'request.auth.audiences' | 'request.auth.presenter' };

/** A `when` that asks for a header or for what the token says. */
export class RequestCondition {
  readonly #key: RequestKey;
  readonly #denies: boolean;
  readonly #wanted: StringSet | null;
  readonly #unwanted: StringSet | null;

  /** null: the connection or the port decides it. */
  static of(condition: PolicyCondition, denies: boolean): RequestCondition | null {
    const key = parseConditionKey(condition.key);
    if (key === null) throw new Error(`condition key ${condition.key} was not validated`);
    return isRequestKey(key) ? new RequestCondition(key, condition, denies) : null;
  }

  private constructor(key: RequestKey, { values, notValues }: PolicyCondition, denies: boolean) {
    this.#key = key;
    this.#denies = denies;
    const comparable = key.kind === 'request.headers' ? octetText : (value: string): string => value;
    this.#wanted = StringSet.of(values.map(comparable));
    this.#unwanted = StringSet.of(notValues.map(comparable));
  }

  matches(view: RequestView): boolean {
    const texts = conditionTexts(this.#key, view);
    if (this.#wanted !== null && !this.#holds(this.#wanted, texts)) return false;
    if (this.#unwanted === null) return true;
    return !this.#holds(this.#unwanted, texts) && this.#isReadable(texts);
  }

  /** A header counts as present when it is there, empty or not; a claim must say something (Envoy present_match, Istio's `.+`). */
  #holds(set: StringSet, texts: readonly string[]): boolean {
    return matchesAny(set, texts) || (set.wantsPresence && this.#key.kind === 'request.headers' && texts.length > 0);
  }

  /** A value that is no UTF-8 may be anything to the workload: an ALLOW cannot say what it is not. */
  #isReadable(texts: readonly string[]): boolean {
    return this.#denies || this.#key.kind !== 'request.headers' || texts.every((text) => isDecodable(text, false));
  }
}

/** What a request has under a key: every value of a repeated header, every text of a claim. Empty: nothing. */
export function conditionTexts(key: RequestKey, view: RequestView): readonly string[] {
  switch (key.kind) {
    case 'request.headers':
      return headerTexts(key.name, view);
    case 'request.auth.principal': {
      const principal = requestPrincipalOf(view);
      return principal === '' ? [] : [principal];
    }
    case 'request.auth.audiences':
      return claimTexts(view.claims?.() ?? null, ['aud']);
    case 'request.auth.presenter':
      return claimTexts(view.claims?.() ?? null, ['azp']);
    case 'request.auth.claims':
      return claimTexts(view.claims?.() ?? null, key.path);
  }
}

export function isRequestKey(key: ConditionKey): key is RequestKey {
  return key.kind.startsWith('request.');
}

function headerTexts(name: string, view: RequestView): readonly string[] {
  switch (name) {
    case ':method':
      return [view.method];
    case ':path':
      return [view.query === '' ? view.path : `${view.path}?${view.query}`];
    case ':authority':
      return view.headerValues('host');
    default:
      return view.headerValues(name);
  }
}

/** Path values: strings and templates, OR-ed. */
class PathSet {
  readonly #strings: StringSet | null;
  readonly #templates: readonly PathTemplate[];

  private constructor(values: readonly string[]) {
    this.#strings = StringSet.of(values.filter((value) => !isPathTemplate(value)));
    this.#templates = values.filter(isPathTemplate).map(validTemplate);
  }

  static of(values: readonly string[]): PathSet | null {
    return values.length === 0 ? null : new PathSet(values);
  }

  matches(path: string): boolean {
    if (this.#strings?.matches(path)) return true;
    const templates = this.#templates;
    for (let i = 0; i < templates.length; i++) if (templateMatches(templates[i] as PathTemplate, path)) return true;
    return false;
  }
}

/** A template that validation has let pass. */
export function validTemplate(value: string): PathTemplate {
  const template = compilePathTemplate(value);
  if (typeof template === 'string') throw new Error(`path template ${value} was not validated: ${template}`);
  return template;
}

/**
 * Hosts are compared without case and port (Istio, ISTIO-SECURITY-2021-008), so `example.com:8080` and the `example.com:*` that Istio's guide
 * asks for beside `example.com` both mean example.com.
 */
export function comparableHost(value: string): string {
  return octetText(value.toLowerCase()).replace(/:(\*|[0-9]+)$/, '');
}

/** Has a field that only a request can answer. */
export function hasHttpFields(operation: PolicyOperation): boolean {
  const { hosts, notHosts, methods, notMethods, paths, notPaths } = operation;
  return hosts.length + notHosts.length + methods.length + notMethods.length + paths.length + notPaths.length > 0;
}
