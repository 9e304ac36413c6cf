/** The node's probe rules as text. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { probeChain, probeChange, probeRestore, probeTeardown } from '../../../agent/capture/probe-rules.ts';

const CHAIN = probeChain('node-1');
const JUMP = `-p tcp -m owner --socket-exists -m mark ! --mark 0x539/0xfff -m comment --comment "weir: node processes to pods" -j ${CHAIN}`;
const SNAT = '-p tcp -m comment --comment "weir: probes" -j SNAT --to-source';

describe('probe rules', () => {
  test('the chain is the node’s own and short enough for iptables', () => {
    assert.match(CHAIN, /^WEIR_PROBES_[0-9A-F]{8}$/);
    assert.notEqual(CHAIN, probeChain('node-2'));
    assert.ok(CHAIN.length <= 28);
  });

  test('IPv4 with and without the jump', () => {
    const rules = `*nat\n:${CHAIN} - [0:0]\n-A ${CHAIN} -d 10.0.0.1/32 ${SNAT} 169.254.7.127\n`;
    assert.equal(probeRestore(4, CHAIN, ['10.0.0.1'], true), `${rules}COMMIT\n`);
    assert.equal(probeRestore(4, CHAIN, ['10.0.0.1'], false), `${rules}-I POSTROUTING 1 ${JUMP}\nCOMMIT\n`);
  });

  test('IPv6: its own source', () => {
    const text = probeRestore(6, CHAIN, ['fd00::1'], true);
    assert.match(text, /-d fd00::1\/128 .*--to-source fd16:9254:7127:1337:ffff:ffff:ffff:ffff$/m);
  });

  test('a change names only what changes; no change is no text', () => {
    const from = new Set(['10.0.0.1', '10.0.0.2']);
    assert.equal(
      probeChange(4, CHAIN, from, ['10.0.0.2', '10.0.0.3']),
      `*nat\n-D ${CHAIN} -d 10.0.0.1/32 ${SNAT} 169.254.7.127\n-A ${CHAIN} -d 10.0.0.3/32 ${SNAT} 169.254.7.127\nCOMMIT\n`,
    );
    assert.equal(probeChange(4, CHAIN, from, ['10.0.0.2', '10.0.0.1']), '');
  });

  test('teardown takes jump and chain', () => {
    assert.equal(probeTeardown(CHAIN, true), `*nat\n:${CHAIN} - [0:0]\n-D POSTROUTING ${JUMP}\n-X ${CHAIN}\nCOMMIT\n`);
    assert.doesNotMatch(probeTeardown(CHAIN, false), /-D/);
  });
});
