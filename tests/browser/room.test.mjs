// The room at `/` as people expect one: by keyboard, without devices, with chat, hands and pins.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { assertAccessible } from './support/axe.mjs';
import { LONG } from './support/browsers.mjs';
import {
  CALL_MS,
  isEncrypted,
  join,
  joinWatched,
  say,
  seesOther,
  until,
  Visits,
} from './support/visits.mjs';

/** Frames cost time, and are not what is looked at. */
const SLOW_CAMERA = ['--use-fake-device-for-media-stream=fps=5'];

let visits;
before(async () => (visits = await Visits.open()));
afterEach(() => visits.empty());
after(() => visits?.close());

const focusOf = (page) => page.evaluate(() => document.activeElement.id);
const announced = (page, text) =>
  until(page, (wanted) => document.querySelector('#announcer').textContent.includes(wanted), text);
const shown = (page, selector) =>
  page.waitForSelector(selector, { visible: true, timeout: CALL_MS });
const linkOf = (page) => page.evaluate(() => location.href);
const texts = (page, selector) =>
  page.$$eval(selector, (found) => found.map((one) => one.textContent));

/** Tab until an element has the focus, as people do. */
async function tabTo(page, id) {
  for (let step = 0; step < 60; step += 1) {
    if ((await focusOf(page)) === id) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`no way to ${id} by the Tab key`);
}

async function press(page, id) {
  await tabTo(page, id);
  await page.keyboard.press('Enter');
}

test('the keyboard alone does everything, and no state has a fault of accessibility', async () => {
  const page = await joinedByKeyboard();
  const markup = () => (document.createElement('p').innerHTML = '<img src=x>');
  await assert.rejects(page.evaluate(markup), /TrustedHTML/);
  await shown(page, '#alone');
  await assertAccessible(page, 'alone');
  await say(page, {
    t: 'connectionCreated',
    connection: { connectionId: 'grace', creationTime: 1, data: '{"name":"Grace"}' },
  });
  await announced(page, 'Grace joined');
  await page.keyboard.press('m');
  await announced(page, 'Your microphone is off');
  await press(page, 'toggle-hand');
  await announced(page, 'Your hand is raised');
  await press(page, 'open-people');
  await shown(page, '#panel-people');
  assert.equal(await focusOf(page), 'panel-title');
  await assertAccessible(page, 'list of people, muted, hand raised');
  await page.keyboard.press('Escape');
  await until(page, () => document.activeElement.id === 'open-people');
  await press(page, 'open-chat');
  await until(page, () => document.activeElement.id === 'message');
  await page.keyboard.type('Hello\u202e <b>all</b>');
  await page.keyboard.press('Enter');
  await until(page, () => document.querySelector('#messages').textContent.includes('<b>all</b>'));
  await assertAccessible(page, 'chat');
  await press(page, 'close-panel');
  await press(page, 'show-code');
  await shown(page, '#code[open]');
  await assertAccessible(page, 'verification code');
  await page.keyboard.press('Escape');
  await secretByEnter(page);
  await press(page, 'leave');
  await until(page, () => document.activeElement.id === 'lobby-title');
  assert.deepEqual(await texts(page, '#messages > *'), []);
});

/** Through the lobby, and what stands there. */
async function joinedByKeyboard() {
  const lobby = await visits.visit('chromium', visits.url, { flags: SLOW_CAMERA });
  await assertAccessible(lobby, 'lobby');
  await tabTo(lobby, 'secret');
  await lobby.keyboard.down('Control');
  await lobby.keyboard.press('a');
  await lobby.keyboard.up('Control');
  await lobby.keyboard.type('short');
  await lobby.keyboard.press('Enter');
  await shown(lobby, '#alert');
  await assertAccessible(lobby, 'lobby with an error');
  assert.equal(await focusOf(lobby), 'secret');
  const page = await joinWatched(visits, 'Ada', SLOW_CAMERA);
  assert.notEqual(await focusOf(page), '');
  return page;
}

/** Enter changes the secret; what is wrong stands in the dialog. */
async function secretByEnter(page) {
  await press(page, 'open-settings');
  await shown(page, '#settings[open]');
  await tabTo(page, 'changed-secret');
  await page.$eval('#changed-secret', (field) => (field.value = 'short'));
  await page.keyboard.press('Enter');
  await shown(page, '#settings .fault:not([hidden])');
  assert.equal(await page.$eval('#settings', ({ open }) => open), true);
  await assertAccessible(page, 'settings with an error');
  await page.$eval('#changed-secret', (field) => (field.value = 'another secret of ours'));
  await page.keyboard.press('Enter');
  await announced(page, 'Secret changed');
  await page.keyboard.press('Escape');
  assert.ok((await linkOf(page)).includes('another%20secret'));
}

test(
  'messages and hands reach the others, newcomers too, and nothing stays',
  { skip: LONG },
  async () => {
    const ada = await visits.visit('chromium');
    await join(ada, 'Ada');
    await ada.keyboard.press('h');
    await announced(ada, 'Your hand is raised');
    const grace = await visits.visit('firefox', await linkOf(ada));
    await join(grace, 'Grace');
    await Promise.all([seesOther(ada), seesOther(grace)]);
    await shown(grace, '.tile[data-own="false"] .tile-hand:not([hidden])');
    await ada.click('#open-chat');
    await ada.type('#message', 'Quince \u202e<img src=x onerror=alert(1)>');
    await ada.keyboard.press('Enter');
    await shown(grace, '#chat-count:not([hidden])');
    await grace.click('#open-chat');
    await shown(grace, '#messages');
    assert.match((await texts(grace, '#messages > *')).join(), /Ada.*Quince <img src=x onerror/);
    assert.equal(await grace.$('#messages img'), null);
    assert.ok(!visits.server.output.includes('Quince'));
    for (const page of [ada, grace]) await assertAccessible(page, 'a call of two');
    await grace.click('#leave');
    await until(grace, () => !document.querySelector('#lobby').hidden);
    assert.deepEqual(await texts(grace, '#messages > *'), []);
    await join(grace, 'Grace');
    await until(ada, () => document.querySelectorAll('.tile').length === 2);
    assert.deepEqual(await texts(grace, '#messages > *'), []);
  },
);

test('without devices people join, are seen, and switch on later', { skip: LONG }, async () => {
  const hide = (page) =>
    page.evaluateOnNewDocument(() => {
      const media = navigator.mediaDevices;
      const given = media.getUserMedia.bind(media);
      globalThis.isCameraHere = false;
      media.getUserMedia = (wanted) =>
        wanted.video && !globalThis.isCameraHere
          ? Promise.reject(new DOMException('', 'NotFoundError'))
          : given(wanted);
    });
  const ada = await visits.visit('chromium', visits.url, { before: hide });
  await until(ada, () =>
    document.querySelector('#lobby-fault').textContent.includes('No camera was found'),
  );
  await assertAccessible(ada, 'lobby without a camera');
  await join(ada, 'Ada');
  const grace = await visits.visit('firefox', await linkOf(ada));
  await join(grace, 'Grace');
  await seesOther(ada);
  await until(
    grace,
    () =>
      document.querySelector('.tile[data-own="false"] .tile-status').textContent === 'Camera off',
  );
  await ada.evaluate(() => (globalThis.isCameraHere = true));
  await ada.click('#toggle-video');
  await announced(ada, 'Your camera is on');
  await seesOther(grace);
});

test('after a restart everybody is back with devices as they were', { skip: LONG }, async () => {
  const ada = await visits.visit('chromium');
  await join(ada, 'Ada');
  const grace = await visits.visit('firefox', await linkOf(ada));
  await join(grace, 'Grace');
  await Promise.all([seesOther(ada), seesOther(grace)]);
  await ada.keyboard.press('m');
  await visits.server.kill();
  await until(ada, () => document.querySelector('#call-state').dataset.mood === 'trouble');
  await assertAccessible(ada, 'connection lost');
  await visits.server.restart();
  await Promise.all([isEncrypted(ada), isEncrypted(grace)]);
  await Promise.all([seesOther(ada), seesOther(grace)]);
  await shown(grace, '.tile[data-own="false"] .tile-muted:not([hidden])');
  assert.equal(await ada.$eval('#toggle-audio', (one) => one.ariaPressed), 'false');
  assert.equal(await ada.$eval('#toggle-video', (one) => one.ariaPressed), 'true');
});

test(
  'a pin makes large, settings show the devices in use, another secret is not quiet',
  { skip: LONG },
  async () => {
    const ada = await visits.visit('chromium');
    await join(ada, 'Ada');
    const grace = await visits.visit('chromium', await linkOf(ada));
    await join(grace, 'Grace');
    await grace.keyboard.press('s');
    await shown(ada, '.tile[data-kind="screen"][data-stage="true"]');
    assert.deepEqual(await texts(ada, '.tile[data-kind="screen"] .tile-name'), ['Screen of Grace']);
    await assertAccessible(ada, 'a shared screen');
    await ada.focus('.tile[data-own="true"] .tile-pin');
    await ada.keyboard.press('Enter');
    await shown(ada, '.tile[data-own="true"][data-stage="true"]');
    await ada.click('#open-settings');
    await shown(ada, '#settings[open]');
    const used = await ada.$$eval('#camera, #microphone', (lists) =>
      lists.map((list) => list.selectedOptions[0]?.textContent),
    );
    for (const name of used) assert.match(name, /fake/i);
    await ada.$eval('#changed-secret', (field) => (field.value = 'another secret of ours'));
    await ada.click('#apply-secret');
    await until(grace, () => document.querySelector('#call-state').dataset.mood === 'trouble');
    await assertAccessible(grace, 'another secret');
  },
);

test(
  'the page speaks the language of its reader, and another one when asked',
  { skip: LONG },
  async () => {
    const german = (page) =>
      page.evaluateOnNewDocument(() => {
        Object.defineProperty(navigator, 'languages', { get: () => ['de-AT', 'en'] });
      });
    const page = await visits.visit('chromium', visits.url, { before: german });
    await until(page, () => document.querySelector('#join').textContent === 'Gespräch beginnen');
    await page.select('#lobby-language', 'ja');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'ja');
    await join(page, 'Ada');
    assert.deepEqual(await texts(page, '#call-state'), ['エンドツーエンド暗号化']);
    await assertAccessible(page, 'in Japanese');
    await page.reload();
    await until(page, () => document.documentElement.lang === 'ja');
  },
);

/** In the page: another member of its room, which says that it records. */
async function recordBeside() {
  const room = new URLSearchParams(location.search).get('room');
  const headers = { 'Content-Type': 'application/json' };
  const asked = { method: 'POST', headers, body: '{"name":""}' };
  const way = await (await fetch(`/v1/rooms/${encodeURIComponent(room)}`, asked)).json();
  const encryptionSecret = decodeURIComponent(location.hash.slice(1));
  const recorder = OT.initSession(way.apiKey, way.sessionId, { encryptionSecret });
  await recorder.connect.promise(way.token);
  await recorder.signal({ type: 'archiveStarted', data: '{"id":"a"}' });
  globalThis.recorder = recorder;
}

function stopBeside() {
  return globalThis.recorder.signal({ type: 'archiveStopped', data: '{"id":"a"}' });
}

test(
  'a call is shown as recorded until the recorder says that it stopped',
  { skip: LONG },
  async () => {
    const page = await visits.visit('chromium', visits.url, { flags: SLOW_CAMERA });
    await join(page, 'Ada');
    await page.evaluate(recordBeside);
    await shown(page, '#recording');
    await announced(page, 'The call is being recorded');
    await assertAccessible(page, 'a call that is recorded');
    await page.evaluate(() => globalThis.recorder.disconnect());
    await announced(page, 'the recording may go on');
    await shown(page, '#recording');
    await page.evaluate(recordBeside);
    await page.evaluate(stopBeside);
    await page.waitForSelector('#recording', { hidden: true, timeout: CALL_MS });
  },
);
