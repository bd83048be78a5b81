import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SubscriberHealth, TrackHealth } from '../../src/e2ee/health';

const NEVER = -Infinity;

describe('a track', () => {
  test('fails after five failures in a row that span 400 ms', () => {
    const track = new TrackHealth();
    for (let index = 0; index < 9; index += 1) {
      assert.equal(track.onRefused('auth', index * 49, NEVER), undefined);
    }
    assert.equal(track.onRefused('auth', 400, NEVER), 'failing');
    assert.equal(track.onRefused('auth', 500, NEVER), undefined);
    assert.equal(track.onDecrypted(), 'ok');
    assert.equal(track.onDecrypted(), undefined);
    assert.equal(new TrackHealth().onDecrypted(), 'decrypted');
  });

  test('does not fail by few failures, nor with a success between, nor by replays', () => {
    const track = new TrackHealth();
    for (let index = 0; index < 4; index += 1) track.onRefused('secret', index * 1_000, NEVER);
    assert.equal(track.onDecrypted(), 'decrypted');
    for (let index = 0; index < 4; index += 1) {
      assert.equal(track.onRefused('secret', 5_000 + index * 1_000, NEVER), undefined);
    }
    for (let index = 0; index < 100; index += 1) {
      assert.equal(track.onRefused('replay', 9_000 + index * 1_000, NEVER), undefined);
    }
  });

  test('gets two seconds right after the application changed the secret', () => {
    const track = new TrackHealth();
    const changes = [];
    for (let now = 0; now <= 2_000; now += 100) changes.push(track.onRefused('secret', now, 0));
    assert.equal(changes.indexOf('failing'), 20);
  });

  test('is reported again every five seconds while it fails, for the counts', () => {
    const track = new TrackHealth();
    const reports: number[] = [];
    for (let now = 0; now <= 12_000; now += 100) {
      if (track.onRefused('auth', now, NEVER)) reports.push(now);
    }
    assert.deepEqual(reports, [400, 5_400, 10_400]);
    assert.equal(track.failed, 121);
  });

  test('is reported once more when it is checked again and still fails', () => {
    const track = new TrackHealth();
    const fail = (from: number): unknown[] =>
      Array.from({ length: 10 }, (_, index) => track.onRefused('auth', from + index * 100, NEVER));
    assert.ok(fail(0).includes('failing'));
    assert.ok(!fail(1_000).includes('failing'));
    track.recheck();
    assert.ok(fail(2_000).includes('failing'));
  });
});

const failing = (decrypted = 0, failed = 5) => ({ change: 'failing', decrypted, failed }) as const;
const ok = (decrypted = 1, failed = 5) => ({ change: 'ok', decrypted, failed }) as const;

describe('a subscriber', () => {
  test('counts the frames of all its tracks', () => {
    const health = new SubscriberHealth();
    assert.deepEqual(health.counts, { decrypted: 0, failed: 0 });
    health.onTrack('video', failing(10, 5), 0);
    health.onTrack('audio', failing(20, 6), 0);
    health.onTrack('video', ok(12, 7), 0);
    assert.deepEqual(health.counts, { decrypted: 32, failed: 13 });
  });

  test('has one mismatch a streak, and a match when every failed track decrypted', () => {
    const health = new SubscriberHealth();
    assert.deepEqual(health.onTrack('video', failing(), 0), {
      event: 'mismatch',
      report: 'mismatch',
    });
    // The server knows already; it hears again later, for the counts.
    assert.deepEqual(health.onTrack('audio', failing(), 0), {});
    assert.deepEqual(health.onTrack('audio', failing(), 5_000), { report: 'mismatch' });
    // Audio decrypted: the server must send video again, or its recovery would never be seen.
    assert.deepEqual(health.onTrack('audio', ok(), 0), { report: 'ok', recheck: ['video'] });
    assert.deepEqual(health.onTrack('video', ok(), 0), { event: 'match' });
    assert.deepEqual(health.onTrack('video', ok(), 0), {});
    assert.deepEqual(health.onTrack('video', failing(), 0), {
      event: 'mismatch',
      report: 'mismatch',
    });
  });

  test('asks for frames when a secret came that may fit, but only while mismatched', () => {
    const health = new SubscriberHealth();
    assert.deepEqual(health.onHope(), {});
    health.onTrack('video', failing(), 0);
    assert.deepEqual(health.onHope(), { report: 'ok', recheck: ['video'] });
    assert.deepEqual(health.onTrack('video', failing(), 0), { report: 'mismatch' });
  });
});
