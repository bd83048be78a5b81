// The life of a session in a browser: publishing again, muting, moderation, losing the network.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab, SECRET } from './support/lab.mjs';

const TONE_HZ = 1_000;

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

async function call() {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.publish();
  await bob.sees(streamId);
  return { room, ada, bob, streamId };
}

test('who comes later sees what is there, and who reloads comes back', async () => {
  const { room, ada, bob, streamId } = await call();
  const eve = await lab.join(room);
  await eve.sees(streamId);
  await bob.page.reload();
  assert.equal(await bob.connect(room, await lab.server.token(room), SECRET), null);
  await bob.sees(streamId);
  assert.equal(await ada.count('exception'), 0);
});

test('publishing again after unpublishing works, with its own stream', async () => {
  const { ada, bob, streamId } = await call();
  await ada.do(() => globalThis.lab.session.unpublish(globalThis.lab.publishers[0]));
  await bob.untilEvent('streamDestroyed');
  const next = await ada.publish({ hertz: TONE_HZ });
  assert.notEqual(next, streamId);
  await bob.sees(next);
  await bob.hears(next, TONE_HZ);
});

test('one page can subscribe to a stream twice, and to the next one as well', async () => {
  const { ada, bob, streamId } = await call();
  const again = (id) =>
    bob.do((given) => {
      const { session } = globalThis.lab;
      const { stream } = globalThis.lab.subscribers.get(given);
      return labResult(session.subscribe.promise(stream, 'subscribers', { insertMode: 'append' }));
    }, id);
  assert.equal(await again(streamId), null);
  await bob.sees(await ada.publish());
  assert.equal(await bob.count('exception'), 0);
});

/** The element plays it: what is only received has no energy. */
const isHeard = async (id) => (await lab.received(id)).audio?.totalAudioEnergy > 0;

test('a publisher whose video is off from the start is heard, and seen when it is on', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.publish({ properties: { publishVideo: false } });
  await bob.until(isHeard, 'audio without video is not heard', 10_000, streamId);
  await ada.do(() => globalThis.lab.publishers[0].publishVideo.promise(true));
  await bob.sees(streamId);
});

test('who wants no video from the start hears the stream, and sees it when wanted', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  await bob.do(() => {
    const { subscribe } = globalThis.lab;
    globalThis.lab.subscribe = (stream) => subscribe(stream, { subscribeToVideo: false });
  });
  const streamId = await ada.publish();
  await bob.until(isHeard, 'audio without video is not heard', 10_000, streamId);
  await bob.do((id) => globalThis.lab.subscribers.get(id).subscribeToVideo.promise(true), streamId);
  await bob.sees(streamId);
});

test('a publisher whose video is switched off before its first frame is heard', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.do(async () => {
    const pattern = await makePattern({});
    // Nobody draws on it.
    const [video] = document.createElement('canvas').captureStream(0).getVideoTracks();
    const properties = { insertMode: 'append', videoSource: video, audioSource: pattern.audio };
    const publisher = OT.initPublisher('publishers', properties);
    globalThis.lab.publishers.push(publisher);
    await globalThis.lab.session.publish.promise(publisher);
    return publisher.stream.streamId;
  });
  const hasVideoTrack = (id) => {
    const { srcObject } = globalThis.lab.video(id) ?? {};
    return srcObject?.getVideoTracks().length > 0;
  };
  await bob.until(hasVideoTrack, 'no video is expected', 10_000, streamId);
  await ada.do(() => globalThis.lab.publishers[0].publishVideo.promise(false));
  await bob.until(isHeard, 'audio is not heard', 10_000, streamId);
});

test('video and audio can be switched off and on', async () => {
  const { ada, bob, streamId } = await call();
  await ada.do(() => globalThis.lab.publishers[0].publishVideo.promise(false));
  await bob.untilEvent('streamPropertyChanged');
  await bob.untilEvent('videoDisabled');
  await ada.do(() => globalThis.lab.publishers[0].publishVideo.promise(true));
  await bob.untilEvent('videoEnabled');
  await bob.sees(streamId);
  await bob.do(
    (id) => globalThis.lab.subscribers.get(id).subscribeToVideo.promise(false),
    streamId,
  );
  await bob.do((id) => globalThis.lab.subscribers.get(id).subscribeToVideo.promise(true), streamId);
  await bob.sees(streamId);
});

test('camera, microphone and screen of the browser can be published', async () => {
  const { ada, bob } = await call();
  const camera = await ada.do(async () => {
    const publisher = await OT.initPublisher.promise('publishers', { insertMode: 'append' });
    await globalThis.lab.session.publish.promise(publisher);
    const { type } = publisher.getVideoSource();
    return { type, streamId: publisher.stream.streamId, devices: await OT.getDevices() };
  });
  assert.equal(camera.type, 'camera');
  assert.ok(camera.devices.some(({ kind }) => kind === 'videoInput'));
  const screen = await ada.do(async () => {
    const properties = { insertMode: 'append', videoSource: 'screen', audioSource: null };
    const publisher = await OT.initPublisher.promise('publishers', properties);
    await globalThis.lab.session.publish.promise(publisher);
    return { streamId: publisher.stream.streamId, type: publisher.stream.videoType };
  });
  assert.equal(screen.type, 'screen');
  for (const { streamId } of [camera, screen]) {
    await bob.until(
      (id) => globalThis.lab.video(id)?.videoWidth > 0,
      'the video did not arrive',
      15_000,
      streamId,
    );
  }
});

test('a moderator mutes, unpublishes and disconnects others; a publisher may not', async () => {
  const { room, ada, bob, streamId } = await call();
  const eve = await lab.join(room, { role: 'publisher' });
  await eve.sees(streamId);
  const act = (person, method) =>
    person.do(
      (name, id) => {
        const { stream } = globalThis.lab.subscribers.get(id);
        const target = name === 'forceDisconnect' ? stream.connection : stream;
        return labResult(globalThis.lab.session[name](target));
      },
      method,
      streamId,
    );
  for (const method of ['forceMuteStream', 'forceUnpublish', 'forceDisconnect']) {
    assert.equal((await act(eve, method)).name, 'OT_PERMISSION_DENIED');
  }
  assert.equal(await act(bob, 'forceMuteStream'), null);
  await ada.untilEvent('publisher muteForced');
  assert.equal(await act(bob, 'forceDisconnect'), null);
  await ada.untilEvent('sessionDisconnected');
  const { reason } = await ada.do(() =>
    globalThis.lab.events.find(({ name }) => name === 'sessionDisconnected'),
  );
  assert.equal(reason, 'forceDisconnected');
  await bob.untilEvent('streamDestroyed');
});

test('a lost WebSocket is taken up again, and the media goes on meanwhile', async () => {
  const { ada, bob, streamId } = await call();
  await bob.do(() => globalThis.lab.session.stay.channel.socket.close());
  await bob.untilEvent('sessionReconnecting');
  await bob.sees(streamId);
  await bob.untilEvent('sessionReconnected');
  const own = await bob.do(() => globalThis.lab.session.connection.connectionId);
  await ada.do(() => globalThis.lab.session.signal({ data: 'still here?' }));
  await bob.untilEvent('signal');
  assert.equal(await ada.count('sessionDisconnected'), 0);
  assert.equal(await bob.do(() => globalThis.lab.session.connection.connectionId), own);
});

test('leaving ends everything, and one may connect again', async () => {
  const { room, ada, bob } = await call();
  await ada.do(() => globalThis.lab.session.disconnect());
  await bob.untilEvent('streamDestroyed');
  await ada.untilEvent('sessionDisconnected');
  const token = await lab.server.token(room);
  assert.equal(
    await ada.do((given) => labResult(globalThis.lab.session.connect.promise(given)), token),
    null,
  );
  await bob.sees(await ada.publish());
});

test('a server that is gone and a token of another session are named', async () => {
  const room = await lab.server.createRoom();
  const other = await lab.server.createRoom();
  const person = await lab.person();
  const gone = await person.connect({ ...room, url: 'http://127.0.0.1:1' }, 'token', SECRET);
  assert.equal(gone.name, 'OT_CONNECT_FAILED');
  const wrong = await person.connect(room, await lab.server.token(other), SECRET);
  assert.equal(wrong.name, 'OT_AUTHENTICATION_ERROR');
});

test('the statistics of both ends have figures', async () => {
  const { ada, bob, streamId } = await call();
  const received = await bob.do((id) => globalThis.lab.stats(id), streamId);
  assert.ok(received.video.packetsReceived > 0 && received.audio.bytesReceived > 0);
  const [{ stats }] = await ada.do(() => globalThis.lab.publishers[0].getStats());
  assert.ok(stats.video.framesSent > 0 && stats.audio.packetsSent > 0);
  const frame = await bob.do((id) => globalThis.lab.subscribers.get(id).getImgData(), streamId);
  assert.ok(Buffer.from(frame, 'base64').subarray(1, 4).equals(Buffer.from('PNG')));
});

test('a lost downlink is made again: the subscriptions come back by themselves', async () => {
  const { ada, bob, streamId } = await call();
  await bob.do(() => globalThis.lab.session.room.downlink.connection.close());
  await bob.untilEvent('connected', 2, 20_000);
  await bob.sees(streamId);
  assert.equal(await bob.count('encryptionSecretMismatch'), 0);
  assert.equal(await ada.count('exception'), 0);
});

test('a lost uplink is made again: the publisher gets a new stream and others see it', async () => {
  const { ada, bob, streamId } = await call();
  await ada.do(() => globalThis.lab.session.room.uplink.connection.close());
  await ada.untilEvent('publisher streamCreated', 2, 20_000);
  const next = await ada.do(() => globalThis.lab.publishers[0].stream.streamId);
  assert.notEqual(next, streamId);
  await bob.sees(next);
  await bob.hears(next, TONE_HZ);
  assert.equal(await ada.count('publisher destroyed'), 0);
});
