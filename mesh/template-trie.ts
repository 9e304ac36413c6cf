/**
 * Values by path template (path-template.ts), found by path: a trie whose edges are whole segments. `{*}` is an edge that every
 * segment takes, `{**}` ends the walk: the literal after it is left to whoever compares the whole template.
 *
 *   /api/{*}/users      root ─'api'─► ─{*}─► ─'users'─► value
 *   /api/{**}           root ─'api'─► rest: value
 */
import type { PathTemplate } from './path-template.ts';

class Node<T> {
  literals: Map<string, Node<T>> | null = null;
  any: Node<T> | null = null;
  /** Of the templates that end here. */
  value: T | undefined = undefined;
  /** Of the templates that have `{**}` here. */
  rest: T | undefined = undefined;
}

export class TemplateTrie<T> {
  readonly #root = new Node<T>();

  /** The value of the templates that share segments up to the end or to `{**}`, made by `make` when there is none. */
  entry(template: PathTemplate, make: () => T): T {
    const steps = stepsOf(template);
    let node = this.#root;
    for (const step of steps) {
      if (step === REST) {
        node.rest ??= make();
        return node.rest;
      }
      if (step === ANY) {
        node.any ??= new Node<T>();
        node = node.any;
      } else node = literalChild(node, step);
    }
    node.value ??= make();
    return node.value;
  }

  /** Forgets the value that entry() gives for the template, and the nodes that lead to nothing else. */
  delete(template: PathTemplate): void {
    forget(this.#root, stepsOf(template), 0);
  }

  /** Appends the values of all templates that may match to `found`; of those with `{**}` only what stands before it is compared. */
  collect(path: string, found: T[]): void {
    if (path.charCodeAt(0) === SLASH) walk(this.#root, path, 1, found);
  }
}

const SLASH = 47;

/** Steps that no literal segment is: those have no slash. */
const ANY = '/*';
const REST = '/**';

/** Literal segments, ANY and REST, up to the end or to the first REST. */
function stepsOf({ literals, operators }: PathTemplate): string[] {
  const steps: string[] = [];
  for (let i = 0; i < literals.length; i++) {
    // A literal before an operator ends with a slash, one after an operator is empty or begins with one.
    const isLast = i === literals.length - 1;
    const segments = (literals[i] as string).split('/');
    steps.push(...(isLast ? segments.slice(1) : segments.slice(1, -1)));
    if (isLast) break;
    steps.push(operators[i] === '{**}' ? REST : ANY);
    if (operators[i] === '{**}') break;
  }
  return steps;
}

/** True: nothing is left of the node. */
function forget<T>(node: Node<T>, steps: readonly string[], at: number): boolean {
  const step = steps[at];
  if (step === undefined) node.value = undefined;
  else if (step === REST) node.rest = undefined;
  else if (step === ANY) {
    if (node.any !== null && forget(node.any, steps, at + 1)) node.any = null;
  } else {
    const child = node.literals?.get(step);
    if (child !== undefined && forget(child, steps, at + 1)) node.literals?.delete(step);
    if (node.literals?.size === 0) node.literals = null;
  }
  return node.value === undefined && node.rest === undefined && node.any === null && node.literals === null;
}

/** `at`: where the next segment begins, past the end when there is none. As deep as the longest template, not as the path. */
function walk<T>(node: Node<T>, path: string, at: number, found: T[]): void {
  if (at > path.length) {
    if (node.value !== undefined) found.push(node.value);
    return;
  }
  if (node.rest !== undefined) found.push(node.rest);
  if (node.literals === null && node.any === null) return;
  const slash = path.indexOf('/', at);
  const end = slash < 0 ? path.length : slash;
  const literal = node.literals?.get(path.slice(at, end));
  if (literal !== undefined) walk(literal, path, end + 1, found);
  if (node.any !== null && end > at) walk(node.any, path, end + 1, found);
}

function literalChild<T>(node: Node<T>, segment: string): Node<T> {
  node.literals ??= new Map();
  const known = node.literals.get(segment);
  if (known !== undefined) return known;
  const child = new Node<T>();
  node.literals.set(segment, child);
  return child;
}
