import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ControlClient, type ControlTls } from '../../agent/control/client.ts';
import { SnapshotStore } from '../../agent/control/snapshot-store.ts';
import { type RunningController, startController } from '../../controlplane/controller.ts';
import { service, until } from './control-harness.ts';

/** A CA, and a server's and a client's certificate by it (openssl, EC P-256, 100 years; the CA's key is gone). Only for tests. */
const pem = new URL('./control-tls/', import.meta.url);
const read = (name: string): Buffer => readFileSync(new URL(name, pem));
const path = (name: string): string => new URL(name, pem).pathname;

async function controllerWithTls(t: TestContext): Promise<{ controller: RunningController; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-tls-'));
  writeFileSync(join(folder, 'service.yaml'), service);
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const controller = await startController(
    {
      sources: [folder],
      listen: ['127.0.0.1:0'],
      adminSocket: join(folder, 'admin.sock'),
      rootNamespace: 'istio-system',
      trustDomain: 'cluster.local',
      logLevel: 'error',
      tlsCert: path('server.pem'),
      tlsKey: path('server.key'),
      clientCa: path('ca.pem'),
    },
    log,
  );
  t.after(async () => {
    await controller.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { controller, folder };
}

function connect(t: TestContext, target: string, folder: string, tls: ControlTls | null): ControlClient {
  const store = new SnapshotStore(join(folder, 'snapshot'), { log: () => {} });
  const apply = async (): Promise<{ ok: true }> => ({ ok: true });
  const client = new ControlClient({ target, node: 'n', tls, store, apply, random: () => 0, log: () => {} });
  t.after(async () => {
    await client.stop();
    await store.close();
  });
  client.start();
  return client;
}

test('with TLS an agent with a certificate of the client CA gets in over TCP; without one, or without TLS, it does not', async (t) => {
  const { controller, folder } = await controllerWithTls(t);
  const [target = ''] = controller.addresses;
  assert.match(target, /^127\.0\.0\.1:[1-9]\d*$/);
  const known = connect(t, target, folder, { ca: read('ca.pem'), cert: read('client.pem'), key: read('client.key') });
  await until('the service', () => known.status().resources.service === 1);
  const nameless = connect(t, target, folder, { ca: read('ca.pem'), cert: null, key: null });
  const plain = connect(t, target, folder, null);
  for (const refused of [nameless, plain]) {
    await until('a refusal', () => refused.status().lastError !== null);
    assert.deepEqual([refused.status().connected, refused.status().resources.service], [false, 0]);
  }
  assert.deepEqual(
    controller.status().agents.map(({ connected }) => connected),
    [true],
  );
});
