import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shownName } from '../../src/ui/shown-name';

test('no name looks like the lock, covers it, or turns what stands around it', () => {
  const cases: [unknown, string][] = [
    ['Ada Lovelace', 'Ada Lovelace'],
    ['🔒 Ada', 'Ada'],
    [`Ada${'\u00a0'.repeat(80)}🔒`, 'Ada'],
    ['Ada ✔️', 'Ada'],
    ['🔴 Recorded', 'Recorded'],
    ['\u202eadA\u202c', 'adA'],
    [`A${'\u0301'.repeat(300)}`, 'A\u0301\u0301'],
    ['x\n\u0000y', 'x y'],
    ['👩\u200d👧', '👩\u200d👧'],
    ['', ''],
    [undefined, ''],
    [7, ''],
  ];
  for (const [given, shown] of cases) assert.equal(shownName(given), shown);
  assert.equal([...shownName('😀'.repeat(10_000_000))].length, 60);
});
