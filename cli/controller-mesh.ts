/** The mesh as a running controller holds it, and what it finds wrong, asked over its admin socket. */
import { askController } from '../agent/cli/controller-client.ts';
import type { Finding } from '../controlplane/finding.ts';
import type { ControllerStatus } from '../controlplane/status/admin-server.ts';
import type { MeshResource } from '../mesh/model.ts';
import { MeshState } from '../mesh/state.ts';
import { CliError, EXIT } from './output.ts';
import { defaultControllerSocket } from './sandbox-registry.ts';

/** @param socket null: the default. Throws CliError (unreachable) when nobody answers. */
export async function controllerMesh(socket: string | null): Promise<MeshState> {
  const { objects } = (await fetchDocument(socket, '/objects')) as { readonly objects: readonly MeshResource[] };
  const state = new MeshState();
  const applied = state.apply({ upserts: objects, removals: [] });
  if (!applied.ok) throw new CliError(`the controller speaks another version than this command: ${applied.error}`);
  return state;
}

/** Everything the controller reports, errors first. */
export async function controllerFindings(socket: string | null): Promise<readonly Finding[]> {
  const { objects } = (await fetchDocument(socket, '/status')) as ControllerStatus;
  return [...objects.refused, ...objects.warnings];
}

async function fetchDocument(socket: string | null, path: string): Promise<unknown> {
  const chosen = socket ?? defaultControllerSocket();
  if (chosen === null) {
    throw new CliError(
      'WEIR_SOCKET names agents, not their controller: name its socket, or set WEIR_CONTROLLER_SOCKET',
      EXIT.usage,
    );
  }
  const document = await askController(chosen, path);
  if (typeof document === 'object' && document !== null) return document;
  throw new CliError(
    `no controller answers at ${chosen}: is \`weir controller\` or a sandbox running here?`,
    EXIT.unreachable,
  );
}
