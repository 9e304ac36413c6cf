/**
 * How every command prints: tables for people, JSON and YAML for programs, one line on stderr for what went wrong.
 *
 * stdout carries the answer and nothing else, so that `weir … -o json | jq` always works. Field names of JSON and YAML
 * are an interface: they are added to, never renamed.
 */

/** What `-o` accepts. */
export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Exit statuses of every command; `weir --help` prints them. */
export const EXIT = {
  ok: 0,
  /** The command ran and the answer is no: refused, failed, timed out. */
  failure: 1,
  /** Wrong flags or arguments; nothing was done. */
  usage: 2,
  /** The other end (agent, controller, sandbox) does not answer. */
  unreachable: 3,
} as const;

/** An expected failure: its message goes to stderr as it is, without a stack, and ends the command with `exitCode`. */
export class CliError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number = EXIT.failure) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** One column of a table: its heading (printed in upper case) and the text of a row. */
export interface Column<Row> {
  readonly header: string;
  readonly value: (row: Row) => string | number | boolean | null | undefined;
  readonly align?: 'left' | 'right';
}

/** Checks the value of `-o`; throws CliError (usage) that lists what is accepted. */
export function parseOutputFormat(text: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((candidate) => candidate === text);
  if (format === undefined) {
    throw new CliError(`-o ${text}: unknown output format; write one of ${OUTPUT_FORMATS.join(', ')}`, EXIT.usage);
  }
  return format;
}

/** Lines of text with aligned columns, heading first, ending in a newline; an empty cell is printed as `-`. */
export function formatTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [columns.map((column) => column.header.toUpperCase())];
  for (const row of rows) lines.push(columns.map((column) => cell(column.value(row))));
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => displayWidth(line[index] ?? ''))));
  return lines.map((line) => `${formatLine(line, widths, columns).trimEnd()}\n`).join('');
}

/** The document as JSON (two spaces) or YAML text, ending in a newline. */
export async function formatDocument(document: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(document, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(document, { lineWidth: 0 });
}

/** What a command prints: the rows of its table, and the whole document for programs (default: the rows). */
export interface Listing<Row> {
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly document?: unknown;
  /** Printed on stderr instead of a table without rows, e.g. `no pods in namespace shop`. */
  readonly empty?: string;
}

/** Prints a listing on stdout in the asked format. */
export async function print<Row>(listing: Listing<Row>, format: OutputFormat): Promise<void> {
  if (format !== 'table') {
    await write(process.stdout, await formatDocument(listing.document ?? listing.rows, format));
  } else if (listing.rows.length === 0 && listing.empty !== undefined) {
    await write(process.stderr, `${listing.empty}\n`);
  } else {
    await write(process.stdout, formatTable(listing.rows, listing.columns));
  }
}

/** Writes all of the text and resolves when the reader has taken it (a pipe may be slower than this process). */
export function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}

function formatLine<Row>(line: readonly string[], widths: readonly number[], columns: readonly Column<Row>[]): string {
  return line
    .map((text, index) => {
      const padding = ' '.repeat((widths[index] ?? 0) - displayWidth(text));
      return columns[index]?.align === 'right' ? padding + text : text + padding;
    })
    .join('   ');
}

function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined || value === '') return '-';
  // Names and reasons come from other people's objects: a control character must not reach the terminal.
  return String(value).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

function displayWidth(text: string): number {
  return [...text].length;
}
