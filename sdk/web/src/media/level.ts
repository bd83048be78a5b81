/** Loudness for audioLevelUpdated. */

const INTERVAL_MS = 60;

/** Calls `onLevel` with 0..1 until stopped. `read` gives `undefined` while there is no audio. */
export class LevelPoll {
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly read: () => number | undefined,
    private readonly onLevel: (level: number) => void,
  ) {}

  run(isWanted: boolean): void {
    if (!isWanted) this.stop();
    else {
      this.timer ??= setInterval(() => {
        const level = this.read();
        if (level !== undefined) this.onLevel(level);
      }, INTERVAL_MS);
    }
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

/** The level of a local track, by WebAudio: its sender may not exist yet. */
export class TrackMeter {
  private context: AudioContext | undefined;
  private analyser: AnalyserNode | undefined;
  private samples = new Float32Array(0);
  private trackId: string | undefined;

  read(track: MediaStreamTrack | undefined): number | undefined {
    if (!track || track.readyState === 'ended') return undefined;
    if (this.trackId !== track.id) this.follow(track);
    if (!this.analyser || this.context?.state === 'suspended') return undefined;
    this.analyser.getFloatTimeDomainData(this.samples);
    return Math.min(1, Math.max(...this.samples.map(Math.abs)));
  }

  close(): void {
    this.context?.close().catch(() => undefined);
    this.context = undefined;
    this.analyser = undefined;
    this.trackId = undefined;
  }

  private follow(track: MediaStreamTrack): void {
    this.close();
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.context.createMediaStreamSource(new MediaStream([track])).connect(this.analyser);
    this.trackId = track.id;
  }
}
