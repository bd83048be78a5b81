/** What is believed of archives of an end-to-end encrypted session. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MemberArchives } from '../src/e2ee/member-archives';

const STARTED = { t: 'archiveStarted', id: 'a', recorder: 'rec' };
const STOPPED = { t: 'archiveStopped', id: 'a' };
const isPresent = (id: string): boolean => id === 'rec';

test('an archive is believed if its recorder is seen', () => {
  const archives = new MemberArchives();
  assert.equal(archives.believes(STARTED, isPresent), true);
  // It may have left when its archive stops.
  assert.equal(
    archives.believes(STOPPED, () => false),
    true,
  );
  assert.equal(archives.believes(STOPPED, isPresent), false);
});

test('an archive without a recorder, or of one that is not seen, is not', () => {
  const archives = new MemberArchives();
  for (const recorder of [undefined, null, '', 'nobody']) {
    const said = { t: 'archiveStarted', id: 'a', ...(recorder !== undefined && { recorder }) };
    assert.equal(archives.believes(said, isPresent), false);
  }
  assert.equal(archives.believes(STOPPED, isPresent), false);
});

test('endless archives take no memory', () => {
  const archives = new MemberArchives();
  for (let number = 0; number < 100; number += 1) {
    assert.equal(archives.believes({ ...STARTED, id: `${number}` }, isPresent), true);
  }
  assert.equal(archives.believes({ ...STARTED, id: 'more' }, isPresent), false);
});
