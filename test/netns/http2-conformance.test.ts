/**
 * HTTP/2 as a worker speaks it to a captured pod: the 146 cases of test/harness/http2-cases-*.ts, numbered as in h2spec 2.2.1,
 * each on a connection of its own, through a real worker to a server of Node's in another pod.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { runCase } from '../harness/http2-case.ts';
import { conformanceCases } from '../harness/http2-cases.ts';
import { service, workload, WorkerLab } from '../harness/worker-lab.ts';

const VIP = '10.96.0.20';

let lab: WorkerLab;

before(async () => {
  lab = await WorkerLab.start('off');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http2'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  const server = createServer((request, response) => {
    request.on('error', () => undefined);
    request.resume();
    request.on('end', () => response.end('hello\n'));
  });
  await lab.serve('b', 8080, (socket) => server.emit('connection', socket));
});
after(() => lab.stop());

test('there are 146 cases, each once', () => {
  assert.equal(new Set(conformanceCases.map(({ id }) => id)).size, 146);
});

describe('HTTP/2 conformance', () => {
  for (const each of conformanceCases) {
    test(`${each.id} ${each.name} (${each.source})`, async () => {
      await runCase(lab.dial('a', VIP, 80), each);
    });
  }
});

test('the worker is the same as before all of that, and still serves', async () => {
  const died = lab.workerPid;
  assert.ok(died > 0);
  process.kill(lab.workerPid, 0);
  const [get] = conformanceCases.filter(({ id }) => id === 'generic/4/1');
  assert.ok(get);
  await runCase(lab.dial('a', VIP, 80), get);
});
