import assert from 'node:assert/strict';
import { it } from 'node:test';
import { sharedTexts, textOf } from '../../../agent/http1/octet-text.ts';

it('the text cache gives the same as textOf(), whatever shares a slot with it', () => {
  // Far more texts than slots, each the beginning of others, asked for in both orders and from different places.
  const texts = Array.from({ length: 3_000 }, (_, i) => `/orders/${'x'.repeat(i % 70)}${i.toString(36)}\xff`);
  for (const text of [...texts, ...texts.toReversed(), '', '/orders/']) {
    for (const padding of ['', 'GET ']) {
      const bytes = Buffer.from(`${padding}${text} HTTP/1.1`, 'latin1');
      assert.equal(sharedTexts.textOf(bytes, padding.length, padding.length + text.length), text);
      assert.equal(textOf(bytes, padding.length, padding.length + text.length), text);
    }
  }
  for (const text of texts) {
    const longer = Buffer.from(text, 'latin1');
    for (let end = 0; end <= Math.min(20, longer.length); end++) {
      sharedTexts.textOf(longer, 0, longer.length);
      assert.equal(sharedTexts.textOf(longer, 0, end), text.slice(0, end));
    }
  }
});
