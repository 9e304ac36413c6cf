/**
 * Requests of the CNI socket and the plugin's own input: whatever the bytes, a parser answers or refuses, and what it lets through has the
 * form that the rest relies on. FUZZ_RUNS: cases per property. Seeds that failed: corpus/cni-request/, one JSON text each.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAdd, parseCheck, parseDel, parseGc } from '../../agent/capture/cni-request.ts';
import { parsePods } from '../../agent/capture/pods-store.ts';
import { CniError, containerAddresses, parseArgs, parseConfig, versionAnswer } from '../../cni-plugin/spec.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 500);
const CORPUS = new URL('./corpus/cni-request/', import.meta.url);

const GOOD = {
  containerId: 'c0ffee',
  ifName: 'eth0',
  netns: '/run/netns/a',
  netnsPath: '/run/netns/a',
  netnsInode: '4026531840',
  args: { namespace: 'default', name: 'a', uid: 'u' },
  pod: { namespace: 'default', name: 'a', uid: 'u', serviceAccount: 'sa', addresses: ['10.0.0.1'] },
  ips: ['10.0.0.1'],
  index: 1,
  annotations: {},
  enrolledAtMs: 1,
};

/** A good body with one field, at any depth, replaced by anything. */
const mutated = fc
  .tuple(
    fc.constantFrom('containerId', 'ifName', 'netns', 'args', 'ips', 'args.name', 'args.uid', 'ips.0'),
    fc.jsonValue(),
  )
  .map(([path, value]) => {
    const copy = structuredClone(GOOD) as unknown as Record<string, Record<string, unknown>>;
    const [field, inner] = path.split('.') as [string, string | undefined];
    if (inner === undefined) (copy as Record<string, unknown>)[field] = value;
    else (copy[field] ?? {})[inner] = value;
    return copy;
  });
const anything = fc.oneof(mutated, fc.jsonValue(), fc.anything());

function examine(body: unknown): void {
  parseDel(body);
  parseCheck(body);
  parseGc(body);
  const add = parseAdd(body);
  if (!add.ok) {
    assert.equal(add.error.code, 'INVALID_REQUEST');
    assert.ok(add.error.message.length < 400);
    return;
  }
  const { containerId, ifName, netnsPath, pod, ips } = add.value;
  for (const text of [containerId, ifName, netnsPath, pod.namespace, pod.name, pod.uid ?? '-']) {
    assert.doesNotMatch(text, /[\0-\x20"';|&$`\\]/);
  }
  assert.ok(netnsPath.startsWith('/') && !netnsPath.split('/').includes('..'));
  assert.ok(ips.length > 0 && ips.every((ip) => isIP(ip) !== 0));
}

describe('fuzz: CNI input', () => {
  test('seeds that once failed', () => {
    for (const name of readdirSync(CORPUS)) examine(JSON.parse(readFileSync(new URL(name, CORPUS), 'utf8')));
  });

  test('bodies of the CNI socket', () => {
    fc.assert(fc.property(anything, examine), { numRuns });
  });

  test('pods.json: never an exception; records that pass have an index and a canonical address', () => {
    const text = fc.oneof(
      fc.string(),
      fc.array(anything).map((pods) => JSON.stringify({ format: 1, pods })),
    );
    fc.assert(
      fc.property(text, (value) => {
        for (const record of parsePods(value)?.records ?? []) {
          assert.ok(record.index >= 1 && record.pod.addresses.every((ip) => isIP(ip) !== 0));
        }
      }),
      { numRuns },
    );
  });

  test('the plugin’s stdin and arguments: a value or a CniError', () => {
    const text = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc
        .tuple(fc.string(), fc.jsonValue())
        .map(([key, value]) => JSON.stringify({ cniVersion: '1.0.0', [key]: value, prevResult: { ips: value } })),
    );
    fc.assert(
      fc.property(text, (value) => {
        for (const parse of [
          parseConfig,
          versionAnswer,
          parseArgs,
          (stdin: string) => containerAddresses(parseConfig(stdin).prevResult ?? {}),
        ]) {
          try {
            parse(value);
          } catch (error) {
            if (!(error instanceof CniError)) throw error;
          }
        }
      }),
      { numRuns },
    );
  });
});
