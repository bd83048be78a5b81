// No frame ever leaves in the clear, from the first packet on (e2ee/1 5.10).
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { browsers } from './support/browsers.mjs';
import { Lab } from './support/lab.mjs';

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** Frames that left each sender, and frames that the worker sealed for it. */
async function sentAndSealed(person) {
  return person.do(async () => {
    const { seal, room } = globalThis.lab.session;
    const rows = [];
    for (const { name, kind, sender } of room.uplink.sealedSenders()) {
      let sent = 0;
      for (const row of (await sender.getStats()).values()) {
        if (row.type !== 'outbound-rtp') continue;
        sent += kind === 'video' ? row.framesSent : row.packetsSent;
      }
      // Read after the senders: what was sent must have been sealed by then.
      const { sealed } = await seal.counters();
      rows.push({ kind, sent, sealed: sealed[name] });
    }
    return rows;
  });
}

for (const kind of Object.keys(browsers)) {
  const skip = browsers[kind].isHere ? false : 'the browser is missing';
  test(
    `${kind} sends no frame that was not sealed, over publishing again and again`,
    { skip },
    async () => {
      const room = await lab.server.createRoom();
      const ada = await lab.join(room, { kind });
      const bob = await lab.join(room);
      for (let round = 1; round <= 3; round += 1) {
        const streamId = await ada.publish();
        await bob.sees(streamId);
        for (const { kind: media, sent, sealed } of await sentAndSealed(ada)) {
          assert.ok(sent > 0, `${media} was not sent`);
          assert.ok(sent <= sealed, `${media}: ${sent} frames sent, ${sealed} sealed`);
        }
        await ada.do(() => globalThis.lab.publishers.at(-1).destroy());
        await bob.untilEvent('streamDestroyed', round);
      }
      assert.equal(
        await lab.server.metric('sealroute_dropped_packets_total{reason="not_encrypted"'),
        0,
      );
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
  await ada.do(() => globalThis.lab.session.seal.client.worker.terminate());
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const seen = await bob.do((id) => globalThis.lab.watch(id, 5), streamId);
  assert.equal(new Set(seen).size, 1, `the picture moves on: ${seen.join()}`);
  assert.equal(
    await lab.server.metric('sealroute_dropped_packets_total{reason="not_encrypted"'),
    0,
  );
});
