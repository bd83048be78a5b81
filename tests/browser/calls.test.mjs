// Encrypted calls between real browsers: every pair and every codec both ends have.
import { after, afterEach, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG, browsers } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';

const TONE_HZ = 1_000;
// Firefox offers H.264 only with a plugin that it downloads; the others are built in.
const codecs = {
  chromium: ['vp8', 'vp9', 'h264', 'av1'],
  firefox: ['vp8', 'vp9', 'av1'],
};
/** Each browser sends and receives, each codec is sent; the other pairs are long. */
const short = new Set([
  'chromium to firefox in vp8',
  'chromium to firefox in av1',
  'firefox to chromium in vp9',
  'chromium to chromium in h264',
]);
const pairs = Object.keys(browsers).flatMap((from) =>
  Object.keys(browsers).map((to) => [from, to]),
);

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

for (const [from, to] of pairs) {
  const isHere = browsers[from].isHere && browsers[to].isHere;
  describe(`${from} to ${to}`, { skip: isHere ? false : 'a browser is missing' }, () => {
    for (const codec of codecs[from].filter((name) => codecs[to].includes(name))) {
      const skip = !short.has(`${from} to ${to} in ${codec}`) && LONG;
      test(
        `an encrypted call in ${codec} and Opus, frames and tones arrive`,
        { skip },
        async () => {
          const room = await lab.server.createRoom();
          const ada = await lab.join(room, { kind: from });
          const bob = await lab.join(room, { kind: to });
          const streamId = await ada.publish({ codec, hertz: TONE_HZ });
          await bob.untilEvent('connected');
          await bob.sees(streamId);
          await bob.hears(streamId, TONE_HZ);
          const stats = await bob.do((id) => lab.stats(id), streamId);
          assert.equal(stats.video.codec.toLowerCase(), codec);
          assert.equal(await bob.count('encryptionSecretMismatch'), 0);
          assert.equal(await bob.count('exception'), 0);
        },
      );
    }
  });
}

test('four people see and hear each other in one room', { skip: LONG }, async () => {
  const room = await lab.server.createRoom();
  const people = [];
  for (let index = 0; index < 4; index += 1) people.push(await lab.join(room));
  const streams = [];
  for (const person of people) streams.push(await person.publish());
  for (const [index, person] of people.entries()) {
    await person.untilEvent('connected', 3, 20_000);
    for (const streamId of streams.filter((_, owner) => owner !== index)) {
      await person.sees(streamId);
    }
  }
});

test('a clear session needs no secret', async () => {
  const room = await lab.server.createRoom({ e2ee: false });
  const ada = await lab.join(room, { secret: null });
  const bob = await lab.join(room, { secret: null });
  const streamId = await ada.publish();
  await bob.sees(streamId);
  await bob.hears(streamId, TONE_HZ);
});
