/** What the page knows of a call, and what happens to it. Plain data; `reduce.ts` changes it. */
import type { Fault, Kind } from './capture';
import type { Swap } from './own-media';
import type { Key, Params } from './words';

export type Phase = 'lobby' | 'joining' | 'in' | 'resuming' | 'rejoining';
export type Encryption = 'waiting' | 'encrypted' | 'mismatch';
/** 0: not known, 1: poor, 2: fair, 3: good. */
export type Level = 0 | 1 | 2 | 3;
export type Panel = 'people' | 'chat';
export type View = 'grid' | 'speaker';

/** What tiles are called: the server names streams and people, and none of those names takes one of the page's. */
export const TILE = {
  camera: 'own:camera',
  screen: 'own:screen',
  person: (connectionId: string) => `person:${connectionId}`,
  stream: (streamId: string) => `stream:${streamId}`,
} as const;

/** Somebody else; `name` is "" where the token has none, and `RECORDER` for what records. */
export interface Person {
  readonly name: string;
  readonly hasHand: boolean;
}

/** What is sent to us, or by us. */
export interface Media {
  readonly hasAudio: boolean;
  readonly hasVideo: boolean;
  readonly encryption: Encryption;
  readonly level: Level;
  /** When it was last loud, in ms; `null`: it is silent. */
  readonly spokeAt: number | null;
}

export interface Stream extends Media {
  readonly owner: string;
  readonly name: string;
  readonly isScreen: boolean;
  /** The connection does not carry its video. */
  readonly isSlow: boolean;
  readonly hasFailed: boolean;
}

export interface Own extends Media {
  readonly name: string;
  readonly faults: Readonly<Partial<Record<Kind, Fault>>>;
  readonly isSharing: boolean;
  readonly hasHand: boolean;
}

export interface Message {
  readonly id: number;
  /** `null`: from this page. */
  readonly name: string | null;
  readonly text: string;
  /** Unix ms. */
  readonly at: number;
}

/** One sentence for the live region. */
export interface Announcement {
  readonly id: number;
  readonly key: Key;
  readonly params: Params;
}

/** `left`: the server says that the recorder is gone. Whether it has stopped is then not known. */
export type ArchiveChange = 'begun' | 'over' | 'left';

/** One that somebody else makes; the recorder says so, not the server, and says when it is over. */
export interface Archive {
  readonly id: string;
  /** `null`: gone, by the server's word. */
  readonly recorder: string | null;
}

export interface State {
  readonly phase: Phase;
  /** The SDK says that nothing but encrypted media and signals pass. */
  readonly isKeyed: boolean;
  readonly own: Own;
  readonly persons: ReadonlyMap<string, Person>;
  readonly streams: ReadonlyMap<string, Stream>;
  readonly archives: readonly Archive[];
  readonly view: View;
  /** Tiles by their names. */
  readonly pinned: string | null;
  readonly speaker: string | null;
  readonly panel: Panel | null;
  readonly messages: readonly Message[];
  readonly unread: number;
  readonly said: readonly Announcement[];
  /** The last number of a message or announcement. */
  readonly serial: number;
}

export type Happening =
  | { type: 'joining'; name: string }
  | { type: 'joined' | 'resuming' | 'resumed' | 'rejoining' | 'left' | 'emptied' }
  | { type: 'keyed'; isKeyed: boolean }
  | { type: 'came'; id: string; name: string; isRecorder?: boolean }
  | { type: 'went'; id: string }
  | { type: 'streamCame'; id: string; stream: NewStream }
  | { type: 'streamChanged'; id: string; change: StreamChange }
  | { type: 'streamWent'; id: string }
  | { type: 'media'; key: string; change: Partial<Pick<Media, 'encryption' | 'level'>> }
  | { type: 'loud'; key: string; now: number }
  | { type: 'tick'; now: number }
  | {
      type: 'device';
      kind: Kind;
      isOn: boolean;
      fault?: Fault | undefined;
      isForced?: boolean;
      swap?: Swap;
    }
  | { type: 'sharing'; isSharing: boolean }
  | { type: 'hand'; id: string | null; isRaised: boolean }
  | { type: 'archive'; id: string; recorder: string; change: ArchiveChange }
  | { type: 'message'; from: string | null; text: string; now: number }
  | { type: 'panel'; panel: Panel | null }
  | { type: 'pin'; key: string | null }
  | { type: 'view'; view: View };

export type NewStream = Pick<Stream, 'owner' | 'name' | 'isScreen' | 'hasAudio' | 'hasVideo'>;
export type StreamChange = Partial<Pick<Stream, 'hasAudio' | 'hasVideo' | 'isSlow' | 'hasFailed'>>;

const SILENT: Media = {
  ...{ hasAudio: false, hasVideo: false },
  ...{ encryption: 'waiting', level: 0, spokeAt: null },
};

export const newStream = (stream: NewStream): Stream => ({
  ...SILENT,
  ...stream,
  ...{ isSlow: false, hasFailed: false },
});

export const LOBBY: State = {
  phase: 'lobby',
  isKeyed: false,
  own: { ...SILENT, name: '', faults: {}, isSharing: false, hasHand: false },
  persons: new Map(),
  streams: new Map(),
  archives: [],
  view: 'grid',
  ...{ pinned: null, speaker: null, panel: null },
  messages: [],
  unread: 0,
  said: [],
  serial: 0,
};
