/** A decision of `weir explain` in the words of a terminal. */
import type { Decision } from '../mesh/explain.ts';

/** Lines for people, ending in a newline; what is not known is left out. */
export function decisionText(decision: Decision): string {
  const { verdict, status, route, routeRule, policy, rule, headers } = decision;
  const lines: [string, string | null][] = [
    ['verdict', status === null ? verdict : `${verdict} (${status})`],
    ['because', decision.error ?? decision.because],
    ['policy', policy === null ? null : `${policy}${rule === null ? '' : ` rule ${rule}`}`],
    ['route', route === null ? null : `${route} rule ${routeRule}`],
    ['backend', decision.backend],
    ['forwarded', decision.path === null ? null : `${decision.host}${decision.path}`],
    ['headers', changesText(headers)],
    ...decision.hints.map((hint): [string, string] => ['to change', hint]),
  ];
  return lines.map(([name, value]) => (value === null ? '' : `${name.padEnd(10)} ${printable(value)}\n`)).join('');
}

function changesText({ set, remove }: Decision['headers']): string | null {
  const parts = [
    ...Object.entries(set).map(([name, value]) => `${name}: ${value}`),
    ...remove.map((name) => `without ${name}`),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}

/** Names and reasons come from other people's objects: a control character must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
