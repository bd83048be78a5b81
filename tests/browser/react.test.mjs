// The React components in real Chromium, over the built SDK and a real server.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Lab, SECRET } from './support/lab.mjs';

const require = createRequire(new URL('../../sdk/web/package.json', import.meta.url));
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
let lab;

before(async () => {
  await require('esbuild').build({
    entryPoints: [path('./pages/react-app.jsx')],
    outfile: path('../../sdk/react/dist-test/react-app.js'),
    bundle: true,
    jsx: 'automatic',
    nodePaths: [path('../../sdk/react/node_modules')],
    alias: { 'sealroute-react': path('../../sdk/react/src/index.ts') },
    define: { 'process.env.NODE_ENV': '"development"' },
    logLevel: 'error',
  });
  lab = await Lab.open();
});
afterEach(() => lab.empty());
after(() => lab?.close());

async function open(room, secret = SECRET, extra = {}) {
  const token = await lab.server.token(room);
  const given = { ...room, token, ...(secret === null ? {} : { secret }), ...extra };
  const hash = new URLSearchParams(given);
  const query = new URLSearchParams({ server: lab.server.url });
  return lab.person('chromium', { path: `/pages/react.html?${query}#${hash}` });
}

const plays = (person) =>
  person.untilPage(() => {
    const video = document.querySelector('.OTSubscriberContainer video');
    return video?.videoWidth > 0 && video.currentTime > 0.3;
  });

const noted = (person, name) =>
  person.page.waitForFunction(
    (wanted) => globalThis.events.some(([found]) => found === wanted),
    { timeout: 15_000, polling: 50 },
    name,
  );

test('components publish and show each other in an encrypted session', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await open(room), await open(room)];
  await Promise.all([plays(ada), plays(bob)]);
  for (const person of [ada, bob]) {
    const [shown, ...states] = await person.do(() => [
      document.getElementById('encryption').textContent,
      ...['publisher', 'subscriber'].map((of) =>
        globalThis.events.filter(([name]) => name === of).map(([, state]) => state),
      ),
    ]);
    assert.equal(shown, 'keyed');
    assert.deepEqual(
      states.map((of) => of.at(-1)),
      ['encrypted', 'encrypted'],
    );
  }
  const held = (secret) => pathsTo(secret, { state: globalThis.sessionState }).found;
  assert.deepEqual(await ada.do(held, SECRET), []);
  await bob.do(() => globalThis.setShown(false));
  await ada.untilPage(() => document.querySelector('.OTSubscriberContainer') === null);
});

test('components in strict mode show each other, and are in the session once', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [
    await open(room, SECRET, { strict: '1' }),
    await open(room, SECRET, { strict: '1' }),
  ];
  await Promise.all([plays(ada), plays(bob)]);
  for (const person of [ada, bob]) {
    const [subscribed, shown] = await person.do(() => [
      globalThis.events.filter(([name]) => name === 'subscribed').length,
      document.querySelectorAll('.OTSubscriberContainer video').length,
    ]);
    assert.deepEqual([subscribed, shown], [1, 1]);
    assert.deepEqual(await person.do(() => globalThis.events.filter(([n]) => /rror/.test(n))), []);
  }
});

for (const [code, end, error] of [
  [4400, 'forceDisconnected', 'OT_INVALID_PARAMETER'],
  [4403, 'forceDisconnected', null],
  [4430, 'forceDisconnected', 'OT_RATE_LIMIT_EXCEEDED'],
]) {
  test(`who is closed with ${code} hears ${end} with ${error ?? 'no error'}`, async () => {
    const room = await lab.server.createRoom();
    const ada = await open(room, SECRET, { watched: '1' });
    await noted(ada, 'published');
    await ada.do((given) => globalThis.lyingSocket.onclose({ code: given }), code);
    await noted(ada, end);
    const events = await ada.do(() => globalThis.events);
    const found = (wanted) => events.find(([name]) => name === wanted)?.[1] ?? null;
    assert.deepEqual([found(end), found('error')], [error, error]);
  });
}

test('a changed prop changes the secret mid-call', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await open(room), await open(room)];
  await Promise.all([plays(ada), plays(bob)]);
  await ada.do(() => globalThis.setSecret('another secret of ours'));
  await noted(bob, 'mismatch');
  const last = await bob.do(() => globalThis.events.findLast(([name]) => name === 'subscriber'));
  assert.equal(last[1], 'failing');
  await bob.do(() => globalThis.setSecret('another secret of ours'));
  await noted(bob, 'match');
});

for (const relayed of [false, true]) {
  const mode = relayed ? 'relayed' : 'routed';
  test(`a server that says "clear, ${mode}" before the secret is there gets nothing`, async () => {
    const room = await lab.server.createRoom({ e2ee: false, relayed });
    const witness = await lab.join(room, { secret: null });
    const before = await lab.server.metric('sealroute_media_rtp_received_total');
    const ada = await open(room, null);
    await noted(ada, 'error');
    await ada.do((secret) => globalThis.setSecret(secret), SECRET);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const names = await ada.do(() => globalThis.events.map(([name, what]) => `${name} ${what}`));
    assert.deepEqual(names.slice(0, 2), [
      'error OT_CONNECT_FAILED',
      'handlerError OT_CONNECT_FAILED',
    ]);
    assert.ok(!names.some((name) => /^(connected|published|subscribed)/.test(name)), names.join());
    assert.equal(await ada.do(() => globalThis.sessionState.encryptionState), 'refused');
    assert.equal(await witness.count('streamCreated'), 0);
    assert.equal(await lab.server.metric('sealroute_media_rtp_received_total'), before);
  });
}

test('a secret that comes after the session was entered is published and played with', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await open(room, null), await open(room)];
  await noted(bob, 'published');
  await noted(ada, 'publishError');
  await ada.do((secret) => globalThis.setSecret(secret), SECRET);
  await Promise.all([plays(ada), plays(bob)]);
});

test('without the prop a clear session is used as one', async () => {
  const room = await lab.server.createRoom({ e2ee: false });
  const [ada, bob] = [
    await open(room, null, { prop: 'none' }),
    await open(room, null, { prop: 'null' }),
  ];
  await Promise.all([plays(ada), plays(bob)]);
  assert.equal(await ada.do(() => globalThis.sessionState.encryptionState), 'none');
});

test('errors about the secret reach the props, and a missing one is never the text undefined', async () => {
  const room = await lab.server.createRoom();
  const short = await open(room, 'short');
  await noted(short, 'error');
  const [, name] = await short.do(() => globalThis.events.find(([found]) => found === 'error'));
  assert.equal(name, 'OT_INVALID_ENCRYPTION_SECRET');
  await noted(short, 'handlerError');
  const without = await open(room, null);
  await noted(without, 'publishError');
  const [, reason] = await without.do(() =>
    globalThis.events.find(([found]) => found === 'publishError'),
  );
  assert.equal(reason, 'OT_STREAM_CREATE_FAILED');
});
