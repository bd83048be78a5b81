/** What tiles show: one for each stream, and one for each person without a camera. Pure. */
import { type Encryption, type Level, type Media, type State, type Stream, TILE } from './state';

export interface Tile {
  readonly key: string;
  /** Of the person; "" where there is none. */
  readonly name: string;
  readonly isOwn: boolean;
  readonly kind: 'camera' | 'screen' | 'person';
  /** `off`: the camera is off; `none`: there is none. */
  readonly video: 'on' | 'off' | 'none';
  readonly isMuted: boolean;
  /** `null`: there is nothing that could be encrypted. */
  readonly encryption: Encryption | null;
  readonly level: Level;
  readonly isSpeaking: boolean;
  readonly hasHand: boolean;
  readonly isPinned: boolean;
  /** The most important one. */
  readonly notice: 'mismatch' | 'failed' | 'slow' | null;
}

/** One of the list of participants. */
export interface Participant {
  readonly key: string;
  readonly name: string;
  readonly isOwn: boolean;
  readonly hasHand: boolean;
  /** `null`: nothing is sent. */
  readonly isMuted: boolean | null;
  readonly hasVideo: boolean;
  readonly isSharing: boolean;
  readonly isRecording: boolean;
}

/** Of the own network; what nobody gets is hardly sent, and says nothing of it. */
export function ownLevel({ own, persons }: State): Level {
  return persons.size === 0 ? 0 : own.level;
}

function ownTiles(state: State): Tile[] {
  const { own, pinned } = state;
  const isSending = own.hasAudio || own.hasVideo;
  const common = { name: own.name, isOwn: true, level: ownLevel(state), notice: null };
  const camera: Tile = {
    ...common,
    key: TILE.camera,
    kind: 'camera',
    video: videoOf(own.hasVideo, own.faults.video === undefined),
    isMuted: !own.hasAudio,
    encryption: isSending ? own.encryption : null,
    notice: own.encryption === 'mismatch' ? 'mismatch' : null,
    ...{ isSpeaking: own.spokeAt !== null, hasHand: own.hasHand },
    isPinned: pinned === TILE.camera,
  };
  const screen: Tile = {
    ...common,
    ...{ key: TILE.screen, kind: 'screen', video: 'on', isMuted: false },
    ...{ encryption: null, isSpeaking: false, hasHand: false },
    isPinned: pinned === TILE.screen,
  };
  return own.isSharing ? [camera, screen] : [camera];
}

function videoOf(isOn: boolean, isThere: boolean): Tile['video'] {
  if (isOn) return 'on';
  return isThere ? 'off' : 'none';
}

function noticeOf(stream: Stream): Tile['notice'] {
  if (stream.encryption === 'mismatch') return 'mismatch';
  if (stream.hasFailed) return 'failed';
  // A camera that is off is no matter of the connection.
  return stream.isSlow && stream.hasVideo ? 'slow' : null;
}

function streamTile(state: State, id: string, stream: Stream): Tile {
  const person = state.persons.get(stream.owner);
  const key = TILE.stream(id);
  return {
    key,
    name: person?.name || stream.name,
    isOwn: false,
    kind: stream.isScreen ? 'screen' : 'camera',
    video: videoOf(stream.hasVideo, true),
    // Nobody speaks through a screen.
    isMuted: !stream.hasAudio && !stream.isScreen,
    ...{ encryption: stream.encryption, level: stream.level },
    isSpeaking: stream.spokeAt !== null,
    hasHand: !stream.isScreen && (person?.hasHand ?? false),
    isPinned: state.pinned === key,
    notice: noticeOf(stream),
  };
}

function personTile(state: State, id: string): Tile {
  const key = TILE.person(id);
  return {
    ...{ key, kind: 'person', isOwn: false, video: 'none', isMuted: false },
    ...{ encryption: null, level: 0, isSpeaking: false, notice: null },
    name: state.persons.get(id)?.name ?? '',
    hasHand: state.persons.get(id)?.hasHand ?? false,
    isPinned: state.pinned === key,
  };
}

function streamsByOwner(state: State): Map<string, [string, Stream][]> {
  const found = new Map<string, [string, Stream][]>();
  for (const entry of state.streams) {
    const { owner } = entry[1];
    const list = found.get(owner);
    if (list) list.push(entry);
    else found.set(owner, [entry]);
  }
  return found;
}

/** The own ones first, then people as they came, then streams of nobody that is known. */
export function tilesOf(state: State): Tile[] {
  if (state.phase === 'lobby') return [];
  const streams = streamsByOwner(state);
  const tiles = ownTiles(state);
  for (const id of state.persons.keys()) {
    const theirs = streams.get(id) ?? [];
    streams.delete(id);
    // Without a stream of their own, people still see and hear the others.
    if (theirs.every(([, stream]) => stream.isScreen)) tiles.push(personTile(state, id));
    tiles.push(...theirs.map(([key, stream]) => streamTile(state, key, stream)));
  }
  const rest = [...streams.values()].flat();
  return [...tiles, ...rest.map(([key, stream]) => streamTile(state, key, stream))];
}

/** The large one: what is pinned, else the newest screen of others, else whoever speaks. */
export function stageOf(state: State, tiles: readonly Tile[]): string | null {
  const has = (key: string | null): boolean => tiles.some((tile) => tile.key === key);
  if (has(state.pinned)) return state.pinned;
  const screen = tiles.filter(({ kind, isOwn }) => kind === 'screen' && !isOwn).at(-1);
  if (screen) return screen.key;
  if (state.view === 'grid' || tiles.length < 2) return null;
  if (has(state.speaker)) return state.speaker;
  return tiles.find(({ isOwn }) => !isOwn)?.key ?? null;
}

export function participantsOf(state: State): Participant[] {
  const { own } = state;
  const streams = streamsByOwner(state);
  const others = [...state.persons].map(([id, { name, hasHand }]): Participant => {
    const theirs = (streams.get(id) ?? []).map(([, stream]) => stream);
    const cameras = theirs.filter(({ isScreen }) => !isScreen);
    return {
      ...{ key: id, isOwn: false, hasHand },
      name: name || (cameras[0]?.name ?? ''),
      isMuted: cameras.length === 0 ? null : !cameras.some(({ hasAudio }) => hasAudio),
      hasVideo: cameras.some(({ hasVideo }) => hasVideo),
      isSharing: cameras.length < theirs.length,
      isRecording: state.archives.some(({ recorder }) => recorder === id),
    };
  });
  const me: Participant = {
    ...{ key: '', isOwn: true, name: own.name, hasHand: own.hasHand },
    ...{ isMuted: !own.hasAudio, hasVideo: own.hasVideo, isSharing: own.isSharing },
    isRecording: false,
  };
  // Raised hands first; the others as they came.
  return [me, ...others].sort((one, other) => Number(other.hasHand) - Number(one.hasHand));
}

/** People whose frames do not open. */
export function mismatches(state: State): number {
  return count([state.own, ...state.streams.values()], 'mismatch');
}

function count(list: readonly Media[], state: Encryption): number {
  return list.filter(({ encryption }) => encryption === state).length;
}
