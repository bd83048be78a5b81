import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOf } from '../src/levels';
import { MAX_PERSONS, MAX_STREAMS, reduce } from '../src/reduce';
import { type ArchiveChange, type Happening, LOBBY, type State, TILE } from '../src/state';
import { mismatches, participantsOf, stageOf, tilesOf } from '../src/tiles';
import { RECORDER, Words } from '../src/words';

const after = (state: State, ...events: Happening[]): State => events.reduce(reduce, state);

const stream = (
  owner: string,
  more = {},
): Extract<Happening, { type: 'streamCame' }>['stream'] => ({
  ...{ owner, name: owner, isScreen: false, hasAudio: true, hasVideo: true },
  ...more,
});
const came = (id: string, name = id): Happening => ({ type: 'came', id, name });
const shows = (id: string, owner: string, more = {}): Happening => ({
  type: 'streamCame',
  id,
  stream: stream(owner, more),
});
const on = (kind: 'audio' | 'video', isOn = true): Happening => ({ type: 'device', kind, isOn });
const loud = (id: string, now: number): Happening => ({
  type: 'loud',
  key: TILE.stream(id),
  now,
});

const JOINED = after(
  LOBBY,
  { type: 'joining', name: 'Ada' },
  on('audio'),
  on('video'),
  { type: 'keyed', isKeyed: true },
  { type: 'joined' },
);
const said = (state: State): string[] => state.said.map(({ key }) => key);
const last = (state: State): string | undefined => said(state).at(-1);
const keys = (state: State): string[] => tilesOf(state).map(({ key }) => key);
const stage = (state: State): string | null => stageOf(state, tilesOf(state));

test('people without camera and microphone have a tile and are announced', () => {
  const state = after(JOINED, came('b', 'Bob'));
  assert.deepEqual(keys(state), [TILE.camera, TILE.person('b')]);
  assert.deepEqual(state.said.at(-1)?.params, { name: 'Bob' });
  assert.equal(last(state), 'said.joined');
  const gone = after(state, { type: 'went', id: 'b' });
  assert.deepEqual(keys(gone), [TILE.camera]);
  assert.equal(last(gone), 'said.left');
});

test('a camera takes the place of the person, and a screen stands beside them', () => {
  const state = after(JOINED, came('b'), shows('1', 'b', { isScreen: true, hasAudio: false }));
  assert.deepEqual(keys(state), [TILE.camera, TILE.person('b'), TILE.stream('1')]);
  assert.equal(last(state), 'said.shares');
  const both = after(state, shows('2', 'b'));
  assert.deepEqual(keys(both), [TILE.camera, TILE.stream('1'), TILE.stream('2')]);
  assert.deepEqual(keys(after(both, { type: 'streamWent', id: '2' })), keys(state));
});

test('a shared screen is large and never muted, and the own one is not large by itself', () => {
  const state = after(JOINED, came('b'), shows('1', 'b', { isScreen: true, hasAudio: false }));
  assert.equal(stage(state), TILE.stream('1'));
  assert.equal(tilesOf(state).at(-1)?.isMuted, false);
  assert.equal(stage(after(JOINED, came('b'), { type: 'sharing', isSharing: true })), null);
  const newer = after(state, shows('2', 'b', { isScreen: true }));
  assert.equal(stage(newer), TILE.stream('2'));
  assert.equal(stage(after(newer, { type: 'pin', key: TILE.camera })), TILE.camera);
});

test('those who were there before are counted and not announced one by one', () => {
  const state = after(LOBBY, { type: 'joining', name: 'Ada' }, came('b'), came('c'), {
    type: 'joined',
  });
  assert.deepEqual(said(state), ['said.in']);
  assert.deepEqual(state.said[0]?.params, { count: 2 });
});

test('a pin holds until the tile is gone, and a second time takes it back', () => {
  const pinned = after(JOINED, came('b'), shows('1', 'b'), { type: 'pin', key: TILE.stream('1') });
  assert.equal(stage(pinned), TILE.stream('1'));
  assert.equal(stage(after(pinned, { type: 'pin', key: TILE.stream('1') })), null);
  assert.equal(after(pinned, { type: 'streamWent', id: '1' }).pinned, null);
});

test('the speaker is large, and nobody takes the stage from one who just breathes', () => {
  const state = after(JOINED, ...[came('b'), came('c'), shows('1', 'b'), shows('2', 'c')], {
    type: 'view',
    view: 'speaker',
  });
  assert.equal(stage(state), TILE.stream('1'));
  const speaks = after(state, loud('2', 1_000));
  assert.equal(stage(speaks), TILE.stream('2'));
  const interrupted = after(speaks, loud('1', 1_900), { type: 'tick', now: 2_000 });
  assert.equal(stage(interrupted), TILE.stream('2'));
  assert.equal(tilesOf(interrupted).find(({ key }) => key === TILE.stream('2'))?.isSpeaking, false);
  assert.equal(stage(after(interrupted, loud('1', 2_700))), TILE.stream('1'));
});

test('levels change the page a few times a second at most, and not for muted people', () => {
  const state = after(JOINED, came('b'), shows('1', 'b'), loud('1', 1_000));
  assert.equal(reduce(state, loud('1', 1_100)), state);
  assert.equal(reduce(state, { type: 'tick', now: 1_500 }), state);
  const muted = after(state, { type: 'streamChanged', id: '1', change: { hasAudio: false } });
  assert.equal(reduce(muted, loud('1', 5_000)), muted);
  assert.equal(reduce(muted, loud('none', 5_000)), muted);
});

test('a camera that is off is no matter of the connection', () => {
  const change = { isSlow: true, hasVideo: false };
  const off = after(JOINED, came('b'), shows('1', 'b'), { type: 'streamChanged', id: '1', change });
  const tile = tilesOf(off).at(-1);
  assert.equal(tile?.video, 'off');
  assert.equal(tile?.notice, null);
  const slow = after(off, { type: 'streamChanged', id: '1', change: { hasVideo: true } });
  assert.equal(tilesOf(slow).at(-1)?.notice, 'slow');
});

test('another secret is counted, and the notice that matters most is shown', () => {
  const state = after(
    JOINED,
    ...[came('b'), shows('1', 'b')],
    { type: 'streamChanged', id: '1', change: { isSlow: true, hasFailed: true } },
    { type: 'media', key: TILE.stream('1'), change: { encryption: 'mismatch' } },
  );
  assert.equal(mismatches(state), 1);
  assert.equal(tilesOf(state).at(-1)?.notice, 'mismatch');
});

test('switches of the own devices are announced, also those by a moderator', () => {
  assert.equal(last(after(JOINED, on('audio', false))), 'said.muted');
  assert.equal(last(after(JOINED, on('audio', false), on('audio'))), 'said.unmuted');
  assert.equal(last(after(JOINED, on('video', false))), 'said.cameraOff');
  const forced: Happening = { type: 'device', kind: 'audio', isOn: false, isForced: true };
  assert.equal(last(after(JOINED, forced)), 'said.forced');
  const missing: Happening = { type: 'device', kind: 'video', isOn: false, fault: 'missing' };
  const without = after(JOINED, missing);
  assert.equal(last(without), 'fault.video.missing');
  assert.equal(tilesOf(without)[0]?.video, 'none');
  assert.equal(tilesOf(after(without, on('video')))[0]?.video, 'on');
});

test('a raised hand is seen, announced once, first in the list, and gone with its owner', () => {
  const raised: Happening = { type: 'hand', id: 'c', isRaised: true };
  const state = after(JOINED, came('b'), came('c'), raised);
  assert.equal(last(state), 'said.hand');
  assert.equal(reduce(state, raised), state);
  assert.deepEqual(
    participantsOf(state).map(({ key }) => key),
    ['c', '', 'b'],
  );
  assert.equal(after(state, { type: 'went', id: 'c' }).persons.size, 1);
  assert.equal(reduce(state, { type: 'hand', id: 'nobody', isRaised: true }), state);
});

const message = (from: string | null, text: string): Happening => ({
  ...{ type: 'message', from, text, now: 5 },
});

test('messages are counted while the chat is closed, bounded, and from nobody unknown', () => {
  const state = after(JOINED, came('b', 'Bob'), message('b', 'Hello\u202e'), message(null, 'Hi'));
  assert.deepEqual(
    state.messages.map(({ name, text }) => [name, text]),
    [
      ['Bob', 'Hello'],
      [null, 'Hi'],
    ],
  );
  assert.equal(state.unread, 1);
  assert.equal(last(state), 'said.message');
  assert.equal(reduce(state, message('nobody', 'x')), state);
  assert.equal(reduce(state, message('b', '\u200b')), state);
  const open = after(state, { type: 'panel', panel: 'chat' }, message('b', 'again'));
  assert.equal(open.unread, 0);
  const many = Array.from({ length: 1_000 }, (_, index) => message('b', `${index}`));
  const flooded = after(state, ...many);
  assert.equal(flooded.messages.length, 300);
  assert.ok(flooded.said.length <= 8);
});

test('after leaving nothing of the call is kept', () => {
  const state = after(JOINED, came('b'), shows('1', 'b'), message('b', 'secret'), { type: 'left' });
  assert.deepEqual(tilesOf(state), []);
  assert.ok(!JSON.stringify(state).includes('secret'));
  assert.deepEqual([state.messages, state.persons.size, state.streams.size], [[], 0, 0]);
});

test('a lost server empties the call and leaves devices, hand and messages as they were', () => {
  const state = after(
    JOINED,
    ...[came('b'), shows('1', 'b'), message('b', 'before'), on('video', false)],
    { type: 'hand', id: null, isRaised: true },
    { type: 'rejoining' },
  );
  assert.deepEqual(keys(state), [TILE.camera]);
  assert.equal(state.isKeyed, false);
  const back = after(state, came('b'), { type: 'resumed' });
  assert.equal(last(back), 'said.again');
  const { hasAudio, hasVideo, hasHand } = back.own;
  assert.deepEqual([hasAudio, hasVideo, hasHand], [true, false, true]);
  assert.equal(back.messages.length, 1);
});

test('a server that names more people and streams than there can be fills no memory', () => {
  const people = Array.from({ length: MAX_PERSONS + 50 }, (_, index) => came(`p${index}`));
  const streams = Array.from({ length: MAX_STREAMS + 50 }, (_, index) => shows(`${index}`, 'p0'));
  const state = after(JOINED, ...people, ...streams);
  assert.equal(state.persons.size, MAX_PERSONS);
  assert.equal(state.streams.size, MAX_STREAMS);
});

test('streams of nobody that is known, and of odd names, are tiles beside the own ones', () => {
  const names = ['own', 'own:camera', 'own:screen', 'constructor', '__proto__'];
  const state = after(JOINED, ...names.map((name) => shows(name, 'nobody')));
  const muted = after(state, on('audio', false));
  assert.equal(new Set(keys(muted)).size, names.length + 1);
  assert.deepEqual(
    tilesOf(muted).map(({ isMuted }) => isMuted),
    [true, ...names.map(() => false)],
  );
});

test('the worse of network and audio is shown, and what is not known counts for nothing', () => {
  assert.equal(levelOf(undefined, undefined), 0);
  assert.equal(levelOf('unknown', 4.4), 3);
  assert.equal(levelOf('excellent', 2), 1);
  assert.equal(levelOf('critical', undefined), 1);
  assert.equal(levelOf('constructor', 3.2), 2);
});

test('a poor own connection is announced when it becomes so', () => {
  const poor: Happening = { type: 'media', key: TILE.camera, change: { level: 1 } };
  const alone = after(JOINED, poor);
  assert.equal(last(alone), 'said.inAlone');
  assert.equal(tilesOf(alone)[0]?.level, 0);
  const state = after(JOINED, came('b'), poor);
  assert.equal(last(state), 'said.poor');
  assert.equal(after(state, poor).serial, state.serial);
});

test('a call is shown as recorded until the last recorder of it has ended', () => {
  const archive = (id: string, recorder: string, change: ArchiveChange = 'begun'): Happening => ({
    type: 'archive',
    ...{ id, recorder, change },
  });
  const recorded = after(JOINED, came('r', ''), archive('1', 'r'));
  assert.equal(last(recorded), 'said.recorded');
  const listed = participantsOf(recorded).map(({ isRecording }) => isRecording);
  assert.deepEqual(listed, [false, true]);
  const twice = after(recorded, archive('2', 'r'), archive('2', 'r'));
  assert.equal(twice.archives.length, 2);
  assert.deepEqual(said(twice), said(recorded));
  const once = after(twice, archive('1', 'r', 'over'), archive('1', 'r', 'over'));
  assert.equal(once.archives.length, 1);
  assert.deepEqual(said(once), said(recorded));
  assert.equal(last(after(once, archive('2', 'r', 'over'))), 'said.recordedOver');
});

test('no server takes the sign of a recording away, by saying that the recorder is gone', () => {
  const begun: Happening = { type: 'archive', id: '1', recorder: 'r', change: 'begun' };
  const recorded = after(JOINED, came('r', ''), begun);
  const left = after(recorded, { ...begun, change: 'left' }, { type: 'went', id: 'r' });
  assert.equal(left.archives.length, 1);
  assert.ok(said(left).includes('said.recorderLeft'));
  const again = after(left, { type: 'rejoining' }, { type: 'resumed' });
  assert.equal(again.archives.length, 1);
  assert.equal(after(again, came('r', ''), begun).archives.length, 1);
  assert.deepEqual(after(again, { ...begun, change: 'over' }).archives, []);
  const back = after(left, came('r2', ''), { ...begun, recorder: 'r2' });
  assert.deepEqual(back.archives, [{ id: '1', recorder: 'r2' }]);
  assert.deepEqual(after(again, { type: 'left' }).archives, []);
  const many = Array.from({ length: 500 }, (_, n): Happening => ({ ...begun, id: String(n) }));
  assert.equal(after(recorded, ...many).archives.length, 100);
});

test('a recorder is called what it is, everywhere, and nobody else can be called so', () => {
  const words = new Words('en');
  const recorder: Happening = { type: 'came', id: 'r', name: '', isRecorder: true };
  const state = after(JOINED, recorder, came('b', ''), came('m', RECORDER));
  const shown = tilesOf(state).map(({ name }) => words.name(name));
  assert.deepEqual(shown, ['Ada', 'Recorder', 'Guest', 'Guest']);
  const listed = participantsOf(state).map(({ name }) => words.name(name));
  assert.deepEqual(listed, ['Ada', 'Recorder', 'Guest', 'Guest']);
  const { key, params } = after(JOINED, recorder).said.at(-1) ?? {};
  assert.ok(key);
  assert.equal(words.say(key, params), 'Recorder joined');
});

test('a device that was swapped is on or off as before, and is said', () => {
  const swapped = (kind: 'audio' | 'video', isOn: boolean, swap: 'replaced' | 'back'): State =>
    after(JOINED, { type: 'device', kind, isOn, swap });
  assert.equal(last(swapped('audio', true, 'replaced')), 'said.audio.replaced');
  assert.equal(last(swapped('video', false, 'back')), 'said.video.back');
  assert.equal(swapped('video', false, 'back').own.hasVideo, false);
  const lost = after(JOINED, { type: 'device', kind: 'audio', isOn: false, fault: 'missing' });
  const again = after(lost, { type: 'device', kind: 'audio', isOn: true, swap: 'back' });
  assert.deepEqual([again.own.faults, again.own.hasAudio], [{}, true]);
});
