// Encrypted calls between a browser and the Python client, in both directions.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LONG, browsers } from './support/browsers.mjs';
import { Lab, SECRET } from './support/lab.mjs';
import { readPatternFile, readToneFile, writePattern } from './support/media.mjs';
import { PythonClient } from './support/python.mjs';

const TONE_HZ = 1_000;

let lab;
let folder;
const clients = [];
before(async () => {
  lab = await Lab.open();
  folder = await mkdtemp(join(tmpdir(), 'sealroute-media-'));
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

async function python(verb, room, flags) {
  const token = await lab.server.token(room);
  const client = await PythonClient.start(verb, { room, token, secret: SECRET, flags });
  clients.push(client);
  return client;
}

for (const kind of Object.keys(browsers)) {
  for (const codec of kind === 'chromium' ? ['vp8', 'h264', 'vp9', 'av1'] : ['vp8']) {
    const isLayered = codec === 'vp9' || codec === 'av1';
    const isHere = browsers[kind].isHere;
    // One browser is seen by Python, the other one sees it.
    const skipPublisher = isLayered
      ? 'Python does not send it'
      : isHere
        ? kind === 'chromium' && LONG
        : 'the browser is missing';
    const skipSubscriber = isHere
      ? (kind === 'firefox' || isLayered) && LONG
      : 'the browser is missing';

    test(`Python to ${kind} in ${codec}`, { skip: skipPublisher }, async () => {
      const room = await lab.server.createRoom();
      const bob = await lab.join(room, { kind });
      const media = join(folder, 'pattern.webm');
      const ada = await python('publish', room, [
        '--media',
        media,
        '--video-codec',
        codec,
        '--loop',
      ]);
      const { streamId } = await ada.untilEvent('published');
      await bob.sees(streamId);
      await bob.hears(streamId, TONE_HZ);
      assert.equal(await bob.count('encryptionSecretMismatch'), 0);
    });

    test(`${kind} to Python in ${codec}`, { skip: skipSubscriber }, async () => {
      const room = await lab.server.createRoom();
      const ada = await lab.join(room, { kind });
      const out = await mkdtemp(join(folder, 'out-'));
      const bob = await python('record', room, ['--out', out]);
      await bob.untilEvent('connected');
      await ada.publish({ codec, hertz: TONE_HZ });
      await bob.untilEvent('recording');
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      assert.equal(await bob.leave(), 0);
      const { path } = await bob.untilEvent('recorded');
      const frames = await readPatternFile(path);
      const known = frames.filter((frame) => frame !== null);
      assert.ok(known.length > 20, `only ${known.length} of ${frames.length} frames are known`);
      assert.ok(known.length >= frames.length * 0.9, `broken frames: ${frames.join()}`);
      assert.ok(new Set(known).size > 15, 'the video stands still');
      const { hertz, share } = await readToneFile(path);
      assert.ok(Math.abs(hertz - TONE_HZ) <= 30 && share > 0.15, `${hertz} Hz, ${share}`);
    });
  }
}

test('encrypted signals are understood in both directions', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await python('subscribe', room, []);
  await bob.untilEvent('connected');
  await ada.do(() => globalThis.lab.session.signal({ type: 'chat', data: 'grüß dich 🔑' }));
  const heard = await bob.untilEvent('signal');
  assert.deepEqual([heard.type, heard.data], ['chat', 'grüß dich 🔑']);
  bob.command({ command: 'signal', type: 'chat', data: 'dich auch' });
  await ada.untilEvent('signal', 2);
  const answer = await ada.do(() =>
    globalThis.lab.events.findLast(({ name }) => name === 'signal'),
  );
  assert.deepEqual(
    [answer.type, answer.data, answer.encrypted],
    ['signal:chat', 'dich auch', true],
  );
});
