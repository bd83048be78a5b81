// No frame ever leaves in the clear, from the first packet on (e2ee/1 5.10).
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browsers } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** Stops all tracks, then counts the frames that encoders gave out and what became of them. */
async function sentAndEncrypted(person) {
  return person.do(async () => {
    const { encryption, room } = globalThis.lab.session;
    const senders = room.uplink.senders();
    await Promise.all(senders.map(({ sender }) => sender.replaceTrack(null)));
    // Browsers count a frame when it is encoded, which is before it is encrypted.
    await new Promise((resolve) => setTimeout(resolve, 700));
    const rows = [];
    for (const { name, kind, sender } of senders) {
      let sent = 0;
      for (const row of (await sender.getStats()).values()) {
        if (row.type !== 'outbound-rtp') continue;
        sent += kind === 'video' ? row.framesSent : row.packetsSent;
      }
      const { encrypted, dropped } = (await encryption.counters()).sent[name];
      rows.push({ kind, sent, encrypted, dropped });
    }
    return rows;
  });
}

/** Packets that the server's plaintext guard found not to be encrypted. */
const unencryptedPackets = () =>
  lab.server.metric('sealroute_packets_dropped_total{reason="not_encrypted"}');

for (const kind of Object.keys(browsers)) {
  const skip = browsers[kind].isHere ? false : 'the browser is missing';
  test(
    `${kind} sends no frame that was not encrypted, over publishing again and again`,
    { skip },
    async () => {
      const room = await lab.server.createRoom();
      const ada = await lab.join(room, { kind });
      const bob = await lab.join(room);
      for (let round = 1; round <= 3; round += 1) {
        const streamId = await ada.publish();
        await bob.sees(streamId);
        for (const { kind: media, sent, encrypted, dropped } of await sentAndEncrypted(ada)) {
          assert.ok(sent > 0, `${media} was not sent`);
          assert.ok(
            sent <= encrypted + dropped,
            `${media}: ${sent} frames sent, ${encrypted} encrypted, ${dropped} dropped`,
          );
        }
        await ada.do(() => globalThis.lab.publishers.at(-1).destroy());
        await bob.untilEvent('streamDestroyed', round);
      }
      assert.equal(await unencryptedPackets(), 0);
      assert.equal(await ada.count('exception'), 0);
    },
  );
}

test('chromium would leak without the precautions, and this count would show it', async () => {
  const person = await lab.person('chromium');
  const seen = await person.do(async () => {
    const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
    here.onicecandidate = ({ candidate }) => there.addIceCandidate(candidate);
    there.onicecandidate = ({ candidate }) => here.addIceCandidate(candidate);
    const { video } = await makePattern();
    const sender = here.addTrack(video);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const source = 'onrtctransform = ({ transformer }) => (transformer.started = true)';
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    sender.transform = new RTCRtpScriptTransform(worker, {});
    await here.setLocalDescription();
    await there.setRemoteDescription(here.localDescription);
    await there.setLocalDescription();
    await here.setRemoteDescription(there.localDescription);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const rows = [...(await sender.getStats()).values()];
    return rows.find(({ type }) => type === 'outbound-rtp').framesSent;
  });
  // The transform passes nothing on, and yet frames leave: the browser ignores it.
  assert.ok(seen > 5, `only ${seen} frames left`);
});

test('the worker may be killed: media stops and does not go on in the clear', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room);
  const streamId = await ada.publish();
  await bob.sees(streamId);
  await ada.do(() => globalThis.lab.session.encryption.client.worker.terminate());
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const seen = await bob.do((id) => globalThis.lab.watch(id, 5), streamId);
  assert.equal(new Set(seen).size, 1, `the video moves on: ${seen.join()}`);
  assert.equal(await unencryptedPackets(), 0);
});

test('media that arrives under an SSRC nobody named cannot go around the transform', async () => {
  const person = await lab.person('chromium');
  const receive = (...offers) =>
    person.do(async (variants) => {
      const there = new RTCPeerConnection();
      const here = new RTCPeerConnection({ encodedInsertableStreams: true });
      here.onicecandidate = ({ candidate }) => there.addIceCandidate(candidate);
      there.onicecandidate = ({ candidate }) => here.addIceCandidate(candidate);
      const source = `let frames = 0;
        onmessage = () => postMessage(frames);
        onrtctransform = ({ transformer }) => {
          const count = new TransformStream({ transform: () => void (frames += 1) });
          transformer.readable.pipeThrough(count).pipeTo(transformer.writable);
        };`;
      const worker = new Worker(URL.createObjectURL(new Blob([source])));
      here.ontrack = ({ receiver, track }) => {
        receiver.transform = new RTCRtpScriptTransform(worker, {});
        // Audio is only mixed while an element plays.
        const element = new Audio();
        element.srcObject = new MediaStream([track]);
        element.play().catch(() => undefined);
      };
      const { audio } = await makePattern();
      there.addTransceiver(audio, { direction: 'sendonly' });
      await there.setLocalDescription();
      const { sdp } = there.localDescription;
      const none = sdp.replaceAll(/a=ssrc[^\r\n]*\r\n/g, '');
      const altered = {
        'the SSRC': sdp,
        'another SSRC': sdp.replaceAll(/a=ssrc:\d+/g, 'a=ssrc:12345'),
        'no SSRC': none,
        pause: none.replace('a=sendonly', 'a=inactive'),
      };
      for (const variant of variants) {
        if (variant === 'wait') {
          await new Promise((resolve) => setTimeout(resolve, 1_000));
          continue;
        }
        await here.setRemoteDescription({ type: 'offer', sdp: altered[variant] });
        await here.setLocalDescription();
        if (!there.remoteDescription) await there.setRemoteDescription(here.localDescription);
      }
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const rows = [...(await here.getStats()).values()];
      const inbound = rows.find(({ type }) => type === 'inbound-rtp');
      const frames = await new Promise((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.postMessage(null);
      });
      return { frames, energy: inbound?.totalAudioEnergy ?? 0, track: inbound?.trackIdentifier };
    }, offers);
  // What a hostile server could do, and how the watchdog would notice it …
  const injected = await receive('another SSRC');
  assert.equal(injected.frames, 0);
  assert.ok(injected.energy > 0);
  assert.equal(injected.track, '');
  // … and what is left of it when an m-line is opened without an SSRC, as this SDK makes sure.
  const reopened = ['wait', 'pause', 'wait', 'no SSRC'];
  for (const offers of [
    ['no SSRC'],
    ['no SSRC', 'the SSRC'],
    ['no SSRC', 'another SSRC'],
    ['no SSRC', 'the SSRC', 'wait', 'another SSRC'],
    ['no SSRC', 'the SSRC', ...reopened, 'the SSRC'],
    ['no SSRC', 'the SSRC', ...reopened, 'another SSRC'],
  ]) {
    const caught = await receive(...offers);
    const waited = offers.filter((offer) => offer === 'wait').length;
    assert.ok(caught.frames > 50 + 40 * waited, `${offers}: ${caught.frames}`);
    assert.equal(caught.energy, 0, `${offers}`);
  }
});

test('audio and video of an encrypted call are played in step, also over an m-line used again', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  // Chromium has these times of streams that it synchronizes, and of no others.
  const haveTimes = () =>
    bob.do(async () => {
      const begun = performance.now();
      while (performance.now() - begun < 30_000) {
        const { peer } = globalThis.lab.session.room.downlink;
        const rows = [...(await peer.getStats()).values()];
        const times = rows
          .filter(({ type }) => type === 'inbound-rtp')
          .map((row) => row.estimatedPlayoutTimestamp);
        if (times.length === 2 && times.every(Boolean)) return true;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return false;
    });
  for (let round = 0; round < 2; round += 1) {
    const streamId = await ada.publish();
    await bob.sees(streamId);
    assert.ok(await haveTimes(), `round ${round}`);
    await ada.do(() => {
      const { session, publishers } = globalThis.lab;
      session.unpublish(publishers.at(-1));
    });
    await bob.do(async () => {
      while (globalThis.lab.session.room.downlink.users.size > 0) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    });
  }
});
