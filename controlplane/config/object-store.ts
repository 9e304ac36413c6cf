/**
 * Every object as the files define it, and its last valid version. The rule of the store: nothing that worked stops
 * working because of something that cannot be understood.
 *
 *   file does not parse            → its objects stay as they last were
 *   object fails validation        → its last valid version stays
 *   an object is gone, but a document that could be a misspelt version of it has come → it stays
 *   an object is gone              → it is removed
 *   two files define one object    → the first file by name wins, and the loser is reported
 */
import { compareText, type Finding } from '../finding.ts';
import type { FileProblem, SourceDocument } from '../sources/yaml-document.ts';
import { type Candidate, identify, readObject, type Unidentified } from './identify.ts';
import type { ReadContext } from './kinds.ts';
import type { AcceptedObject, ObjectKey } from './objects.ts';

/** What happened to one file. */
export type FileChange =
  | { readonly type: 'parsed'; readonly file: string; readonly documents: readonly SourceDocument[] }
  | { readonly type: 'broken'; readonly file: string; readonly problem: FileProblem }
  | { readonly type: 'gone'; readonly file: string };

/** An object whose accepted version changed. */
export interface ObjectChange {
  readonly key: ObjectKey;
  readonly before: AcceptedObject | null;
  readonly after: AcceptedObject | null;
}

/** An object whose present version was refused, as far as it could be read. */
export interface RefusedObject {
  readonly attempted: AcceptedObject;
  /** The first error. */
  readonly finding: Finding;
}

/** What one file says about one object. */
interface Claim {
  /** The version to use; null when it was refused or has no consequence. */
  readonly object: AcceptedObject | null;
  /** Refused: whatever was accepted before stays. */
  readonly refused: boolean;
  /** What could be read of a refused version. */
  readonly attempted: AcceptedObject | null;
  readonly findings: readonly Finding[];
  readonly line: Finding['line'];
  readonly sourceFile: string;
}

interface FileRecord {
  readonly claims: Map<ObjectKey, Claim>;
  /** About the file and about documents that are no known object. */
  findings: readonly Finding[];
  /** Not once understood since the controller started: it may define anything. */
  neverParsed: boolean;
}

export class ObjectStore {
  readonly #context: ReadContext;
  readonly #files = new Map<string, FileRecord>();
  readonly #claimants = new Map<ObjectKey, Set<string>>();
  readonly #current = new Map<ObjectKey, AcceptedObject>();
  #duplicates: readonly Finding[] = [];

  constructor(context: ReadContext) {
    this.#context = context;
  }

  /** Applies what happened to files, all of it before any object is decided: an object may move from file to file. */
  apply(changes: readonly FileChange[]): ObjectChange[] {
    const touched = new Set<ObjectKey>();
    for (const change of changes) this.#applyFile(change, touched);
    const result: ObjectChange[] = [];
    for (const key of [...touched].sort(compareText)) {
      const before = this.#current.get(key) ?? null;
      const after = this.#decide(key, before);
      if (after === before) continue;
      if (after === null) this.#current.delete(key);
      else this.#current.set(key, after);
      result.push({ key, before, after });
    }
    if (touched.size > 0) this.#duplicates = this.#findDuplicates();
    return result;
  }

  get accepted(): ReadonlyMap<ObjectKey, AcceptedObject> {
    return this.#current;
  }

  findings(): Finding[] {
    const findings = [...this.#duplicates];
    for (const record of this.#files.values()) {
      findings.push(...record.findings);
      for (const claim of record.claims.values()) findings.push(...claim.findings);
    }
    return findings;
  }

  /** True while a file has not once been understood: objects that agents still hold may be defined in it. */
  get hasUnreadFiles(): boolean {
    return [...this.#files.values()].some((record) => record.neverParsed);
  }

  /** Objects that files define and of which no valid version is known. */
  unresolved(): ObjectKey[] {
    const keys: ObjectKey[] = [];
    for (const [key, files] of this.#claimants) {
      const refused = [...files].some((file) => this.#files.get(file)?.claims.get(key)?.refused === true);
      if (refused && !this.#current.has(key)) keys.push(key);
    }
    return keys;
  }

  /** Objects whose present version was refused, for telling people what became of it. */
  refusedObjects(): RefusedObject[] {
    const refused: RefusedObject[] = [];
    for (const [key, files] of this.#claimants) {
      const [winner = ''] = [...files].sort(compareText);
      const claim = this.#files.get(winner)?.claims.get(key);
      const finding = claim?.findings.find(({ severity }) => severity === 'error');
      if (claim === undefined || claim.attempted === null || finding === undefined) continue;
      refused.push({ attempted: claim.attempted, finding });
    }
    return refused;
  }

  #applyFile(change: FileChange, touched: Set<ObjectKey>): void {
    const record = this.#files.get(change.file);
    switch (change.type) {
      case 'gone':
        for (const key of record?.claims.keys() ?? []) this.#release(key, change.file, touched);
        this.#files.delete(change.file);
        return;
      case 'broken': {
        const { code, position, reason, remedy } = change.problem;
        const finding: Finding = { severity: 'error', code, ...position, object: '', field: '', reason, remedy };
        if (record === undefined)
          this.#files.set(change.file, { claims: new Map(), findings: [finding], neverParsed: true });
        else record.findings = [finding];
        return;
      }
      case 'parsed':
        this.#replace(change.file, change.documents, record, touched);
    }
  }

  #replace(
    file: string,
    documents: readonly SourceDocument[],
    record: FileRecord | undefined,
    touched: Set<ObjectKey>,
  ): void {
    const { candidates, unidentified, findings } = identify(documents);
    const claims = new Map<ObjectKey, Claim>();
    const repeated: Finding[] = [];
    for (const candidate of candidates) {
      const first = claims.get(candidate.key);
      if (first === undefined) claims.set(candidate.key, this.#claim(candidate));
      else repeated.push(duplicateFinding(candidate.key, candidate.origin.locate([], 'value'), first));
    }
    for (const [key, claim] of record?.claims ?? []) {
      if (claims.has(key)) continue;
      const doubt = unidentified.some((document) => couldBe(document, key));
      if (doubt) claims.set(key, { ...claim, findings: [] });
      else this.#release(key, file, touched);
    }
    for (const key of claims.keys()) {
      const files = this.#claimants.get(key) ?? new Set();
      this.#claimants.set(key, files.add(file));
      touched.add(key);
    }
    this.#files.set(file, { claims, findings: [...findings, ...repeated], neverParsed: false });
  }

  #claim(candidate: Candidate): Claim {
    const { object, refused, attempted, findings } = readObject(candidate, this.#context);
    const position = candidate.origin.locate([], 'value');
    return { object, refused, attempted, findings, line: position.line, sourceFile: position.file };
  }

  #release(key: ObjectKey, file: string, touched: Set<ObjectKey>): void {
    const files = this.#claimants.get(key);
    files?.delete(file);
    if (files?.size === 0) this.#claimants.delete(key);
    touched.add(key);
  }

  /** The version to use now: the first file's; where that is refused the last valid one, or what another file says. */
  #decide(key: ObjectKey, before: AcceptedObject | null): AcceptedObject | null {
    const files = [...(this.#claimants.get(key) ?? [])].sort(compareText);
    for (const file of files) {
      const claim = this.#files.get(file)?.claims.get(key);
      if (claim?.refused === false) return claim.object;
      if (before !== null) return before;
    }
    return null;
  }

  #findDuplicates(): Finding[] {
    const findings: Finding[] = [];
    for (const [key, files] of this.#claimants) {
      if (files.size < 2) continue;
      const [winner, ...losers] = [...files].sort(compareText).map((file) => this.#files.get(file)?.claims.get(key));
      for (const loser of losers) {
        if (winner === undefined || loser === undefined) continue;
        findings.push(duplicateFinding(key, { file: loser.sourceFile, line: loser.line }, winner));
      }
    }
    return findings;
  }
}

function duplicateFinding(key: ObjectKey, position: { file: string; line: number }, winner: Claim): Finding {
  return {
    severity: 'warning',
    code: 'DUPLICATE_OBJECT',
    file: position.file,
    line: position.line,
    object: key,
    field: '',
    reason: `is defined in ${winner.sourceFile}:${winner.line} already, which is used`,
    remedy: 'remove one of the two',
  };
}

/** Could a document that is no known object be a misspelt version of the object with this key? */
function couldBe(document: Unidentified, key: ObjectKey): boolean {
  const [kind = '', rest = ''] = key.split(' ');
  const slash = rest.indexOf('/');
  const [namespace, name] = slash < 0 ? [null, rest] : [rest.slice(0, slash), rest.slice(slash + 1)];
  const sameKind = document.kind === null || document.kind === kind;
  const sameName =
    document.name === null || (document.name === name && (namespace === null || document.namespace === namespace));
  return sameKind && sameName;
}
