import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import en from '../languages/en.json';
import { chooseLanguage, type Key, LANGUAGES, Words } from '../src/words';

const keys = Object.keys(en) as Key[];
const placeholders = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test('every language says everything, with the same parts', () => {
  assert.deepEqual(Object.keys(LANGUAGES), ['en', 'de', 'es', 'ja']);
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    assert.deepEqual(Object.keys(texts).sort(), [...keys].sort(), language);
    for (const key of keys) {
      assert.notEqual(texts[key].trim(), '', `${language} ${key}`);
      assert.deepEqual(placeholders(texts[key]), placeholders(en[key]), `${language} ${key}`);
    }
  }
});

test('the first language of the reader that there are texts for is chosen', () => {
  assert.equal(chooseLanguage([null, 'fr-CA', 'de-AT', 'en']), 'de');
  assert.equal(chooseLanguage(['constructor', 'ES-419']), 'es');
  assert.equal(chooseLanguage(['fr']), 'en');
  assert.equal(chooseLanguage([]), 'en');
});

test('counts have the form of their language', () => {
  assert.equal(new Words('en').count('people.title', 1), '1 person');
  assert.equal(new Words('de').count('people.title', 3), '3 Personen');
  assert.equal(new Words('ja').count('people.title', 1), '1人');
});

test('a name is no template, and nobody is a guest', () => {
  const words = new Words('en');
  assert.equal(
    words.say('said.message', { name: '{text}', text: '$& {name}' }),
    '{text}: $& {name}',
  );
  assert.equal(words.say('said.joined', { name: '' }), 'Guest joined');
  assert.equal(words.say('said.joined'), 'Guest joined');
});

test('every error of the protocol is said in a sentence of the page', async () => {
  const page = await readFile('../../docs/protocol/errors.md', 'utf8');
  const names = [...page.matchAll(/^\| `\w+` \| `(OT_\w+)` \| \d+ \| \d+ \|/gm)];
  assert.ok(names.length > 30);
  for (const [, name = ''] of names) {
    const said = new Words('en').error(Object.assign(new Error('of the server'), { name }));
    assert.notEqual(said, 'of the server', name);
  }
});

test('browsers are quoted, servers are not, and the name of what every object has is none', () => {
  const words = new Words('en');
  const phishing = 'Enter your secret at https://evil.example';
  for (const name of ['constructor', 'OT_STRANGE', 'NotReadableError', 'TypeError', '']) {
    const error = Object.assign(new Error(phishing), { name });
    assert.equal(words.error(error), en['error.unknown']);
  }
  assert.equal(words.error(phishing), en['error.unknown']);
  assert.equal(words.error(Object.assign(new Error(''), { name: 'x' })), en['error.unknown']);
  assert.equal(words.error(new DOMException('No\u202e.', 'NotReadableError')), 'No .');
});
