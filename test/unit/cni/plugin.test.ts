/**
 * The plugin as a process, against an agent that is a script: what goes to stdout, to the agent, and to the exit status. Also that it
 * stays what it has to be: node: modules and its own folder, nothing else.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { askAgent } from '../../../cni-plugin/agent-client.ts';

const SOURCE = fileURLToPath(new URL('../../../cni-plugin/', import.meta.url));

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly json: Record<string, unknown>;
}

const folder = mkdtempSync(join(tmpdir(), 'weir-plugin-'));
const socketPath = join(folder, 'cni.sock');
/** What the agent was asked, and what it answers next. */
let asked: { path: string; body: Record<string, unknown> }[] = [];
let reply: { status: number; body: object } = { status: 200, body: {} };
let agent: Server;

before(async () => {
  agent = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => {
      asked.push({ path: request.url ?? '', body: JSON.parse(text) as Record<string, unknown> });
      response.writeHead(reply.status).end(JSON.stringify(reply.body));
    });
  });
  await new Promise<void>((resolve) => agent.listen(socketPath, resolve));
});
after(() => {
  agent.close();
  rmSync(folder, { recursive: true });
});

const PREVIOUS = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/run/netns/a', mac: '02:00:00:00:00:01' }],
  ips: [{ address: '10.0.0.5/24', gateway: '10.0.0.1', interface: 0 }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: {},
  'example.com/unknown': { kept: true },
};

function run(command: string, config: object | string, changes: Record<string, string> = {}): Promise<Run> {
  asked = [];
  const full = { cniVersion: '1.1.0', name: 'net', type: 'weir-cni', agentSocket: socketPath };
  const stdin = typeof config === 'string' ? config : JSON.stringify({ ...full, ...config });
  const environment = {
    PATH: process.env['PATH'] ?? '',
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'container-a',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a;K8S_POD_UID=uid-a',
    ...changes,
  };
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(SOURCE, 'weir-cni.ts')], { env: environment });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.stdin.end(stdin);
    child.on('close', (status) => {
      const json = stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
      resolve({ status, stdout, stderr, json });
    });
  });
}

describe('weir-cni', () => {
  test('ADD asks the agent and passes prevResult through, in the configuration’s version, with what it does not know', async () => {
    reply = { status: 200, body: { outcome: 'enrolled' } };
    const added = await run('ADD', { prevResult: PREVIOUS });
    assert.equal(added.status, 0);
    assert.deepEqual(added.json, { ...PREVIOUS, cniVersion: '1.1.0' });
    assert.deepEqual(asked, [
      {
        path: '/add',
        body: {
          containerId: 'container-a',
          ifName: 'eth0',
          netns: '/run/netns/a',
          args: { namespace: 'default', name: 'a', uid: 'uid-a' },
          ips: ['10.0.0.5'],
        },
      },
    ]);
  });

  test('a refusal of the agent is the error: its code, message and details, exit status 1', async () => {
    reply = { status: 409, body: { code: 101, msg: 'pod default/a is unknown', details: 'IDENTITY_UNKNOWN' } };
    const added = await run('ADD', { prevResult: PREVIOUS });
    assert.equal(added.status, 1);
    assert.deepEqual(added.json, {
      cniVersion: '1.1.0',
      code: 101,
      msg: 'weir: pod default/a is unknown',
      details: 'IDENTITY_UNKNOWN',
    });
    reply = { status: 200, body: {} };
  });

  test('no agent: ADD and CHECK fail with 11 and a remedy, STATUS with 51, GC with 11, DEL succeeds', async () => {
    const away = { agentSocket: join(folder, 'nobody.sock') };
    for (const command of ['ADD', 'CHECK', 'GC']) {
      const failed = await run(command, { ...away, prevResult: PREVIOUS, 'cni.dev/valid-attachments': [] });
      assert.deepEqual([failed.status, failed.json['code']], [1, 11], command);
      assert.match(String(failed.json['msg']), /cannot be reached at .*nobody\.sock.*No pod starts uncaptured/);
    }
    assert.equal((await run('STATUS', away)).json['code'], 51);
    const removed = await run('DEL', away);
    assert.deepEqual([removed.status, removed.stdout], [0, '']);
    assert.match(removed.stderr, /warn: DEL container-a/);
  });

  test('exempt pods never reach the agent: excluded namespaces and weir’s own pods, by namespace and name together', async () => {
    const exempt = [
      'K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=dns',
      'K8S_POD_NAMESPACE=weir-system;K8S_POD_NAME=weir-agent-x',
    ];
    for (const args of exempt) {
      const added = await run('ADD', { prevResult: PREVIOUS }, { CNI_ARGS: args });
      assert.deepEqual([added.status, asked.length], [0, 0], args);
      assert.deepEqual(added.json['ips'], PREVIOUS.ips);
      assert.equal((await run('CHECK', { prevResult: PREVIOUS }, { CNI_ARGS: args })).status, 0);
    }
    for (const args of [
      'K8S_POD_NAMESPACE=weir-system;K8S_POD_NAME=x',
      'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=weir-agent-x',
    ]) {
      await run('ADD', { prevResult: PREVIOUS }, { CNI_ARGS: args });
      assert.equal(asked.length, 1, args);
    }
  });

  test('without namespace in CNI_ARGS: refused, unless defaultNamespace says which', async () => {
    const args = { CNI_ARGS: 'K8S_POD_NAME=a' };
    assert.equal((await run('ADD', { prevResult: PREVIOUS }, args)).json['code'], 4);
    assert.equal((await run('ADD', { prevResult: PREVIOUS, defaultNamespace: 'podman' }, args)).status, 0);
    assert.deepEqual(asked[0]?.body['args'], { namespace: 'podman', name: 'a', uid: null });
  });

  const refused: readonly (readonly [string, number, string, object | string, Record<string, string>])[] = [
    ['ADD without prevResult', 7, 'ADD', {}, {}],
    ['CHECK without prevResult', 7, 'CHECK', {}, {}],
    ['ADD without CNI_NETNS', 4, 'ADD', { prevResult: PREVIOUS }, { CNI_NETNS: '' }],
    ['DEL without CNI_CONTAINERID', 4, 'DEL', {}, { CNI_CONTAINERID: '' }],
    ['an unknown command', 4, 'FROB', {}, {}],
    ['stdin that is not JSON', 6, 'ADD', '{', {}],
    ['an unknown version', 1, 'ADD', { cniVersion: '3.0.0', prevResult: PREVIOUS }, {}],
    ['STATUS before 1.1.0', 1, 'STATUS', { cniVersion: '1.0.0' }, {}],
    ['GC without a list', 7, 'GC', {}, {}],
  ];
  for (const [what, code, command, config, environment] of refused) {
    test(`${what}: code ${code}, exit status 1, the agent is not asked`, async () => {
      const failed = await run(command, config, environment);
      assert.deepEqual([failed.status, failed.json['code'], asked.length], [1, code, 0]);
      assert.deepEqual(Object.keys(failed.json), ['cniVersion', 'code', 'msg', 'details']);
    });
  }

  test('DEL without CNI_NETNS and without prevResult; GC and STATUS ask what they should; nothing on stdout', async () => {
    const removed = await run('DEL', {}, { CNI_NETNS: '' });
    assert.deepEqual([removed.status, removed.stdout, asked[0]?.path], [0, '', '/del']);
    const valid = [{ containerID: 'x', ifname: 'eth0' }];
    const collected = await run('GC', { 'cni.dev/valid-attachments': valid });
    assert.deepEqual([collected.status, collected.stdout, asked[0]?.path], [0, '', '/gc']);
    assert.deepEqual(asked[0]?.body, { validAttachments: valid });
    const status = await run('STATUS', {});
    assert.deepEqual([status.status, status.stdout, asked[0]?.path], [0, '', '/status']);
    reply = { status: 503, body: { code: 11, msg: 'starting' } };
    assert.equal((await run('STATUS', {})).json['code'], 50);
    reply = { status: 200, body: {} };
  });

  test('an agent that does not answer is given up after the time, as unreachable', async () => {
    const silent = createServer(() => {});
    const path = join(folder, 'silent.sock');
    await new Promise<void>((resolve) => silent.listen(path, resolve));
    await assert.rejects(askAgent(path, '/add', {}, 50), /no answer within 50 ms/);
    silent.closeAllConnections();
    silent.close();
  });

  test('imports node: modules and its own folder only', () => {
    for (const file of readdirSync(SOURCE)) {
      const imports = readFileSync(join(SOURCE, file), 'utf8').matchAll(/from '([^']+)'/g);
      for (const [, specifier] of imports) assert.match(specifier ?? '', /^(node:|\.\/)/, file);
    }
  });
});
