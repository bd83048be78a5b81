/** What a Subscriber received, and which of it its element plays. */
import { exceptions } from './exceptions';
import { type MediaProcessorConnector, TrackProcessing } from './media/processing';
import type { ReceivedTrack } from './rtc/downlink';
import { play, type Playable } from './ui/playback';

/** `HTMLMediaElement.HAVE_CURRENT_DATA`: something is displayed, or playing. */
const HAVE_CURRENT_DATA = 2;

/**
 * What is to come of the video: `frames`, a still frame now and then while the link carries no
 * video (docs/bandwidth.md), or `nothing`.
 */
export type ExpectedVideo = 'frames' | 'stills' | 'nothing';

export class ShownMedia {
  /** All tracks, or what their processors made of them. */
  readonly stream = new MediaStream();
  tracks: readonly ReceivedTrack[] = [];
  /** Those that the element plays. */
  private readonly shown = new MediaStream();
  private readonly processing = { audio: new TrackProcessing(), video: new TrackProcessing() };
  /** Received track → what the processor made of it. */
  private readonly outputs = new Map<MediaStreamTrack, MediaStreamTrack>();
  private hasMedia = false;
  private expected: ExpectedVideo = 'frames';

  constructor(private readonly playable: Playable) {
    playable.video.addEventListener('playing', () => this.fill(this.expected));
  }

  track(kind: 'audio' | 'video'): ReceivedTrack | undefined {
    return this.tracks.find((track) => track.kind === kind);
  }

  /** The tracks of the newest offer. True for the first ones. */
  take(tracks: readonly ReceivedTrack[], expected: ExpectedVideo): boolean {
    const isFirst = !this.hasMedia && tracks.length > 0;
    this.hasMedia ||= tracks.length > 0;
    this.tracks = tracks;
    for (const track of [...this.outputs.keys()]) {
      if (!tracks.some(({ receiver }) => receiver.track === track)) this.outputs.delete(track);
    }
    for (const { kind, receiver } of tracks) this.pass(kind, receiver.track);
    this.collect();
    this.fill(expected);
    void play(this.playable);
    return isFirst;
  }

  /** Shows, or plays, what the connector makes of the track from now on. */
  async process(kind: 'audio' | 'video', connector: MediaProcessorConnector | null): Promise<void> {
    const track = this.track(kind)?.receiver.track;
    const output = await this.processing[kind].set(connector, track);
    if (!track || !output) return;
    this.outputs.delete(track);
    if (output !== track) this.outputs.set(track, output);
    this.collect();
    this.fill(this.expected);
  }

  /** The end: processors are not needed any more. */
  close(): void {
    for (const processing of Object.values(this.processing)) {
      processing.set(null, undefined).catch(() => undefined);
    }
  }

  /** A new track goes through the processor that there is; until it came out nothing is shown. */
  private pass(kind: 'audio' | 'video', track: MediaStreamTrack): void {
    if (!this.processing[kind].isActive || this.outputs.has(track)) return;
    this.processing[kind].through(track).then(
      (output) => {
        if (this.track(kind)?.receiver.track !== track) return;
        this.outputs.set(track, output);
        this.collect();
        this.fill(this.expected);
      },
      (error: unknown) => exceptions.report(error),
    );
  }

  private collect(): void {
    const wanted = this.tracks.flatMap(({ kind, receiver: { track } }) => {
      const output = this.outputs.get(track);
      if (output) return output;
      return this.processing[kind].isActive ? [] : track;
    });
    for (const track of this.stream.getTracks()) {
      if (!wanted.includes(track)) this.stream.removeTrack(track);
    }
    for (const track of wanted) this.stream.addTrack(track);
  }

  /**
   * Browsers play no audio of an element before the first frame of its video: the element has the
   * video track only while frames are expected, or when it has shown one. A still frame may be long
   * in coming, so the track joins once the audio plays.
   */
  fill(expected: ExpectedVideo): void {
    this.expected = expected;
    const tracks = this.stream.getTracks();
    const audio = tracks.filter(({ kind }) => kind === 'audio');
    const before = this.shown.getTracks();
    const hadVideo = before.some(({ kind }) => kind === 'video');
    const hasVideo = this.canShow(expected, hadVideo, audio.length > 0);
    const now = hasVideo ? tracks : audio;
    for (const track of before.filter((one) => !now.includes(one))) this.shown.removeTrack(track);
    for (const track of now) this.shown.addTrack(track);
    if (tracks.length === 0) return;
    const { video } = this.playable;
    // An element that waits for a first frame stops waiting only when it is given its media again.
    const isStuck = hadVideo && !hasVideo;
    if (video.srcObject === this.shown && !isStuck) return;
    video.srcObject = this.shown;
    void play(this.playable);
  }

  private canShow(expected: ExpectedVideo, hadVideo: boolean, hasAudio: boolean): boolean {
    if (expected === 'frames') return true;
    const plays = this.playable.video.readyState >= HAVE_CURRENT_DATA;
    return expected === 'stills' ? plays || !hasAudio : plays && hadVideo;
  }
}
