// The page at `/` where things go wrong: a dead script, odd links, no https, no devices, no server.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG, browsers } from './support/browsers.mjs';
import { Server } from './support/server.mjs';

const CALL_MS = 20_000;
const SECRET = 'a secret that stays here';
const GRACE_MS = 2_000;
const NAME_OF_LAN = 'lan.example';
let server;
const opened = new Map();
const contexts = [];

before(async () => {
  server = await Server.start({ SEALROUTE_SIGNALING_GRACE_MS: String(GRACE_MS) });
});
afterEach(() => Promise.allSettled(contexts.splice(0).map((context) => context.close())));
after(async () => {
  await Promise.allSettled([...opened.values()].map(async (one) => (await one).close()));
  await server?.stop();
});

const home = () => `${server.url.replace('127.0.0.1', 'localhost')}/`;

async function blank(flags = []) {
  const key = flags.join(' ');
  if (!opened.has(key)) opened.set(key, browsers.chromium.launch(flags));
  const context = await (await opened.get(key)).createBrowserContext();
  contexts.push(context);
  const page = await context.newPage();
  page.faults = [];
  page.requests = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  page.on('request', (request) => page.requests.push(request.url()));
  return page;
}

async function visit(url = home(), flags = []) {
  const page = await blank(flags);
  await page.goto(url);
  return page;
}

const isEncrypted = () =>
  document.querySelector('#call-state').textContent === 'End-to-end encrypted';

async function join(page, name, { audio = true, video = true } = {}) {
  await page.type('#name', name);
  if (!audio) await page.click('#with-audio');
  if (!video) await page.click('#with-video');
  await page.click('#join');
  await page.waitForFunction(isEncrypted, { timeout: CALL_MS, polling: 50 });
}

const seesOther = (page, timeout = CALL_MS) =>
  page.waitForFunction(
    () =>
      [...document.querySelectorAll('.tile[data-own="false"] video')].some(
        (video) => video.videoWidth > 0 && video.currentTime > 0.3,
      ),
    { timeout, polling: 50 },
  );

const names = (page) => page.$$eval('.tile-name', (all) => all.map((one) => one.textContent));

const untilNames = (page, expected) =>
  page.waitForFunction(
    (wanted) =>
      [...document.querySelectorAll('.tile-name')]
        .map((one) => one.textContent)
        .sort()
        .join() === wanted,
    { timeout: CALL_MS, polling: 50 },
    [...expected].sort().join(),
  );

test('without its script the page sends nothing, whatever is typed and pressed', async () => {
  for (const isScriptDead of [true, false]) {
    const page = await blank();
    if (isScriptDead) await page.setJavaScriptEnabled(false);
    else {
      // It came late, or never: as far as people can see the page is the same.
      await page.setRequestInterception(true);
      page.on('request', (request) =>
        request.url().endsWith('main.js') ? request.abort() : request.continue(),
      );
    }
    await page.goto(home());
    const before = page.url();
    await page.type('#name', 'Ada');
    await page.type('#secret', SECRET);
    await page.keyboard.press('Enter');
    await page.click('#join');
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(page.url(), before);
    for (const request of page.requests) assert.ok(!/secret|Ada/.test(request), request);
  }
});

test('no field that holds a secret can be submitted, and the policy forbids all forms', async () => {
  const page = await visit();
  const data = await page.evaluate(() => {
    document.querySelector('#secret').value = 'a secret';
    document.querySelector('#changed-secret').value = 'a secret';
    return [...document.forms].flatMap((form) => [...new FormData(form).keys()]);
  });
  assert.deepEqual(data.sort(), ['audio', 'video']);
  const policy = (await fetch(home())).headers.get('Content-Security-Policy');
  assert.match(policy, /form-action 'none'/);
});

test('links that are odd or cut off do not stop the page', async () => {
  for (const [link, secret] of [
    ['?room=abc#%', '%'],
    ['?room=%E0%A4%A#%E0%A4%A', '%E0%A4%A'],
    ['?room=abc#100%25%20sure', '100% sure'],
    ['?room=&room=%00#', null],
    ['?#a#b', 'a#b'],
  ]) {
    const page = await visit(`${home()}${link}`);
    await page.waitForSelector('#join:not([disabled])');
    if (secret !== null) assert.equal(await page.$eval('#secret', ({ value }) => value), secret);
    assert.deepEqual(page.faults, []);
  }
});

test('a browser that keeps nothing for the page can use it', async () => {
  const page = await blank();
  await page.evaluateOnNewDocument(() => {
    Object.defineProperty(globalThis, 'localStorage', {
      get() {
        throw new DOMException('denied', 'SecurityError');
      },
    });
  });
  await page.goto(home());
  await join(page, 'Ada');
  assert.deepEqual(page.faults, []);
});

test('over plain http on a network address the page says that https is missing', async () => {
  const flags = [`--host-resolver-rules=MAP ${NAME_OF_LAN} 127.0.0.1`];
  const page = await visit(`${server.url.replace('127.0.0.1', NAME_OF_LAN)}/`, flags);
  await page.waitForSelector('#alert:not([hidden])');
  const said = () => page.$eval('#alert', (box) => box.textContent);
  assert.match(await said(), /opened without https/);
  await page.click('#join');
  assert.match(await said(), /opened without https/);
});

test('who has neither camera nor microphone is there for everybody, and sees them', async () => {
  const ada = await visit();
  await join(ada, 'Ada');
  const bob = await visit(await ada.evaluate(() => location.href));
  await join(bob, 'Bob', { audio: false, video: false });
  await seesOther(bob);
  await untilNames(ada, ['Ada', 'Bob']);
  await untilNames(bob, ['Ada', 'Bob']);
  assert.match(await ada.$eval('#announcer', (one) => one.textContent), /Bob joined/);
  await bob.click('#leave');
  await untilNames(ada, ['Ada']);
  assert.match(await ada.$eval('#announcer', (one) => one.textContent), /Bob left/);
});

test('a camera that is switched off is not told as a slow connection', async () => {
  const ada = await visit();
  await join(ada, 'Ada');
  const bob = await visit(await ada.evaluate(() => location.href));
  await join(bob, 'Bob');
  await seesOther(bob);
  await ada.click('#toggle-video');
  await bob.waitForSelector('.tile[data-own="false"][data-video="off"]');
  const notice = await bob.$eval('.tile[data-own="false"] .tile-notice', (one) => one.textContent);
  assert.equal(notice, '');
  await ada.click('#toggle-video');
  await bob.waitForSelector('.tile[data-own="false"][data-video="on"]');
  await seesOther(bob);
});

/** Two people in a call, one of them muted; then the server goes. */
async function outage(act) {
  const ada = await visit();
  await join(ada, 'Ada');
  const bob = await visit(await ada.evaluate(() => location.href));
  await join(bob, 'Bob');
  await Promise.all([seesOther(ada), seesOther(bob)]);
  await ada.click('#toggle-audio');
  await act();
  const backAt = performance.now();
  await Promise.all(
    [ada, bob].map(async (page) => {
      await page.waitForFunction(
        () => document.querySelectorAll('.tile[data-own="false"]').length === 1,
        { timeout: CALL_MS, polling: 50 },
      );
      await page.waitForFunction(isEncrypted, { timeout: CALL_MS, polling: 50 });
      await seesOther(page);
    }),
  );
  const tookMs = performance.now() - backAt;
  assert.equal(await ada.$eval('#call', ({ hidden }) => hidden), false);
  await untilNames(ada, ['Ada', 'Bob']);
  await bob.waitForFunction(
    () => document.querySelector('.tile[data-own="false"] .tile-muted').hidden === false,
    { timeout: 5_000, polling: 50 },
  );
  assert.equal(
    await ada.$eval('#toggle-audio', (button) => button.getAttribute('aria-pressed')),
    'false',
  );
  for (const page of [ada, bob]) assert.deepEqual(page.faults, []);
  return tookMs;
}

test('a server that is killed and starts again has everybody back, with their devices', async (t) => {
  const tookMs = await outage(() => server.restart());
  t.diagnostic(`back with video after ${Math.round(tookMs)} ms`);
});

test('an outage longer than the grace time ends nobody', { skip: LONG }, async (t) => {
  const tookMs = await outage(async () => {
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, 3 * GRACE_MS));
    await server.restart();
  });
  t.diagnostic(`back with video after ${Math.round(tookMs)} ms`);
});
