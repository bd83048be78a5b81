// Two channels stay two: a tone left, another one right, from one browser to another. Firefox makes
// no tones of its own on machines without a sound card, so it only listens.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG, browsers } from './support/browsers.mjs';
import { Lab, SECRET } from './support/lab.mjs';

const [LEFT_HZ, RIGHT_HZ] = [440, 1_300];
const TONES = { hertz: [LEFT_HZ, RIGHT_HZ] };
const STEREO = { ...TONES, properties: { videoSource: null, enableStereo: true } };
const MONO = { ...TONES, properties: { videoSource: null } };
const KINDS = {
  'an encrypted session': { room: {}, secret: SECRET },
  'a clear session': { room: { e2ee: false }, secret: null },
  'a relayed session': { room: { e2ee: false, relayed: true }, secret: null },
};

const short = new Set(['an encrypted session to firefox', 'a clear session to chromium']);

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

async function call({ room: kind, secret }, listening = 'chromium') {
  const room = await lab.server.createRoom(kind);
  return [await lab.join(room, { secret }), await lab.join(room, { secret, kind: listening })];
}

for (const [name, kind] of Object.entries(KINDS)) {
  for (const listening of Object.keys(browsers)) {
    const isShort = short.has(`${name} to ${listening}`);
    const skip = browsers[listening].isHere ? !isShort && LONG : 'the browser is missing';
    test(`of ${name} to ${listening}: left stays left, right stays right`, { skip }, async () => {
      const [ada, bob] = await call(kind, listening);
      const streamId = await ada.publish(STEREO);
      await bob.untilEvent('connected');
      await bob.hearsApart(streamId, LEFT_HZ, RIGHT_HZ);
    });
  }
}

test('beside mono, and over an m-line that was mono or stereo before', async () => {
  const [ada, bob] = await call(KINDS['an encrypted session']);
  const isMono = async (streamId) => {
    const [left, right] = await bob.do((id) => globalThis.lab.listenApart(id), streamId);
    assert.deepEqual(left, right);
  };
  const mono = await ada.publish(MONO);
  const stereo = await ada.publish(STEREO);
  await bob.untilEvent('connected', 2);
  await bob.hearsApart(stereo, LEFT_HZ, RIGHT_HZ);
  await isMono(mono);
  for (const publisher of [0, 1]) {
    await ada.do((index) => {
      const { session, publishers } = globalThis.lab;
      session.unpublish(publishers[index]);
    }, publisher);
  }
  const [first, second] = [await ada.publish(STEREO), await ada.publish(MONO)];
  await bob.untilEvent('connected', 4);
  await bob.hearsApart(first, LEFT_HZ, RIGHT_HZ);
  await isMono(second);
  for (const person of [ada, bob]) {
    const exceptions = await person.do(() =>
      globalThis.lab.events.filter(({ name }) => name === 'exception'),
    );
    assert.deepEqual(exceptions, []);
  }
});

test('with enableDtx next to nothing is sent in silence, and all of a tone', async () => {
  const [ada, bob] = await call(KINDS['an encrypted session']);
  const publish = (hertz, enableDtx) =>
    ada.publish({ hertz, properties: { videoSource: null, enableDtx } });
  await publish(0, true);
  await publish(0, false);
  const tone = await publish(LEFT_HZ, true);
  await bob.untilEvent('connected', 3);
  await bob.hears(tone, LEFT_HZ);
  const sent = () =>
    ada.do(() =>
      Promise.all(
        globalThis.lab.publishers.map(async (publisher) => {
          const [{ stats }] = await publisher.getStats();
          return stats.audio.packetsSent;
        }),
      ),
    );
  const before = await sent();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const [silent, undivided, audible] = (await sent()).map((count, index) => count - before[index]);
  assert.ok(silent < 30, `${silent} packets of silence`);
  assert.ok(undivided > 60 && audible > 60, `${undivided} without it, ${audible} of the tone`);
});
