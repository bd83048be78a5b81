// Devices that are unplugged during a call, on a fake browser with fake devices.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exceptions } from '../src/exceptions';
import { addOutput, removeOutput } from '../src/media/devices';
import * as devices from '../src/media/devices';
import { substitutes } from '../src/media/substitutes';
import { Publisher, type PublisherProperties } from '../src/publisher';
import { Random, settled } from './support';
import { installBrowser, newTrack } from './session/fake-browser';

installBrowser(new Random(1));

type InputKind = 'audioinput' | 'videoinput' | 'audiooutput';

interface Plugged {
  kind: InputKind;
  deviceId: string;
  groupId: string;
  label: string;
}

/** A machine whose devices come and go. */
class Desk extends EventTarget {
  plugged: Plugged[] = [];
  /** Asked for, in order. */
  readonly asked: string[] = [];
  readonly given: MediaStreamTrack[] = [];
  refuses: string | undefined;
  isLocked = false;

  plug(kind: InputKind, ...ids: string[]): this {
    for (const deviceId of ids) {
      this.plugged.push({ kind, deviceId, groupId: `of ${deviceId}`, label: deviceId });
    }
    return this;
  }

  unplug(deviceId: string): void {
    this.plugged = this.plugged.filter((one) => one.deviceId !== deviceId);
  }

  enumerateDevices(): Promise<object[]> {
    const hidden = { deviceId: '', groupId: '', label: '' };
    return Promise.resolve(
      this.plugged.map((one) => (this.isLocked ? { ...one, ...hidden } : one)),
    );
  }

  getUserMedia(wanted: MediaStreamConstraints): Promise<MediaStream> {
    const stream = new MediaStream();
    for (const kind of ['audio', 'video'] as const) {
      const constraint = wanted[kind];
      if (!constraint) continue;
      const exact = (constraint as { deviceId?: { exact: string } }).deviceId?.exact;
      this.asked.push(exact ?? kind);
      const found = this.find(kind, exact);
      const fault = this.refuses ?? (found ? undefined : 'NotFoundError');
      if (fault) return Promise.reject(new DOMException('', fault));
      stream.addTrack(this.give(kind, found));
    }
    return Promise.resolve(stream);
  }

  private find(kind: 'audio' | 'video', exact: string | undefined): Plugged | undefined {
    return this.plugged.find(
      (one) => one.kind === `${kind}input` && (exact === undefined || one.deviceId === exact),
    );
  }

  private give(kind: 'audio' | 'video', found: Plugged | undefined): MediaStreamTrack {
    const { deviceId = '', groupId = '', label = '' } = found ?? {};
    const track = Object.assign(newTrack(kind), { label });
    track.getSettings = () => ({ deviceId, groupId });
    this.given.push(track);
    return track;
  }
}

/** A desk in the place of the browser's own devices. */
function desk(): Desk {
  const mediaDevices = new Desk();
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices }, configurable: true });
  return mediaDevices;
}

function changed(at: Desk): Promise<void> {
  at.dispatchEvent(new Event('devicechange'));
  return settled();
}

/** As browsers do it: the track ends by itself. */
function end(track: MediaStreamTrack | null): Promise<void> {
  track?.stop();
  track?.dispatchEvent(new Event('ended'));
  return settled();
}

async function publisherOf(more: PublisherProperties = {}): Promise<[Publisher, string[]]> {
  const publisher = new Publisher(undefined, more);
  const seen: string[] = [];
  publisher.on({
    mediaStopped: ({ track }) => seen.push(`${track.kind} stopped`),
    audioInputDeviceChanged: ({ device }) => seen.push(`microphone ${device.deviceId}`),
    videoInputDeviceChanged: ({ device }) => seen.push(`camera ${device.deviceId}`),
  });
  await publisher.ready;
  return [publisher, seen];
}

const camera = (publisher: Publisher): string | null => publisher.getVideoSource().deviceId;
const microphone = (publisher: Publisher): string | undefined =>
  publisher.getAudioSource().getSettings().deviceId;

test('which devices are tried, and in which order', () => {
  const place = (deviceId: string, groupId = ''): { deviceId: string; groupId: string } => ({
    deviceId,
    groupId,
  });
  const [a, b] = [place('a'), place('b')];
  assert.deepEqual(substitutes([a, b], b, false), [b, a]);
  assert.deepEqual(substitutes([a], b, false), [a]);
  assert.deepEqual(substitutes([a, b], b, true), [b], 'what plays gives way to the wanted one');
  assert.deepEqual(substitutes([a], b, true), []);
  assert.deepEqual(substitutes([place('')], a, false), [], 'the page may not use devices');
  // The default of another machine's moment is another device.
  const [then, now] = [place('default', 'headset'), place('default', 'built in')];
  assert.deepEqual(substitutes([now], then, true), []);
  assert.deepEqual(substitutes([now], then, false), [now]);
  assert.deepEqual(substitutes([then], then, true), [then]);
});

for (const [kind, ids, shown] of [
  ['audio', ['m1', 'm2'], 'microphone'],
  ['video', ['c1', 'c2'], 'camera'],
] as const) {
  const used = kind === 'audio' ? microphone : camera;
  const only = (more: object): PublisherProperties =>
    kind === 'audio' ? { videoSource: null, ...more } : { audioSource: null, ...more };
  const trackOf = (publisher: Publisher): MediaStreamTrack | null =>
    kind === 'audio' ? publisher.getAudioSource() : publisher.getVideoSource().track;

  test(`a ${shown} that is unplugged gives way to another, until it is back`, async () => {
    const at = desk().plug(`${kind}input`, ...ids);
    const [publisher, seen] = await publisherOf(only({}));
    assert.equal(used(publisher), ids[0]);
    at.unplug(ids[0]);
    await end(trackOf(publisher));
    assert.equal(used(publisher), ids[1]);
    assert.deepEqual(seen, [`${kind} stopped`, `${shown} ${ids[1]}`]);
    await changed(at);
    at.plug(`${kind}input`, 'third');
    await changed(at);
    assert.equal(used(publisher), ids[1], 'what else is plugged in changes nothing');
    at.plug(`${kind}input`, ids[0]);
    await changed(at);
    assert.equal(used(publisher), ids[0]);
    assert.equal(seen.length, 3);
    // It came back: other devices are no matter any more.
    at.plug(`${kind}input`, 'fourth');
    await changed(at);
    assert.equal(seen.length, 3);
    publisher.destroy();
  });

  test(`the only ${shown} is looked for until there is one`, async () => {
    const at = desk().plug(`${kind}input`, ids[0]);
    const [publisher, seen] = await publisherOf(only({}));
    at.unplug(ids[0]);
    await end(trackOf(publisher));
    assert.deepEqual(seen, [`${kind} stopped`]);
    at.plug(`${kind}input`, ids[1]);
    await changed(at);
    assert.equal(used(publisher), ids[1]);
    // The substitute is lost, too, and nothing is there.
    at.unplug(ids[1]);
    await end(trackOf(publisher));
    at.plug(`${kind}input`, ids[0]);
    await changed(at);
    assert.equal(used(publisher), ids[0]);
    publisher.destroy();
  });

  test(`a ${shown} of the application's choice stays the chosen one`, async () => {
    const at = desk().plug(`${kind}input`, ...ids, 'third');
    const [publisher] = await publisherOf(only({}));
    const choose = (id: string | MediaStreamTrack): Promise<undefined> =>
      kind === 'audio' ? publisher.setAudioSource(id) : publisher.setVideoSource(id);
    await choose('third');
    at.unplug('third');
    await end(trackOf(publisher));
    assert.equal(used(publisher), ids[0]);
    // A choice that fails leaves what is there, and what to come back to.
    await assert.rejects(choose('nowhere'), { name: 'OT_NO_DEVICES_FOUND' });
    at.plug(`${kind}input`, 'third');
    await changed(at);
    assert.equal(used(publisher), 'third');
    // A track of the application is the application's to replace.
    const own = newTrack(kind);
    await choose(own);
    const { length } = at.asked;
    await end(own);
    await changed(at);
    assert.equal(at.asked.length, length);
    publisher.destroy();
  });
}

test('what is off stays off in another device', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2').plug('audioinput', 'm1', 'm2');
  const [publisher] = await publisherOf({ publishAudio: false, publishVideo: false });
  for (const id of ['c1', 'm1']) at.unplug(id);
  await end(publisher.getVideoSource().track);
  await end(publisher.getAudioSource());
  assert.deepEqual([camera(publisher), microphone(publisher)], ['c2', 'm2']);
  assert.equal(publisher.getVideoSource().track?.enabled, false);
  assert.equal(publisher.getAudioSource().enabled, false);
  publisher.destroy();
});

test('applications that care for their devices themselves are not disturbed', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2').plug('audioinput', 'm1', 'm2');
  const [publisher, seen] = await publisherOf({ disableAudioInputDeviceManagement: true });
  publisher.on('mediaStopped', (event) => event.preventDefault());
  await end(publisher.getAudioSource());
  await end(publisher.getVideoSource().track);
  await changed(at);
  assert.deepEqual(seen, ['audio stopped', 'video stopped']);
  // In the handler they choose another one, and that is the one that stays.
  const [other] = await publisherOf({ audioSource: null });
  at.plug('videoinput', 'c3');
  other.on('mediaStopped', () => void other.setVideoSource('c3'));
  await end(other.getVideoSource().track);
  await settled();
  assert.equal(camera(other), 'c3');
  for (const one of [publisher, other]) one.destroy();
});

test('a user who took the permission back is not asked again and again', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2', 'c3');
  const [publisher] = await publisherOf({ audioSource: null });
  at.isLocked = true;
  await end(publisher.getVideoSource().track);
  assert.equal(at.asked.length, 1);
  at.isLocked = false;
  at.refuses = 'NotAllowedError';
  await changed(at);
  assert.equal(at.asked.length, 2);
  publisher.destroy();
});

test('a device that ends at once is not captured over and over', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2');
  const [publisher] = await publisherOf({ audioSource: null });
  for (let time = 0; time < 5; time += 1) await end(publisher.getVideoSource().track);
  assert.equal(at.asked.length, 2);
  publisher.destroy();
});

test('constraints of the application hold for another device, of its kind alone', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2').plug('audioinput', 'm1');
  const constraints = { audio: true, video: { width: 640 } };
  const [publisher] = await publisherOf({ constraints });
  at.unplug('c1');
  await end(publisher.getVideoSource().track);
  assert.equal(camera(publisher), 'c2');
  assert.deepEqual(at.asked, ['audio', 'video', 'c2']);
  publisher.destroy();
});

test('nothing is captured for a publisher that is gone', async () => {
  const at = desk().plug('videoinput', 'c1', 'c2');
  const [publisher] = await publisherOf({ audioSource: null });
  const { track } = publisher.getVideoSource();
  at.unplug('c1');
  track?.stop();
  track?.dispatchEvent(new Event('ended'));
  publisher.destroy();
  at.plug('videoinput', 'c1');
  await changed(at);
  assert.equal(publisher.getVideoSource().track, null);
  assert.ok(at.given.every(({ readyState }) => readyState === 'ended'));
});

test('a speaker that is unplugged gives way to the browser’s choice, until it is back', async () => {
  const at = desk().plug('audiooutput', 'default', 's1');
  const sinks: string[] = [];
  const element = { setSinkId: (id: string) => Promise.resolve(void sinks.push(id)) };
  Object.assign(HTMLMediaElement.prototype, { setSinkId: () => Promise.resolve() });
  const seen: unknown[] = [];
  const watch = ({ device }: { device: { deviceId: string | null } }): void =>
    void seen.push(device.deviceId);
  exceptions.on('audioOutputDeviceChanged', watch);
  addOutput(element as never);
  await devices.setOutputDevice('s1');
  at.unplug('s1');
  await changed(at);
  await changed(at);
  assert.deepEqual([sinks, seen], [['s1', ''], ['default']]);
  assert.equal((await devices.activeOutputDevice()).deviceId, 'default');
  const later: string[] = [];
  const added = { setSinkId: (id: string) => Promise.resolve(void later.push(id)) };
  addOutput(added as never);
  assert.deepEqual(later, []);
  at.isLocked = true;
  await changed(at);
  at.isLocked = false;
  at.plug('audiooutput', 's1');
  await changed(at);
  assert.deepEqual([sinks, later, seen], [['s1', '', 's1'], ['s1'], ['default', 's1']]);
  assert.equal((await devices.activeOutputDevice()).deviceId, 's1');
  for (const one of [element, added]) removeOutput(one as never);
  exceptions.off('audioOutputDeviceChanged', watch);
});
