/** How people name a pod on the command line. */
import { CliError, EXIT } from '../../cli/output.ts';

/**
 * A test for `namespace/name` keys from NAME, NAME.NAMESPACE or NAMESPACE/NAME. A pod's name may itself contain dots, so the
 * test tries both readings. Throws CliError (usage) on an empty text.
 */
export function parsePodName(text: string): (key: string) => boolean {
  if (text === '' || text.startsWith('/') || text.endsWith('/')) {
    throw new CliError(`pod ${JSON.stringify(text)}: write NAME, NAME.NAMESPACE or NAMESPACE/NAME`, EXIT.usage);
  }
  if (text.includes('/')) return (key) => key === text;
  return (key) => {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    return name === text || `${name}.${key.slice(0, slash)}` === text;
  };
}
