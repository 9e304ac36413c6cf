/** The part of AuthorizationPolicy rules that is known once a connection is accepted: who and from where, server name, address. */
import type { ConditionKey } from './condition-key.ts';
import { CidrSet } from './cidr-trie.ts';
import { type IpAddress, parseCidr } from './ip.ts';
import type { PolicyCondition, PolicySource } from './policy-model.ts';
import { StringSet } from './string-match.ts';
import { comparablePrincipals, type TrustDomains } from './trust-domain.ts';

/** A connection as rules compare it; '' where there is no identity, null where an address cannot be read. */
export interface SourceFacts {
  /** With the mesh's own trust domain for that of an alias. */
  readonly principal: string;
  readonly namespace: string;
  /** `namespace/serviceAccount` */
  readonly serviceAccount: string;
  readonly address: IpAddress | null;
  /** Before the proxies in front. */
  readonly remote: IpAddress | null;
  readonly destination: IpAddress | null;
  /** See ConnectionFacts. */
  readonly serverName: string | null;
}

/** Values that are OR-ed within a field; fields, and positive and negative, are AND-ed. Empty: absent. */
export interface SourceFields {
  readonly principals: readonly string[];
  readonly notPrincipals: readonly string[];
  readonly namespaces: readonly string[];
  readonly notNamespaces: readonly string[];
  readonly serviceAccounts: readonly string[];
  readonly notServiceAccounts: readonly string[];
  readonly ipBlocks: readonly string[];
  readonly notIpBlocks: readonly string[];
  readonly remoteIpBlocks: readonly string[];
  readonly notRemoteIpBlocks: readonly string[];
  readonly destinationIpBlocks: readonly string[];
  readonly notDestinationIpBlocks: readonly string[];
  /** Lower case, as server names are compared. */
  readonly serverNames: readonly string[];
  readonly notServerNames: readonly string[];
}

const NO_FIELDS: SourceFields = {
  principals: [],
  notPrincipals: [],
  namespaces: [],
  notNamespaces: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  ipBlocks: [],
  notIpBlocks: [],
  remoteIpBlocks: [],
  notRemoteIpBlocks: [],
  destinationIpBlocks: [],
  notDestinationIpBlocks: [],
  serverNames: [],
  notServerNames: [],
};

/** All fields. */
export const NAMES = Object.keys(NO_FIELDS) as readonly (keyof SourceFields)[];

/** An entry of `from`. */
export function fieldsOfSource(source: PolicySource, trust: TrustDomains): SourceFields {
  return {
    ...NO_FIELDS,
    principals: comparablePrincipals(source.principals, trust),
    notPrincipals: comparablePrincipals(source.notPrincipals, trust),
    namespaces: source.namespaces,
    notNamespaces: source.notNamespaces,
    serviceAccounts: source.serviceAccounts,
    notServiceAccounts: source.notServiceAccounts,
    ipBlocks: source.ipBlocks,
    notIpBlocks: source.notIpBlocks,
    remoteIpBlocks: source.remoteIpBlocks,
    notRemoteIpBlocks: source.notRemoteIpBlocks,
  };
}

/** A condition that the connection decides; null: one that goes by the port or by the request. `namespace`: the policy's. */
export function fieldsOfCondition(
  key: ConditionKey,
  { values, notValues }: PolicyCondition,
  namespace: string,
  trust: TrustDomains,
): SourceFields | null {
  switch (key.kind) {
    case 'source.ip':
      return { ...NO_FIELDS, ipBlocks: values, notIpBlocks: notValues };
    case 'remote.ip':
      return { ...NO_FIELDS, remoteIpBlocks: values, notRemoteIpBlocks: notValues };
    case 'destination.ip':
      return { ...NO_FIELDS, destinationIpBlocks: values, notDestinationIpBlocks: notValues };
    case 'source.namespace':
      return { ...NO_FIELDS, namespaces: values, notNamespaces: notValues };
    case 'source.principal':
      return {
        ...NO_FIELDS,
        principals: comparablePrincipals(values, trust),
        notPrincipals: comparablePrincipals(notValues, trust),
      };
    case 'source.serviceAccount': {
      const whole = (account: string): string => (account.includes('/') ? account : `${namespace}/${account}`);
      return { ...NO_FIELDS, serviceAccounts: values.map(whole), notServiceAccounts: notValues.map(whole) };
    }
    case 'connection.sni': {
      const lower = (name: string): string => name.toLowerCase();
      return { ...NO_FIELDS, serverNames: values.map(lower), notServerNames: notValues.map(lower) };
    }
    default:
      return null;
  }
}

/** Any connection will do. */
export function isEmpty(fields: SourceFields): boolean {
  for (const name of NAMES) if (fields[name].length > 0) return false;
  return true;
}

/** Some field compares an address, so that addresses have to be parsed. */
export function usesAddress(fields: SourceFields): boolean {
  return (
    fields.ipBlocks.length +
      fields.notIpBlocks.length +
      fields.remoteIpBlocks.length +
      fields.notRemoteIpBlocks.length +
      fields.destinationIpBlocks.length +
      fields.notDestinationIpBlocks.length >
    0
  );
}

export function usesServerName(fields: SourceFields): boolean {
  return fields.serverNames.length + fields.notServerNames.length > 0;
}

/** SourceFields compiled. */
export class SourceMatch {
  readonly #principals: StringSet | null;
  readonly #notPrincipals: StringSet | null;
  readonly #namespaces: StringSet | null;
  readonly #notNamespaces: StringSet | null;
  readonly #serviceAccounts: ReadonlySet<string> | null;
  readonly #notServiceAccounts: ReadonlySet<string> | null;
  readonly #ipBlocks: CidrSet | null;
  readonly #notIpBlocks: CidrSet | null;
  readonly #remoteIpBlocks: CidrSet | null;
  readonly #notRemoteIpBlocks: CidrSet | null;
  readonly #destinationIpBlocks: CidrSet | null;
  readonly #notDestinationIpBlocks: CidrSet | null;
  readonly #serverNames: StringSet | null;
  readonly #notServerNames: StringSet | null;

  constructor(fields: SourceFields) {
    this.#principals = StringSet.of(fields.principals);
    this.#notPrincipals = StringSet.of(fields.notPrincipals);
    this.#namespaces = StringSet.ofGlobs(fields.namespaces);
    this.#notNamespaces = StringSet.ofGlobs(fields.notNamespaces);
    this.#serviceAccounts = setOf(fields.serviceAccounts);
    this.#notServiceAccounts = setOf(fields.notServiceAccounts);
    this.#ipBlocks = blocksOf(fields.ipBlocks);
    this.#notIpBlocks = blocksOf(fields.notIpBlocks);
    this.#remoteIpBlocks = blocksOf(fields.remoteIpBlocks);
    this.#notRemoteIpBlocks = blocksOf(fields.notRemoteIpBlocks);
    this.#destinationIpBlocks = blocksOf(fields.destinationIpBlocks);
    this.#notDestinationIpBlocks = blocksOf(fields.notDestinationIpBlocks);
    this.#serverNames = StringSet.of(fields.serverNames);
    this.#notServerNames = StringSet.of(fields.notServerNames);
  }

  /**
   * `denies`: what to assume of a field that cannot be judged, because an address could not be read or the server name is not
   * known: a DENY matches, an ALLOW does not. No allocation.
   */
  matches(facts: SourceFacts, denies: boolean): boolean {
    return (
      (this.#principals === null || this.#principals.matches(facts.principal)) &&
      (this.#notPrincipals === null || !this.#notPrincipals.matches(facts.principal)) &&
      (this.#namespaces === null || this.#namespaces.matches(facts.namespace)) &&
      (this.#notNamespaces === null || !this.#notNamespaces.matches(facts.namespace)) &&
      (this.#serviceAccounts === null || this.#serviceAccounts.has(facts.serviceAccount)) &&
      (this.#notServiceAccounts === null || !this.#notServiceAccounts.has(facts.serviceAccount)) &&
      blocksHold(this.#ipBlocks, this.#notIpBlocks, facts.address, denies) &&
      blocksHold(this.#remoteIpBlocks, this.#notRemoteIpBlocks, facts.remote, denies) &&
      blocksHold(this.#destinationIpBlocks, this.#notDestinationIpBlocks, facts.destination, denies) &&
      this.#serverNameHolds(facts.serverName, denies)
    );
  }

  #serverNameHolds(serverName: string | null, denies: boolean): boolean {
    if (this.#serverNames === null && this.#notServerNames === null) return true;
    if (serverName === null) return denies;
    return (
      (this.#serverNames === null || this.#serverNames.matches(serverName)) &&
      (this.#notServerNames === null || !this.#notServerNames.matches(serverName))
    );
  }
}

function blocksHold(
  wanted: CidrSet | null,
  unwanted: CidrSet | null,
  address: IpAddress | null,
  denies: boolean,
): boolean {
  if (wanted === null && unwanted === null) return true;
  if (address === null) return denies;
  return (wanted === null || wanted.contains(address)) && (unwanted === null || !unwanted.contains(address));
}

function setOf(values: readonly string[]): ReadonlySet<string> | null {
  return values.length === 0 ? null : new Set(values);
}

function blocksOf(values: readonly string[]): CidrSet | null {
  return values.length === 0 ? null : new CidrSet(values.map(parsedBlock));
}

/** A block that validation has let pass. */
export function parsedBlock(value: string): NonNullable<ReturnType<typeof parseCidr>> {
  const block = parseCidr(value);
  if (block === null) throw new Error(`address block ${value} was not validated`);
  return block;
}
