/** The own camera and microphone: the page captures them and stops them, also after they were sent. */
import {
  type Capture,
  captureThoseThere,
  type Captured,
  type Choices,
  type Fault,
  type Kind,
  KINDS,
} from './capture';

/** Another device in the place of one that was unplugged, or that one again. */
export type Swap = 'replaced' | 'back';

export class OwnMedia {
  readonly tracks: Partial<Record<Kind, MediaStreamTrack>> = {};
  /** Devices that are off for now, and are the ones to come back to. */
  private readonly resting: Partial<Record<Kind, string>> = {};
  /** Devices that were unplugged, and are the ones to come back to. */
  private readonly away: Partial<Record<Kind, string>> = {};
  /** One change after the other. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly capture: Capture,
    /** A device was unplugged, or the browser took it back. */
    private readonly onEnded: (kind: Kind) => void,
  ) {}

  /** Captures what is not `null` in place of what was there; resolves with what is wrong. */
  open(choices: Choices): Promise<Captured['faults']> {
    return this.next(async () => {
      for (const kind of KINDS) if (choices[kind] !== null) delete this.away[kind];
      // Phones cannot open two cameras at once.
      if (choices.video !== null) this.drop('video');
      const { tracks, faults } = await captureThoseThere(this.capture, choices);
      for (const kind of KINDS) {
        const track = tracks[kind];
        if (track) this.adopt(kind, track);
      }
      return faults;
    });
  }

  /** The same for one of the two. */
  async openOne(kind: Kind, choice: string | true): Promise<Fault | undefined> {
    const choices = { audio: null, video: null, [kind]: choice };
    return (await this.open(choices))[kind];
  }

  close(...kinds: Kind[]): Promise<void> {
    return this.next(() => {
      for (const kind of kinds) {
        this.drop(kind);
        delete this.away[kind];
      }
      return Promise.resolve();
    });
  }

  /**
   * Captures another device in the place of one that was unplugged, or takes that one back; `ids`:
   * of the devices of its kind, empty ones where the page may not use them. `undefined`: neither.
   */
  recover(kind: Kind, ids: readonly string[]): Promise<Swap | undefined> {
    return this.next(async () => {
      const wanted = this.away[kind];
      const isBack = wanted !== undefined && ids.includes(wanted);
      const isNeeded = isBack || !this.tracks[kind];
      if (wanted === undefined || !isNeeded || !ids.some(Boolean)) return undefined;
      const choice = isBack ? wanted : true;
      const captured = await captureThoseThere(this.capture, {
        ...{ audio: null, video: null },
        [kind]: choice,
      });
      const { [kind]: track } = captured.tracks;
      if (!track) return undefined;
      this.adopt(kind, track);
      if (track.getSettings().deviceId !== wanted) return 'replaced';
      delete this.away[kind];
      return 'back';
    });
  }

  /** Those of the two that were unplugged. */
  get lost(): Kind[] {
    return KINDS.filter((kind) => this.away[kind] !== undefined);
  }

  /**
   * Stops a device that is switched off, so that its light goes off, and remembers which one it was;
   * unless it is wanted again by then.
   */
  rest(kind: Kind, isWanted: () => boolean): Promise<void> {
    return this.next(() => {
      const { [kind]: track } = this.tracks;
      if (track && !isWanted()) {
        const { deviceId = '' } = track.getSettings();
        this.drop(kind);
        this.resting[kind] = this.away[kind] ?? deviceId;
        delete this.away[kind];
      }
      return Promise.resolve();
    });
  }

  isResting(kind: Kind): boolean {
    return this.resting[kind] !== undefined;
  }

  /** Another device is the one to come back to. */
  restAs(kind: Kind, deviceId: string): void {
    this.resting[kind] = deviceId;
  }

  /** The device in use, or the one that rests. */
  deviceId(kind: Kind): string {
    const { [kind]: track } = this.tracks;
    return track?.getSettings().deviceId ?? this.resting[kind] ?? this.away[kind] ?? '';
  }

  private adopt(kind: Kind, track: MediaStreamTrack): void {
    this.drop(kind);
    this.tracks[kind] = track;
    const { deviceId = '' } = track.getSettings();
    track.addEventListener('ended', () => {
      if (this.tracks[kind] !== track) return;
      delete this.tracks[kind];
      this.away[kind] ??= deviceId;
      this.onEnded(kind);
    });
  }

  private drop(kind: Kind): void {
    this.tracks[kind]?.stop();
    delete this.tracks[kind];
    delete this.resting[kind];
  }

  private next<Value>(job: () => Promise<Value>): Promise<Value> {
    const done = this.last.then(job);
    this.last = done.catch(() => undefined);
    return done;
  }
}
