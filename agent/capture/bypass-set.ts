/**
 * The sets of a pod's namespace that say what bypasses the agent, as text for `ipset restore`. Pure.
 *
 * A set cannot be destroyed while a rule names it, so it is made before the rules and destroyed after them. `ipset -exist` makes
 * adding what is there and taking out what is gone no failure (ipset(8)).
 */
import type { BypassEntry } from '../../mesh/bypass.ts';
import { bypassSet, type Family } from './plan.ts';

/** One entry as a key: `ip,tcp:port`, which is how ipset writes it. */
export function entryText({ ip, port }: BypassEntry): string {
  return `${ip},tcp:${port}`;
}

/** Makes the sets where they are not there. The parameters never change: `create -exist` wants the same ones. */
export function createSets(families: readonly Family[]): string {
  return families.map((family) => createSet(bypassSet(family), family)).join('');
}

export function flushSets(families: readonly Family[]): string {
  return families.map((family) => `flush ${bypassSet(family)}\n`).join('');
}

/** Takes entries out, then puts entries in; entries of other families are left out. */
export function changeSets(families: readonly Family[], remove: Iterable<string>, add: Iterable<string>): string {
  return `${lines('del', families, remove)}${lines('add', families, add)}`;
}

/** Makes the sets exactly these entries, whatever they held, in one step each (swap). */
export function rewriteSets(families: readonly Family[], entries: readonly string[]): string {
  return families
    .map((family) => {
      const [name, next] = [bypassSet(family), `${bypassSet(family)}-NEXT`];
      const own = entries.filter((entry) => familyOf(entry) === family).map((entry) => `add ${next} ${entry}\n`);
      return `${createSet(next, family)}flush ${next}\n${own.join('')}swap ${next} ${name}\ndestroy ${next}\n`;
    })
    .join('');
}

function createSet(name: string, family: Family): string {
  return `create ${name} hash:ip,port family ${family === 4 ? 'inet' : 'inet6'} maxelem 65536\n`;
}

function lines(verb: 'add' | 'del', families: readonly Family[], entries: Iterable<string>): string {
  let text = '';
  for (const entry of entries) {
    const family = familyOf(entry);
    if (families.includes(family)) text += `${verb} ${bypassSet(family)} ${entry}\n`;
  }
  return text;
}

function familyOf(entry: string): Family {
  return entry.slice(0, entry.lastIndexOf(',')).includes(':') ? 6 : 4;
}
