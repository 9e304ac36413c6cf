/**
 * The rules of one action, found by who connects. A source that goes by one field alone (`principals`, `namespaces`,
 * `serviceAccounts`, `ipBlocks` or `remoteIpBlocks`) is listed under each of its values, and all rules that are listed under
 * one value share a RequestIndex. One that combines fields is listed under the values of its most telling field and is
 * tried; rules with the same combination share a RequestIndex too. Only what has no positive field is tried by every connection.
 *
 * Rules come and go at any time (authz-order.ts); what nothing is listed under any more is forgotten.
 *
 *   a/sa/x ──► principals: 'a/sa/x' ─► RequestIndex      10.1.2.3 ──► trie: 10.0.0.0/8 ─► RequestIndex
 *                          'a/*'    ─► RequestIndex, and those to try: namespaces AND notPrincipals ─► RequestIndex
 */
import { type Clause, RequestIndex } from './authz-request-index.ts';
import type { PlacedRule } from './authz-order.ts';
import { type PrincipalMatch, RequestMatch } from './authz-request.ts';
import type { CompiledRule, RuleOperation, RuleSource } from './authz-rule.ts';
import { NAMES, parsedBlock, type SourceFacts, type SourceFields, SourceMatch } from './authz-source.ts';
import { CidrTrie } from './cidr-trie.ts';
import { StringIndex } from './string-index.ts';

/** Values of sources, and operations, of one rule up to which all combinations of the two are listed. Bounds memory. */
const LISTED_MAX = 8;

/** Rules that the same connections can match. */
export class SourceGroup {
  /** AND-ed; empty: whoever finds the group matches. */
  readonly #parts: readonly SourceMatch[];
  /** What the source asks of the request beside; null: nothing, or the clauses ask it. */
  readonly gate: PrincipalMatch | null;
  readonly requests: RequestIndex;
  /** The only rule that the group can ever have; null: it is shared. */
  readonly owner: PlacedRule | null;

  constructor(
    parts: readonly SourceFields[],
    gate: PrincipalMatch | null,
    requests: RequestIndex,
    owner: PlacedRule | null,
  ) {
    this.owner = owner;
    this.#parts = parts.length === 0 ? NONE : parts.map((fields) => new SourceMatch(fields));
    this.gate = gate;
    this.requests = requests;
  }

  matches(facts: SourceFacts, denies: boolean): boolean {
    const parts = this.#parts;
    for (let i = 0; i < parts.length; i++) if (!(parts[i] as SourceMatch).matches(facts, denies)) return false;
    return true;
  }
}

/** What is listed under one value: first the group of those that go by this field alone, then those to try. */
interface Listed {
  alone: SourceGroup | null;
  /** null: none. */
  tried: SourceGroup[] | null;
}

const NONE: readonly never[] = [];

const FIELDS = ['principals', 'serviceAccounts', 'namespaces', 'ipBlocks', 'remoteIpBlocks'] as const;
type ListedField = (typeof FIELDS)[number];

interface Keys {
  readonly field: ListedField;
  readonly values: readonly string[];
}

export class SourceIndex {
  readonly #denies: boolean;
  /** Tried by every connection. */
  #unlisted: SourceGroup[] = [];
  readonly #principals = new StringIndex<Listed>();
  readonly #namespaces = new StringIndex<Listed>();
  readonly #accounts = new Map<string, Listed>();
  readonly #addresses = new CidrTrie<Listed>();
  readonly #remotes = new CidrTrie<Listed>();
  /** By what they compare. */
  readonly #combined = new Map<string, SourceGroup>();

  /** `denies`: of DENY rules, which a connection that cannot be judged matches. */
  constructor(denies: boolean) {
    this.#denies = denies;
  }

  /** A rule that concerns the port of this index. */
  add(placed: PlacedRule, port: number): void {
    const { rule } = placed;
    const operations = rule.operations.filter((operation) => operation.acceptsPort(port));
    if (isWide(rule, operations)) return this.#addWide(placed, operations);
    for (const source of rule.sources) {
      const clauses = clausesOf(placed, operations, source.principal);
      const parts = partsOf(rule, source);
      const keys = keysOf(parts);
      if (keys === null || !isAlone(parts, keys)) {
        addAll(this.#group(JSON.stringify(parts), parts, keys).requests, clauses);
        continue;
      }
      for (const value of keys.values) {
        const listed = this.#listed(keys.field, value);
        listed.alone ??= new SourceGroup(NONE, null, new RequestIndex(this.#denies), null);
        addAll(listed.alone.requests, clauses);
      }
    }
  }

  /** Undoes exactly what add() did. */
  remove(placed: PlacedRule, port: number): void {
    const { rule } = placed;
    const wide = isWide(
      rule,
      rule.operations.filter((operation) => operation.acceptsPort(port)),
    );
    for (const source of rule.sources) {
      const parts = partsOf(rule, source);
      const keys = keysOf(parts);
      if (wide) this.#unlist((group) => group.owner === placed, keys);
      else if (keys === null || !isAlone(parts, keys)) this.#removeCombined(JSON.stringify(parts), placed, keys);
      else this.#removeAlone(placed, keys);
    }
  }

  /** Appends the groups that a connection matches to `found`. */
  collect(facts: SourceFacts, found: SourceGroup[]): void {
    for (const group of this.#unlisted) if (group.matches(facts, this.#denies)) found.push(group);
    const listed: Listed[] = [];
    this.#principals.collect(facts.principal, listed);
    this.#namespaces.collect(facts.namespace, listed);
    const account = this.#accounts.get(facts.serviceAccount);
    if (account !== undefined) listed.push(account);
    this.#collectAddress(this.#addresses, facts.address, listed);
    this.#collectAddress(this.#remotes, facts.remote, listed);
    for (const { alone, tried } of listed) {
      if (alone !== null) found.push(alone);
      if (tried !== null) for (const group of tried) if (group.matches(facts, this.#denies)) found.push(group);
    }
  }

  /** An address that cannot be read is in every block that denies and in none that allows. */
  #collectAddress(trie: CidrTrie<Listed>, address: SourceFacts['address'], listed: Listed[]): void {
    if (trie.isEmpty) return;
    if (address !== null) trie.collect(address, listed);
    else if (this.#denies) for (const value of trie.values()) listed.push(value);
  }

  /** The operations are listed once, and each source leads to them. */
  #addWide(placed: PlacedRule, operations: readonly RuleOperation[]): void {
    const requests = new RequestIndex(this.#denies);
    addAll(requests, clausesOf(placed, operations, null));
    for (const source of placed.rule.sources) {
      const parts = partsOf(placed.rule, source);
      this.#list(new SourceGroup(parts, source.principal, requests, placed), keysOf(parts));
    }
  }

  #group(signature: string, parts: readonly SourceFields[], keys: Keys | null): SourceGroup {
    const known = this.#combined.get(signature);
    if (known !== undefined) return known;
    const group = new SourceGroup(parts, null, new RequestIndex(this.#denies), null);
    this.#combined.set(signature, group);
    this.#list(group, keys);
    return group;
  }

  #removeCombined(signature: string, placed: PlacedRule, keys: Keys | null): void {
    const group = this.#combined.get(signature);
    group?.requests.remove(placed);
    if (group?.requests.isEmpty !== true) return;
    this.#combined.delete(signature);
    this.#unlist((one) => one === group, keys);
  }

  #removeAlone(placed: PlacedRule, { field, values }: Keys): void {
    for (const value of values) {
      const listed = this.#listed(field, value);
      listed.alone?.requests.remove(placed);
      if (listed.alone?.requests.isEmpty === true) listed.alone = null;
      this.#dropIfEmpty(listed, field, value);
    }
  }

  #list(group: SourceGroup, keys: Keys | null): void {
    if (keys === null) this.#unlisted.push(group);
    else {
      for (const value of keys.values) {
        const listed = this.#listed(keys.field, value);
        listed.tried ??= [];
        listed.tried.push(group);
      }
    }
  }

  /** Takes out the groups that are meant. */
  #unlist(isMeant: (group: SourceGroup) => boolean, keys: Keys | null): void {
    if (keys === null) this.#unlisted = this.#unlisted.filter((group) => !isMeant(group));
    else {
      for (const value of keys.values) {
        const listed = this.#listed(keys.field, value);
        const rest = listed.tried?.filter((group) => !isMeant(group)) ?? [];
        listed.tried = rest.length === 0 ? null : rest;
        this.#dropIfEmpty(listed, keys.field, value);
      }
    }
  }

  #dropIfEmpty({ alone, tried }: Listed, field: ListedField, value: string): void {
    if (alone !== null || tried !== null) return;
    switch (field) {
      case 'principals':
        return this.#principals.delete(value);
      case 'namespaces':
        return this.#namespaces.delete(value);
      case 'serviceAccounts':
        this.#accounts.delete(value);
        return;
      case 'ipBlocks':
        return this.#addresses.delete(parsedBlock(value));
      case 'remoteIpBlocks':
        return this.#remotes.delete(parsedBlock(value));
    }
  }

  #listed(field: ListedField, value: string): Listed {
    switch (field) {
      case 'principals':
        return this.#principals.entry(value, make);
      case 'namespaces':
        return this.#namespaces.entry(value, make);
      case 'serviceAccounts': {
        const listed = this.#accounts.get(value) ?? make();
        this.#accounts.set(value, listed);
        return listed;
      }
      case 'ipBlocks':
        return this.#addresses.entry(parsedBlock(value), make);
      case 'remoteIpBlocks':
        return this.#remotes.entry(parsedBlock(value), make);
    }
  }
}

function make(): Listed {
  return { alone: null, tried: null };
}

function clausesOf(
  placed: PlacedRule,
  operations: readonly RuleOperation[],
  principal: PrincipalMatch | null,
): Clause[] {
  const { requestConditions } = placed.rule;
  return operations.map(({ http }) => {
    const isFree = http === null && principal === null && requestConditions.length === 0;
    return { placed, request: isFree ? null : new RequestMatch(http, principal, requestConditions) };
  });
}

function addAll(requests: RequestIndex, clauses: readonly Clause[]): void {
  for (const clause of clauses) requests.add(clause);
}

function partsOf(rule: CompiledRule, source: RuleSource): readonly SourceFields[] {
  return source.fields === null ? rule.conditions : [source.fields, ...rule.conditions];
}

/** The most telling field that a connection must have a value of; null: there is none that can be looked up. */
function keysOf(parts: readonly SourceFields[]): Keys | null {
  for (const field of FIELDS) {
    for (const part of parts) {
      const values = part[field];
      if (values.length > 0 && (field !== 'namespaces' || values.every(isListable))) return { field, values };
    }
  }
  return null;
}

/** The keys say everything that the parts do. */
function isAlone(parts: readonly SourceFields[], keys: Keys): boolean {
  const [part] = parts;
  if (parts.length !== 1 || part === undefined) return false;
  for (const name of NAMES) if (name !== keys.field && part[name].length > 0) return false;
  return true;
}

/** A `*` inside a namespace, which stands for any characters there, cannot be looked up. */
function isListable(namespace: string): boolean {
  const star = namespace.indexOf('*');
  return star < 0 || (star === namespace.lastIndexOf('*') && (star === 0 || star === namespace.length - 1));
}

function isWide(rule: CompiledRule, operations: readonly RuleOperation[]): boolean {
  if (operations.length <= LISTED_MAX) return false;
  let values = 0;
  for (const source of rule.sources) values += keysOf(partsOf(rule, source))?.values.length ?? 1;
  return values > LISTED_MAX;
}
