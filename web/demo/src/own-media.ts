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

  deviceId(kind: Kind): string {
    return this.tracks[kind]?.getSettings().deviceId ?? '';
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
  }

  private next<Value>(job: () => Promise<Value>): Promise<Value> {
    const done = this.last.then(job);
    this.last = done.catch(() => undefined);
    return done;
  }
}
