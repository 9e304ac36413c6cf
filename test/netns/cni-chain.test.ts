/**
 * The real chain, driven by hand as a runtime drives it: bridge with host-local IPAM (containernetworking-plugins), then weir-cni as a
 * process, against a CniServer with a real Enrolment, real rules and real listeners. The test's own namespace is the node.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PodRules } from '../../agent/capture/apply.ts';
import { CniServer } from '../../agent/capture/cni-server.ts';
import { Enrolment } from '../../agent/capture/enrolment.ts';
import { openNetns } from '../../agent/capture/pod-netns.ts';
import { ProbeRules } from '../../agent/capture/probe-rules.ts';
import { done, failure, success } from '../../agent/capture/result.ts';
import { errnoName } from '../../agent/engine/errno.ts';
import { closeFd, openListener } from '../../agent/engine/socket.ts';
import { INBOUND_PORT, OUTBOUND_PORT } from '../../mesh/ports.ts';
import { dial, sh } from './capture-lab.ts';

const PLUGIN_FOLDER = ['/opt/cni/bin', '/usr/lib/cni'].find((folder) => existsSync(join(folder, 'bridge')));
/** As installed when there is a build, else from source. */
const BUILT = fileURLToPath(new URL('../../dist/cni-plugin/weir-cni.js', import.meta.url));
const SOURCE = fileURLToPath(new URL('../../cni-plugin/weir-cni.ts', import.meta.url));
const WEIR_CNI = existsSync(BUILT) ? [BUILT] : ['--import', 'tsx', SOURCE];

const folder = mkdtempSync(join(tmpdir(), 'weir-chain-'));
const socketPath = join(folder, 'cni.sock');
const hostNetns = '/proc/thread-self/ns/net';
const listeners = new Map<number, readonly number[]>();
let annotations: Record<string, string> = {};
let server: CniServer;
let enrolment: Enrolment;

type Json = Record<string, unknown>;

interface Run {
  readonly status: number | null;
  readonly json: Json;
}

function makeEnrolment(): Enrolment {
  return new Enrolment(
    { stateDir: join(folder, 'state'), excludeNamespaces: ['kube-system'] },
    {
      identityOf: (pod) =>
        Promise.resolve(
          pod.name.startsWith('stranger')
            ? failure('IDENTITY_UNKNOWN', `pod ${pod.name}: the controller has no such pod on this node`, true)
            : success({ uid: pod.uid ?? 'uid', serviceAccount: 'sa', annotations }),
        ),
      listen: (index, _pod, netnsPath) => Promise.resolve(openListeners(index, netnsPath)),
      unlisten: (index) => {
        for (const fd of listeners.get(index) ?? []) closeFd(fd);
        listeners.delete(index);
        return Promise.resolve();
      },
      inCharge: () => true,
      readiness: () => done,
      podRules: new PodRules(),
      probeRules: new ProbeRules(hostNetns, 'chain'),
      log: () => {},
      now: Date.now,
    },
  );
}

/** What a worker does: four listeners in the pod's namespace. */
function openListeners(index: number, netnsPath: string): ReturnType<typeof failure> | typeof done {
  if (listeners.has(index)) return done;
  const netns = openNetns(netnsPath);
  if (!netns.ok) return netns;
  const fds = netns.value.run(() =>
    ['0.0.0.0', '::'].flatMap((ip) =>
      [OUTBOUND_PORT, INBOUND_PORT].map((port) => openListener({ ip, port, reusePort: true, backlog: 128 })),
    ),
  );
  netns.value.close();
  listeners.set(index, fds);
  const failed = fds.find((fd) => fd < 0);
  return failed === undefined ? done : failure('LISTENERS_FAILED', errnoName(failed));
}

function runProgram(
  command: string,
  args: readonly string[],
  environment: Record<string, string>,
  config: Json,
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
    const child = spawn(command, args, { env: { PATH: path, ...environment }, stdio: ['pipe', 'pipe', 'ignore'] });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, json: stdout.trim() === '' ? {} : (JSON.parse(stdout) as Json) }));
    child.stdin.end(JSON.stringify(config));
  });
}

/** One pod's attachment, as a runtime sees it. */
class Sandbox {
  readonly name: string;
  readonly netnsPath: string;
  readonly version: string;
  namespace = 'default';
  result: Json = {};
  weirMs = 0;

  constructor(name: string, version = '1.0.0') {
    this.name = name;
    this.version = version;
    this.netnsPath = `/var/run/netns/${name}`;
    sh('ip', 'netns', 'add', name);
  }

  get environment(): Record<string, string> {
    return {
      CNI_CONTAINERID: `container-${this.name}`,
      CNI_NETNS: this.netnsPath,
      CNI_IFNAME: 'eth0',
      CNI_PATH: PLUGIN_FOLDER ?? '',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${this.namespace};K8S_POD_NAME=${this.name};K8S_POD_UID=uid-${this.name}`,
    };
  }

  bridge(command: string): Promise<Run> {
    const range = (subnet: string): readonly object[] => [{ subnet }];
    const config = {
      cniVersion: '1.0.0',
      name: 'chain',
      type: 'bridge',
      bridge: 'cni-test',
      isGateway: true,
      ipam: {
        type: 'host-local',
        dataDir: join(folder, 'ipam'),
        ranges: [range('10.88.0.0/24'), range('fd88::/64')],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
      },
    };
    return runProgram(join(PLUGIN_FOLDER ?? '', 'bridge'), [], { ...this.environment, CNI_COMMAND: command }, config);
  }

  weir(command: string, changes: Json = {}): Promise<Run> {
    const fields = { cniVersion: this.version, name: 'chain', type: 'weir-cni', agentSocket: socketPath };
    const config = { ...fields, prevResult: this.result, ...changes };
    return runProgram(process.execPath, WEIR_CNI, { ...this.environment, CNI_COMMAND: command }, config);
  }

  async add(): Promise<Run> {
    const bridged = await this.bridge('ADD');
    assert.equal(bridged.status, 0, JSON.stringify(bridged.json));
    this.result = bridged.json;
    const begun = process.hrtime.bigint();
    const added = await this.weir('ADD');
    this.weirMs = Number(process.hrtime.bigint() - begun) / 1e6;
    return added;
  }

  /** As runtimes do: in reverse order, and the namespace goes. */
  async del(): Promise<readonly Run[]> {
    const runs = [await this.weir('DEL'), await this.bridge('DEL')];
    if (existsSync(this.netnsPath)) sh('ip', 'netns', 'del', this.name);
    return runs;
  }

  get ips(): readonly string[] {
    return ((this.result['ips'] ?? []) as { address: string }[]).map(({ address }) => address.split('/')[0] ?? '');
  }

  rules(): string {
    return (
      sh('ip', 'netns', 'exec', this.name, 'iptables-save') + sh('ip', 'netns', 'exec', this.name, 'ip6tables-save')
    );
  }
}

before(async () => {
  assert.ok(PLUGIN_FOLDER, 'needs the CNI plugins bridge and host-local: apt-get install containernetworking-plugins');
  mkdirSync(join(folder, 'state'));
  sh('ip', 'link', 'set', 'lo', 'up');
  enrolment = makeEnrolment();
  await enrolment.start();
  server = new CniServer(enrolment, socketPath);
  await server.listen();
});
after(async () => {
  await server.close();
  await enrolment.close();
  rmSync(folder, { recursive: true });
});

describe('bridge → weir-cni', () => {
  test('ADD passes the result through and captures; CHECK; DEL twice leaves nothing', async () => {
    const pod = new Sandbox('web');
    const added = await pod.add();
    assert.deepEqual([added.status, added.json], [0, pod.result]);
    assert.equal(pod.ips.length, 2);
    assert.deepEqual(enrolment.list()[0]?.pod.addresses, pod.ips);
    assert.match(pod.rules(), /REDIRECT --to-ports 15006[\s\S]*REDIRECT --to-ports 15006/);
    assert.equal((await pod.weir('CHECK')).status, 0);
    const again = await pod.weir('ADD');
    assert.deepEqual([again.status, enrolment.list().length], [0, 1], 'ADD is idempotent');
    const removed = await pod.weir('DEL');
    assert.deepEqual([removed.status, removed.json], [0, {}]);
    assert.doesNotMatch(pod.rules(), /WEIR/);
    assert.equal(sh('ip', '-n', 'web', 'rule').includes('0x111'), false);
    assert.doesNotMatch(sh('iptables-save', '-t', 'nat'), /SNAT/);
    assert.deepEqual([enrolment.list().length, listeners.size], [0, 0]);
    for (const run of [...(await pod.del()), await pod.weir('DEL', { prevResult: undefined })])
      assert.equal(run.status, 0);
  });

  test('listeners gone: the pod is refused, never uncaptured, and CHECK says why', async () => {
    const pod = new Sandbox('reach');
    await pod.add();
    const netns = openNetns(pod.netnsPath);
    assert.ok(netns.ok);
    for (const fd of listeners.get(enrolment.find('reach')?.index ?? 0) ?? []) closeFd(fd);
    assert.equal(
      (await dial(netns.value, '198.51.100.1', 80)).error,
      'ECONNREFUSED',
      'agent down: refused, never uncaptured',
    );
    netns.value.close();
    const checked = await pod.weir('CHECK');
    assert.deepEqual([checked.status, checked.json['code']], [1, 105]);
    assert.match(String(checked.json['msg']), /IPv4: no listener on port 15001/);
    listeners.clear();
    await pod.del();
  });

  test('CHECK names a rule that somebody took out', async () => {
    const pod = new Sandbox('check');
    await pod.add();
    sh('ip', 'netns', 'exec', 'check', 'iptables', '-t', 'nat', '-F', 'WEIR_OUTBOUND');
    const checked = await pod.weir('CHECK');
    assert.equal(checked.json['code'], 105);
    assert.match(String(checked.json['msg']), /IPv4: nat WEIR_OUTBOUND: missing rule/);
    assert.equal((await enrolment.repair()).length, 1);
    assert.equal((await pod.weir('CHECK')).status, 0);
    await pod.del();
  });

  test('identity unknown, a bad annotation: ADD fails with the reason and leaves nothing', async () => {
    const stranger = new Sandbox('stranger');
    const refused = await stranger.add();
    assert.deepEqual([refused.status, refused.json['code']], [1, 101]);
    assert.match(String(refused.json['msg']), /the controller has no such pod/);
    annotations = { 'weir.dev/exclude-inbound-ports': '80 -j ACCEPT' };
    const injected = new Sandbox('injected');
    const second = await injected.add();
    annotations = {};
    assert.deepEqual([second.status, second.json['code']], [1, 100]);
    for (const pod of [stranger, injected]) {
      assert.doesNotMatch(pod.rules(), /WEIR/);
      await pod.del();
    }
    assert.deepEqual([enrolment.list().length, listeners.size], [0, 0]);
  });

  test('agent away: ADD fails with 11 and leaves nothing; STATUS says 51; DEL succeeds; back again, ADD succeeds', async () => {
    await server.close();
    const pod = new Sandbox('away');
    const failed = await pod.add();
    assert.deepEqual([failed.status, failed.json['code']], [1, 11]);
    assert.doesNotMatch(pod.rules(), /WEIR/);
    assert.equal((await pod.weir('STATUS', { cniVersion: '1.1.0' })).json['code'], 51);
    assert.equal((await pod.weir('DEL')).status, 0);
    server = new CniServer(enrolment, socketPath);
    await server.listen();
    assert.equal((await pod.weir('STATUS', { cniVersion: '1.1.0' })).status, 0);
    assert.equal((await pod.weir('ADD')).status, 0);
    await pod.del();
  });

  test('an excluded namespace: ADD succeeds, no rules', async () => {
    const pod = new Sandbox('excluded');
    pod.namespace = 'kube-system';
    const added = await pod.add();
    assert.deepEqual([added.status, added.json], [0, pod.result]);
    assert.doesNotMatch(pod.rules(), /WEIR/);
    await pod.del();
  });

  test('GC in 1.1.0 drops what is not valid, with its rules', async () => {
    const [kept, stale] = [new Sandbox('kept', '1.1.0'), new Sandbox('stale', '1.1.0')];
    for (const pod of [kept, stale]) assert.equal((await pod.add()).status, 0);
    const collected = await kept.weir('GC', {
      'cni.dev/valid-attachments': [{ containerID: 'container-kept', ifname: 'eth0' }],
    });
    assert.deepEqual([collected.status, collected.json], [0, {}]);
    assert.deepEqual(
      enrolment.list().map(({ pod }) => pod.name),
      ['kept'],
    );
    assert.doesNotMatch(stale.rules(), /WEIR/);
    assert.match(kept.rules(), /WEIR/);
    for (const pod of [kept, stale]) await pod.del();
  });

  test('an agent that restarts finds its pods; those whose namespace went meanwhile are dropped', async () => {
    const [stays, goes] = [new Sandbox('stays'), new Sandbox('goes')];
    for (const pod of [stays, goes]) await pod.add();
    await server.close();
    await enrolment.close();
    for (const fds of listeners.values()) for (const fd of fds) closeFd(fd);
    listeners.clear();
    sh('ip', 'netns', 'exec', 'stays', 'iptables', '-t', 'nat', '-F');
    sh('ip', 'netns', 'del', 'goes');
    enrolment = makeEnrolment();
    await enrolment.start();
    server = new CniServer(enrolment, socketPath);
    await server.listen();
    assert.deepEqual(
      enrolment.list().map(({ pod, problem }) => [pod.name, problem]),
      [['stays', null]],
    );
    assert.equal((await stays.weir('CHECK')).status, 0);
    for (const pod of [stays, goes]) await pod.del();
    assert.match(readFileSync(join(folder, 'state', 'pods.json'), 'utf8'), /"pods":\[\]/);
  });

  test('ten ADDs: the time weir adds is reported (no limit: machines differ)', async (context) => {
    const times: number[] = [];
    for (let number = 0; number < 10; number++) {
      const pod = new Sandbox(`time${number}`);
      assert.equal((await pod.add()).status, 0);
      times.push(pod.weirMs);
      await pod.del();
    }
    times.sort((a, b) => a - b);
    const text = `weir-cni ADD: median ${times[5]?.toFixed(0)} ms, ${times[0]?.toFixed(0)} to ${times[9]?.toFixed(0)} ms`;
    context.diagnostic(text);
    const report = process.env['CNI_TIMES_FILE'];
    if (report !== undefined) writeFileSync(report, `${text}\n`);
  });
});
