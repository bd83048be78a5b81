import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemberArchives } from '../../src/e2ee/member-archives';

const STARTED = 'archiveStarted';
const STOPPED = 'archiveStopped';

test('a member that says that it records is shown until it stops or leaves', () => {
  const archives = new MemberArchives();
  const take = (type: string, id: string): string | undefined =>
    archives.take('bob', type, JSON.stringify({ id }))?.event;
  assert.deepEqual(
    [take(STOPPED, 'a'), take(STARTED, 'a'), take(STARTED, 'a'), take(STARTED, 'b')],
    [undefined, STARTED, undefined, STARTED],
  );
  assert.deepEqual([take(STOPPED, 'a'), take(STOPPED, 'a')], [STOPPED, undefined]);
  assert.equal(archives.take('eve', STOPPED, '{"id":"b"}'), undefined);
  assert.deepEqual(archives.leave('bob'), [{ event: STOPPED, id: 'b', reason: 'recorderLeft' }]);
  assert.deepEqual(archives.leave('bob'), []);
});

test('what is no notice is a signal and nothing else', () => {
  const archives = new MemberArchives();
  const none = ['', 'a', 'null', '[]', '{}', '{"id":1}', '{"id":""}', '['.repeat(8_000)];
  for (const data of [...none, `{"id":"${'a'.repeat(65)}"}`, '1'.repeat(5_000)]) {
    assert.equal(archives.take('bob', STARTED, data), undefined, data.slice(0, 20));
  }
  assert.equal(archives.take('bob', 'chat', '{"id":"a"}'), undefined);
  assert.deepEqual(archives.leave('bob'), []);
});

test('a member that says it without end is shown to make ten', () => {
  const archives = new MemberArchives();
  for (let id = 0; id < 20; id += 1) archives.take('bob', STARTED, `{"id":"${id}"}`);
  assert.equal(archives.leave('bob').length, 10);
});
