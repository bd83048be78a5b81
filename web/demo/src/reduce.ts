/** How a call changes. Pure: times are given, and everything of others is bounded. */
import { withFault } from './capture';
import { type Key, type Params, RECORDER } from './words';
import { nameOfOther } from './names';
import { MAX_MESSAGE, readable } from './texts';
import {
  type Archive,
  type Happening,
  LOBBY,
  type Media,
  newStream,
  type Own,
  type Person,
  type State,
  type Stream,
  TILE,
} from './state';

/** More than a server of this project lets into one session; a hostile one has no more. */
export const MAX_PERSONS = 2_000;
export const MAX_STREAMS = 400;
const MAX_MESSAGES = 300;
/** Those of recorders that are gone stay: one is enough for the sign. */
const MAX_ARCHIVES = 100;
/** Of the live region: what comes faster is not read. */
const MAX_SAID = 8;
const SPEAKING_MS = 800;
/** Frequent enough to show who speaks. */
const LOUD_STEP_MS = 300;
/** Nobody takes the stage from a speaker who just breathes. */
const STAGE_MS = 1_500;

type Of<Type extends Happening['type']> = Extract<Happening, { type: Type }>;
type Rules = { [Type in Happening['type']]: (state: State, event: Of<Type>) => State };

export function reduce(state: State, event: Happening): State {
  const rule = RULES[event.type] as (state: State, event: Happening) => State;
  return rule(state, event);
}

export function nameOf(state: State, id: string): string {
  return state.persons.get(id)?.name ?? '';
}

function say(state: State, key: Key, params: Params = {}): State {
  const serial = state.serial + 1;
  const said = [...state.said, { id: serial, key, params }].slice(-MAX_SAID);
  return { ...state, said, serial };
}

function withEntry<Value>(
  map: ReadonlyMap<string, Value>,
  id: string,
  value: Value | undefined,
): ReadonlyMap<string, Value> {
  const changed = new Map(map);
  if (value === undefined) changed.delete(id);
  else changed.set(id, value);
  return changed;
}

function withPerson(state: State, id: string, person: Person | undefined): State {
  return { ...state, persons: withEntry(state.persons, id, person) };
}

function withStream(state: State, id: string, change: Partial<Stream>): State {
  const stream = state.streams.get(id);
  if (!stream) return state;
  return { ...state, streams: withEntry(state.streams, id, { ...stream, ...change }) };
}

function withOwn(state: State, change: Partial<Own>): State {
  return { ...state, own: { ...state.own, ...change } };
}

/** Of the own camera or of a stream, by its tile. */
function withMedia(state: State, key: string, change: Partial<Media>): State {
  if (key === TILE.camera) return withOwn(state, change);
  return withStream(state, key.slice(TILE.stream('').length), change);
}

function mediaOf(state: State, key: string): Media | undefined {
  if (key === TILE.camera) return state.own;
  return state.streams.get(key.slice(TILE.stream('').length));
}

/** Everybody is gone; the own devices, hand and messages stay, and so does what was recorded. */
function emptied(state: State): State {
  const { persons, streams } = LOBBY;
  const own = { ...state.own, encryption: LOBBY.own.encryption, level: LOBBY.own.level };
  return { ...state, persons, streams, own, speaker: null, isKeyed: false };
}

function withoutTile(state: State, key: string): State {
  const { pinned, speaker } = state;
  if (pinned !== key && speaker !== key) return state;
  return {
    ...state,
    pinned: pinned === key ? null : pinned,
    speaker: speaker === key ? null : speaker,
  };
}

function loud(state: State, { key, now }: Of<'loud'>): State {
  const media = mediaOf(state, key);
  if (!media?.hasAudio) return state;
  if (media.spokeAt !== null && now - media.spokeAt < LOUD_STEP_MS) return state;
  const changed = withMedia(state, key, { spokeAt: now });
  return key !== TILE.camera && isStageFree(state, now) ? { ...changed, speaker: key } : changed;
}

function isStageFree(state: State, now: number): boolean {
  const speaker = state.speaker === null ? undefined : mediaOf(state, state.speaker);
  const { spokeAt = null } = speaker ?? {};
  return spokeAt === null || now - spokeAt > STAGE_MS;
}

function tick(state: State, { now }: Of<'tick'>): State {
  const isOver = ({ spokeAt }: Media): boolean => spokeAt !== null && now - spokeAt > SPEAKING_MS;
  const over = [...state.streams].filter(([, stream]) => isOver(stream));
  const own = isOver(state.own) ? withOwn(state, { spokeAt: null }) : state;
  return over.reduce((changed, [id]) => withStream(changed, id, { spokeAt: null }), own);
}

const DEVICE_WORDS = {
  audio: { on: 'said.unmuted', off: 'said.muted' },
  video: { on: 'said.cameraOn', off: 'said.cameraOff' },
} as const;

function device(state: State, { kind, isOn, fault, isForced, swap }: Of<'device'>): State {
  const property = kind === 'audio' ? 'hasAudio' : 'hasVideo';
  const faults = withFault(state.own.faults, kind, fault);
  const changed = withOwn(state, { [property]: isOn, faults });
  if (state.phase === 'lobby' || state.phase === 'joining') return changed;
  if (swap) return say(changed, `said.${kind}.${swap}`);
  if (isForced) return say(changed, 'said.forced');
  if (fault) return say(changed, `fault.${kind}.${fault}`);
  if (state.own[property] === isOn) return changed;
  return say(changed, DEVICE_WORDS[kind][isOn ? 'on' : 'off']);
}

function hand(state: State, { id, isRaised }: Of<'hand'>): State {
  if (id === null) {
    const changed = withOwn(state, { hasHand: isRaised });
    return say(changed, isRaised ? 'said.ownHand' : 'said.ownHandDown');
  }
  const person = state.persons.get(id);
  if (!person || person.hasHand === isRaised) return state;
  const changed = withPerson(state, id, { ...person, hasHand: isRaised });
  return isRaised ? say(changed, 'said.hand', { name: person.name }) : changed;
}

/** A server that says that the recorder is gone cannot take the sign away: only a recorder can. */
function archive(state: State, { id, recorder, change }: Of<'archive'>): State {
  const isRunning = change === 'begun';
  // One that is gone may come back, as another member.
  const isSame = (one: Archive): boolean =>
    one.id === id && (one.recorder === recorder || one.recorder === null);
  const others = state.archives.filter((one) => !isSame(one));
  if (change === 'left') {
    return say({ ...state, archives: [...others, { id, recorder: null }] }, 'said.recorderLeft');
  }
  const archives = isRunning ? [...others, { id, recorder }].slice(-MAX_ARCHIVES) : others;
  if (archives.length > 0 === state.archives.length > 0) return { ...state, archives };
  return say({ ...state, archives }, isRunning ? 'said.recorded' : 'said.recordedOver');
}

function message(state: State, { from, text, now }: Of<'message'>): State {
  const shown = readable(text, MAX_MESSAGE);
  if (shown === '' || (from !== null && !state.persons.has(from))) return state;
  const serial = state.serial + 1;
  const name = from === null ? null : nameOf(state, from);
  const messages = [...state.messages, { id: serial, name, text: shown, at: now }];
  const changed = { ...state, serial, messages: messages.slice(-MAX_MESSAGES) };
  // The log of an open panel is a live region itself.
  if (from === null || state.panel === 'chat') return changed;
  return say({ ...changed, unread: state.unread + 1 }, 'said.message', {
    name: name ?? '',
    text: shown,
  });
}

function came(state: State, { id, name, isRecorder = false }: Of<'came'>): State {
  if (state.persons.size >= MAX_PERSONS && !state.persons.has(id)) return state;
  const shown = isRecorder ? RECORDER : nameOfOther(name);
  const person = { name: shown, hasHand: false };
  const changed = withPerson(state, id, person);
  return state.phase === 'in' ? say(changed, 'said.joined', { name: person.name }) : changed;
}

function went(state: State, { id }: Of<'went'>): State {
  const person = state.persons.get(id);
  if (!person) return state;
  const changed = withoutTile(withPerson(state, id, undefined), TILE.person(id));
  return say(changed, 'said.left', { name: person.name });
}

function streamCame(state: State, { id, stream }: Of<'streamCame'>): State {
  if (state.streams.size >= MAX_STREAMS) return state;
  const added = newStream({ ...stream, name: nameOfOther(stream.name) });
  const changed = { ...state, streams: withEntry(state.streams, id, added) };
  if (!stream.isScreen) return changed;
  return say(changed, 'said.shares', { name: nameOf(state, stream.owner) || added.name });
}

function media(state: State, { key, change }: Of<'media'>): State {
  const before = mediaOf(state, key);
  if (!before) return state;
  const changed = withMedia(state, key, change);
  const isWatched = state.persons.size > 0;
  const isPoor = key === TILE.camera && change.level === 1 && before.level !== 1 && isWatched;
  return isPoor ? say(changed, 'said.poor') : changed;
}

function joined(state: State): State {
  const others = state.persons.size;
  const changed: State = { ...state, phase: 'in' };
  return say(changed, others === 0 ? 'said.inAlone' : 'said.in', { count: others });
}

const RULES: Rules = {
  joining: (state, { name }) => ({
    ...LOBBY,
    ...{ said: state.said, serial: state.serial, phase: 'joining' },
    own: { ...state.own, name, hasHand: false, isSharing: false },
  }),
  joined,
  resuming: (state) => say({ ...state, phase: 'resuming' }, 'state.resuming'),
  resumed: (state) => say({ ...state, phase: 'in' }, 'said.again'),
  rejoining: (state) => say({ ...emptied(state), phase: 'rejoining' }, 'state.rejoining'),
  // Of what was written and of who was there nothing stays.
  left: (state) => ({
    ...LOBBY,
    own: { ...LOBBY.own, name: state.own.name },
    serial: state.serial,
  }),
  emptied,
  keyed: (state, { isKeyed }) => ({ ...state, isKeyed }),
  came,
  went,
  streamCame,
  streamChanged: (state, { id, change }) => withStream(state, id, change),
  streamWent: (state, { id }) =>
    withoutTile({ ...state, streams: withEntry(state.streams, id, undefined) }, TILE.stream(id)),
  media,
  loud,
  tick,
  device,
  sharing: (state, { isSharing }) =>
    say(
      withoutTile(withOwn(state, { isSharing }), TILE.screen),
      isSharing ? 'said.sharing' : 'said.sharingOver',
    ),
  hand,
  archive,
  message,
  panel: (state, { panel }) => ({
    ...state,
    panel,
    unread: panel === 'chat' ? 0 : state.unread,
  }),
  pin: (state, { key }) => ({ ...state, pinned: state.pinned === key ? null : key }),
  view: (state, { view }) =>
    say({ ...state, view }, view === 'grid' ? 'said.grid' : 'said.speaker'),
};
