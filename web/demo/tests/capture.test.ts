import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Capture, captureThoseThere, type Choices, type Kind } from '../src/capture';
import { OwnMedia } from '../src/own-media';

class Track extends EventTarget {
  isStopped = false;
  constructor(
    readonly kind: Kind,
    readonly deviceId: string,
  ) {
    super();
  }
  stop(): void {
    this.isStopped = true;
  }
  getSettings(): { deviceId: string } {
    return { deviceId: this.deviceId };
  }
}

/** A machine with these devices, or with a reason not to give them. */
function machine(devices: Partial<Record<Kind, string[] | string>>): {
  capture: Capture;
  asked: Choices[];
} {
  const asked: Choices[] = [];
  const capture: Capture = (choices) => {
    asked.push(choices);
    const found: Track[] = [];
    for (const kind of ['audio', 'video'] as const) {
      const choice = choices[kind];
      const here = devices[kind] ?? [];
      if (choice === null) continue;
      const name = typeof here === 'string' ? here : 'OT_NO_DEVICES_FOUND';
      const id = choice === true ? here[0] : [...here].find((one) => one === choice);
      if (typeof here === 'string' || id === undefined) {
        return Promise.reject(Object.assign(new Error(), { name }));
      }
      found.push(new Track(kind, id));
    }
    return Promise.resolve(found as unknown as MediaStreamTrack[]);
  };
  return { capture, asked };
}

const ALL = { audio: true, video: true } as const;

test('both are asked for in one question', async () => {
  const { capture, asked } = machine({ audio: ['m'], video: ['c'] });
  const { tracks, faults } = await captureThoseThere(capture, ALL);
  assert.deepEqual(Object.keys(tracks).sort(), ['audio', 'video']);
  assert.deepEqual(faults, {});
  assert.equal(asked.length, 1);
});

test('without one of them the other is there, and the reason is known', async () => {
  for (const [video, fault] of [
    [undefined, 'missing'],
    ['OT_USER_MEDIA_ACCESS_DENIED', 'denied'],
    ['OT_HARDWARE_UNAVAILABLE', 'busy'],
    ['OT_NOT_SUPPORTED', 'unsupported'],
    ['constructor', 'busy'],
  ] as const) {
    const { capture } = machine({ audio: ['m'], ...(video ? { video } : {}) });
    const { tracks, faults } = await captureThoseThere(capture, ALL);
    assert.deepEqual(Object.keys(tracks), ['audio']);
    assert.deepEqual(faults, { video: fault });
  }
});

test('what is not wanted is not asked for', async () => {
  const { capture, asked } = machine({ audio: ['m'], video: ['c'] });
  await captureThoseThere(capture, { audio: null, video: null });
  assert.deepEqual(asked, []);
  await captureThoseThere(capture, { audio: true, video: null });
  assert.deepEqual(asked, [{ audio: true, video: null }]);
});

test('a device that was chosen once and is gone gives way to another', async () => {
  const { capture } = machine({ audio: ['new'] });
  const { tracks } = await captureThoseThere(capture, { audio: 'old', video: null });
  assert.equal(tracks.audio?.getSettings().deviceId, 'new');
});

test('devices are stopped when others take their place, and when they are closed', async () => {
  const lost: Kind[] = [];
  const { capture } = machine({ audio: ['m'], video: ['c', 'd'] });
  const media = new OwnMedia(capture, (kind) => lost.push(kind));
  await media.open(ALL);
  const first = media.tracks.video as unknown as Track;
  assert.equal(media.deviceId('video'), 'c');
  await media.openOne('video', 'd');
  assert.equal(first.isStopped, true);
  assert.equal(media.deviceId('video'), 'd');
  const second = media.tracks.video as unknown as Track;
  await media.close('video');
  assert.equal(second.isStopped, true);
  assert.equal(media.deviceId('video'), '');
  const microphone = media.tracks.audio as unknown as Track;
  microphone.dispatchEvent(new Event('ended'));
  first.dispatchEvent(new Event('ended'));
  assert.deepEqual(lost, ['audio']);
  assert.equal(media.tracks.audio, undefined);
});

test('changes that follow each other at once happen one after the other', async () => {
  const { capture } = machine({ audio: ['m'], video: ['c'] });
  const media = new OwnMedia(capture, () => undefined);
  await Promise.all([media.openOne('video', true), media.close('video'), media.open(ALL)]);
  assert.deepEqual(Object.keys(media.tracks).sort(), ['audio', 'video']);
  await Promise.all([media.openOne('video', true), media.close('audio', 'video')]);
  assert.deepEqual(Object.keys(media.tracks), []);
});

test('a device that rests is stopped, and is the one to come back to', async () => {
  const { capture, asked } = machine({ audio: ['m'], video: ['c', 'd'] });
  const media = new OwnMedia(capture, () => assert.fail('nothing was unplugged'));
  await media.open({ audio: true, video: 'd' });
  const camera = media.tracks.video as unknown as Track;
  await media.rest('video', () => true);
  assert.equal(camera.isStopped, false);
  await media.rest('video', () => false);
  assert.equal(camera.isStopped, true);
  assert.equal(media.tracks.video, undefined);
  assert.deepEqual([media.isResting('video'), media.deviceId('video')], [true, 'd']);
  media.restAs('video', 'c');
  await media.openOne('video', media.deviceId('video'));
  assert.deepEqual(asked.at(-1), { audio: null, video: 'c' });
  assert.deepEqual([media.isResting('video'), media.deviceId('video')], [false, 'c']);
  await media.rest('video', () => false);
  await media.close('video');
  assert.equal(media.isResting('video'), false);
});

/** A machine whose devices come and go, and what the page says of it. */
function plugs(kind: Kind, ...ids: string[]): { media: OwnMedia; here: string[]; lost: Kind[] } {
  const here = [...ids];
  const lost: Kind[] = [];
  const { capture } = machine({ [kind]: here });
  return { media: new OwnMedia(capture, (one) => lost.push(one)), here, lost };
}

function unplug(media: OwnMedia, kind: Kind, here: string[]): void {
  here.splice(here.indexOf(media.deviceId(kind)), 1);
  media.tracks[kind]?.dispatchEvent(new Event('ended'));
}

for (const kind of ['audio', 'video'] as const) {
  test(`an unplugged device is replaced and taken back: ${kind}`, async () => {
    const { media, here, lost } = plugs(kind, 'a', 'b');
    await media.openOne(kind, 'a');
    assert.equal(await media.recover(kind, here), undefined, 'nothing is lost');
    unplug(media, kind, here);
    assert.deepEqual([lost, media.lost], [[kind], [kind]]);
    assert.equal(await media.recover(kind, here), 'replaced');
    assert.equal(media.deviceId(kind), 'b');
    here.push('c');
    assert.equal(await media.recover(kind, here), undefined, 'another one changes nothing');
    here.push('a');
    assert.equal(await media.recover(kind, here), 'back');
    assert.deepEqual([media.deviceId(kind), media.lost], ['a', []]);
  });
}

test('the only device is waited for, and a choice ends the waiting', async () => {
  const { media, here } = plugs('video', 'a');
  await media.openOne('video', true);
  unplug(media, 'video', here);
  assert.equal(await media.recover('video', here), undefined);
  assert.equal(await media.recover('video', ['']), undefined, 'the page may not use devices');
  here.push('b');
  assert.equal(await media.recover('video', here), 'replaced');
  // The substitute goes, too: it is still the first one that is come back to.
  unplug(media, 'video', here);
  here.push('a');
  assert.equal(await media.recover('video', here), 'back');
  unplug(media, 'video', here);
  here.push('c');
  await media.openOne('video', 'c');
  here.push('a');
  assert.equal(await media.recover('video', here), undefined, 'the user chose another one');
});
