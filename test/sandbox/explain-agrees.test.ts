/**
 * Property: `weir explain` says of a request what the agents do with it. Rounds of random policies and routes are applied to a real
 * sandbox; random requests go from its pods through raw sockets; each answer, and the octets that the workload was sent, are held
 * against the decision that mesh/explain.ts makes from the controller's own objects. WEIR_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { controllerMesh } from '../../cli/controller-mesh.ts';
import { CLIENTS, CLUSTER_YAML } from '../harness/agreement/cluster.ts';
import type { Decision } from '../../mesh/explain.ts';
import { hostWithoutPort } from '../../mesh/plain-request.ts';
import { disagreementOfLines, disagreements, explained } from '../harness/agreement/judge.ts';
import { CERTAIN, objects } from '../harness/agreement/objects.ts';
import { type Answer, PodSocket } from '../harness/agreement/pod-socket.ts';
import { octetsOf, type RandomRequest, request } from '../harness/agreement/requests.ts';
import { Corner, type Running } from './sandbox-harness.ts';

const RAW_SERVER = fileURLToPath(new URL('fixtures/raw-server.mjs', import.meta.url));
const ROUNDS = Number(process.env['WEIR_ROUNDS'] ?? 9);
const REQUESTS = 250;
const SEED = Number(process.env['WEIR_SEED'] ?? Date.now() % 2_147_483_647);
/** Disagreements that are shown of one run; the first ones say it. */
const SHOWN = 12;

const corner = new Corner({ WEIR_SANDBOX: 'agreement' });
let sandbox: Running;

before(async () => {
  const yaml = corner.file('cluster.yaml', CLUSTER_YAML);
  const image = `raw-server=${process.execPath} ${RAW_SERVER}`;
  const words = ['sandbox', '--name', 'agreement', '--nodes', '2', '--workers', '1', '-f', yaml, '--image', image];
  sandbox = corner.start(words);
  await sandbox.printed(/running; /);
});
after(() => corner.close());

/** Beside the node's folder, where all of a sandbox's sockets are (sandbox/paths.ts). */
async function controllerSocket(): Promise<string> {
  const [node] = await corner.json<{ readonly agent: { readonly socket: string } }>(['sandbox', 'get', 'nodes']);
  return join(dirname(node?.agent.socket ?? ''), '..', '..', 'controller.sock');
}

test(`explain says what the agents do: ${ROUNDS} rounds of random objects, ${REQUESTS} random requests each, seed ${SEED}`, async () => {
  const socket = await controllerSocket();
  const pods = new Map(CLIENTS.map((client) => [client, new PodSocket(corner, `${client.name}.${client.namespace}`)]));
  const failures: string[] = [];
  const outcomes = new Map<string, number>();
  let asked = 0;
  const rounds = [CERTAIN, ...fc.sample(objects, { seed: SEED, numRuns: ROUNDS - 1 })];
  for (const [round, manifests] of rounds.entries()) {
    const path = corner.file(`round-${round}.yaml`, manifests.map((each) => `${JSON.stringify(each)}\n`).join('---\n'));
    if (manifests.length > 0) await corner.ok(['sandbox', 'apply', '-f', path]);
    const mesh = await controllerMesh(socket);
    const one = async (each: RandomRequest): Promise<void> => {
      const ip = mesh.serviceByName(`${each.service.namespace}/${each.service.name}`)?.addresses[0] ?? '';
      const answer = await pods.get(each.client)?.send(ip, each.port, octetsOf(each));
      assert.ok(answer !== undefined);
      const decision = explained(mesh, each);
      asked += 1;
      for (const kind of kindsOf(each, decision, answer)) outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
      const found = [...disagreements(mesh, each, decision, answer), ...disagreementOfLines(mesh, each, decision)];
      if (found.length === 0) return;
      const saw = JSON.stringify(answer);
      failures.push(
        `round ${round}: ${JSON.stringify(each)}\n  ${found.join('\n  ')}\n  ${saw}\n  because ${decision.because}`,
      );
    };
    await Promise.all(fc.sample(request, { seed: SEED + round, numRuns: REQUESTS }).map(one));
    if (failures.length > 0) {
      const shown = [...failures.slice(0, SHOWN), ...manifests.map((each) => JSON.stringify(each))].join('\n\n');
      assert.fail(`seed ${SEED}: ${failures.length} of ${asked} requests were not what explain said\n\n${shown}`);
    }
    if (manifests.length > 0) await corner.ok(['sandbox', 'delete', '-f', path]);
  }
  console.log(`seed ${SEED}: ${asked} requests: ${JSON.stringify(Object.fromEntries(outcomes))}`);
  assert.ok(asked >= 2_000, `${asked} requests`);
  // A run in which nothing is refused, redirected or rewritten proves nothing.
  for (const kind of KINDS) assert.ok((outcomes.get(kind) ?? 0) > 0, `seed ${SEED}: nothing was ${kind}`);
});

const KINDS = ['200', '400', '403', '404', '503', 'routed', 'redirected', 'rewritten', 'edited', 'judged by policy'];

/** What a request was, to see that a run had some of everything. */
function kindsOf(sent: RandomRequest, decision: Decision, { status, location, seen }: Answer): readonly string[] {
  const { set, remove } = decision.headers;
  const kinds = {
    [`${status ?? 'no answer'}`]: true,
    routed: decision.route !== null,
    redirected: location !== null,
    // Normalisation changes paths too; hosts are changed by rewrites alone.
    rewritten: seen !== null && decision.host !== hostWithoutPort(sent.host),
    edited: seen !== null && Object.keys(set).length + remove.length > 0,
    'judged by policy': decision.policy !== null,
  };
  return Object.entries(kinds).flatMap(([kind, held]) => (held ? [kind] : []));
}
