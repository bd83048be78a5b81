import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReceivedTrack } from '../src/rtc/downlink';
import { ShownMedia } from '../src/shown-media';
import { installBrowser, newTrack } from './session/fake-browser';
import { Random } from './support';

interface Stage {
  readonly media: ShownMedia;
  readonly shown: () => string[];
  readonly plays: () => void;
}

/** As a browser: nothing plays before the first frame of a video track that is given at once. */
function stage(...kinds: ('audio' | 'video')[]): Stage {
  installBrowser(new Random(1));
  const video = document.createElement('video') as HTMLVideoElement & { readyState: number };
  Object.assign(video, { readyState: 0 });
  const media = new ShownMedia({
    video,
    onBlocked: () => undefined,
    onUnblocked: () => undefined,
  });
  const tracks = kinds.map((kind) => ({ kind, receiver: { track: newTrack(kind) } }));
  media.take(tracks as unknown as ReceivedTrack[], 'frames');
  const shown = (): string[] =>
    (video.srcObject as MediaStream).getTracks().map(({ kind }) => kind);
  const plays = (): void => {
    Object.assign(video, { readyState: 4 });
    video.dispatchEvent(new Event('playing'));
  };
  return { media, shown, plays };
}

test('video that was paused before its first frame leaves the audio alone, and joins once it plays', () => {
  const { media, shown, plays } = stage('audio', 'video');
  media.fill('stills');
  assert.deepEqual(shown(), ['audio']);
  media.fill('stills');
  assert.deepEqual(shown(), ['audio']);
  plays();
  assert.deepEqual(shown(), ['audio', 'video']);
});

test('without audio the element waits for the still frame', () => {
  const { media, shown } = stage('video');
  media.fill('stills');
  assert.deepEqual(shown(), ['video']);
});

test('what shows a frame goes on showing it, and the next still frame', () => {
  const { media, shown, plays } = stage('audio', 'video');
  plays();
  media.fill('stills');
  assert.deepEqual(shown(), ['audio', 'video']);
});

test('video that nobody sends or wants does not join', () => {
  const { media, shown, plays } = stage('audio', 'video');
  media.fill('nothing');
  plays();
  assert.deepEqual(shown(), ['audio']);
});
