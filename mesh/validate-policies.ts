/** Validators of policies (policy-model.ts): what passes compiles without errors and says something wherever it has a clause. */
import { JWKS_LENGTH_MAX, jwksRefusal } from './jwks.ts';
import { compilePathTemplate, isPathTemplate } from './path-template.ts';
import { CONDITION_KEYS } from './policy-model.ts';
import {
  block,
  createdMs,
  durationMs,
  headerName,
  labels,
  namespace,
  namespacedName,
  objectName,
  port,
  portText,
  selector,
} from './validate-fields.ts';
import {
  anyText,
  both,
  type Check,
  closed,
  fault,
  flag,
  integer,
  type Json,
  list,
  oneOf,
  orNull,
  record,
  text,
  textUpTo,
  variant,
  written,
} from './validate-shapes.ts';

/** `targetRefs` of one policy (Istio's bound). */
const TARGETS_MAX = 16;

const texts = list(text);
const blocks = list(block);

const policyPath: Check = (value, at) => {
  const problem = text(value, at);
  if (problem !== null || typeof value !== 'string' || !isPathTemplate(value)) return problem;
  const template = compilePathTemplate(value);
  return typeof template === 'string' ? fault(at, value, `is not a path template: ${template}`) : null;
};

/** As Istio's own validation: an empty source or operation is a mistake, not "any". */
function notAllEmpty(what: string): Check {
  return (value, at) =>
    Object.values(value as Json).some((field) => (field as readonly unknown[]).length > 0)
      ? null
      : `${at}: the ${what} has no field set: remove it to match any ${what}`;
}

const policySource = closed(
  {
    principals: texts,
    notPrincipals: texts,
    requestPrincipals: texts,
    notRequestPrincipals: texts,
    namespaces: texts,
    notNamespaces: texts,
    serviceAccounts: list(namespacedName),
    notServiceAccounts: list(namespacedName),
    ipBlocks: blocks,
    notIpBlocks: blocks,
    remoteIpBlocks: blocks,
    notRemoteIpBlocks: blocks,
  },
  notAllEmpty('source'),
);

const policyOperation = closed(
  {
    hosts: texts,
    notHosts: texts,
    ports: list(integer(0, 65_535)),
    notPorts: list(integer(0, 65_535)),
    methods: texts,
    notMethods: texts,
    paths: list(policyPath),
    notPaths: list(policyPath),
  },
  notAllEmpty('operation'),
);

const CONDITION_KEY_WANTED = `must be one of ${CONDITION_KEYS.join(', ')}, request.headers[name], request.auth.claims[name]`;

const conditionKey: Check = (value, at) => {
  const problem = text(value, at);
  if (problem !== null) return problem;
  const key = value as string;
  if ((CONDITION_KEYS as readonly string[]).includes(key)) return null;
  const header = /^request\.headers\[([^[\]]*)\]$/.exec(key);
  if (header !== null) return headerName(header[1], at);
  return /^request\.auth\.claims(\[[^[\]]+\])+$/.test(key) ? null : fault(at, value, CONDITION_KEY_WANTED);
};

/** What a condition's values must be besides text. */
function conditionValue(key: string): Check {
  switch (key) {
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip':
      return block;
    case 'destination.port':
      return portText;
    case 'source.serviceAccount':
      return namespacedName;
    default:
      return text;
  }
}

/** As Istio's own validation: a condition without a value is a mistake. */
const policyCondition = closed({ key: conditionKey, values: texts, notValues: texts }, (value, at) => {
  const { key, values, notValues } = value as {
    readonly key: string;
    readonly values: readonly string[];
    readonly notValues: readonly string[];
  };
  if (values.length + notValues.length === 0) return `${at}: has neither values nor notValues: add one`;
  const check = list(conditionValue(key));
  return check(values, `${at}.values`) ?? check(notValues, `${at}.notValues`);
});

/** Whom a policy is about. */
const scope = { namespace, name: objectName, meshWide: flag, selector } as const;
const targetServices = list(namespacedName, TARGETS_MAX);

const targetsAreItsOwn: Check = (value) => {
  const policy = value as { selector: Json | null; targetServices: readonly string[]; namespace: string };
  if (policy.selector !== null && policy.targetServices.length > 0) {
    return 'targetServices: cannot be combined with selector: keep one of them';
  }
  const foreign = policy.targetServices.find((service) => !service.startsWith(`${policy.namespace}/`));
  return foreign === undefined ? null : `targetServices: ${foreign} is in another namespace: a policy targets its own`;
};

/** AuthorizationPolicy. */
export const authorizationPolicy = closed(
  {
    kind: text,
    ...scope,
    action: oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
    dryRun: flag,
    targetServices,
    rules: list(closed({ from: list(policySource), to: list(policyOperation), when: list(policyCondition) })),
  },
  targetsAreItsOwn,
);

const mtlsMode = orNull(oneOf('DISABLE', 'PERMISSIVE', 'STRICT'));

/** PeerAuthentication. */
export const peerAuthentication = closed(
  { kind: text, ...scope, mode: mtlsMode, portModes: record(mtlsMode, portText), createdMs },
  (value) => {
    const policy = value as { readonly selector: Json | null; readonly portModes: Json };
    return policy.selector !== null || Object.keys(policy.portModes).length === 0
      ? null
      : 'portModes: are of no meaning without selector: add a selector, or remove them';
  },
);

const jwks: Check = (value, at) => {
  const refusal = typeof value === 'string' ? jwksRefusal(value) : 'must be a string';
  return refusal === null ? null : `${at}: ${refusal}`;
};

const httpUrl = written(/^https?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/, 'is not an http or https URL');

const jwtRule = closed(
  {
    issuer: anyText,
    audiences: texts,
    jwks: orNull(both(textUpTo(JWKS_LENGTH_MAX), jwks)),
    jwksUri: orNull(httpUrl),
    fromHeaders: list(closed({ name: headerName, prefix: anyText })),
    fromParams: texts,
    fromCookies: texts,
    outputPayloadToHeader: orNull(headerName),
    outputClaimToHeaders: list(closed({ header: headerName, claim: text })),
    forwardOriginalToken: flag,
    timeoutMs: orNull(durationMs),
  },
  (value, at) => {
    const rule = value as { readonly issuer: string; readonly jwks: unknown; readonly jwksUri: unknown };
    if (rule.issuer === '' && rule.jwksUri === null) return `${at}.issuer: is empty: write it, or jwksUri`;
    return rule.jwks === null || rule.jwksUri === null
      ? null
      : `${at}.jwksUri: cannot be combined with jwks: keep one of them`;
  },
);

/** RequestAuthentication. */
export const requestAuthentication = closed(
  { kind: text, ...scope, targetServices, jwtRules: list(jwtRule) },
  targetsAreItsOwn,
);

const selectorExpression = closed(
  { key: text, operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'), values: list(anyText) },
  (value, at) => {
    const { operator, values } = value as { readonly operator: string; readonly values: readonly string[] };
    const wantsValues = operator === 'In' || operator === 'NotIn';
    if (wantsValues === values.length > 0) return null;
    return `${at}.values: ${wantsValues ? `${operator} needs a value: add one` : `${operator} takes none: write []`}`;
  },
);

const labelSelector = closed({ matchLabels: labels, matchExpressions: list(selectorExpression) });

const networkPeer = variant({
  pods: closed({ type: text, namespaces: orNull(list(namespace)), podSelector: labelSelector }),
  ipBlock: closed({ type: text, cidr: block, except: blocks }),
});

const portName = written(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'is not a port: write a number or a port name');

const networkPort = closed(
  {
    port: orNull((value, at) => (typeof value === 'string' ? portName(value, at) : port(value, at))),
    endPort: orNull(port),
  },
  (value, at) => {
    const { port: first, endPort } = value as { readonly port: unknown; readonly endPort: number | null };
    if (endPort === null) return null;
    return typeof first === 'number' && first <= endPort
      ? null
      : fault(`${at}.endPort`, endPort, 'ends no range: port must be a number that is not above it');
  },
);

const networkRules = orNull(list(closed({ peers: list(networkPeer), ports: orNull(list(networkPort)) })));

/** NetworkPolicy. */
export const networkPolicy = closed({
  kind: text,
  namespace,
  name: objectName,
  podSelector: labelSelector,
  ingress: networkRules,
  egress: networkRules,
});
