/** What the controller found wrong with its input, in the words of the person who wrote it. */
import type { AnalysisCode } from '../mesh/analyze.ts';

/** A place in a file that a person edits (after `# source:` remapping). Lines count from 1; 0: the file as a whole. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
}

/** Path to a field: mapping keys and list indexes. */
export type FieldPath = readonly (string | number)[];

export interface Finding {
  /** `error`: the object (or file) was refused and its last valid version stays. */
  readonly severity: 'error' | 'warning';
  /** Stable, e.g. `UNKNOWN_FIELD`. */
  readonly code: FindingCode | AnalysisCode;
  readonly file: string;
  readonly line: number;
  /** `Kind namespace/name`; '' when the finding is about a file. */
  readonly object: string;
  /** `spec.rules[0].to[1].operation.paths[0]`; '' when it is about the whole object. */
  readonly field: string;
  readonly reason: string;
  readonly remedy: string;
}

export type FindingCode =
  | 'FILE_UNREADABLE'
  | 'FILE_TOO_LARGE'
  | 'NOT_UTF8'
  | 'YAML_SYNTAX'
  | 'YAML_TOO_COMPLEX'
  | 'NOT_AN_OBJECT'
  | 'UNKNOWN_KIND'
  | 'UNKNOWN_VERSION'
  | 'UNKNOWN_FIELD'
  | 'MISSING_FIELD'
  | 'WRONG_TYPE'
  | 'INVALID_VALUE'
  | 'NO_EFFECT'
  | 'UNSUPPORTED'
  | 'DUPLICATE_OBJECT'
  | 'DUPLICATE_UID'
  | 'REFERENCE_NOT_FOUND'
  | 'REFERENCE_NOT_PERMITTED'
  | 'NOT_ENFORCED'
  | 'HOST_OF_ANOTHER_NAMESPACE'
  | 'CONFLICT'
  | 'DEPRECATED';

/** `spec.rules[0].to` from its parts; keys that are no plain words are quoted: `metadata.labels["a/b"]`. */
export function formatFieldPath(path: FieldPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** One line for people and logs. */
export function formatFinding(finding: Finding): string {
  const what = [finding.object, finding.field].filter((part) => part !== '').join(' ');
  const where = finding.line > 0 ? `${finding.file}:${finding.line}` : finding.file;
  return `${where}: ${what === '' ? '' : `${what}: `}${finding.reason}; ${finding.remedy}`;
}

/** Order of a list of findings: by file, line, field. */
export function compareFindings(a: Finding, b: Finding): number {
  return (
    compareText(a.file, b.file) || a.line - b.line || compareText(a.field, b.field) || compareText(a.reason, b.reason)
  );
}

/** Order of strings by code unit: the same on every machine, whatever its locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
