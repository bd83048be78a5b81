import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { lengthPrefixed } from '../../src/e2ee/bytes';
import { OfferRules } from '../../src/rtc/offer-rules';
import { isBounded } from '../../src/signaling/bounds';
import { decodeMessage, type Received } from '../../src/signaling/codec';
import { isId } from '../../src/signaling/ids';
import { clampedTimes } from '../../src/signaling/times';

const decoded = (message: object): Received => decodeMessage(encode(message).slice().buffer);
const nameOf = ({ fault }: Received): unknown => fault?.error.name;

describe('ids of the server', () => {
  test('are well-formed text of 1 to 256 units without control characters', () => {
    for (const good of ['a', 'é😀', 'x'.repeat(256)]) assert.equal(isId(good), true);
    const bad = ['', 'x'.repeat(257), 'a\0', 'a\x7f', '\ud800', 'a\udc00', 5, null, undefined, {}];
    for (const value of bad) assert.equal(isId(value), false);
  });

  const connection = { connectionId: 'ada', creationTime: 1 };
  const stream = { streamId: 's', connectionId: 'ada', creationTime: 1 };
  for (const message of [
    { t: 'welcome', connection, connections: [{ ...connection, connectionId: '' }] },
    { t: 'welcome', connection, connections: [], hints: { '': 5 } },
    { t: 'welcome', connection, session: { sessionId: 7 } },
    { t: 'connectionCreated', connection: { connectionId: 'x'.repeat(65_536) } },
    { t: 'streamCreated', stream: { ...stream, streamId: 5 } },
    { t: 'published', streamId: '', tracks: [] },
    { t: 'published', streamId: 's', tracks: [{ mid: 'a\nb' }] },
    { t: 'subscribed', subscriberId: null, streamId: 's' },
    { t: 'downlinkOffer', tracks: [{ mid: '0', subscriberId: 's', streamId: '' }] },
    { t: 'signalReceived', from: '', data: 'I am Bob' },
    { t: 'hintAnnounced', connectionId: 9, hint: 1 },
  ]) {
    test(`a message with another is an error: ${JSON.stringify(message).slice(0, 80)}`, () => {
      const refusal = decoded({ ...message, re: 4 });
      assert.equal(nameOf(refusal), 'OT_UNEXPECTED_SERVER_RESPONSE');
      assert.equal(refusal.fault?.re, 4);
    });
  }

  test('a lone surrogate on the wire is none', () => {
    const bytes = encode({ t: 'streamDestroyed', streamId: 'sXXX', reason: 'x' }).slice();
    bytes.set([0xed, 0xa0, 0x80], Buffer.from(bytes).indexOf('XXX'));
    assert.equal(nameOf(decodeMessage(bytes.buffer)), 'OT_UNEXPECTED_SERVER_RESPONSE');
  });

  test('a signal may be from nobody, a mute of everybody', () => {
    for (const message of [
      { t: 'signalReceived', from: null, data: 'x' },
      { t: 'muteForced', active: true, streamId: null },
    ]) {
      assert.deepEqual(decoded(message).message, message);
    }
  });

  test('no key is derived from text that has no bytes of its own', () => {
    assert.throws(() => lengthPrefixed('x'.repeat(65_536)), RangeError);
    assert.throws(() => lengthPrefixed('\ud800'), RangeError);
  });
});

describe('shapes', () => {
  test('claims of more elements than there are bytes make nothing', () => {
    const headers = Uint8Array.of(0xdd, 1, 255, 255, 255, 0xdd, 1, 255, 255, 255);
    assert.equal(isBounded(headers), false);
    assert.equal(isBounded(Uint8Array.of(0xdf, 0, 0, 0, 1, 0xc0)), false);
    assert.equal(isBounded(Uint8Array.of(0xc6, 255, 255, 255, 255)), false);
    assert.equal(isBounded(Uint8Array.of(0xa5, 65)), false);
    assert.equal(isBounded(Uint8Array.of(0xc1)), false);
  });

  test('messages nest sixteen levels', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    assert.equal(isBounded(encode(nested(16))), true);
    assert.equal(isBounded(encode(nested(17))), false);
    for (const head of [0x91, 0x81, 0x90, 0x80]) {
      assert.equal(isBounded(new Uint8Array(1_048_576).fill(head)), false);
    }
  });

  /** An array of `count` times the same bytes. */
  const many = (count: number, ...value: number[]): Uint8Array => {
    const bytes = new Uint8Array(5 + count * value.length);
    bytes.set([0xdd, count >>> 24, count >>> 16, count >>> 8, count]);
    for (let index = 0; index < count; index += 1) bytes.set(value, 5 + index * value.length);
    return bytes;
  };

  test('messages have 262,144 values at most, and a container counts for four more', () => {
    const limit = 262_144 - 5;
    for (const [count, value] of [
      [limit, [0xc0]],
      [limit, [0]],
      [limit, [0xa0]],
      [Math.floor(limit / 5), [0x90]],
      [Math.floor(limit / 5), [0x80]],
      [Math.floor(limit / 6), [0x91, 0xc0]],
      [Math.floor(limit / 7), [0x81, 0xa0, 0xc0]],
      [Math.floor(limit / 5), [0xdc, 0, 0]],
    ] as const) {
      assert.equal(isBounded(many(count, ...value)), true);
      assert.equal(isBounded(many(count + 1, ...value)), false);
    }
  });

  test('what claims four thousand million entries is refused on its head', () => {
    const claim = [0xff, 0xff, 0xff, 0xff];
    for (const head of [0xdd, 0xdf]) {
      for (const padding of [0, 1_048_576 - 5]) {
        const bytes = new Uint8Array(5 + padding);
        bytes.set([head, ...claim]);
        assert.equal(isBounded(bytes), false);
      }
    }
    // Claims that each fit, one in the other.
    const nested = new Uint8Array(1_048_576);
    for (let level = 0; level < 16; level += 1) nested.set([0xdd, 0, 3, 0xff, 0], level * 5);
    assert.equal(isBounded(nested), false);
  });

  test('a message of too many values makes nothing', () => {
    const head = [0x83, ...[...encode({ t: 'ok', re: 1 })].slice(1), 0xa1, 0x78];
    const withNulls = (count: number): Uint8Array => {
      const nulls = many(count, 0xc0);
      const bytes = new Uint8Array(head.length + nulls.length);
      bytes.set(head);
      bytes.set(nulls, head.length);
      return bytes;
    };
    assert.equal(decodeMessage(withNulls(300_000).buffer).fault?.kind, '');
    const small = decodeMessage(withNulls(3).buffer);
    assert.deepEqual(small.message, { t: 'ok', re: 1, x: [null, null, null] });
  });

  test('all that the encoder makes is whole', () => {
    const values = [null, true, 1, -1, 300, -300, 2 ** 20, -(2 ** 20), 2 ** 40, -(2 ** 40), 1.5];
    const texts = ['', 'x', 'x'.repeat(40), 'x'.repeat(300), 'x'.repeat(70_000)];
    const binary = [1, 300, 70_000].map((length) => new Uint8Array(length));
    const lists = [Array(20).fill(values), Object.fromEntries(texts.map((x, i) => [`${i}`, x]))];
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`${index}`, index]));
    for (const value of [...values, ...texts, ...binary, ...lists, many, new Date(5)]) {
      assert.equal(isBounded(encode(value)), true);
      assert.equal(isBounded(encode(value).subarray(0, -1)), false);
    }
  });

  test('an offer has no more m-lines than a subscriber needs', () => {
    const line = (mid: number): string => `m=audio 9 X 1\r\na=mid:${mid}\r\na=sendonly\r\n`;
    const offer = (count: number): string =>
      Array.from({ length: count }, (_, mid) => line(mid)).join('');
    assert.equal(
      new OfferRules(() => true).refusal(offer(1_024), [], () => undefined),
      undefined,
    );
    const refusal = new OfferRules(() => true).refusal(offer(1_025), [], () => undefined);
    assert.match(refusal ?? '', /more than 1024/);
  });

  test('times are within what they are for', () => {
    const times = (keepAliveMs: unknown, graceMs: unknown): unknown[] =>
      Object.values(clampedTimes({ keepAliveMs, graceMs } as never));
    assert.deepEqual(times(10_000, 60_000), [10_000, 60_000]);
    assert.deepEqual(times(0, -1), [100, 0]);
    assert.deepEqual(times(Infinity, Infinity), [120_000, 600_000]);
    assert.deepEqual(times(NaN, 'x'), [15_000, 60_000]);
  });
});
