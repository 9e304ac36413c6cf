/**
 * PROXY headers: whatever the octets, an answer; a header that was found is found again when its last octet comes later and
 * not before; whom it names is an address in canonical text.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PROXY_HEADER_BYTES_MAX, readProxyHeader } from '../../agent/proxy-protocol/header.ts';
import { canonicalIp } from '../../mesh/ip.ts';
import { fuzz } from './http1-support.ts';

it('PROXY headers survive mutation', async () => {
  await fuzz('proxy-header', 20_000, (text, rng) => {
    const octets = Buffer.concat([Buffer.from('PROXY '), Buffer.from(text, 'latin1'), Buffer.from('\r\n\r\n')]);
    const end = octets.length - 4;
    const header = readProxyHeader(octets, 6, end);
    const shorter = 6 + rng.below(end - 5);
    const early = readProxyHeader(octets, 6, shorter);
    // What is decided stays decided, whatever comes; nothing is refused or found before it can be told.
    if (early.kind !== 'need-more') assert.deepEqual(early, header);
    if (header.kind !== 'found') return;
    assert.ok(header.length <= end - 6 && header.length <= PROXY_HEADER_BYTES_MAX);
    assert.equal(early.kind, shorter - 6 < header.length ? 'need-more' : 'found');
    if (header.source === null) return;
    assert.equal(canonicalIp(header.source.ip), header.source.ip);
    assert.ok(header.source.port >= 0 && header.source.port <= 65_535);
  });
});
