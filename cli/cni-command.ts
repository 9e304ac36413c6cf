/** `weir cni`: the CNI plugin itself, for runtimes and for trying a configuration by hand. */
import type { Command } from 'commander';

/** Adds `weir cni`; it runs as the plugin does (CNI_COMMAND and friends in the environment, configuration on stdin). */
export function registerCniCommand(program: Command): void {
  program
    .command('cni')
    .description('run as the CNI plugin weir-cni: CNI_COMMAND in the environment, configuration on stdin')
    .addHelpText(
      'after',
      `
Example:
  CNI_COMMAND=VERSION weir cni < /dev/null

Container runtimes call dist/cni-plugin/weir-cni.js directly: it starts faster.`,
    )
    .action(async () => {
      // The file is the plugin's entry point: importing it runs it.
      await import('../cni-plugin/weir-cni.ts');
    });
}
