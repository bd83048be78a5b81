// The room's own devices: a camera that is off is off, screens and the full screen by their buttons,
// and what is left of a call when somebody leaves it.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { assertAccessible } from './support/axe.mjs';
import { LONG } from './support/browsers.mjs';
import { CALL_MS, join, seesOther, until, Visits } from './support/visits.mjs';

const TWO_CAMERAS = ['--use-fake-device-for-media-stream=device-count=2,fps=10'];

let visits;
before(async () => (visits = await Visits.open()));
afterEach(() => visits.empty());
after(() => visits?.close());

/** What the page captured, and what it may not capture any more. */
const watchDevices = (page) =>
  page.evaluateOnNewDocument(() => {
    const media = navigator.mediaDevices;
    globalThis.captured = [];
    globalThis.refusals = {};
    for (const name of ['getUserMedia', 'getDisplayMedia']) {
      const given = media[name].bind(media);
      media[name] = async (...wanted) => {
        const refusal = globalThis.refusals[name];
        if (refusal) throw new DOMException('', refusal);
        const stream = await given(...wanted);
        globalThis.captured.push(...stream.getTracks().map((track) => [name, track]));
        return stream;
      };
    }
    globalThis.liveOf = (kind, by = 'getUserMedia') =>
      globalThis.captured
        .filter(([name, track]) => name === by && track.kind === kind)
        .map(([, track]) => track)
        .filter(({ readyState }) => readyState === 'live');
  });

const visit = (url = visits.url) =>
  visits.visit('chromium', url, { flags: TWO_CAMERAS, before: watchDevices });
const linkOf = (page) => page.evaluate(() => location.href);
const untilLive = (page, kind, count) =>
  until(page, (one, wanted) => globalThis.liveOf(one).length === wanted, kind, count);
const untilOthersVideo = (page, video) =>
  until(
    page,
    (wanted) => document.querySelector('.tile[data-own="false"]')?.dataset.video === wanted,
    video,
  );
const pressed = (page, id, wanted) =>
  until(
    page,
    (one, state) => document.getElementById(one).ariaPressed === state,
    id,
    String(wanted),
  );

async function callOfTwo() {
  const ada = await visit();
  await join(ada, 'Ada');
  const grace = await visit(await linkOf(ada));
  await join(grace, 'Grace');
  await Promise.all([seesOther(ada), seesOther(grace)]);
  return [ada, grace];
}

test('a camera that is switched off is released, and comes back as it was', async () => {
  const [ada, grace] = await callOfTwo();
  assert.equal(await ada.evaluate(() => globalThis.liveOf('video').length), 1);
  await ada.click('#toggle-video');
  await untilOthersVideo(grace, 'off');
  await untilLive(ada, 'video', 0);
  assert.equal(await ada.evaluate(() => globalThis.liveOf('audio').length), 1);

  // What is chosen meanwhile waits until it is wanted.
  await ada.click('#open-settings');
  await ada.waitForSelector('#settings[open]', { visible: true, timeout: CALL_MS });
  const other = await ada.$eval(
    '#camera',
    (list) => [...list.options].find(({ selected }) => !selected).value,
  );
  await ada.select('#camera', other);
  await ada.keyboard.press('Escape');
  assert.equal(await ada.evaluate(() => globalThis.liveOf('video').length), 0);

  await ada.click('#toggle-video');
  await untilLive(ada, 'video', 1);
  await untilOthersVideo(grace, 'on');
  const used = await ada.evaluate(() => globalThis.liveOf('video')[0].getSettings().deviceId);
  assert.equal(used, other);
  const before = await grace.$eval('.tile[data-own="false"] video', (one) => one.currentTime);
  await until(
    grace,
    (time) => document.querySelector('.tile[data-own="false"] video').currentTime > time + 0.3,
    before,
  );
});

test(
  'a camera that cannot come back says why, and nothing about joining',
  { skip: LONG },
  async () => {
    const ada = await visit();
    await join(ada, 'Ada');
    await ada.click('#toggle-video');
    await untilLive(ada, 'video', 0);
    await ada.evaluate(() => (globalThis.refusals.getUserMedia = 'NotFoundError'));
    await ada.click('#toggle-video');
    await until(ada, () => document.querySelector('#toggle-video').title !== '');
    assert.equal(await ada.$eval('#toggle-video', ({ title }) => title), 'No camera was found.');
    await ada.evaluate(() => delete globalThis.refusals.getUserMedia);
    await ada.click('#toggle-video');
    await pressed(ada, 'toggle-video', true);
    await untilLive(ada, 'video', 1);
  },
);

test(
  'the screen is shared and taken back by its button, and by the browser',
  { skip: LONG },
  async () => {
    const [ada, grace] = await callOfTwo();
    const screens = (count) =>
      until(
        ada,
        (wanted) => document.querySelectorAll('.tile[data-kind="screen"]').length === wanted,
        count,
      );
    await grace.click('#toggle-screen');
    await screens(1);
    await pressed(grace, 'toggle-screen', true);
    await until(
      ada,
      () => document.querySelector('.tile[data-kind="screen"] video').videoWidth > 0,
    );
    await grace.click('#toggle-screen');
    await screens(0);
    await pressed(grace, 'toggle-screen', false);
    assert.equal(
      await grace.evaluate(() => globalThis.liveOf('video', 'getDisplayMedia').length),
      0,
    );

    await grace.click('#toggle-screen');
    await screens(1);
    // The bar of the browser that says "stop sharing".
    await grace.evaluate(() => {
      const [track] = globalThis.liveOf('video', 'getDisplayMedia');
      track.stop();
      track.dispatchEvent(new Event('ended'));
    });
    await screens(0);
    await pressed(grace, 'toggle-screen', false);

    await grace.evaluate(() => (globalThis.refusals.getDisplayMedia = 'NotAllowedError'));
    await grace.click('#toggle-screen');
    await grace.waitForSelector('#alert:not([hidden])', { timeout: CALL_MS });
    assert.match(await grace.$eval('#alert', (one) => one.textContent), /^Nothing is shared\./);
    await pressed(grace, 'toggle-screen', false);
  },
);

test('the full screen is entered and left by its button', { skip: LONG }, async () => {
  const ada = await visit();
  await join(ada, 'Ada');
  await ada.click('#toggle-full');
  await until(ada, () => document.fullscreenElement !== null);
  await pressed(ada, 'toggle-full', true);
  await ada.click('#toggle-full');
  await until(ada, () => document.fullscreenElement === null);
  await pressed(ada, 'toggle-full', false);
});

test('who leaves is told so, sends and captures nothing, and can come back', async () => {
  const [ada, grace] = await callOfTwo();
  await grace.click('#leave');
  await until(grace, () => !document.querySelector('#lobby').hidden);
  const told = await grace.$$eval('#lobby-title, #join', (all) => all.map((one) => one.innerText));
  assert.deepEqual(told, ['You left the call', 'Join again']);
  await untilLive(grace, 'video', 0);
  await untilLive(grace, 'audio', 0);
  await assertAccessible(grace, 'after leaving');
  const other = await grace.$eval('#another-call', (link) => [link.hidden, link.href]);
  assert.deepEqual(other, [false, visits.url]);
  await grace.click('#join');
  await Promise.all([seesOther(ada), seesOther(grace)]);
  assert.equal(await grace.$eval('#toggle-video', (one) => one.ariaPressed), 'true');
});
