/**
 * security.istio.io RequestAuthentication → the model's RequestAuthentication, with the rules of Istio's own validation. Tokens
 * are not verified yet: every policy with rules says so in a warning.
 */
import { jwksRefusal } from '../../mesh/jwks.ts';
import type { JwtRule, RequestAuthentication } from '../../mesh/policy-model.ts';
import { readDuration, warnNotEnforced } from './istio/object-head.ts';
import { readMetadata } from './metadata.ts';
import { HEADER_NAME, OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { RequestAuthenticationObject } from './policy-objects.ts';
import { readPolicyScope, WHOLE_NAMESPACE } from './policy-scope.ts';

/** Rules of one policy, and places of one rule: far more than issuers that one workload believes. */
const RULES_MAX = 128;

/** Reads a RequestAuthentication; null when it has no usable name, or targets gateways alone. */
export function readRequestAuthentication(
  object: ObjectReader,
  origin: ObjectOrigin,
  rootNamespace: string,
): RequestAuthenticationObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  if (!object.has('metadata')) object.missing('metadata');
  // No spec at all believes no issuer.
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status', 'metadata', 'spec']);
  const scope = spec === null || meta === null ? WHOLE_NAMESPACE : readPolicyScope(spec, meta.namespace);
  const jwtRules = spec === null ? [] : spec.objects('jwtRules', RULES_MAX).map(readJwtRule);
  if (spec !== null && jwtRules.length > 0) {
    const reason =
      'jwtRules are accepted, not yet enforced: tokens are not verified yet, so requestPrincipals never match';
    spec.problems.warning('NOT_ENFORCED', spec.at('jwtRules'), reason, 'do not rely on it yet', 'key');
  }
  spec?.finish();
  if (meta === null || scope.isElsewhere) return null;
  const { namespace, name } = meta;
  const { selector, targetServices, targetPaths } = scope;
  const kind = 'requestAuthentication';
  const meshWide = namespace === rootNamespace;
  const policy: RequestAuthentication = { kind, namespace, name, meshWide, selector, targetServices, jwtRules };
  return { kind: 'RequestAuthentication', namespace, name, policy, targetPaths, origin };
}

function readJwtRule(rule: ObjectReader): JwtRule {
  const issuer = rule.text('issuer') ?? '';
  const result: JwtRule = {
    issuer,
    audiences: readNames(rule, 'audiences'),
    jwks: readJwks(rule),
    jwksUri: readJwksUri(rule),
    fromHeaders: rule.objects('fromHeaders', RULES_MAX).flatMap(readFromHeader),
    fromParams: readNames(rule, 'fromParams'),
    fromCookies: readNames(rule, 'fromCookies'),
    outputPayloadToHeader: rule.text('outputPayloadToHeader', HEADER_NAME)?.toLowerCase() ?? null,
    outputClaimToHeaders: rule.objects('outputClaimToHeaders', RULES_MAX).flatMap(readOutput),
    forwardOriginalToken: rule.flag('forwardOriginalToken') ?? false,
    timeoutMs: readDuration(rule, 'timeout'),
  };
  for (const field of ['spaceDelimitedClaims', 'presence']) {
    if (!rule.has(field)) continue;
    rule.take(field);
    warnNotEnforced(rule, field);
  }
  if (issuer === '' && result.jwksUri === null && !rule.problems.refused) {
    rule.missing('issuer', 'add issuer, the "iss" of the tokens');
  }
  if (result.jwks !== null && result.jwksUri !== null) {
    rule.problems.error('INVALID_VALUE', rule.at('jwksUri'), 'stands beside jwks', 'keep one of them', 'key');
  }
  rule.finish();
  return result;
}

/** Names that are not empty. */
function readNames(rule: ObjectReader, field: string): string[] {
  return rule.list(field, RULES_MAX).flatMap((item) => {
    const text = rule.asText(item);
    if (text !== '') return text ?? [];
    rule.problems.error('INVALID_VALUE', item.path, 'is empty', 'write a name or remove it');
    return [];
  });
}

function readJwks(rule: ObjectReader): string | null {
  const text = rule.text('jwks');
  // Istio takes the empty text for an absent one.
  if (text === null || text === '') return null;
  const refusal = jwksRefusal(text);
  if (refusal === null) return text;
  const colon = refusal.indexOf(': ');
  const [reason, remedy] = colon < 0 ? [refusal, 'shorten it'] : [refusal.slice(0, colon), refusal.slice(colon + 2)];
  rule.problems.error('INVALID_VALUE', rule.at('jwks'), reason, remedy);
  return null;
}

function readJwksUri(rule: ObjectReader): string | null {
  const text = rule.text('jwksUri');
  if (text === null || text === '') return null;
  if (/^https?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/.test(text) && URL.canParse(text)) return text;
  const remedy = 'write an http or https URL, such as https://issuer.example/.well-known/jwks.json';
  rule.problems.error('INVALID_VALUE', rule.at('jwksUri'), `is ${quote(text)}`, remedy);
  return null;
}

function readFromHeader(header: ObjectReader): JwtRule['fromHeaders'] {
  const name = header.requiredText('name', HEADER_NAME);
  const prefix = header.text('prefix') ?? '';
  header.finish();
  return name === null ? [] : [{ name: name.toLowerCase(), prefix }];
}

function readOutput(output: ObjectReader): JwtRule['outputClaimToHeaders'] {
  const header = output.requiredText('header', HEADER_NAME);
  const claim = output.requiredText('claim');
  output.finish();
  if (claim === '') output.problems.error('INVALID_VALUE', output.at('claim'), 'is empty', 'write the claim to copy');
  return header === null || claim === null || claim === '' ? [] : [{ header: header.toLowerCase(), claim }];
}
