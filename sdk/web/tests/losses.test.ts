import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LossBackoff, retryDelayMs } from '../src/losses';

test('the first loss of a transport is made good at once, and the eleventh no more', () => {
  const backoff = new LossBackoff();
  const delays: number[] = [];
  let nowMs = 0;
  for (;;) {
    const delayMs = backoff.onLoss(nowMs);
    if (delayMs === undefined) break;
    delays.push(delayMs);
    nowMs += delayMs;
  }
  assert.deepEqual(delays, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

test('a loss that is not made good yet is not counted again, and a quiet minute forgets all', () => {
  const backoff = new LossBackoff();
  assert.equal(backoff.onLoss(0), 0);
  assert.equal(backoff.onLoss(100), 500);
  assert.equal(backoff.onLoss(200), 400);
  assert.equal(backoff.onLoss(60_599), 1_000);
  assert.equal(backoff.onLoss(121_599), 0);
});

test('an attempt that is refused is made again ever later, and ten times', () => {
  const delays = Array.from({ length: 12 }, (_, attempt) => retryDelayMs(attempt));
  const known = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000];
  assert.deepEqual(delays, [...known, undefined, undefined]);
});
