import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { meetDemand } from '../../src/rtc/encodings';

describe('what nobody watches', () => {
  const layers = (): RTCRtpEncodingParameters[] => ['q', 'h', 'f'].map((rid) => ({ rid }));
  const active = (encodings: RTCRtpEncodingParameters[]): unknown[] =>
    encodings.map((encoding) => encoding.active);

  test('is switched off size by size', () => {
    const encodings = layers();
    assert.equal(meetDemand(encodings, { watched: true, rids: ['q', 'h'] }), true);
    assert.deepEqual(active(encodings), [true, true, false]);
  });

  test('is switched off altogether', () => {
    const encodings = layers();
    meetDemand(encodings, { watched: false, rids: [] });
    assert.deepEqual(active(encodings), [false, false, false]);
  });

  test('is one picture where there is only one', () => {
    const encodings: RTCRtpEncodingParameters[] = [{}];
    meetDemand(encodings, { watched: true, rids: [] });
    assert.deepEqual(active(encodings), [true]);
    meetDemand(encodings, { watched: false, rids: [] });
    assert.deepEqual(active(encodings), [false]);
  });

  test('is not set again when nothing changes', () => {
    const encodings = layers();
    meetDemand(encodings, { watched: true, rids: ['q'] });
    assert.equal(meetDemand(encodings, { watched: true, rids: ['q'] }), false);
  });
});
