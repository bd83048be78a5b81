// Cameras, microphones and loudspeakers that are not there, not allowed, or blocked.
import { after, afterEach, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { Lab } from './support/lab.mjs';

const TONE_HZ = 1_000;

let lab;
before(async () => (lab = await Lab.open()));
afterEach(() => lab.empty());
after(() => lab?.close());

/** What becomes of a publisher whose devices the browser refuses for `reason`. */
const publisherRefused = (person, reason) =>
  person.do(async (name) => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name));
    const events = [];
    const publisher = OT.initPublisher('publishers', { insertMode: 'append' });
    for (const event of ['accessDialogOpened', 'accessDialogClosed', 'accessDenied', 'destroyed']) {
      publisher.on(event, () => events.push(event));
    }
    const error = await publisher.ready.then(
      () => null,
      (reason) => reason,
    );
    return {
      name: error.name,
      message: error.message,
      events,
      allowed: publisher.accessAllowed,
      elements: document.querySelectorAll('.OT_publisher').length,
    };
  }, reason);

test('every reason of the browser to refuse a device has a name and a sentence', async () => {
  const person = await lab.person();
  for (const [reason, name] of [
    ['NotAllowedError', 'OT_USER_MEDIA_ACCESS_DENIED'],
    ['NotFoundError', 'OT_NO_DEVICES_FOUND'],
    ['NotReadableError', 'OT_HARDWARE_UNAVAILABLE'],
    ['OverconstrainedError', 'OT_NO_VALID_CONSTRAINTS'],
  ]) {
    const refused = await publisherRefused(person, reason);
    assert.equal(refused.name, name);
    assert.match(refused.message, /\w+ \w+ \w+/);
    assert.equal(refused.allowed, false);
    assert.equal(refused.elements, 0);
    assert.ok(refused.events.includes('accessDenied') && refused.events.includes('destroyed'));
  }
});

test('a page without a secure context is told so', async () => {
  const person = await lab.person();
  const name = await person.do(() => {
    Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true });
    return OT.getDevices().then(
      () => null,
      (error) => error.name,
    );
  });
  assert.equal(name, 'OT_NOT_SUPPORTED');
});

test('the camera can be exchanged in the middle of a call', async () => {
  // The second of Chromium's test cameras measures depth and has no frame to encode.
  const flags = ['--use-fake-device-for-media-stream=device-count=3'];
  const room = await lab.server.createRoom();
  const ada = await lab.join(room, { flags });
  const bob = await lab.join(room);
  const { streamId, first } = await ada.do(async () => {
    const publisher = await OT.initPublisher.promise('publishers', { insertMode: 'append' });
    globalThis.lab.publishers.push(publisher);
    await globalThis.lab.session.publish.promise(publisher);
    return { streamId: publisher.stream.streamId, first: publisher.getVideoSource().deviceId };
  });
  const decoded = (id) => globalThis.lab.stats(id).then(({ video }) => video.framesDecoded);
  await bob.until((id) => globalThis.lab.video(id)?.videoWidth > 0, 'no frame', 15_000, streamId);
  const cycle = async () =>
    (await ada.do(() => globalThis.lab.publishers[0].cycleVideo())).deviceId;
  const [second, third] = [await cycle(), await cycle()];
  assert.equal(new Set([first, second, third]).size, 3);
  const before = await bob.do(decoded, streamId);
  await bob.until(
    (id, count) => globalThis.lab.stats(id).then(({ video }) => video.framesDecoded > count + 10),
    'the video stands still',
    10_000,
    streamId,
    before,
  );
});

test('a camera that is unplugged gives way to another one, and comes back', async () => {
  const flags = ['--use-fake-device-for-media-stream=device-count=3'];
  const room = await lab.server.createRoom();
  const ada = await lab.join(room, { flags });
  const bob = await lab.join(room);
  const { streamId, first } = await ada.do(async () => {
    const publisher = await OT.initPublisher.promise('publishers', { insertMode: 'append' });
    globalThis.lab.publishers.push(publisher);
    publisher.on('videoInputDeviceChanged', (event) =>
      globalThis.lab.events.push({ name: 'videoInputDeviceChanged', id: event.device.deviceId }),
    );
    await globalThis.lab.session.publish.promise(publisher);
    return { streamId: publisher.stream.streamId, first: publisher.getVideoSource().deviceId };
  });
  await bob.until((id) => globalThis.lab.video(id)?.videoWidth > 0, 'no frame', 15_000, streamId);
  // Nobody pulls a plug in a test: what the browser would list and tell is played. The second camera
  // has no frame to encode, and is not there either.
  await ada.do(() => {
    const { mediaDevices } = navigator;
    const list = mediaDevices.enumerateDevices.bind(mediaDevices);
    globalThis.isBack = false;
    mediaDevices.enumerateDevices = async () => {
      const cameras = (await list()).filter(({ kind }) => kind === 'videoinput');
      return globalThis.isBack ? cameras : cameras.slice(2);
    };
    const { track } = globalThis.lab.publishers[0].getVideoSource();
    track.stop();
    track.dispatchEvent(new Event('ended'));
  });
  const uses = () => globalThis.lab.publishers[0].getVideoSource().deviceId;
  await ada.untilEvent('videoInputDeviceChanged');
  assert.notEqual(await ada.do(uses), first);
  const before = await bob.do((id) => globalThis.lab.stats(id), streamId);
  await bob.until(
    (id, count) => globalThis.lab.stats(id).then(({ video }) => video.framesDecoded > count + 5),
    'the video stands still',
    15_000,
    streamId,
    before.video.framesDecoded,
  );
  await ada.do(() => {
    globalThis.isBack = true;
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
  });
  await ada.until(
    (id) => globalThis.lab.publishers[0].getVideoSource().deviceId === id,
    'the camera is not taken back',
    15_000,
    first,
  );
});

test('blocked audio is reported, the video plays, and a click starts the audio', async () => {
  const room = await lab.server.createRoom();
  const ada = await lab.join(room);
  const bob = await lab.join(room);
  await bob.do(() => {
    // What the driver runs counts as the user's gesture, so the policy is played here.
    const { play } = HTMLMediaElement.prototype;
    let wasClicked = false;
    HTMLMediaElement.prototype.play = function () {
      const isAllowed = this.muted || wasClicked;
      return isAllowed ? play.call(this) : Promise.reject(new DOMException('', 'NotAllowedError'));
    };
    document.addEventListener('click', () => (wasClicked = true), { capture: true });
    const subscribe = globalThis.lab.subscribe;
    globalThis.lab.subscribe = (stream) => {
      const subscriber = subscribe(stream);
      for (const name of ['audioBlocked', 'audioUnblocked']) {
        subscriber.on(name, () => globalThis.lab.events.push({ name }));
      }
    };
    document.addEventListener('click', () => OT.unblockAudio());
  });
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.untilEvent('audioBlocked');
  await bob.sees(streamId);
  const isBlocked = (id) => globalThis.lab.subscribers.get(id).isAudioBlocked();
  assert.equal(await bob.do(isBlocked, streamId), true);
  // The element asks for the click.
  const asking = () => document.querySelector('.OT_audio-blocked').style.display;
  assert.equal(await bob.do(asking), '');
  await bob.page.mouse.click(5, 5);
  await bob.untilEvent('audioUnblocked');
  assert.equal(await bob.do(isBlocked, streamId), false);
  assert.equal(await bob.do(asking), 'none');
});

test('initials stand in the place of a video that is off', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const properties = { name: 'Ada Lovelace', initials: 'QX' };
  await bob.sees(await ada.publish({ properties }));
  const shown = (owner) => {
    const { textContent, style } = document.querySelector(`.OT_${owner} .OT_initials`);
    return style.display === 'none' ? '' : textContent;
  };
  const seen = async () => [await ada.do(shown, 'publisher'), await bob.do(shown, 'subscriber')];
  assert.deepEqual(await seen(), ['', '']);
  await ada.do(() => globalThis.lab.publishers[0].publishVideo(false));
  await bob.untilEvent('videoDisabled');
  assert.deepEqual(await seen(), ['QX', 'QX']);
  await ada.do(() => globalThis.lab.publishers[0].publishVideo(true));
  await bob.untilEvent('videoEnabled');
  assert.deepEqual(await seen(), ['', '']);
});

test('levels of audio are told at both ends', async () => {
  const room = await lab.server.createRoom();
  const [ada, bob] = [await lab.join(room), await lab.join(room)];
  const streamId = await ada.publish({ hertz: TONE_HZ });
  await bob.sees(streamId);
  const loudest = (target) =>
    new Promise((resolve) => {
      let level = 0;
      target.on('audioLevelUpdated', ({ audioLevel }) => (level = Math.max(level, audioLevel)));
      setTimeout(() => resolve(level), 1_500);
    });
  const heard = await bob.do(
    `(${loudest})(globalThis.lab.subscribers.get(${JSON.stringify(streamId)}))`,
  );
  const sent = await ada.do(`(${loudest})(globalThis.lab.publishers[0])`);
  for (const level of [heard, sent]) assert.ok(level > 0.05 && level <= 1, `${heard}, ${sent}`);
});
