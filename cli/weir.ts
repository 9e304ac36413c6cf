#!/usr/bin/env node
/** The `weir` command: runs one command line and sets the exit status. */
import { CommanderError } from 'commander';
import { CliError, EXIT } from './output.ts';
import { buildProgram, splitCommandLine } from './program.ts';

async function main(argv: readonly string[]): Promise<number> {
  try {
    const line = splitCommandLine(argv);
    const program = await buildProgram(line);
    if (line.own.length === 0) {
      program.outputHelp();
      return EXIT.usage;
    }
    await program.parseAsync([...line.own], { from: 'user' });
    return process.exitCode === undefined ? EXIT.ok : Number(process.exitCode);
  } catch (error) {
    return reportFailure(error);
  }
}

function reportFailure(error: unknown): number {
  // commander has printed what was wrong; help and --version also arrive here, with status 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CliError) {
    process.stderr.write(`weir: ${error.message}\n`);
    return error.exitCode;
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`weir: unexpected error, please report it: ${detail}\n`);
  return EXIT.failure;
}

function endQuietlyOnBrokenPipe(error: NodeJS.ErrnoException): void {
  // `weir … | head`: the reader has what it wanted.
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
  throw error;
}

process.stdout.on('error', endQuietlyOnBrokenPipe);
process.exitCode = await main(process.argv.slice(2));
