import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  EncodingChanges,
  limitRates,
  activateLayers,
  subscribedBitrate,
} from '../../src/rtc/encodings';
import type { MediaSender } from '../../src/rtc/fan-out';

describe('what nobody watches', () => {
  const layers = (): RTCRtpEncodingParameters[] => ['q', 'h', 'f'].map((rid) => ({ rid }));
  const active = (encodings: RTCRtpEncodingParameters[]): unknown[] =>
    encodings.map((encoding) => encoding.active);

  test('is switched off size by size', () => {
    const encodings = layers();
    assert.equal(activateLayers(encodings, { subscribed: true, rids: ['q', 'h'] }), true);
    assert.deepEqual(active(encodings), [true, true, false]);
  });

  test('is switched off altogether', () => {
    const encodings = layers();
    activateLayers(encodings, { subscribed: false, rids: [] });
    assert.deepEqual(active(encodings), [false, false, false]);
  });

  test('takes none of the bit rate', () => {
    const encodings = layers().map((one, index) => ({ ...one, maxBitrate: 100 * 4 ** index }));
    assert.equal(subscribedBitrate(encodings, 2_500), 2_500);
    activateLayers(encodings, { subscribed: true, rids: ['q', 'h'] });
    assert.equal(subscribedBitrate(encodings, 2_500), 500);
    activateLayers(encodings, { subscribed: false, rids: [] });
    assert.equal(subscribedBitrate(encodings, 2_500), 0);
  });

  test('is one frame where there is only one', () => {
    const encodings: RTCRtpEncodingParameters[] = [{}];
    activateLayers(encodings, { subscribed: true, rids: [] });
    assert.deepEqual(active(encodings), [true]);
    activateLayers(encodings, { subscribed: false, rids: [] });
    assert.deepEqual(active(encodings), [false]);
  });

  test('is not set again when nothing changes', () => {
    const encodings = layers();
    activateLayers(encodings, { subscribed: true, rids: ['q'] });
    assert.equal(activateLayers(encodings, { subscribed: true, rids: ['q'] }), false);
  });
});

test('changes of a sender do not undo each other', async () => {
  let stored: RTCRtpEncodingParameters[] = [{ rid: 'q' }, { rid: 'f' }];
  const sender = {
    getParameters: () => ({ encodings: stored.map((encoding) => ({ ...encoding })) }),
    setParameters: async ({ encodings }: RTCRtpSendParameters) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      stored = encodings;
    },
  } as unknown as MediaSender;
  const changes = new EncodingChanges();
  await Promise.all([
    changes.run(sender, (encodings) =>
      activateLayers(encodings, { subscribed: true, rids: ['q'] }),
    ),
    changes.run(sender, (encodings) => limitRates(encodings, [{}, { maxBitrate: 500 }])),
  ]);
  assert.deepEqual(stored, [
    { rid: 'q', active: true },
    { rid: 'f', active: false, maxBitrate: 500 },
  ]);
});
