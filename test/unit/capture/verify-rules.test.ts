/** Reading rules back: what counts as the same rule, and what is reported. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { listeningPorts } from '../../../agent/capture/listeners.ts';
import { planCapture } from '../../../agent/capture/plan.ts';
import { missingRules, normaliseRule } from '../../../agent/capture/verify-rules.ts';

const PLAN = planCapture(4, { outboundPorts: [{ first: 80, last: 80 }], inboundPorts: [], outboundCidrs: [] });

/** iptables-save as it looks when all is in place. */
function complete(): string {
  const tables = [...new Set(PLAN.chains.map(({ table }) => table))];
  return tables
    .map((table) => {
      const chains = PLAN.chains.filter((chain) => chain.table === table);
      const hooks = [...new Set(chains.map(({ hook }) => hook))].map((hook) => `:${hook} ACCEPT [12:720]`);
      const own = chains.map(({ name }) => `:${name} - [3:180]`);
      const jumps = chains.map(({ hook, jump }) => `-A ${hook} ${jump}`);
      const rules = chains.flatMap((chain) => chain.rules.map((rule) => `-A ${chain.name} ${rule}`));
      return [`*${table}`, ...hooks, ...own, ...jumps, ...rules, 'COMMIT'].join('\n');
    })
    .join('\n# another table\n');
}

describe('reading rules back', () => {
  test('all in place: nothing missing', () => {
    assert.deepEqual(missingRules(PLAN, complete()), []);
  });

  test('nothing in place: every jump and chain is named', () => {
    const lines = missingRules(PLAN, '');
    assert.equal(lines.length, 2 * PLAN.chains.length);
    assert.ok(lines.includes('IPv4: nat OUTPUT: no jump to WEIR_OUTBOUND'));
    assert.ok(lines.includes('IPv4: nat WEIR_OUTBOUND: the chain is missing'));
  });

  test('each single rule taken out is reported as that rule', () => {
    for (const chain of PLAN.chains) {
      for (const rule of chain.rules) {
        const lines = missingRules(PLAN, complete().replace(`-A ${chain.name} ${rule}\n`, ''));
        assert.deepEqual(lines, [`IPv4: ${chain.table} ${chain.name}: missing rule: ${rule}`]);
      }
    }
  });

  test('a foreign rule in our chain and a changed order are reported', () => {
    const foreign = complete().replace(
      '-A WEIR_OUTBOUND -o lo',
      '-A WEIR_OUTBOUND -p tcp -j ACCEPT\n-A WEIR_OUTBOUND -o lo',
    );
    assert.match(missingRules(PLAN, foreign).join(), /nat WEIR_OUTBOUND: rule that is not weir's: -j ACCEPT -p tcp/);
    const chain = PLAN.chains.find(({ name }) => name === 'WEIR_OUTBOUND');
    const [first, second] = chain?.rules.map((rule) => `-A WEIR_OUTBOUND ${rule}\n`) ?? [];
    const swapped = complete().replace(`${first}${second}`, `${second}${first}`);
    assert.match(missingRules(PLAN, swapped).join(), /out of order/);
  });

  test('spelling differences between iptables versions do not matter, meaning does', () => {
    assert.equal(
      normaliseRule('-p tcp -m mark --mark 0x1/0xfff -m tcp --dport 80 -m comment --comment "a b" -j RETURN'),
      normaliseRule('-p tcp --dport 80 -m comment --comment "a b" -m mark --mark 0x1/0xfff -j RETURN'),
    );
    assert.notEqual(normaliseRule('-m mark ! --mark 0x1 -j RETURN'), normaliseRule('-m mark --mark 0x1 -j RETURN'));
    assert.notEqual(normaliseRule('--dport 80 -j RETURN'), normaliseRule('--dport 81 -j RETURN'));
  });

  test('listeners: only sockets that listen on the wildcard address count', () => {
    const table = [
      '  sl  local_address rem_address   st tx_queue rx_queue',
      '   0: 00000000:3A99 00000000:0000 0A 00000000:00000000',
      '   1: 0100007F:3A9E 00000000:0000 0A 00000000:00000000',
      '   2: 00000000:3A9F 0100007F:0050 01 00000000:00000000',
      '   3: 00000000000000000000000000000000:3AA0 00000000000000000000000000000000:0000 0A 00000000:00000000',
    ].join('\n');
    assert.deepEqual([...listeningPorts(table)], [15_001, 15_008]);
  });
});
