// Applications that Vite, webpack 5 and Next build of the packed packages, run in real Chromium.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG } from './support/browsers.mjs';
import { INSTALLED, nextSite, prepare, site } from './support/bundled.mjs';
import { SECRET } from './support/lab.mjs';
import { until, Visits } from './support/visits.mjs';

const skip = LONG || (INSTALLED ? false : 'NOT CHECKED: the bundlers are not installed (make)');
const open = [];
let visits;

before(async () => {
  if (skip) return;
  await prepare();
  visits = await Visits.open();
});
afterEach(async () => {
  await visits?.empty();
  for (const one of open.splice(0)) await one.stop();
});
after(() => visits?.close());

async function enter(url, room) {
  const { server } = visits;
  const given = { ...room, token: await server.token(room), secret: SECRET, serverUrl: server.url };
  delete given.url;
  const faults = [];
  const page = await visits.visit('chromium', `${url}#${new URLSearchParams(given)}`, {
    before: (made) => made.on('pageerror', (error) => faults.push(error.message)),
  });
  return { page, faults };
}

const showsOther = ({ page }) =>
  until(page, () => {
    const video = document.querySelector('.OTSubscriberContainer video');
    return video?.videoWidth > 0 && video.currentTime > 0.3;
  });

/** Two people see each other, encrypted, and are there once. Resolves with their pages. */
async function meet(url) {
  const room = await visits.server.createRoom();
  const people = [await enter(url, room), await enter(url, room)];
  await Promise.all(people.map(showsOther));
  for (const { page, faults } of people) {
    const seen = await page.evaluate(() => ({
      state: document.getElementById('encryption').textContent,
      locks: [...document.querySelectorAll('[data-encryption]')].map(
        ({ dataset }) => dataset.encryption,
      ),
      events: globalThis.events.map(([name]) => name),
    }));
    assert.deepEqual(seen, {
      state: 'keyed',
      locks: ['encrypted', 'encrypted'],
      events: ['subscribed'],
    });
    assert.deepEqual(faults, []);
  }
  return people.map(({ page }) => page);
}

for (const bundler of ['vite', 'webpack']) {
  // Strict mode runs each effect twice in development builds, and in those alone.
  for (const [mode, effects] of [
    ['development', 2],
    ['production', 1],
  ]) {
    test(`two users of the ${mode} build of ${bundler} see each other`, { skip }, async () => {
      const built = await site(bundler, mode);
      open.push(built);
      for (const page of await meet(built.url)) {
        assert.equal(await page.evaluate(() => globalThis.effects), effects);
      }
    });
  }
}

test('two users of an application of Next see each other', { skip }, async () => {
  const built = await nextSite();
  open.push(built);
  // Its server drew the page without a browser.
  assert.match(await (await fetch(built.url)).text(), /<h1>A call<\/h1>/);
  await meet(built.url);
});
