import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameOfOther } from '../src/names';
import { LANGUAGES } from '../src/words';

test('nobody is called what the page says of a member', () => {
  const cases: [unknown, string][] = [
    ['Ada (you)', 'Ada'],
    ['Ada（you）', 'Ada'],
    ['Ada, you, encrypted', 'Ada'],
    ['Ada — уоu', 'Ada'],
    ['Ada [Y O U]', 'Ada'],
    ['Ada -- encrypted', 'Ada'],
    ['Ada · End-to-end encrypted', 'Ada'],
    ['🔒 Ada', 'Ada'],
    ['Ada ✔️ verschlüsselt', 'Ada verschlüsselt'],
    ['Ada ✔️ | verschlüsselt', 'Ada'],
    ['🔴 Recorded', ''],
    ['ⓨⓞⓤ', ''],
    ['You', ''],
    ['Tú', ''],
    ['自分', ''],
    ['Recorder', ''],
    ['RECORDS THE CALL', ''],
    [7, ''],
  ];
  for (const [given, shown] of cases) assert.equal(nameOfOther(given), shown, String(given));
  for (const texts of Object.values(LANGUAGES)) {
    for (const key of ['you', 'recorder', 'tile.encrypted', 'header.recorded'] as const) {
      assert.equal(nameOfOther(`Ada (${texts[key]})`), 'Ada');
    }
  }
});

test('people keep their names', () => {
  for (const name of [
    'Ada Lovelace',
    'You Xiaoyu',
    'Youssef Ben-Ali',
    "Siobhán O'Brien",
    'J. R. R. Tolkien',
    'Ada (Engineering)',
    'Ada, Countess of Lovelace',
    'Renée & Zoë',
    '山田 太郎（営業）',
    'Мария Иванова',
    'می\u200cخواهم',
    'Sam 👩\u200d👧',
  ]) {
    assert.equal(nameOfOther(name), name);
  }
});
