/** What the sandbox makes of the controller's answers: refusals, NACKs, agents that are missing or late. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Mesh } from '../../sandbox/mesh.ts';
import { describeNode } from '../../sandbox/network.ts';
import { SandboxPaths } from '../../sandbox/paths.ts';
import { locateTools } from '../../sandbox/processes.ts';
import { formatProblem } from '../../sandbox/source.ts';

const folder = mkdtempSync(join(tmpdir(), 'weir-mesh-'));
const paths = new SandboxPaths(folder);
const nodes = [describeNode(0, true), describeNode(1, true)];
const mesh = new Mesh(
  locateTools(process.env['PATH'] ?? ''),
  paths,
  nodes,
  { workers: 1, accessLog: 'off', logLevel: 'info', drainDeadlineMs: null },
  () => undefined,
);
const soon = (ms = 300): { deadlineMs: number; signal: AbortSignal } => ({
  deadlineMs: Date.now() + ms,
  signal: new AbortController().signal,
});

let answers: Record<string, { status: number; body: unknown }> = {};
let controller: Server;
before(async () => {
  mkdirSync(paths.logs, { recursive: true });
  controller = createServer((request, response) => {
    const answer = answers[`${request.method} ${request.url}`] ?? { status: 404, body: {} };
    response.writeHead(answer.status).end(JSON.stringify(answer.body));
  });
  await new Promise<void>((done) => {
    controller.listen(paths.controllerSocket, done);
  });
});
after(() => {
  controller.close();
  rmSync(folder, { recursive: true });
});

const agent = (node: string, ackedVersion: number, more: object = {}): object => ({
  node,
  connected: true,
  ackedVersion,
  nacks: [],
  ...more,
});
const status = (...agents: object[]): void => {
  answers = { 'GET /status': { status: 200, body: { version: 7, agents } } };
};

test('sync: errors and warnings are told apart, as FILE:LINE object field reason remedy', async () => {
  const finding = {
    file: 'a.yaml',
    line: 3,
    object: 'HTTPRoute default/r',
    field: 'spec.rulez',
    reason: 'unknown',
    remedy: 'did you mean rules?',
  };
  const findings = [
    { ...finding, severity: 'error', code: 'X' },
    { ...finding, severity: 'warning', code: 'Y', line: 4 },
  ];
  answers = { 'POST /sync': { status: 200, body: { version: 7, findings } } };
  const result = await mesh.sync();
  assert.equal(result.version, 7);
  assert.deepEqual(result.errors.map(formatProblem), [
    'a.yaml:3: HTTPRoute default/r: spec.rulez: unknown; did you mean rules?',
  ]);
  assert.deepEqual(
    result.warnings.map(({ line }) => line),
    [4],
  );
});

test('sync: an answer that is no answer is an error', async () => {
  answers = { 'POST /sync': { status: 500, body: { error: 'broken' } } };
  await assert.rejects(mesh.sync(), /status 500: .*broken/);
});

test('every node must be connected and have the version', async () => {
  status(agent('node-0', 7), agent('node-1', 8));
  await mesh.waitAcknowledged(7, soon());
  status(agent('node-0', 7));
  await assert.rejects(mesh.waitAcknowledged(7, soon()), /the agent on node-1 is not connected/);
  status(agent('node-0', 7), agent('node-1', 7, { connected: false }));
  await assert.rejects(mesh.waitAcknowledged(7, soon()), /the agent on node-1 is not connected/);
  status(agent('node-0', 6), agent('node-1', 7));
  await assert.rejects(mesh.waitAcknowledged(7, soon()), /the agent on node-0 has version 6, not 7/);
});

test('a NACK of this version ends the wait at once with the agent, the resource and the reason; an older one does not count', async () => {
  const nack = { resource: 'httpRoute default/r', error: 'no such backend', version: 7 };
  status(agent('node-0', 7), agent('node-1', 6, { nacks: [nack] }));
  await assert.rejects(
    mesh.waitAcknowledged(7, soon(60_000)),
    /the agent on node-1 refused httpRoute default\/r: no such backend/,
  );
  status(agent('node-0', 8), agent('node-1', 8, { nacks: [nack] }));
  await mesh.waitAcknowledged(8, soon());
});

test('a controller that comes back is waited for', async () => {
  answers = {};
  setTimeout(() => status(agent('node-0', 7), agent('node-1', 7)), 100);
  await mesh.waitAcknowledged(7, soon(10_000));
});
