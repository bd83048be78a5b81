// "Why is it black?" asked of a running server, about real browsers and what they really do.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Lab } from './support/lab.mjs';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** The first reasons' codes of the one subscriber, by kind, and its report. */
async function ask(room) {
  const streams = await diagnose(room.sessionId);
  const [report] = streams[0].subscribers;
  const code = (kind) => report.received.find((one) => one.kind === kind).reasons[0].code;
  return { stream: streams[0], report, audio: code('audio'), video: code('video') };
}

/** `doctor session`; its exit code says whether something does not flow, which is no failure. */
function diagnose(sessionId) {
  const words = ['doctor', 'session', sessionId, '--url', lab.server.url, '--json'];
  return new Promise((resolve, reject) => {
    execFile(
      lab.server.program,
      [...words, '--data-dir', lab.server.dataDir],
      (failure, stdout, stderr) =>
        stdout ? resolve(JSON.parse(stdout)) : reject(failure ?? stderr),
    );
  });
}

/** Asks until the answer is the wanted one: what a client does takes a moment to arrive. */
async function untilSaid(room, kind, wanted, timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  const heard = new Set();
  while (Date.now() < deadline) {
    const said = await ask(room);
    if (said[kind] === wanted) return said;
    heard.add(`${said[kind]} ${JSON.stringify(said.stream.tracks)} ${JSON.stringify(said.report)}`);
  }
  throw new Error(`${kind} was never ${wanted}, but ${[...heard].join(', ')}`);
}

test('a call that works is the best available, in a size that is named', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room);
  await bob.sees(await ada.publish({ codec: 'vp8' }));
  const said = await untilSaid(room, 'video', 'best_available');
  assert.equal(said.audio, 'best_available');
  const video = said.report.received.find(({ kind }) => kind === 'video');
  assert.ok(video.flowing && video.bitrate > 10_000, JSON.stringify(video));
  const track = said.stream.tracks.find(({ kind }) => kind === 'video');
  assert.ok(track.encodings[video.encoding].width > 0);
});

test('a preferred resolution is the reason that explain gives, and a larger one gets more', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room);
  const size = { width: 1280, height: 720 };
  const streamId = await ada.publish({
    codec: 'vp8',
    size,
    properties: { scalableVideo: true },
  });
  await bob.sees(streamId);
  const prefer = (resolution) =>
    bob.do(
      (id, given) => lab.subscribers.get(id).setPreferredResolution(given),
      streamId,
      resolution,
    );
  await prefer({ width: 320, height: 180 });
  const small = await untilSaid(room, 'video', 'preference_limit');
  const encodings = small.stream.tracks.find(({ kind }) => kind === 'video').encodings;
  const { encoding } = small.report.received.find(({ kind }) => kind === 'video');
  assert.ok(encodings[encoding].width <= 320, JSON.stringify(encodings));
  await prefer(null);
  await untilSaid(room, 'video', 'best_available', 30_000);
});

test('tracks that are switched off name who did it', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room);
  const streamId = await ada.publish({ codec: 'vp8' });
  await bob.sees(streamId);
  await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(false), streamId);
  await untilSaid(room, 'video', 'not_wanted');
  await bob.do((id) => lab.subscribers.get(id).subscribeToVideo(true), streamId);
  await ada.do(() => lab.publishers[0].publishVideo(false));
  await untilSaid(room, 'video', 'muted_by_publisher');
  await bob.do(() => lab.session.forceMuteAll());
  await untilSaid(room, 'audio', 'muted_by_moderator');
});

test('another secret is told with what the browser counted', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  await lab.join(room, { secret: 'quite another secret' });
  await ada.publish({ codec: 'vp8' });
  const { report } = await untilSaid(room, 'video', 'secret_mismatch');
  assert.equal(report.decryption.mismatch, true);
  assert.ok(report.decryption.failed > 0);
  assert.equal(report.decryption.decrypted, 0);
});
