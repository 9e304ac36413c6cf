/** One entry of `http` of a VirtualService, valid in itself. Where a destination leads is the linker's matter. */
import type { HeaderModifier, UrlRewrite } from '../../../mesh/route-model.ts';
import { LABEL_NAME, OBJECT_NAME } from '../names.ts';
import type { ObjectReader } from '../object-reader.ts';
import { readWeights, requiredDestination } from './destination-reference.ts';
import { readHeaders, hostEdits } from './header-operations.ts';
import { readCors, readDirectResponse, readRedirect, readRewrite } from './http-actions.ts';
import { readMirrors, readRetry } from './http-attempts.ts';
import { readFault } from './http-fault.ts';
import { readHttpMatches } from './http-match.ts';
import { readDuration } from './object-head.ts';
import type { DelegateReference, HttpRuleObject, WeightedDestination } from './objects.ts';

/** Destinations of one rule. */
const DESTINATIONS_MAX = 128;

/** The VirtualService a rule stands in. */
export interface RuleContext {
  readonly namespace: string;
  /** False: it is for gateways alone. */
  readonly mesh: boolean;
  /** It has no hosts: others delegate to it. */
  readonly isDelegate: boolean;
}

/** Reads an entry of `http`. */
export function readHttpRule(rule: ObjectReader, context: RuleContext): HttpRuleObject {
  const name = rule.text('name') || null;
  const delegate = readDelegate(rule, context);
  const regexAllowed = !context.isDelegate && delegate === null;
  const { matches, matchesNothing } = readHttpMatches(rule, { mesh: context.mesh, regexAllowed });
  const redirect = readRedirect(rule);
  const directResponse = readDirectResponse(rule);
  const destinations = readDestinations(rule, context.namespace);
  const rewrite = readRewrite(rule);
  const headers = readHeaders(rule);
  const fault = readFault(rule);
  const cors = readCors(rule);
  const mirrors = readMirrors(rule, context.namespace);
  const timeout = readDuration(rule, 'timeout', { minMs: 0 });
  const retry = readRetry(rule);
  for (const old of [
    'appendHeaders',
    'appendRequestHeaders',
    'appendResponseHeaders',
    'removeRequestHeaders',
    'removeResponseHeaders',
    'websocketUpgrade',
  ]) {
    rule.unsupported(old, `${old} (which Istio has removed as well)`);
  }
  rule.finish();
  checkConflicts(rule, delegate !== null);
  checkHost(rule, rewrite, headers);
  return {
    name,
    path: rule.path,
    matches,
    matchesNothing,
    redirect,
    cors,
    rewrite,
    headers,
    destinations,
    mirrors,
    directResponse,
    fault,
    // 0s switches Istio's timeout off.
    timeoutMs: rule.has('timeout') ? (timeout === 0 ? null : timeout) : undefined,
    retry,
    delegate,
  };
}

function readDelegate(rule: ObjectReader, context: RuleContext): DelegateReference | null {
  const reader = rule.object('delegate');
  if (reader === null) return null;
  const name = reader.requiredText('name', OBJECT_NAME);
  const namespace = reader.text('namespace', LABEL_NAME) ?? context.namespace;
  reader.finish();
  if (context.isDelegate) {
    const remedy = 'name the last VirtualService in the root itself';
    reader.problems.error('INVALID_VALUE', reader.path, 'a delegate cannot delegate further (Istio)', remedy, 'key');
  }
  return name === null ? null : { namespace, name, path: reader.path };
}

function readDestinations(rule: ObjectReader, namespace: string): WeightedDestination[] {
  const readers = rule.objects('route', DESTINATIONS_MAX);
  const weights = readWeights(rule, 'route', readers);
  return readers.flatMap((reader, index) => {
    const destination = requiredDestination(reader, namespace);
    const headers = readHeaders(reader) ?? [];
    reader.finish();
    return destination === null ? [] : [{ destination, weight: weights[index] ?? 0, headers }];
  });
}

/** What may not stand beside what, in the sense of Istio's own validation. */
function checkConflicts(rule: ObjectReader, isRoot: boolean): void {
  const { problems } = rule;
  const clash = (field: string, others: readonly string[]): void => {
    for (const other of others) {
      if (!rule.has(other)) continue;
      problems.error('INVALID_VALUE', rule.at(other), `stands beside ${field}`, `keep ${field} or ${other}`, 'key');
    }
  };
  if (isRoot) return clash('delegate', ['route', 'redirect', 'directResponse']);
  if (rule.has('redirect')) return clash('redirect', ['route', 'fault', 'rewrite', 'directResponse']);
  if (rule.has('directResponse')) return clash('directResponse', ['route', 'fault', 'rewrite']);
  const routes = rule.has('route') && rule.list('route').length > 0;
  if (!routes && !rule.has('delegate')) {
    const remedy = 'add route with a destination, redirect or directResponse';
    problems.error('MISSING_FIELD', rule.path, 'says nothing to do with the request', remedy, 'key');
  }
}

/** Host may be given once: by rewrite.authority or by a header. */
function checkHost(rule: ObjectReader, rewrite: UrlRewrite | null, headers: readonly HeaderModifier[] | null): void {
  const edits = hostEdits(headers ?? []).length + (rewrite === null || rewrite.hostname === null ? 0 : 1);
  if (edits < 2) return;
  const remedy = 'keep rewrite.authority or the header';
  rule.problems.error('INVALID_VALUE', rule.at('headers'), 'Host is set more than once', remedy, 'key');
}
