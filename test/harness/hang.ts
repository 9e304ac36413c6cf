/**
 * What a test says when it hangs: where it waits, and what things look like there.
 *
 *   until() waits too long ─► fails with its own line and the report        the file goes on
 *   anything else hangs    ─► the reporter asks for the report, the runner ends the file (scripts/runner)
 *
 * Harnesses add to the report with onHang().
 */

/** Far beyond what anything takes on a loaded machine, and less than the runner's patience with a test. */
const PATIENCE_MS = 90_000;
const PACE_MS = 2;
/** A witness may itself be stuck. */
const WITNESS_MS = 2_000;

type Witness = () => string | Promise<string>;

const witnesses = new Set<Witness>();

/** Asks `witness` when something hangs, until what is returned is called. */
export function onHang(witness: Witness): () => void {
  witnesses.add(witness);
  return () => void witnesses.delete(witness);
}

/** What all witnesses say. Resolves always, within seconds. */
export async function hangReport(): Promise<string> {
  return (await Promise.all(Array.from(witnesses, ask))).join('\n');
}

async function ask(witness: Witness): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`a witness said nothing for ${WITNESS_MS} ms`), WITNESS_MS);
  });
  try {
    return await Promise.race([witness(), late]);
  } catch (error) {
    return String(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until it holds. Fails, with the line that waits and the report, after far longer than anything takes. */
export async function until(holds: () => boolean | Promise<boolean>, patienceMs = PATIENCE_MS): Promise<void> {
  // Made now: its stack has the line that waits.
  const hung = new Error(`waited ${patienceMs / 1_000} s in vain until ${holds.toString()}`);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => void hangReport().then((report) => reject(withReport(hung, report))), patienceMs);
  });
  try {
    // In this order: what has failed and what does not hold are both settled.
    while (!(await Promise.race([late, holds()]))) await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  } finally {
    clearTimeout(timer);
  }
}

function withReport(error: Error, report: string): Error {
  error.stack = `${error.stack ?? error.message}\n${report}`;
  return error;
}
