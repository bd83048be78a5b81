// Sizes and rates inside one encoding (SVC), encrypted: a subscriber gets what it prefers of them.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG } from './support/browsers.mjs';
import { Lab, SECRET } from './support/lab.mjs';

const SIZE = { width: 960, height: 540 };
const PATIENCE_MS = 20_000;

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** A client that sends in this mode of W3C's "Scalable Video Coding (SVC) for WebRTC"; without one, as
 * the SDK chooses. */
async function publisher(room, codec, mode) {
  const person = await lab.person('chromium');
  await person.do((scalabilityMode) => {
    if (!scalabilityMode) return;
    const { prototype } = RTCPeerConnection;
    const { addTransceiver } = prototype;
    prototype.addTransceiver = function (track, init) {
      const isVideo = (track.kind ?? track) === 'video';
      const encodings = init.sendEncodings?.map((one) =>
        isVideo ? { ...one, scalabilityMode } : one,
      );
      return addTransceiver.call(this, track, { ...init, sendEncodings: encodings });
    };
  }, mode);
  assert.equal(await person.connect(room, await lab.server.token(room), SECRET), null);
  const properties = { scalableVideo: !mode };
  return person.publish({ codec, size: SIZE, properties });
}

const prefer = (person, streamId, size) =>
  person.do((id, given) => lab.subscribers.get(id).setPreferredResolution(given), streamId, size);

/** Waits until the video is this wide and moves on: frames of two seconds, and how long it took. */
const untilWide = (person, streamId, width) =>
  person.do(
    async (id, wanted, patience) => {
      const video = lab.subscribers.get(id).element.querySelector('video');
      const begun = performance.now();
      while (video.videoWidth !== wanted) {
        if (performance.now() - begun > patience) throw new Error(`${video.videoWidth} wide`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const milliseconds = performance.now() - begun;
      const before = video.getVideoPlaybackQuality().totalVideoFrames;
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const frames = video.getVideoPlaybackQuality().totalVideoFrames - before;
      return { frames, milliseconds: Math.round(milliseconds) };
    },
    streamId,
    width,
    PATIENCE_MS,
  );

for (const [codec, mode] of [
  ['vp9', 'L3T3'],
  ['vp9', 'L3T3_KEY'],
  ['vp9', ''],
  ['av1', 'L3T3'],
  ['av1', 'L3T3_KEY'],
  ['av1', ''],
]) {
  const skip = (codec === 'av1' || mode !== '') && LONG;
  test(
    `${codec} ${mode || 'as the SDK chooses'}: a preferred resolution gets smaller frames, and the large ones return without it`,
    { skip },
    async (t) => {
      const room = await lab.server.createRoom({ e2ee: true });
      const streamId = await publisher(room, codec, mode);
      const bob = await lab.join(room);
      await bob.sees(streamId);
      const steps = [
        [null, SIZE.width],
        [{ width: 480, height: 270 }, 480],
        // The SDK makes no frame that is lower than 180.
        [{ width: 240, height: 135 }, mode ? 240 : 480],
        [null, SIZE.width],
      ];
      for (const [preferred, width] of steps) {
        await prefer(bob, streamId, preferred);
        const { frames, milliseconds } = await untilWide(bob, streamId, width);
        t.diagnostic(`${width} wide after ${milliseconds} ms, ${frames / 2} frames per second`);
        assert.ok(frames > 4, `${frames} frames in two seconds`);
        await bob.sees(streamId);
      }
    },
  );
}
