/** The diagnostics commands of a node, in the order in which `weir --help` shows them. */
import type { Command } from 'commander';
import { registerControlCommands } from './control-commands.ts';
import { registerMeshCommands } from './mesh-commands.ts';
import { registerStatusCommand } from './status-command.ts';
import { registerTrafficCommands } from './traffic-commands.ts';

/** Adds status, pods, services, routes, policies, connections, stats, logs, capture, log-level and access-log. */
export function registerNodeCommands(program: Command): void {
  registerStatusCommand(program);
  registerMeshCommands(program);
  registerTrafficCommands(program);
  registerControlCommands(program);
}
