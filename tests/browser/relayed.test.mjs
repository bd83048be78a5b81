// Relayed sessions: browsers and the Python client send to each other, the server carries nothing.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LONG, browsers } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';
import { readPatternFile, readToneFile, writePattern } from './support/media.mjs';
import { PythonClient } from './support/python.mjs';

const TONE_HZ = 1_000;
const CLEAR = { e2ee: false, relayed: true };

let lab;
let folder;
const clients = [];
before(async () => {
  lab = await Lab.open({ SEALROUTE_SIGNALING_GRACE_MS: '1000' });
  folder = await mkdtemp(join(tmpdir(), 'sealroute-relayed-'));
  await writePattern(join(folder, 'pattern.webm'), { hertz: TONE_HZ });
});
afterEach(async () => {
  await lab.empty();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
after(async () => {
  await lab?.close();
  await rm(folder, { recursive: true, force: true });
});

const join_ = (room, options = {}) => lab.join(room, { secret: null, ...options });

async function python(verb, room, flags) {
  const token = await lab.server.token(room);
  const client = await PythonClient.start(verb, { room, token, secret: null, flags });
  clients.push(client);
  return client;
}

for (const [from, to] of [
  ['chromium', 'chromium'],
  ['chromium', 'firefox'],
  ['firefox', 'chromium'],
]) {
  const skip =
    browsers[from].isHere && browsers[to].isHere ? from === to && LONG : 'a browser is missing';
  test(`${from} to ${to}, past the server: frames and tones arrive`, { skip }, async () => {
    const room = await lab.server.createRoom(CLEAR);
    const ada = await join_(room, { kind: from });
    const bob = await join_(room, { kind: to });
    const streamId = await ada.publish({ hertz: TONE_HZ });
    await bob.untilEvent('connected');
    await bob.sees(streamId);
    await bob.hears(streamId, TONE_HZ);
    const back = await bob.publish({ hertz: TONE_HZ });
    await ada.sees(back);
    assert.deepEqual(await lab.server.mediaTotals(), []);
    assert.equal((await ada.count('exception')) + (await bob.count('exception')), 0);
  });
}

test('the Python client to Chromium', async () => {
  const room = await lab.server.createRoom(CLEAR);
  const bob = await join_(room);
  const media = join(folder, 'pattern.webm');
  const ada = await python('publish', room, ['--media', media, '--loop']);
  const { streamId } = await ada.untilEvent('published');
  await bob.sees(streamId);
  await bob.hears(streamId, TONE_HZ);
  assert.deepEqual(await lab.server.mediaTotals(), []);
});

test('Chromium to the Python client', async () => {
  const room = await lab.server.createRoom(CLEAR);
  const ada = await join_(room);
  const out = await mkdtemp(join(folder, 'out-'));
  const bob = await python('record', room, ['--out', out]);
  await bob.untilEvent('connected');
  await ada.publish({ hertz: TONE_HZ });
  await bob.untilEvent('recording');
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(await bob.leave(), 0);
  const { path } = await bob.untilEvent('recorded');
  const known = (await readPatternFile(path)).filter((frame) => frame !== null);
  assert.ok(new Set(known).size > 15, `only ${known.length} frames are known`);
  const { hertz, share } = await readToneFile(path);
  assert.ok(Math.abs(hertz - TONE_HZ) <= 30 && share > 0.15, `${hertz} Hz, ${share}`);
});

test('who does not want video is sent none, and gets it when it is wanted again', async () => {
  const room = await lab.server.createRoom(CLEAR);
  const ada = await join_(room);
  const bob = await join_(room);
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.sees(streamId);
  await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(false), streamId);
  await ada.until(
    async () => {
      const [{ stats }] = await lab.publishers[0].getStats();
      const before = lab.framesBefore;
      lab.framesBefore = stats.video.framesSent;
      await new Promise((resolve) => setTimeout(resolve, 300));
      return before !== undefined && before === stats.video.framesSent;
    },
    'video is still sent',
    15_000,
  );
  await bob.hears(streamId, TONE_HZ);
  await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(true), streamId);
  await bob.sees(streamId);
});

test('a moderator mutes, and ends a stream', async () => {
  const room = await lab.server.createRoom(CLEAR);
  const ada = await join_(room, { role: 'publisher' });
  const bob = await join_(room);
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.sees(streamId);
  await bob.do((id) => lab.session.forceMuteStream(lab.subscribers.get(id).stream), streamId);
  await ada.untilEvent('publisher muteForced');
  await bob.do((id) => lab.session.forceUnpublish(lab.subscribers.get(id).stream), streamId);
  await ada.untilEvent('publisher streamDestroyed');
  await bob.untilEvent('streamDestroyed');
});

test('a peer that is lost ends its stream for the others', async () => {
  const room = await lab.server.createRoom(CLEAR);
  const ada = await join_(room);
  const bob = await join_(room);
  const streamId = await ada.publish();
  await bob.sees(streamId);
  await ada.page.goto('about:blank');
  await bob.untilEvent('streamDestroyed', 1, 15_000);
});
