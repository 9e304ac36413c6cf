/**
 * YAML text → plain values with the line of every field. The text is hostile until proven otherwise: the depth is bounded
 * before anything recursive sees it (the composer of the `yaml` library recurses, and running out of stack inside V8's
 * regular expression compiler ends the process), keys must be unique strings, aliases are counted and may not form cycles.
 */
import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  Scalar,
  type YAMLMap,
} from 'yaml';
import type { FieldPath, FindingCode, SourcePosition } from '../finding.ts';
import { findTooDeep } from '../../mesh/yaml-nesting.ts';
import { limits } from '../limits.ts';

/** One document of a file. */
export interface SourceDocument {
  /** Plain objects, arrays, strings, numbers, booleans and null. */
  readonly value: unknown;
  /**
   * Where a field stands: its key (`key`) or its value; the nearest enclosing field when there is no such field. A path may lead on
   * into YAML that is the text of a block literal (`mesh: |` of a ConfigMap).
   */
  locate(path: FieldPath, at: 'key' | 'value'): SourcePosition;
}

/** Why a whole file is not used. */
export interface FileProblem {
  readonly code: FindingCode;
  readonly position: SourcePosition;
  readonly reason: string;
  readonly remedy: string;
}

export type ParsedYaml =
  | { readonly ok: true; readonly documents: readonly SourceDocument[] }
  | { readonly ok: false; readonly problem: FileProblem };

/** Parses every document of a file, or names the first thing that is wrong with it. Time grows linearly with the text. */
export function parseYaml(text: string, file: string): ParsedYaml {
  const lines = new LineMap(text, file);
  const tokens = [...new Parser(lines.counter.addNewLine).parse(text)];
  const deep = findTooDeep(tokens, limits.yamlDepthMax);
  if (deep !== null) {
    return failure(lines.at(deep), 'YAML_TOO_COMPLEX', `more than ${limits.yamlDepthMax} levels deep`, 'flatten it');
  }
  const composer = new Composer({
    uniqueKeys: false,
    stringKeys: true,
    prettyErrors: false,
    lineCounter: lines.counter,
  });
  const documents: SourceDocument[] = [];
  const budget = { nodes: limits.yamlNodesMax, aliases: limits.yamlAliasesMax };
  for (const document of composer.compose(tokens, false, text.length)) {
    const error = document.errors[0];
    if (error !== undefined) {
      const remedy = 'correct the YAML here; until then the objects of this file stay as they last were';
      return failure(lines.at(error.pos[0]), 'YAML_SYNTAX', error.message.split('\n')[0] ?? error.code, remedy);
    }
    const reader = new DocumentReader(lines, budget);
    const value = reader.read(document);
    if (reader.problem !== null) return { ok: false, problem: reader.problem };
    if (value !== null) documents.push({ value, locate: (path, at) => reader.locate(document, path, at) });
  }
  return { ok: true, documents };
}

function failure(position: SourcePosition, code: FindingCode, reason: string, remedy: string): ParsedYaml {
  return { ok: false, problem: { position, code, reason, remedy } };
}

/** Offsets to lines of the file a person edits: `# source: FILE:LINE` in the first line says where line 2 came from. */
class LineMap {
  readonly counter = new LineCounter();
  readonly #file: string;
  readonly #shift: number;

  constructor(text: string, file: string) {
    const origin = /^# source: (.{1,4096}):(\d{1,9})\r?\n/.exec(text.slice(0, 8_192));
    this.#file = origin?.[1] ?? file;
    this.#shift = origin === null ? 0 : Number(origin[2]) - 2;
  }

  at(offset: number): SourcePosition {
    // The counter knows line starts only as far as the text has been read; offset 0 is line 1.
    const line = Math.max(1, this.counter.linePos(offset).line);
    return { file: this.#file, line: Math.max(1, line + this.#shift) };
  }
}

/** Turns one composed document into plain data and finds fields in it again. */
class DocumentReader {
  problem: FileProblem | null = null;
  readonly #lines: LineMap;
  readonly #budget: { nodes: number; aliases: number };
  readonly #anchors = new Map<string, Node>();
  readonly #targets = new Map<Node, Node>();
  readonly #indexes = new WeakMap<YAMLMap, ReadonlyMap<FieldPath[number], Pair>>();
  readonly #open = new Set<Node>();

  constructor(lines: LineMap, budget: { nodes: number; aliases: number }) {
    this.#lines = lines;
    this.#budget = budget;
  }

  read(document: Document): unknown {
    return this.#value(document.contents, 0);
  }

  locate(document: Document, path: FieldPath, at: 'key' | 'value'): SourcePosition {
    let node: unknown = document.contents;
    let offset = offsetOf(node);
    for (const [index, part] of path.entries()) {
      if (isAlias(node)) node = this.#targets.get(node);
      if (isMap(node)) {
        const pair = this.#pairs(node).get(part);
        if (pair === undefined) break;
        node = pair.value;
        const wantKey = at === 'key' && index === path.length - 1;
        offset = offsetOf(wantKey || !hasText(node) ? pair.key : node);
      } else if (isSeq(node) && typeof part === 'number' && node.items[part] !== undefined) {
        node = node.items[part];
        offset = offsetOf(node);
      } else {
        const inside = linesInside(node, path.slice(index), at);
        const { file, line } = this.#lines.at(offset);
        return { file, line: line + inside };
      }
    }
    return this.#lines.at(offset);
  }

  /** The pairs of a mapping by key. Made once: there may be as many findings as keys. */
  #pairs(node: YAMLMap): ReadonlyMap<FieldPath[number], Pair> {
    let pairs = this.#indexes.get(node);
    if (pairs === undefined) {
      pairs = new Map(node.items.map((item) => [keyText(item.key) ?? '', item]));
      this.#indexes.set(node, pairs);
    }
    return pairs;
  }

  #value(node: unknown, depth: number): unknown {
    if (node === null || node === undefined || this.problem !== null) return null;
    if (--this.#budget.nodes < 0) return this.#fail(node, `more than ${limits.yamlNodesMax} values`, 'split the file');
    // Aliases nest deeper than the text does.
    if (depth > limits.yamlDepthMax)
      return this.#fail(node, `more than ${limits.yamlDepthMax} levels deep`, 'flatten it');
    if (isAlias(node)) return this.#alias(node, depth);
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor !== undefined) this.#anchors.set(anchor, node as Node);
    if (isScalar(node)) return this.#scalar(node, node.value);
    this.#open.add(node as Node);
    const value = isMap(node) ? this.#map(node.items, depth) : isSeq(node) ? this.#list(node.items, depth) : null;
    this.#open.delete(node as Node);
    return value;
  }

  #alias(node: Node & { source: string }, depth: number): unknown {
    const target = this.#anchors.get(node.source);
    if (target === undefined)
      return this.#fail(node, `alias *${node.source} has no anchor before it`, 'define it first', 'YAML_SYNTAX');
    if (--this.#budget.aliases < 0)
      return this.#fail(node, `more than ${limits.yamlAliasesMax} aliases`, 'write them out');
    if (this.#open.has(target)) return this.#fail(node, `alias *${node.source} contains itself`, 'write it out');
    this.#targets.set(node, target);
    return this.#value(target, depth + 1);
  }

  #scalar(node: unknown, value: unknown): unknown {
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number') return value;
    return this.#fail(node, 'a value of a type Kubernetes does not have', 'remove the YAML tag', 'YAML_SYNTAX');
  }

  #map(pairs: readonly { key: unknown; value: unknown }[], depth: number): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const { key, value } of pairs) {
      const name = keyText(key);
      if (name === null || name === '__proto__')
        this.#fail(key, 'a key that is not a plain string', 'rename it', 'YAML_SYNTAX');
      else if (Object.hasOwn(result, name))
        this.#fail(key, `the key ${JSON.stringify(name)} stands here twice`, 'remove one', 'YAML_SYNTAX');
      else result[name] = this.#value(value, depth + 1);
      if (this.problem !== null) break;
    }
    return result;
  }

  #list(items: readonly unknown[], depth: number): unknown[] {
    return items.map((item) => this.#value(item, depth + 1));
  }

  #fail(node: unknown, reason: string, remedy: string, code: FindingCode = 'YAML_TOO_COMPLEX'): null {
    this.problem ??= { code, position: this.#lines.at(offsetOf(node)), reason, remedy };
    return null;
  }
}

function keyText(key: unknown): string | null {
  if (isScalar(key)) return typeof key.value === 'string' ? key.value : null;
  return typeof key === 'string' ? key : null;
}

function offsetOf(node: unknown): number {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0] ?? 0;
}

/** What block literals hold, by the node, for as long as its document is there. */
const insides = new WeakMap<Scalar, ParsedYaml>();

/** How many lines below the `|` of a block literal a field of the YAML in its text stands; 0 when it holds no such thing. */
function linesInside(node: unknown, path: FieldPath, at: 'key' | 'value'): number {
  if (!isScalar(node) || node.type !== Scalar.BLOCK_LITERAL || typeof node.value !== 'string') return 0;
  // Asked for each finding, of which there may be as many as lines.
  const parsed = insides.get(node) ?? parseYaml(node.value, '');
  insides.set(node, parsed);
  return parsed.ok ? (parsed.documents[0]?.locate(path, at).line ?? 0) : 0;
}

/** An omitted value (`key:`) has no text of its own to point at. */
function hasText(node: unknown): boolean {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range !== null && range !== undefined && range[1] !== undefined && range[1] > (range[0] ?? 0);
}
