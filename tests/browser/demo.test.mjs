// The page at `/` as two people use it: one opens a room, the other comes by its link.
import { after, before, afterEach, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { browsers } from './support/browsers.mjs';
import { Server } from './support/server.mjs';

const require = createRequire(new URL('../../sdk/web/package.json', import.meta.url));
const { encode } = require('@msgpack/msgpack');
const CALL_MS = 20_000;
let server;
const opened = new Map();
const contexts = [];

before(async () => (server = await Server.start()));
afterEach(() => Promise.allSettled(contexts.splice(0).map((context) => context.close())));
after(async () => {
  await Promise.allSettled([...opened.values()].map(async (one) => (await one).close()));
  await server?.stop();
});

async function visit(kind, url = `${server.url.replace('127.0.0.1', 'localhost')}/`) {
  if (!opened.has(kind)) opened.set(kind, browsers[kind].launch());
  const context = await (await opened.get(kind)).createBrowserContext();
  contexts.push(context);
  const page = await context.newPage();
  page.requests = [];
  // Drivers report the fragment of a page's own address; browsers do not send it.
  page.on('request', (request) => page.requests.push(request.url().split('#')[0]));
  await page.goto(url);
  return page;
}

async function join(page, name) {
  await page.type('#name', name);
  await page.click('#join');
  await page.waitForFunction(
    () => document.querySelector('#call-state').textContent === 'End-to-end encrypted',
    { timeout: CALL_MS, polling: 50 },
  );
}

const seesOther = (page) =>
  page.waitForFunction(
    () =>
      [...document.querySelectorAll('.tile[data-own="false"] video')].some(
        (video) => video.videoWidth > 0 && video.currentTime > 0.3,
      ),
    { timeout: CALL_MS, polling: 50 },
  );

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
  assert.deepEqual(names.sort(), ['Ada', 'Grace (you)']);
  const secret = decodeURIComponent(new URL(await ada.evaluate(() => location.href)).hash.slice(1));
  const fields = () => [...document.querySelectorAll('input')].map(({ value }) => value);
  for (const page of [ada, grace]) assert.ok(!(await page.evaluate(fields)).includes(secret));
  assert.ok(ada.requests.some((request) => request.includes('/v1/rooms')));
  for (const request of [...ada.requests, ...grace.requests]) {
    assert.ok(!request.includes(secret), 'the secret left the browser');
  }
  assert.ok(!server.output.includes(secret));
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

/** Keeps the page's WebSocket, to say what a lying server would. */
const keepSocket = (page) =>
  page.evaluateOnNewDocument(() => {
    globalThis.WebSocket = class extends WebSocket {
      constructor(...given) {
        super(...given);
        globalThis.lyingSocket = this;
      }
    };
  });

async function say(page, message) {
  const bytes = Buffer.from(encode(message)).toString('base64');
  await page.evaluate((text) => {
    const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    globalThis.lyingSocket.onmessage({ data });
  }, bytes);
}

test('a stream whose name is one of the page, or of a person, is a tile beside theirs', async () => {
  const page = await joinWatched('Ada');
  const names = ['own', 'screen', 'own:camera', 'own:screen', 'mallory', 'constructor'];
  const connection = { connectionId: 'mallory', creationTime: 1, data: '{"name":"Mallory"}' };
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
  assert.deepEqual(await muted(), [['Ada (you)', true], ...names.map((name) => [name, false])]);
  await say(page, { t: 'connectionCreated', connection: { ...connection, connectionId: 'own' } });
  for (const streamId of names) {
    await say(page, { t: 'streamDestroyed', streamId, reason: 'clientDisconnected' });
  }
  await say(page, { t: 'connectionDestroyed', connectionId: 'own', reason: 'clientDisconnected' });
  assert.deepEqual(await muted(), [
    ['Ada (you)', true],
    ['Mallory', false],
  ]);
  await page.keyboard.press('m');
  assert.deepEqual((await muted())[0], ['Ada (you)', false]);
});

/** Joins with a page whose WebSocket can be made to lie. */
async function joinWatched(name) {
  const page = await visit('chromium', 'about:blank');
  await keepSocket(page);
  await page.goto(server.url.replace('127.0.0.1', 'localhost'));
  await join(page, name);
  return page;
}

for (const [code, sentence] of [
  [1009, /did not understand this page/],
  [4400, /did not understand this page/],
  [4403, /^A moderator ended your part/],
  [4430, /sent more than the server allows/],
]) {
  test(`who is closed with ${code} reads why, and does not come back by itself`, async () => {
    const page = await joinWatched('Ada');
    await page.evaluate((given) => globalThis.lyingSocket.onclose({ code: given }), code);
    await page.waitForSelector('#alert:not([hidden])');
    assert.match(await page.$eval('#alert', (box) => box.textContent), sentence);
    assert.equal(await page.$eval('#lobby', ({ hidden }) => hidden), false);
  });
}

test('who did not leave comes back, whatever the server says of it', async () => {
  const page = await joinWatched('Ada');
  await page.evaluate(() => (globalThis.firstSocket = globalThis.lyingSocket));
  await say(page, { t: 'disconnected', reason: 'clientDisconnected' });
  await page.waitForFunction(
    () =>
      globalThis.lyingSocket !== globalThis.firstSocket &&
      document.querySelector('#call-state').textContent === 'End-to-end encrypted',
    { timeout: CALL_MS, polling: 50 },
  );
});

test('every error of the protocol is said in a sentence of the page', async () => {
  const protocol = await readFile(
    new URL('../../docs/protocol/errors.md', import.meta.url),
    'utf8',
  );
  const names = [...protocol.matchAll(/^\| `\w+` \| `(OT_\w+)` \| \d+ \| \d+ \|/gm)];
  assert.ok(names.length > 30);
  const page = await visit('chromium');
  const unsaid = await page.evaluate(
    async (given) => {
      const { sentenceFor } = await import('/sentences.js');
      const said = (name) => sentenceFor(Object.assign(new Error('of the server'), { name }));
      return given.filter((name) => said(name) === 'of the server');
    },
    [...new Set(names.map(([, name]) => name))],
  );
  assert.deepEqual(unsaid, []);
});

test('a room that was not asked for is not entered', async () => {
  const page = await visit('chromium');
  const outcomes = await page.evaluate(async () => {
    const { enterRoom } = await import('/rooms.js');
    const part = (value) => btoa(JSON.stringify(value)).replaceAll('=', '');
    const token = (session_id) => `${part({ alg: 'HS256' })}.${part({ session_id })}.x`;
    const good = { apiKey: 'k', sessionId: 'mine', token: token('mine') };
    const cases = [
      ['mine', good],
      [null, good],
      ['mine', { ...good, sessionId: 'other', token: token('other') }],
      ['mine', { ...good, token: token('other') }],
      [null, { ...good, token: token('other') }],
      [null, { ...good, token: 'none' }],
      ['mine', { ...good, sessionId: ['mine'] }],
      ['mine', null],
    ];
    const found = [];
    for (const [room, body] of cases) {
      globalThis.fetch = async () => new Response(JSON.stringify(body));
      found.push(
        await enterRoom(room, 'Ada').then(
          ({ sessionId }) => sessionId,
          ({ name }) => name,
        ),
      );
    }
    return found;
  });
  const another = Array(4).fill('ROOM_ANOTHER');
  assert.deepEqual(outcomes, ['mine', 'mine', ...another, 'ROOM_REFUSED', 'ROOM_REFUSED']);
});

test('an error of the name of what every object has is said in a sentence', async () => {
  const page = await visit('chromium');
  const sentence = await page.evaluate(async () => {
    const { sentenceFor } = await import('/sentences.js');
    return sentenceFor(Object.assign(new Error('No.'), { name: 'constructor' }));
  });
  assert.equal(sentence, 'No.');
});

test('a secret that is too short and a room that is not there are said in a sentence', async () => {
  const page = await visit('chromium');
  await page.$eval('#secret', (field) => (field.value = 'short'));
  await page.click('#join');
  await page.waitForSelector('#alert:not([hidden])');
  assert.match(await page.$eval('#alert', (box) => box.textContent), /8 to 256 characters/);
  const lost = await visit('chromium', `${server.url}/?room=2_nothing#a-long-enough-secret`);
  await lost.click('#join');
  await lost.waitForSelector('#alert:not([hidden])');
  assert.match(await lost.$eval('#alert', (box) => box.textContent), /no such room/i);
});

test('tiles of 1 to 25 people fill the grid without leaving it', async () => {
  const page = await visit('chromium');
  const overflowing = await page.evaluate(async () => {
    const { layOut } = await import('/tiles.js');
    const bad = [];
    for (const [width, height] of [
      [1280, 700],
      [390, 640],
      [2560, 1300],
    ]) {
      for (let count = 1; count <= 25; count += 1) {
        const { columns, tileWidth } = layOut(count, width, height);
        const rows = Math.ceil(count / columns);
        const tileHeight = (tileWidth * 9) / 16;
        const fits =
          tileWidth * columns + 10 * (columns - 1) <= width &&
          tileHeight * rows + 10 * (rows - 1) <= height + 1;
        if (!fits || tileWidth < 40) bad.push([count, width, height, columns, tileWidth]);
      }
    }
    return bad;
  });
  assert.deepEqual(overflowing, []);
});
