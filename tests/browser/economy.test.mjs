// Layers and videos that nobody watches are not sent, and come back when somebody does.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { LONG } from './support/browsers.mjs';
import { Lab, SECRET } from './support/lab.mjs';

const SIZE = { width: 1280, height: 720 };
const LINGER_MS = 5_000;
/** Longer would be seen as a freeze. */
const FREEZE_MS = 1_000;
const PATIENCE_MS = LINGER_MS + 10_000;

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** Somebody whose peer connections the page can ask. */
async function watched(room, kind = 'chromium') {
  const person = await lab.person(kind);
  await person.do(() => {
    globalThis.peers = [];
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...given) {
        super(...given);
        globalThis.peers.push(this);
      }
    };
  });
  assert.equal(await person.connect(room, await lab.server.token(room), SECRET), null);
  return person;
}

async function publisher(room, kind, properties) {
  const person = await watched(room, kind);
  const streamId = await person.publish({ codec: 'vp8', size: SIZE, properties });
  return { person, streamId };
}

/** Frames that each encoding sends within a second, by RID. */
const sentFrames = (person) =>
  person.do(async () => {
    const read = async () => {
      const found = {};
      for (const peer of globalThis.peers) {
        for (const row of (await peer.getStats()).values()) {
          if (row.type === 'outbound-rtp' && row.kind === 'video') {
            found[row.rid ?? 'only'] = row.framesSent ?? 0;
          }
        }
      }
      return found;
    };
    const earlier = await read();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const later = await read();
    return Object.fromEntries(
      Object.entries(later).map(([rid, frames]) => [rid, frames - (earlier[rid] ?? 0)]),
    );
  });

async function untilSends(person, wanted, timeoutMs = PATIENCE_MS) {
  const deadline = Date.now() + timeoutMs;
  let frames;
  do {
    frames = await sentFrames(person);
    const sends = Object.keys(frames).filter((rid) => frames[rid] > 0);
    if (sends.sort().join() === [...wanted].sort().join()) return;
  } while (Date.now() < deadline);
  assert.fail(`sends ${JSON.stringify(frames)}, not ${wanted}`);
}

const prefer = (person, streamId, size) =>
  person.do((id, given) => lab.subscribers.get(id).setPreferredResolution(given), streamId, size);

/** Begins to note the longest time between two frames of a stream. */
const watchGaps = (person, streamId) =>
  person.do((id) => {
    const video = lab.video(id);
    const gaps = { last: performance.now(), longest: 0 };
    globalThis.gaps = gaps;
    const onFrame = () => {
      const now = performance.now();
      gaps.longest = Math.max(gaps.longest, now - gaps.last);
      gaps.last = now;
      if (globalThis.gaps === gaps) video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
  }, streamId);

const longestGap = (person) => person.do(() => globalThis.gaps.longest);

/** Milliseconds until the stream's video is this wide. */
const untilWidth = (person, streamId, width) =>
  person.do(
    async (id, least) => {
      const video = lab.subscribers.get(id).element.querySelector('video');
      const begun = performance.now();
      while (video.videoWidth < least) {
        if (performance.now() - begun > 10_000) throw new Error(`only ${video.videoWidth} wide`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return performance.now() - begun;
    },
    streamId,
    width,
  );

for (const kind of ['chromium', 'firefox']) {
  const skip = kind === 'firefox' && LONG;
  test(
    `${kind}: sizes that nobody watches are not sent, and are back soon after they are wanted`,
    { skip },
    async (t) => {
      const room = await lab.server.createRoom({ e2ee: true });
      const { person: ada, streamId } = await publisher(room, kind, { scalableVideo: true });
      const bob = await lab.join(room);
      await bob.sees(streamId);
      await untilSends(ada, ['q', 'h', 'f'], 30_000);
      await prefer(bob, streamId, { width: 320, height: 180 });
      await untilSends(ada, ['q']);
      await bob.sees(streamId);
      await watchGaps(bob, streamId);
      await prefer(bob, streamId, null);
      const milliseconds = await untilWidth(bob, streamId, SIZE.width);
      const gap = await longestGap(bob);
      t.diagnostic(
        `the large video after ${Math.round(milliseconds)} ms, gap ${Math.round(gap)} ms`,
      );
      assert.ok(gap < FREEZE_MS, `the video stood still for ${gap} ms`);
      assert.equal(await ada.count('streamDestroyed'), 0);
    },
  );
}

/** Frames that a subscriber decodes in a second. */
const decoded = (person) =>
  person.do(async () => {
    const read = async () => {
      let frames = 0;
      for (const peer of globalThis.peers) {
        for (const row of (await peer.getStats()).values()) {
          if (row.type === 'inbound-rtp' && row.kind === 'video') frames += row.framesDecoded;
        }
      }
      return frames;
    };
    const earlier = await read();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return ((await read()) - earlier) / 2;
  });

async function untilDecodes(person, isWanted, wanted) {
  let rate;
  for (let tries = 0; tries < 10; tries += 1) {
    rate = await decoded(person);
    if (isWanted(rate)) return rate;
  }
  return assert.fail(`${rate} frames per second, not ${wanted}`);
}

test('a preferred frame rate lowers the frame rate, and all frames return without it', async (t) => {
  const room = await lab.server.createRoom({ e2ee: true });
  const { streamId } = await publisher(room, 'chromium', { scalableVideo: true });
  const bob = await watched(room);
  await bob.sees(streamId);
  const usual = await untilDecodes(bob, (rate) => rate > 12, 'many');
  const ask = (rate) =>
    bob.do((id, given) => lab.subscribers.get(id).setPreferredFrameRate(given), streamId, rate);
  await ask(8);
  const few = await untilDecodes(bob, (rate) => rate > 2 && rate < 0.7 * usual, 'few');
  await bob.sees(streamId);
  await ask(null);
  const again = await untilDecodes(bob, (rate) => rate > 0.8 * usual, 'many again');
  t.diagnostic(`${usual}, then ${few}, then ${again} frames per second`);
});

for (const kind of ['chromium', 'firefox']) {
  const skip = kind === 'chromium' && LONG;
  test(
    `${kind}: a video without viewers is not sent, and the next viewer sees it`,
    { skip },
    async (t) => {
      const room = await lab.server.createRoom({ e2ee: true });
      const { person: ada, streamId } = await publisher(room, kind, { scalableVideo: false });
      const bob = await lab.join(room);
      await bob.sees(streamId);
      await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(false), streamId);
      await untilSends(ada, []);
      const begun = Date.now();
      await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(true), streamId);
      await bob.sees(streamId);
      t.diagnostic(`a frame after ${Date.now() - begun} ms`);
      const eve = await lab.join(room);
      await eve.sees(streamId);
    },
  );
}
