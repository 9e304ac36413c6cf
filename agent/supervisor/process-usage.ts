/** CPU time and memory of a process, from /proc (proc_pid_stat(5), proc_pid_status(5)). */
import { readFile } from 'node:fs/promises';

export interface ProcessUsage {
  /** User and system time. */
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Proportional share: pages that processes share are counted once between them. Null where the kernel does not tell. */
  readonly pssBytes: number | null;
}

/** USER_HZ: the unit of /proc/PID/stat, 100 on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

/** Reads fields 14 and 15 (utime, stime) of a stat line. The command in field 2 may hold spaces and parentheses. */
export function cpuMsOf(statLine: string): number | null {
  const fields = statLine.slice(statLine.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isFinite(ticks) ? (ticks * 1000) / TICKS_PER_SECOND : null;
}

/** VmRSS of a status file, in bytes. */
export function rssBytesOf(status: string): number | null {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  return match === null ? null : Number(match[1]) * 1024;
}

/** Pss of a smaps_rollup file, in bytes. */
export function pssBytesOf(rollup: string): number | null {
  const match = /^Pss:\s+(\d+) kB$/m.exec(rollup);
  return match === null ? null : Number(match[1]) * 1024;
}

/** smaps_rollup is guarded like ptrace(2), and absent from kernels before 4.14: then there is no figure. */
async function readRollup(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    return '';
  }
}

/** Null when the process is gone. */
export async function processUsage(pid: number): Promise<ProcessUsage | null> {
  try {
    const [stat, status, rollup] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/status`, 'utf8'),
      readRollup(pid),
    ]);
    const cpuMs = cpuMsOf(stat);
    const rssBytes = rssBytesOf(status);
    return cpuMs === null || rssBytes === null ? null : { cpuMs, rssBytes, pssBytes: pssBytesOf(rollup) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}
