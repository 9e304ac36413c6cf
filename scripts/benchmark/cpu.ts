/** CPU time of processes from /proc/PID/stat (proc(5)). */
import { readFileSync } from 'node:fs';

/** Microseconds spent so far, in user space and in the kernel on the process's behalf. */
export interface CpuTime {
  readonly userUs: number;
  readonly systemUs: number;
}

/** USER_HZ is 100 on every architecture that Node runs on: one tick is 10 ms. */
const TICK_US = 10_000;

/** Fields 14 (utime) and 15 (stime); the command name before them may hold spaces and parentheses. */
export function parseStat(stat: string): CpuTime {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  if (!Number.isFinite(user) || !Number.isFinite(system)) throw new Error(`not a line of /proc/PID/stat: ${stat}`);
  return { userUs: user * TICK_US, systemUs: system * TICK_US };
}

/** Sum over `pids`. Throws when one has ended: a proxy that died has no result. */
export function cpuTime(pids: readonly number[]): CpuTime {
  const times = pids.map((pid) => parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  return {
    userUs: times.reduce((sum, time) => sum + time.userUs, 0),
    systemUs: times.reduce((sum, time) => sum + time.systemUs, 0),
  };
}

/** What was spent between two readings. */
export function spent(before: CpuTime, after: CpuTime): CpuTime {
  return { userUs: after.userUs - before.userUs, systemUs: after.systemUs - before.systemUs };
}
