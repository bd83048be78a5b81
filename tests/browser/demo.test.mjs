// The page at `/` as two people use it: one opens a room, the other comes by its link.
import { after, before, afterEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { CALL_MS, join, joinWatched, say, seesOther, Visits } from './support/visits.mjs';

let visits;

before(async () => (visits = await Visits.open()));
afterEach(() => visits.empty());
after(() => visits?.close());

const visit = (kind, url) => visits.visit(kind, url);

const encryptionOf = (page, state) =>
  page.waitForFunction(
    (wanted) =>
      document.querySelector('.tile[data-own="false"] .tile-encryption')?.dataset.state === wanted,
    { timeout: CALL_MS, polling: 50 },
    state,
  );

async function call() {
  const ada = await visit('chromium');
  await join(ada, 'Ada');
  const grace = await visit('firefox', await ada.evaluate(() => location.href));
  await join(grace, 'Grace');
  await Promise.all([seesOther(ada), seesOther(grace)]);
  return { ada, grace };
}

test('two people in Chromium and Firefox see each other, encrypted, by a link', async () => {
  const { ada, grace } = await call();
  await Promise.all([encryptionOf(ada, 'encrypted'), encryptionOf(grace, 'encrypted')]);
  const names = await grace.$$eval('.tile-name', (found) => found.map((one) => one.textContent));
  assert.deepEqual(names.sort(), ['Ada', 'Grace']);
  const secret = decodeURIComponent(new URL(await ada.evaluate(() => location.href)).hash.slice(1));
  const fields = () => [...document.querySelectorAll('input')].map(({ value }) => value);
  for (const page of [ada, grace]) assert.ok(!(await page.evaluate(fields)).includes(secret));
  assert.ok(ada.requests.some((request) => request.includes('/v1/rooms')));
  for (const request of [...ada.requests, ...grace.requests]) {
    assert.ok(!request.includes(secret), 'the secret left the browser');
  }
  assert.ok(!visits.server.output.includes(secret));
});

test('both read the same verification code', async () => {
  const { ada, grace } = await call();
  const codes = [];
  for (const page of [ada, grace]) {
    await page.click('#show-code');
    await page.waitForFunction(() => document.querySelector('#code-digits').textContent !== '');
    codes.push(await page.$eval('#code-digits', (found) => found.textContent));
  }
  assert.match(codes[0], /^(\d{5} ){5}\d{5}$/);
  assert.equal(codes[0], codes[1]);
});

test('a changed secret shows a mismatch until the other changes too', async () => {
  const { ada, grace } = await call();
  const change = async (page) => {
    await page.click('#open-settings');
    await page.waitForSelector('#settings[open]');
    await page.$eval('#changed-secret', (field) => (field.value = 'another secret of ours'));
    await page.click('#apply-secret');
    await page.click('#settings button.primary');
    await page.waitForFunction(() => document.querySelector('#changed-secret').value === '');
  };
  await change(ada);
  await encryptionOf(grace, 'mismatch');
  await change(grace);
  await Promise.all([encryptionOf(ada, 'encrypted'), encryptionOf(grace, 'encrypted')]);
});

test('who mutes is seen muted, who leaves is gone, and the keyboard does both', async () => {
  const { ada, grace } = await call();
  await ada.keyboard.press('m');
  await grace.waitForFunction(
    () => document.querySelector('.tile[data-own="false"] .tile-muted').hidden === false,
    { timeout: CALL_MS, polling: 50 },
  );
  await ada.focus('#leave');
  await ada.keyboard.press('Enter');
  await grace.waitForFunction(() => document.querySelectorAll('.tile').length === 1, {
    timeout: CALL_MS,
    polling: 50,
  });
});

test('a stream whose name is one of the page, or of a person, is a tile beside theirs', async () => {
  const page = await joinWatched(visits, 'Ada');
  const names = ['own', 'screen', 'own:camera', 'own:screen', 'mallory', 'constructor'];
  const connection = { connectionId: 'mallory', creationTime: 1, data: '' };
  await say(page, { t: 'connectionCreated', connection });
  for (const streamId of names) {
    const stream = { streamId, connectionId: 'mallory', creationTime: 1, name: streamId };
    await say(page, { t: 'streamCreated', stream: { ...stream, hasAudio: true, hasVideo: true } });
  }
  await page.keyboard.press('m');
  const muted = () =>
    page.$$eval('.tile', (tiles) =>
      tiles.map((tile) => [
        tile.querySelector('.tile-name').textContent,
        !tile.querySelector('.tile-muted').hidden,
      ]),
    );
  assert.deepEqual(await muted(), [['Ada', true], ...names.map((name) => [name, false])]);
  await say(page, { t: 'connectionCreated', connection: { ...connection, connectionId: 'own' } });
  for (const streamId of names) {
    await say(page, { t: 'streamDestroyed', streamId, reason: 'clientDisconnected' });
  }
  await say(page, { t: 'connectionDestroyed', connectionId: 'own', reason: 'clientDisconnected' });
  assert.deepEqual(await muted(), [
    ['Ada', true],
    ['Guest', false],
  ]);
  await page.keyboard.press('m');
  assert.deepEqual((await muted())[0], ['Ada', false]);
});

for (const [code, sentence] of [
  [1009, /did not understand this page/],
  [4400, /did not understand this page/],
  [4403, /^A moderator ended your part/],
  [4430, /sent more than the server allows/],
]) {
  test(`who is closed with ${code} reads why, and does not come back by itself`, async () => {
    const page = await joinWatched(visits, 'Ada');
    await page.evaluate((given) => globalThis.lyingSocket.onclose({ code: given }), code);
    await page.waitForSelector('#alert:not([hidden])');
    assert.match(await page.$eval('#alert', (box) => box.textContent), sentence);
    assert.equal(await page.$eval('#lobby', ({ hidden }) => hidden), false);
  });
}

test('who did not leave comes back, whatever the server says of it', async () => {
  const page = await joinWatched(visits, 'Ada');
  await page.evaluate(() => (globalThis.firstSocket = globalThis.lyingSocket));
  await say(page, { t: 'disconnected', reason: 'clientDisconnected' });
  await page.waitForFunction(
    () =>
      globalThis.lyingSocket !== globalThis.firstSocket &&
      document.querySelector('#call-state').textContent === 'End-to-end encrypted',
    { timeout: CALL_MS, polling: 50 },
  );
});

test('a secret that is too short and a room that is not there are said in a sentence', async () => {
  const page = await visit('chromium');
  await page.$eval('#secret', (field) => (field.value = 'short'));
  await page.click('#join');
  await page.waitForSelector('#alert:not([hidden])');
  assert.match(await page.$eval('#alert', (box) => box.textContent), /8 to 256 characters/);
  const lost = await visit('chromium', `${visits.server.url}/?room=2_nothing#a-long-enough-secret`);
  await lost.click('#join');
  await lost.waitForSelector('#alert:not([hidden])');
  assert.match(await lost.$eval('#alert', (box) => box.textContent), /no such room/i);
});
