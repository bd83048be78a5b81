import assert from 'node:assert/strict';
import { test } from 'node:test';
import { midsWithSources, encryptedOffers } from '../../src/rtc/sources';

const HEAD = 'v=0\r\na=group:BUNDLE 0 1\r\n';

function line(mid: string, ssrc?: number, port = 9): string {
  const named =
    ssrc === undefined ? '' : `a=ssrc-group:FID ${ssrc} 7\r\na=ssrc:${ssrc} cname:x\r\n`;
  return `m=video ${port} UDP/TLS/RTP/SAVPF 97\r\na=mid:${mid}\r\n${named}a=sendonly\r\n`;
}

test('an m-line is opened without SSRCs, then names them', () => {
  const offer = HEAD + line('0', 1) + line('1', 2);
  const steps = encryptedOffers(offer, new Set(), true);
  assert.deepEqual(steps, [HEAD + line('0') + line('1'), offer]);
});

test('what is named already stays named while others are opened', () => {
  const offer = HEAD + line('0', 1) + line('1', 2);
  const steps = encryptedOffers(offer, new Set(['0']), true);
  assert.deepEqual(steps, [HEAD + line('0', 1) + line('1'), offer]);
});

test('an offer that opens nothing is applied as it is', () => {
  const offer = HEAD + line('0', 1) + line('1');
  assert.deepEqual(encryptedOffers(offer, new Set(['0']), true), [offer]);
});

test('an m-line that named none for a while is opened again', () => {
  const paused = HEAD + line('0');
  assert.deepEqual(encryptedOffers(paused, new Set(['0']), true), [paused]);
  assert.deepEqual(midsWithSources(paused), new Set());
  const back = HEAD + line('0', 1);
  assert.deepEqual(encryptedOffers(back, midsWithSources(paused), true), [paused, back]);
});

test('a rejected m-line names nothing, whatever it says', () => {
  const rejected = HEAD + line('0', 1, 0);
  assert.deepEqual(midsWithSources(rejected), new Set());
  assert.deepEqual(encryptedOffers(rejected, new Set(), true), [HEAD + line('0', undefined, 0)]);
});

test('SSRCs before the first m-line are dropped', () => {
  const offer = `${HEAD}a=ssrc:5 cname:x\r\n${line('0', 1)}`;
  assert.deepEqual(encryptedOffers(offer, new Set(['0']), true), [HEAD + line('0', 1)]);
});

test('a browser that is not known to keep its transforms is told no SSRC', () => {
  const offer = HEAD + line('0', 1);
  assert.deepEqual(encryptedOffers(offer, new Set(), false), [HEAD + line('0')]);
});

test('an m-line with two mids, or one hidden in another line, keeps no SSRC that is not opened', () => {
  const bare = `${HEAD}m=video 9 X 97\r\na=mid:0\r\na=mid:1\r\n`;
  assert.deepEqual(encryptedOffers(`${bare}a=ssrc:1 cname:x\r\n`, new Set(['0']), true), [bare]);
  const hidden = `${HEAD}m=video 9 X 97\na=mid:1\na=x:\u2028m=video 9 X 97\u2028a=mid:0\n`;
  const offer = `${hidden}a=ssrc:1 cname:x\n`;
  assert.deepEqual(encryptedOffers(offer, new Set(['0']), true), [hidden, offer]);
});

test('lines may end without a carriage return', () => {
  const offer = (HEAD + line('0', 1)).replaceAll('\r', '');
  const bare = (HEAD + line('0')).replaceAll('\r', '');
  assert.deepEqual(encryptedOffers(offer, new Set(), true), [bare, offer]);
});
