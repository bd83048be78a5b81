// Filters and media processors work on what is sent before it is encrypted: judged by what arrives.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** Long: without a GPU the first frame takes long, and each one tenths of a second. */
const FOR_LONG_MS = 60_000;

test(
  'on an encrypted call the background is blurred and noise goes, and comes back',
  { skip: LONG },
  async () => {
    const room = await lab.server.createRoom();
    const [ada, bob] = [
      await lab.join(room, { path: '/pages/lab.html?filters' }),
      await lab.join(room),
    ];
    const streamId = await ada.do(() => globalThis.lab.publishRoughly());
    const untilSpread = (least, most) =>
      bob.until(
        (id, low, high) => {
          const { mean, spread } = globalThis.lab.brightness(id) ?? {};
          return mean > 80 && mean < 180 && spread >= low && spread <= high;
        },
        `a spread from ${least} to ${most}`,
        FOR_LONG_MS,
        ...[streamId, least, most],
      );
    const levelOfBob = () =>
      bob.do(async (id) => {
        const energy = async () => (await globalThis.lab.received(id)).audio?.totalAudioEnergy ?? 0;
        const first = await energy();
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        return (await energy()) - first;
      }, streamId);
    await untilSpread(70, 130);
    const loud = await levelOfBob();
    await ada.do(async () => {
      const [publisher] = globalThis.lab.publishers;
      await publisher.applyVideoFilter({ type: 'backgroundBlur', blurStrength: 'high' });
      await publisher.applyAudioFilter({ type: 'advancedNoiseSuppression' });
    });
    await untilSpread(0, 40);
    let quiet = loud;
    for (let look = 0; look < 15 && quiet >= loud / 3; look += 1) quiet = await levelOfBob();
    assert.ok(quiet < loud / 3, `noise: ${loud} before, ${quiet} after`);
    const inUse = await ada.do(async () => {
      const [publisher] = globalThis.lab.publishers;
      const types = [publisher.getVideoFilter().type, publisher.getAudioFilter().type];
      await publisher.clearVideoFilter();
      return [...types, publisher.getVideoFilter()];
    });
    assert.deepEqual(inUse, ['backgroundBlur', 'advancedNoiseSuppression', null]);
    await untilSpread(70, 130);
  },
);

test('what a connector makes is sent, and the publisher reports its way to the server', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.do(() => {
    return globalThis.lab.publishRoughly({ publishSenderStats: true });
  });
  const untilMean = (least, most) =>
    bob.until(
      (id, low, high) => {
        const { mean } = globalThis.lab.brightness(id) ?? {};
        return mean >= low && mean <= high;
      },
      `a brightness from ${least} to ${most}`,
      FOR_LONG_MS,
      ...[streamId, least, most],
    );
  await untilMean(80, 180);
  await bob.do((id) => {
    globalThis.conditions = [];
    globalThis.lab.subscribers
      .get(id)
      .on('networkConditionChanged', ({ stats }) =>
        globalThis.conditions.push(stats.mediaLink.transport.networkCondition),
      );
  }, streamId);
  await ada.do(async () => {
    const white = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
    const context = white.getContext('2d');
    setInterval(() => {
      context.fillStyle = '#fff';
      context.fillRect(0, 0, 320, 240);
    }, 100);
    await globalThis.lab.publishers[0].setVideoMediaProcessorConnector({
      setTrack: () => Promise.resolve(white.captureStream().getVideoTracks()[0]),
      destroy: () => Promise.resolve(),
    });
  });
  await untilMean(220, 255);
  await bob.until(
    async (id) => {
      const { senderStats, mediaLink } = await globalThis.lab.stats(id);
      const { networkCondition } = mediaLink.remotePublisherTransport;
      const isKnown = senderStats?.connectionMaxAllocatedBitrate > 0;
      return isKnown && networkCondition !== 'unknown' && globalThis.conditions.length > 0;
    },
    'the sender statistics and the condition',
    FOR_LONG_MS,
    streamId,
  );
});
