/** Numbers as people read them in a table. Pure. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `0B`, `512B`, `1.5KiB`, `23MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits)}${UNITS[unit]}`;
}

/** The two largest units: `3d4h`, `12m5s`, `4s`, `250ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  const seconds = Math.floor(ms / 1_000);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count], i) => i === 0 || count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join('');
}

/** `0.8ms`, `12ms`, `1.4s`; `-` when unknown. */
export function formatLatency(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 10) return `${ms.toFixed(1)}ms`;
  if (ms < 1_000) return `${ms.toFixed(0)}ms`;
  return `${(ms / 1_000).toFixed(1)}s`;
}

/** Cuts a text that would break a table: `a long expl…`. */
export function truncate(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}

/** The first `max` items, then how many there are more: `a, b +3`. */
export function shortList(items: readonly string[], max: number): string {
  const shown = items.slice(0, max).join(', ');
  return items.length > max ? `${shown} +${items.length - max}` : shown;
}

/** What a pod was refused because of caps: the sum, and the bound when it is one only: `12 pending`. */
export function shedText(shed: Readonly<Record<string, number>>): string {
  const bounds = Object.entries(shed);
  const sum = bounds.reduce((total, [, count]) => total + count, 0);
  return bounds.length === 1 ? `${sum} ${bounds[0]?.[0]}` : String(sum);
}
