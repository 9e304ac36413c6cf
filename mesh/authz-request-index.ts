/**
 * Many alternatives of rules that the same connections can match, found by what a request says: by its path (exact, prefix, suffix,
 * template), then host, method, token. What none of these tells apart is tried in order.
 *
 *   Bucket ── path '/a' ──► Bucket ── host 'x' ──► Bucket: a few clauses, in order
 *      │                       └── the rest ──► Bucket …
 *      └── the rest (no `paths`) ──► Bucket …
 *
 * A bucket is split when it is asked for the first time, and only if it is large. The answer is always the clause whose rule comes
 * first, so what cannot be better than what was found is not looked at.
 */
import { type RequestMatch, requestPrincipalOf, validTemplate } from './authz-request.ts';
import type { CompiledRule } from './authz-rule.ts';
import { isPathTemplate } from './path-template.ts';
import type { RequestView } from './request.ts';
import { StringIndex } from './string-index.ts';
import { TemplateTrie } from './template-trie.ts';
import type { Verdict } from './verdict.ts';

/** One alternative of one rule: a source, an operation and the conditions together. */
export interface Clause {
  /** Place of the rule in the order of evaluation: the lowest that matches decides. */
  readonly ordinal: number;
  readonly rule: CompiledRule;
  /** null: every request matches. */
  readonly request: RequestMatch | null;
}

/** Clauses up to which one after the other is faster than an index. */
const SCAN_MAX = 8;

/**
 * Values of a field but `paths` up to which a clause is listed under each of them; one with more is tried. Below every path
 * of a clause its hosts may be listed, and so on: this bounds the product.
 */
const LISTED_VALUES_MAX = 16;

/** What buckets are split by, most telling first. */
const DIMENSIONS: readonly Dimension[] = [
  { patterns: ({ operation }) => operation?.pathPatterns ?? [], read: (view) => view.path },
  { patterns: ({ operation }) => operation?.hostPatterns ?? [], read: (view) => view.host },
  { patterns: ({ operation }) => operation?.methodPatterns ?? [], read: (view) => view.method },
  { patterns: ({ principal }) => principal?.patterns ?? [], read: requestPrincipalOf },
];

interface Dimension {
  /** Empty: the match does not depend on it. */
  readonly patterns: (match: RequestMatch) => readonly string[];
  readonly read: (view: RequestView) => string;
}

/** Results of lookups; every user takes off what it has put on. */
const found: Bucket[] = [];

class Bucket {
  readonly #clauses: Clause[] = [];
  /** Index of the dimension that it is split by; how many there are when it is not to be split. */
  #level: number;
  #index: StringIndex<Bucket> | null = null;
  /** Of paths only. */
  #templates: TemplateTrie<Bucket> | null = null;
  /** Set once the bucket is split. */
  #rest: Bucket | null = null;

  constructor(level: number) {
    this.#level = level;
  }

  get first(): Clause | undefined {
    return this.#clauses[0];
  }

  /** In the order of ordinals. */
  add(clause: Clause): void {
    if (this.#clauses[this.#clauses.length - 1] !== clause) this.#clauses.push(clause);
  }

  /** The clause that matches with the lowest ordinal, if that is lower than `best`'s; else `best`. */
  find(view: RequestView, best: Clause | null): Clause | null {
    if (this.#level === DIMENSIONS.length || this.#clauses.length <= SCAN_MAX) return this.#scan(view, best);
    const rest = this.#rest ?? this.#split();
    if (rest === null) return this.#scan(view, best);
    const base = found.length;
    this.#collect((DIMENSIONS[this.#level] as Dimension).read(view));
    const end = found.length;
    for (let i = base; i < end; i++) best = (found[i] as Bucket).find(view, best);
    while (found.length > base) found.pop(); // setting the length would take longer than all of the above
    return rest.find(view, best);
  }

  #collect(text: string): void {
    this.#index?.collect(text, found);
    this.#templates?.collect(text, found);
  }

  #scan(view: RequestView, best: Clause | null): Clause | null {
    const clauses = this.#clauses;
    for (let i = 0; i < clauses.length; i++) {
      const clause = clauses[i] as Clause;
      if (best !== null && clause.ordinal >= best.ordinal) return best;
      if ((clause.request as RequestMatch).matches(view)) return clause;
    }
    return best;
  }

  /** By the first dimension that some clause goes by; null: there is none. Returns the rest: what has no pattern in it. */
  #split(): Bucket | null {
    while (!this.#clauses.some((clause) => this.#patterns(clause).length > 0)) {
      this.#level++;
      if (this.#level === DIMENSIONS.length) return null;
    }
    const next = this.#level + 1;
    const rest = new Bucket(next);
    const make = (): Bucket => new Bucket(next);
    for (const clause of this.#clauses) {
      const values = this.#patterns(clause);
      if (values.length === 0 || (this.#level > 0 && values.length > LISTED_VALUES_MAX)) rest.add(clause);
      else for (const value of values) this.#bucketOf(value, make).add(clause);
    }
    this.#rest = rest;
    return rest;
  }

  #patterns(clause: Clause): readonly string[] {
    return (DIMENSIONS[this.#level] as Dimension).patterns(clause.request as RequestMatch);
  }

  #bucketOf(value: string, make: () => Bucket): Bucket {
    if (this.#level === 0 && isPathTemplate(value)) {
      this.#templates ??= new TemplateTrie<Bucket>();
      return this.#templates.entry(validTemplate(value), make);
    }
    this.#index ??= new StringIndex<Bucket>();
    return this.#index.entry(value, make);
  }
}

/** The clauses of one action that hang on the same source. */
export class RequestIndex {
  /** The first clause that every request matches. What comes after it is unreachable for requests. */
  always: Clause | null = null;
  /** Of a DENY: the first clause, one without HTTP-only parts before others of the same rule. Of an ALLOW: the first of a rule without. */
  onTcp: Clause | null = null;
  readonly #denies: boolean;
  /** Those that depend on the request; null: none does. */
  #bucket: Bucket | null = null;

  constructor(denies: boolean) {
    this.#denies = denies;
  }

  /** The first clause that depends on the request; undefined when none does. */
  get first(): Clause | undefined {
    return this.#bucket?.first;
  }

  /** In the order of ordinals. */
  add(clause: Clause): void {
    this.#considerForTcp(clause);
    if (this.always !== null) return;
    if (clause.request === null) this.always = clause;
    else {
      this.#bucket ??= new Bucket(0);
      this.#bucket.add(clause);
    }
  }

  /** As Bucket.find; `always` is not considered. */
  find(view: RequestView, best: Clause | null): Clause | null {
    return this.#bucket === null ? best : this.#bucket.find(view, best);
  }

  #considerForTcp(clause: Clause): void {
    const known = this.onTcp;
    if (this.#denies) {
      const isBetter = known?.ordinal === clause.ordinal && known.request !== null && clause.request === null;
      if (known === null || isBetter) this.onTcp = clause;
    } else if (known === null && !clause.rule.usesHttp) this.onTcp = clause;
  }
}

/** The verdict of a clause on a connection without HTTP. `gated`: its source asked for something of the request as well. */
export function verdictOnTcp(clause: Clause, gated: boolean): Verdict {
  return clause.request === null && !gated ? clause.rule.verdict : clause.rule.verdictWithoutHttp;
}
