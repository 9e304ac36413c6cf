/**
 * security.istio.io AuthorizationPolicy → the model's AuthorizationPolicy, with the rules of Istio's own validation. A
 * policy is taken whole or not at all: a field that is unknown, unsupported or empty by a slip refuses it, because a
 * policy with a condition left out permits more than its author wrote.
 */
import type { AuthorizationPolicy } from '../../mesh/policy-model.ts';
import { readAuthorizationRule } from './authorization-rule.ts';
import { readMetadata } from './metadata.ts';
import { OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { ObjectOrigin } from './objects.ts';
import type { AuthorizationPolicyObject } from './policy-objects.ts';
import { readPolicyScope, WHOLE_NAMESPACE } from './policy-scope.ts';

const DRY_RUN = 'istio.io/dry-run';
/** Go's strconv.ParseBool, which Istio reads the annotation with. */
const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/**
 * Reads an AuthorizationPolicy; whatever it returns is only to be used when no error was recorded. null also when it targets
 * gateways alone.
 */
export function readAuthorizationPolicy(
  object: ObjectReader,
  origin: ObjectOrigin,
  rootNamespace: string,
): AuthorizationPolicyObject | null {
  const metadata = object.object('metadata');
  if (metadata === null) {
    if (!object.has('metadata')) object.missing('metadata');
    return null;
  }
  const meta = readMetadata(metadata, OBJECT_NAME);
  const dryRun = meta !== null && readDryRun(metadata, meta.annotations[DRY_RUN]);
  // No spec at all is Istio's "allow nothing".
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status', 'spec']);
  const namespace = meta?.namespace ?? '';
  const scope = spec === null ? WHOLE_NAMESPACE : readPolicyScope(spec, namespace);
  const action = spec === null ? 'ALLOW' : readAction(spec);
  const isCustom = action === 'CUSTOM';
  const rules =
    spec === null ? [] : spec.objects('rules').map((rule) => readAuthorizationRule(rule, { namespace, isCustom }));
  if (spec !== null) checkRules(spec, action, rules.length);
  spec?.finish();
  if (meta === null || scope.isElsewhere) return null;
  const { name } = meta;
  const { selector, targetServices, targetPaths } = scope;
  const meshWide = namespace === rootNamespace;
  const kind = 'authorizationPolicy';
  return {
    kind: 'AuthorizationPolicy',
    namespace,
    name,
    policy: { kind, namespace, name, action, dryRun, meshWide, selector, targetServices, rules },
    targetPaths,
    origin,
  };
}

function readDryRun(metadata: ObjectReader, text: string | undefined): boolean {
  if (text === undefined || FALSE.includes(text)) return false;
  if (TRUE.includes(text)) return true;
  const path = [...metadata.at('annotations'), DRY_RUN];
  metadata.problems.error('INVALID_VALUE', path, `is ${quote(text)}`, 'write "true" or "false"');
  return false;
}

function readAction(spec: ObjectReader): AuthorizationPolicy['action'] {
  const action = spec.choice('action', ['ALLOW', 'DENY', 'AUDIT', 'CUSTOM']) ?? 'ALLOW';
  const provider = spec.object('provider');
  const name = provider === null ? null : provider.requiredText('name');
  provider?.finish();
  if (action === 'CUSTOM') {
    const reason = 'weir has no external authorizer yet: requests that its rules match are denied';
    spec.problems.warning(
      'UNSUPPORTED',
      spec.at('action'),
      reason,
      'remove the policy, or write its rules as DENY or ALLOW',
    );
    if (!spec.has('provider')) spec.missing('provider', 'add provider with the name of the external authorizer');
    else if (name === '')
      spec.problems.error('INVALID_VALUE', spec.at('provider'), 'has an empty name', 'write its name');
  } else if (provider !== null) {
    const remedy = 'remove it, or write action: CUSTOM';
    spec.problems.error('INVALID_VALUE', provider.path, `is of no meaning with action ${action}`, remedy, 'key');
  }
  return action;
}

/** As Istio: without rules only ALLOW (nothing) and AUDIT make sense. */
function checkRules(spec: ObjectReader, action: AuthorizationPolicy['action'], count: number): void {
  if (count > 0 || (action !== 'DENY' && action !== 'CUSTOM') || spec.problems.refused) return;
  const reason = `a policy with action ${action} and no rules never matches`;
  spec.problems.error('INVALID_VALUE', spec.path, reason, 'add rules: [{}] to match every request', 'key');
}
