import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadFilter, requireFilter } from '../src/media/filters';
import { type MediaProcessorConnector, TrackProcessing } from '../src/media/processing';
import { Publisher } from '../src/publisher';
import type { MediaSender } from '../src/rtc/fan-out';
import { Random, settled } from './support';
import { installBrowser, newTrack } from './session/fake-browser';

installBrowser(new Random(1));

/** Gives another track for each that it gets. */
class Connector implements MediaProcessorConnector {
  readonly inputs: MediaStreamTrack[] = [];
  readonly outputs: MediaStreamTrack[] = [];
  isDestroyed = false;

  setTrack(track: MediaStreamTrack): Promise<MediaStreamTrack> {
    this.inputs.push(track);
    const output = newTrack(track.kind as 'audio' | 'video');
    this.outputs.push(output);
    return Promise.resolve(output);
  }

  destroy(): Promise<void> {
    this.isDestroyed = true;
    return Promise.resolve();
  }
}

function live(publisher: Publisher): { audio: MediaStreamTrack[]; video: MediaStreamTrack[] } {
  const sent = { audio: [] as MediaStreamTrack[], video: [] as MediaStreamTrack[] };
  const sender = (kind: 'audio' | 'video'): MediaSender => ({
    replaceTrack: (track) => Promise.resolve(void (track && sent[kind].push(track))),
    getParameters: () => ({ encodings: [{}] }) as unknown as RTCRtpSendParameters,
    setParameters: () => Promise.resolve(),
    getStats: () => Promise.resolve(new Map()),
  });
  publisher.bind({
    stream: { hasAudio: true, hasVideo: true } as never,
    isEncrypted: false,
    media: { streamId: 's', senders: { audio: sender('audio'), video: sender('video') } },
    update: () => undefined,
    unpublish: () => undefined,
    sendStats: () => undefined,
  });
  return sent;
}

test('a publisher sends what its connectors make of its tracks, also of later ones', async () => {
  const [audio, video] = [newTrack('audio'), newTrack('video')];
  const publisher = new Publisher(undefined, { audioSource: audio, videoSource: video });
  const [first, second] = [new Connector(), new Connector()];
  await publisher.setVideoMediaProcessorConnector(first);
  await publisher.ready;
  assert.deepEqual(first.inputs, [video]);
  const sent = live(publisher);
  await settled();
  assert.deepEqual([sent.audio.at(-1), sent.video.at(-1)], [audio, first.outputs[0]]);
  const other = newTrack('video');
  await publisher.setVideoSource(other);
  assert.deepEqual([first.inputs.at(-1), sent.video.at(-1)], [other, first.outputs[1]]);
  assert.equal(publisher.getVideoSource().track, other);
  await publisher.setVideoMediaProcessorConnector(second);
  assert.deepEqual([first.isDestroyed, sent.video.at(-1)], [true, second.outputs[0]]);
  await publisher.setAudioMediaProcessorConnector(second);
  assert.equal(sent.audio.at(-1), second.outputs[1]);
  await publisher.setVideoMediaProcessorConnector(null);
  assert.equal(sent.video.at(-1), other);
  publisher.destroy();
  await settled();
  assert.equal(second.isDestroyed, true);
});

test('a connector that gives no track is refused, and what was sent goes on', async () => {
  const processing = new TrackProcessing();
  const good = new Connector();
  const track = newTrack('video');
  await processing.set(good, track);
  const bad = {
    setTrack: () => Promise.resolve(undefined as never),
    destroy: () => Promise.resolve(),
  };
  await assert.rejects(processing.set(bad, track), { name: 'OT_INVALID_PARAMETER' });
  assert.equal(good.isDestroyed, false);
  assert.equal(await processing.through(track), good.outputs.at(-1));
  const publisher = new Publisher(undefined, { audioSource: newTrack('audio'), videoSource: null });
  for (const nothing of [undefined, {}, 'blur']) {
    await assert.rejects(publisher.setVideoMediaProcessorConnector(nothing as never), {
      name: 'OT_INVALID_PARAMETER',
    });
  }
});

test('a publisher whose processor fails shows nothing rather than the bare track', async () => {
  const publisher = new Publisher(undefined, { audioSource: null, videoSource: newTrack('video') });
  await publisher.setVideoMediaProcessorConnector({
    setTrack: () => Promise.reject(new Error('no GPU')),
    destroy: () => Promise.resolve(),
  });
  await assert.rejects(publisher.ready, { name: 'OT_INVALID_PARAMETER', message: 'no GPU' });
});

test('filters are refused by name where they do not exist, and loudly where they cannot run', async () => {
  const bad = [
    ...[null, {}, { type: 'sepia' }, { type: 'advancedNoiseSuppression' }],
    { type: 'backgroundReplacement' },
  ];
  for (const filter of bad) {
    assert.throws(() => requireFilter('video', filter as never), { name: 'OT_INVALID_PARAMETER' });
  }
  Object.assign(globalThis, { location: new URL('https://video.example/call') });
  await assert.rejects(loadFilter({ type: 'backgroundBlur' }), {
    name: 'OT_NOT_SUPPORTED',
    message: /^The filter backgroundBlur cannot run here: /,
  });
  Reflect.deleteProperty(globalThis, 'location');
});

test('what is said is captioned only if the publisher says yes, and never where it is encrypted', async () => {
  const { exceptions } = await import('../src/exceptions');
  const heard: string[] = [];
  const hear = ({ title }: { title: string }): number => heard.push(title);
  exceptions.on('exception', hear);
  const sources = { audioSource: newTrack('audio'), videoSource: null };
  const publisher = new Publisher(undefined, sources);
  await publisher.ready;
  assert.equal(publisher.streamProperties().hasCaptions, undefined);
  const willing = new Publisher(undefined, { ...sources, publishCaptions: true });
  await willing.ready;
  assert.equal(willing.streamProperties().hasCaptions, true);
  const changes: object[] = [];
  const bind = (isEncrypted: boolean): void => {
    publisher.bind({
      stream: { hasAudio: true, hasCaptions: false } as never,
      media: { streamId: 's', senders: {} },
      isEncrypted,
      update: (change) => changes.push(change),
      unpublish: () => undefined,
      sendStats: () => undefined,
    });
  };
  bind(false);
  await publisher.publishCaptions(true);
  await publisher.publishCaptions(false);
  assert.deepEqual(changes, [{ hasCaptions: true }, { hasCaptions: false }]);
  bind(true);
  await assert.rejects(publisher.publishCaptions(true), { name: 'OT_NOT_SUPPORTED' });
  await publisher.publishCaptions(false);
  assert.equal(publisher.streamProperties().hasCaptions, undefined);
  assert.equal(changes.length, 2);
  assert.deepEqual(heard, []);
  exceptions.off('exception', hear);
});

test('a publisher that wants captions where there are none is told so', async () => {
  const { exceptions } = await import('../src/exceptions');
  const heard: string[] = [];
  const hear = ({ title }: { title: string }): number => heard.push(title);
  exceptions.on('exception', hear);
  const sources = { audioSource: newTrack('audio'), videoSource: null };
  const publisher = new Publisher(undefined, { ...sources, publishCaptions: true });
  await publisher.ready;
  publisher.bind({
    stream: { hasAudio: true } as never,
    media: { streamId: 's', senders: {} },
    isEncrypted: true,
    update: () => undefined,
    unpublish: () => undefined,
    sendStats: () => undefined,
  });
  exceptions.off('exception', hear);
  assert.deepEqual(heard, ['OT_NOT_SUPPORTED']);
});

test('a scalability mode is of one encoding, and kept for the next stream', async () => {
  const properties = { audioSource: null, videoSource: newTrack('video') };
  const publisher = new Publisher(undefined, { ...properties, preferredVideoCodecs: ['vp9'] });
  await publisher.ready;
  assert.equal(publisher.getTargetScalabilityMode(), undefined);
  assert.throws(() => publisher.setTargetScalabilityMode('L4T1' as never), {
    name: 'OT_INVALID_PARAMETER',
  });
  publisher.setTargetScalabilityMode('L3T2');
  assert.equal(publisher.getTargetScalabilityMode(), 'L3T2');
  const [source] = publisher.sources(false);
  assert.deepEqual(
    source?.encodings.map(
      (encoding) => ({ scalabilityMode: undefined, ...encoding }).scalabilityMode,
    ),
    ['L3T2'],
  );
});

test('the bit rate is custom once it was set, and what a preset says after one', async () => {
  const publisher = new Publisher(undefined, { audioSource: null, videoSource: newTrack('video') });
  await publisher.ready;
  const full = publisher.getMaxVideoBitrate();
  await publisher.setVideoBitratePreset('bw_saver');
  const half = Math.round(full / 2);
  assert.deepEqual(
    [publisher.getVideoBitratePreset(), publisher.getMaxVideoBitrate()],
    ['bw_saver', half],
  );
  await publisher.setMaxVideoBitrate(123_000);
  assert.deepEqual(
    [publisher.getVideoBitratePreset(), publisher.getMaxVideoBitrate()],
    ['custom', 123_000],
  );
  await publisher.setVideoBitratePreset('default');
  assert.equal(publisher.getMaxVideoBitrate(), full);
});
