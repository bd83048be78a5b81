import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initials, MAX_NAME, nameIn, readable } from '../src/texts';

test('a text of somebody else keeps its letters and loses what is not seen', () => {
  const cases: [unknown, string][] = [
    ['Ada Lovelace', 'Ada Lovelace'],
    ['  Ada \n\t Lovelace ', 'Ada Lovelace'],
    ['\u202eecalG\u202c', 'ecalG'],
    ['Ada\u2066\u2069\u200e\u200f\u061c', 'Ada'],
    ['A\u0000d\u001ba\u007f', 'A d a'],
    ['\ud800Ada\udc00', 'Ada'],
    ['\u200b\ufeff\u2060', ''],
    ['\u200dAda', 'Ada'],
    ['👩\u200d👧', '👩\u200d👧'],
    ['می\u200cخواهم', 'می\u200cخواهم'],
    ['e\u0301', 'e\u0301'],
    [`a${'\u0300'.repeat(200)}b`, 'a\u0300\u0300b'],
    ['<b>&amp;', '<b>&amp;'],
    [undefined, ''],
    [{ toString: () => 'Ada' }, ''],
  ];
  for (const [given, shown] of cases) assert.equal(readable(given, 100), shown);
});

test('a text is cut off at whole characters, and a very long one is not looked at whole', () => {
  assert.equal(readable('😀'.repeat(5), 3), '😀😀…');
  assert.equal(readable('abc', 3), 'abc');
  assert.equal([...readable('a\u0301'.repeat(5_000_000), MAX_NAME)].length, MAX_NAME);
});

test('the name is that of the token, and anything else is nobody', () => {
  assert.equal(nameIn('{"name":"Ada\\u202e"}'), 'Ada');
  for (const data of [
    '',
    'Ada',
    '{}',
    'null',
    '{"name":7}',
    '[',
    7,
    `{"name":"${'a'.repeat(9_000)}"}`,
  ]) {
    assert.equal(nameIn(data), '');
  }
});

test('initials are those of the first and the last word', () => {
  assert.equal(initials('Ada King Lovelace'), 'AL');
  assert.equal(initials('ada'), 'A');
  assert.equal(initials('山田 太郎'), '山太');
  assert.equal(initials(''), '');
});
