import type { Connection } from './connection';
import type { StreamInfo, StreamPropertyChanged } from './signaling/messages';

/** Pixels. */
export interface Size {
  /** Pixels from left to right. */
  width: number;
  /** Pixels from top to bottom. */
  height: number;
}

/** A changed property of a stream, with its values. */
export type PropertyChange =
  | {
      readonly changedProperty: 'hasAudio' | 'hasVideo' | 'hasCaptions';
      readonly oldValue: boolean;
      readonly newValue: boolean;
    }
  | {
      readonly changedProperty: 'videoDimensions';
      readonly oldValue: Size;
      readonly newValue: Size;
    };

const MAX_INITIALS = 16;

/** What one publisher sends, as everybody in the session knows it. */
export class Stream {
  /** Id of the stream in its session. */
  readonly streamId: string;
  /** The same as `streamId`; applications use both. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly creationTime: number;
  /** Name that the publisher chose, or an empty string. */
  readonly name: string;
  /** Those that the publisher chose, else the first letters of the name's words. */
  readonly initials: string;
  /** Frames per second of the publisher's capture; 0: not known. */
  readonly frameRate: number;
  /** What the video shows; `undefined` without video. */
  readonly videoType: 'camera' | 'screen' | 'custom' | undefined;
  /** Whether what is said may be captioned; never in an end-to-end encrypted session. */
  hasCaptions: boolean;
  /** Whether audio is sent now. */
  hasAudio: boolean;
  /** Whether video is sent now. */
  hasVideo: boolean;
  /** Width and height of the publisher's capture in pixels. */
  videoDimensions: Size;

  constructor(
    info: StreamInfo,
    readonly connection: Connection,
  ) {
    this.streamId = info.streamId;
    this.id = info.streamId;
    this.creationTime = info.creationTime;
    this.name = info.name ?? '';
    this.initials = shortened(info.initials) || initialsOf(this.name);
    this.frameRate = info.frameRate ?? 0;
    this.videoType = info.videoType ?? undefined;
    this.hasAudio = info.hasAudio ?? false;
    this.hasVideo = info.hasVideo ?? false;
    this.hasCaptions = info.hasCaptions ?? false;
    this.videoDimensions = info.videoDimensions ?? { width: 0, height: 0 };
  }

  /** Takes over what changed and says what it was. Called by the session alone. */
  apply(change: Partial<Omit<StreamPropertyChanged, 't' | 'streamId'>>): PropertyChange[] {
    const changes: PropertyChange[] = [];
    for (const property of ['hasAudio', 'hasVideo', 'hasCaptions'] as const) {
      const newValue = change[property];
      if (typeof newValue !== 'boolean' || newValue === this[property]) continue;
      changes.push({ changedProperty: property, oldValue: this[property], newValue });
      this[property] = newValue;
    }
    const size = change.videoDimensions;
    const old = this.videoDimensions;
    if (size && (size.width !== old.width || size.height !== old.height)) {
      changes.push({ changedProperty: 'videoDimensions', oldValue: old, newValue: size });
      this.videoDimensions = size;
    }
    return changes;
  }
}

/** Initials as the server takes them; one that lies may send longer ones. */
export function shortened(initials: string | undefined): string {
  return [...(initials ?? '')].slice(0, MAX_INITIALS).join('');
}

/** Of the first and the last word. */
export function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  return [words[0], words.length > 1 ? words.at(-1) : undefined]
    .map((word) => [...(word ?? '')][0]?.toUpperCase() ?? '')
    .join('');
}
