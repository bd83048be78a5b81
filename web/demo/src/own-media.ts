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

export class OwnMedia {
  readonly tracks: Partial<Record<Kind, MediaStreamTrack>> = {};
  /** Devices that are off for now, and are the ones to come back to. */
  private readonly resting: Partial<Record<Kind, string>> = {};
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
      kinds.forEach((kind) => this.drop(kind));
      return Promise.resolve();
    });
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
        this.resting[kind] = deviceId;
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
    return this.tracks[kind]?.getSettings().deviceId ?? this.resting[kind] ?? '';
  }

  private adopt(kind: Kind, track: MediaStreamTrack): void {
    this.drop(kind);
    this.tracks[kind] = track;
    track.addEventListener('ended', () => {
      if (this.tracks[kind] !== track) return;
      delete this.tracks[kind];
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
