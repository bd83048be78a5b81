import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SwitchSchedule } from '../../src/e2ee/switch-schedule';

describe('two secrets with one hint', () => {
  test('are two: senders switch to the other one, when the time is up', () => {
    const schedule = new SwitchSchedule(7);
    schedule.onAnnounced('bob', 7);
    schedule.set(7, 1_000, { isInUse: false });
    // Bob may have announced the one before.
    assert.equal(schedule.isDue(5_999), false);
    assert.equal(schedule.isDue(6_000), true);
    assert.equal(schedule.isDue(6_001), false);
  });

  test('the secret in use that is set once more ends a pending change', () => {
    const schedule = new SwitchSchedule(7);
    schedule.set(7, 0, { isInUse: false });
    schedule.set(7, 1, { isInUse: true });
    assert.equal(schedule.deadline, undefined);
  });
});
