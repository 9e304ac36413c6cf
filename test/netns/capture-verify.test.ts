/** `weir capture verify`: what it says of a pod that is captured, and of one where something is missing. */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { PodRules } from '../../agent/capture/apply.ts';
import type { Enrolled } from '../../agent/capture/enrolment-types.ts';
import { type CaptureReport, verifyCapture } from '../../agent/capture/verify.ts';
import { Lab, LabAgent, type LabPod } from './capture-lab.ts';

const lab = new Lab();
const rules = new PodRules();
let pod: LabPod;
let agent: LabAgent;
let count = 0;

beforeEach(async () => {
  agent?.close();
  pod = lab.addPod(`pod${count++}`);
  agent = new LabAgent('verify');
  await agent.listen(pod);
  const applied = await rules.apply(pod.netnsPath, pod.enrolled, {});
  assert.ok(applied.ok, applied.ok ? '' : applied.error.message);
});
after(() => {
  agent.close();
  lab.close();
});

function verify(changes: Partial<Enrolled> = {}, uid = pod.enrolled.uid): Promise<CaptureReport> {
  const target: Enrolled = {
    containerId: 'c',
    ifName: 'eth0',
    index: 1,
    pod: pod.enrolled,
    netnsPath: pod.netnsPath,
    annotations: {},
    enrolledAtMs: 0,
    problem: null,
    ...changes,
  };
  return verifyCapture(target, {
    arm: (token) => {
      agent.armed.set(token, uid);
      return Promise.resolve();
    },
    disarm: (token) => agent.armed.delete(token),
    podRules: rules,
    hostNetnsPath: '/proc/thread-self/ns/net',
    newToken: () => `token${count++}`,
  });
}

function outcomes(report: CaptureReport): Record<string, string> {
  return Object.fromEntries(
    report.directions.map(({ direction, family, outcome }) => [`${direction} v${family}`, outcome]),
  );
}

const ALL_OK = { 'outbound v4': 'ok', 'inbound v4': 'ok', 'outbound v6': 'ok', 'inbound v6': 'ok' };

describe('capture verify', () => {
  test('a captured pod: ok in both directions and both families, and the token is disarmed', async () => {
    const report = await verify();
    assert.deepEqual(outcomes(report), ALL_OK);
    assert.deepEqual([report.ok, report.missing], [true, []]);
    assert.equal(agent.armed.size, 0);
  });

  test('one rule missing: that direction and family fails and names the rule, the others are ok', async () => {
    pod.run('ip6tables', '-t', 'nat', '-D', 'WEIR_INBOUND', '6');
    const report = await verify();
    assert.deepEqual(outcomes(report), { ...ALL_OK, 'inbound v6': 'failed' });
    assert.equal(report.ok, false);
    const failed = report.directions.find(({ outcome }) => outcome === 'failed');
    assert.match(failed?.detail ?? '', /missing rule: .*REDIRECT --to-ports 15006/);
  });

  test('no listeners: everything fails, as refused, naming them', async () => {
    agent.close();
    const report = await verify();
    assert.deepEqual(new Set(Object.values(outcomes(report))), new Set(['failed']));
    assert.match(report.directions[0]?.detail ?? '', /IPv4: no listener on port 15001/);
  });

  test('an agent that takes it for another pod is no proof', async () => {
    const report = await verify({}, 'someone-else');
    assert.match(
      report.directions[0]?.detail ?? '',
      /took it for another pod or direction: weir token\d+ someone-else outbound/,
    );
  });

  test('a family the pod has no address of, and what its annotations exclude, is skipped and says why', async () => {
    const v4Only = await verify({ pod: { ...pod.enrolled, addresses: [pod.v4] } });
    assert.deepEqual(outcomes(v4Only), { ...ALL_OK, 'outbound v6': 'skipped', 'inbound v6': 'skipped' });
    const annotations = {
      'weir.dev/exclude-outbound-cidrs': '192.0.2.0/24',
      'weir.dev/exclude-inbound-ports': '15009',
    };
    assert.ok((await rules.apply(pod.netnsPath, pod.enrolled, annotations)).ok);
    const excluded = await verify({ annotations });
    assert.deepEqual(outcomes(excluded), {
      'outbound v4': 'skipped',
      'inbound v4': 'skipped',
      'outbound v6': 'ok',
      'inbound v6': 'skipped',
    });
  });

  test('a namespace that is gone: failed, not an exception', async () => {
    const report = await verify({ netnsPath: '/var/run/netns/gone' });
    assert.equal(report.ok, false);
    assert.match(report.directions[0]?.detail ?? '', /network namespace \/var\/run\/netns\/gone/);
  });
});
