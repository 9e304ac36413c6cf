/** The mesh as a running controller holds it, fetched over its admin socket. */
import { request } from 'node:http';
import type { MeshResource } from '../mesh/model.ts';
import { MeshState } from '../mesh/state.ts';
import { runningSandboxes } from '../sandbox/registry.ts';
import { CliError, EXIT } from './output.ts';

/** Where `weir controller` listens by default. */
const CONTROLLER_SOCKET = '/run/weir/controller.sock';
/** An answer that is longer is not from a controller. */
const ANSWER_BYTES_MAX = 512 * 1024 * 1024;

/** The only running sandbox's controller, else the default of `weir controller`. */
export function defaultControllerSocket(): string {
  const [only, second] = runningSandboxes();
  return only === undefined || second !== undefined ? CONTROLLER_SOCKET : only.paths.controllerSocket;
}

/** @param socket null: the default. Throws CliError (unreachable) when nobody answers. */
export async function controllerMesh(socket: string | null): Promise<MeshState> {
  const path = socket ?? defaultControllerSocket();
  const resources = JSON.parse(await fetchText(path, '/objects')) as readonly MeshResource[];
  const state = new MeshState();
  const applied = state.apply({ upserts: resources, removals: [] });
  if (!applied.ok) throw new CliError(`the controller at ${path} speaks another version: ${applied.error}`);
  return state;
}

function fetchText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      reject(new CliError(`controller at ${socketPath} cannot be reached: ${reason}`, EXIT.unreachable));
    };
    const call = request({ socketPath, path, agent: false, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) call.destroy(new Error('its answer is too long'));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode === 200) resolve(text);
        else fail(`it answered with status ${response.statusCode}`);
      });
      response.on('error', (error) => fail(error.message));
    });
    call.on('timeout', () => call.destroy(new Error('no answer in 30 s')));
    call.on('error', (error) => fail(error.message));
    call.end();
  });
}
