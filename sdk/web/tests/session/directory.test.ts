import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Directory, MAX_DEPARTED } from '../../src/directory';
import type { ConnectionInfo } from '../../src/signaling/messages';

function told(number: number, data: string): ConnectionInfo {
  return { connectionId: String(number), creationTime: 1, data };
}

test('of those who left, the last ones are remembered', () => {
  const directory = new Directory();
  for (let number = 0; number <= MAX_DEPARTED; number += 1) {
    directory.addConnection(told(number, 'before'));
    directory.removeConnection(String(number));
  }
  const data = [0, 1, MAX_DEPARTED].map(
    (number) => directory.addConnection(told(number, 'after'))?.data,
  );
  assert.deepEqual(data, ['after', 'before', 'before']);
});
