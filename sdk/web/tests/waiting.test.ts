import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Waiting } from '../src/waiting';
import { FakeClock } from './support';

test('media may take 20 s in which the page runs', async () => {
  const clock = new FakeClock();
  const waiting = new Waiting<void>();
  const complaints: string[] = [];
  waiting.limit({ clock, isAtWork: () => false }, 'not live', (error) =>
    complaints.push(error.message),
  );
  await clock.freeze(60_000);
  await clock.advance(18_999);
  assert.deepEqual(complaints, []);
  await clock.advance(1);
  assert.deepEqual(complaints, ['not live']);
});

test('media that flows is waited for no longer', async () => {
  const clock = new FakeClock();
  const waiting = new Waiting<string>();
  waiting.limit({ clock, isAtWork: () => false }, 'not live', () => assert.fail('it was live'));
  await clock.advance(19_000);
  waiting.resolve('live');
  assert.equal(await waiting.result, 'live');
  await clock.advance(60_000);
});

test('time in which the client itself negotiates does not count, however late its timers are', async () => {
  const clock = new FakeClock();
  const waiting = new Waiting<void>();
  const complaints: string[] = [];
  let isAtWork = true;
  const patience = { clock, isAtWork: () => isAtWork };
  waiting.limit(patience, 'not live', (error) => complaints.push(error.message));
  for (let times = 0; times < 20; times += 1) await clock.freeze(20_000);
  assert.deepEqual(complaints, []);
  isAtWork = false;
  await clock.advance(19_000);
  assert.deepEqual(complaints, []);
  await clock.advance(2_000);
  assert.deepEqual(complaints, ['not live']);
});
