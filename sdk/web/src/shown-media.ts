/** What a Subscriber received, and which of it its element plays. */
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
  /** All tracks. */
  readonly stream = new MediaStream();
  tracks: readonly ReceivedTrack[] = [];
  /** Those that the element plays. */
  private readonly shown = new MediaStream();
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
    const wanted = tracks.map(({ receiver }) => receiver.track);
    for (const track of this.stream.getTracks()) {
      if (!wanted.includes(track)) this.stream.removeTrack(track);
    }
    for (const track of wanted) this.stream.addTrack(track);
    this.fill(expected);
    void play(this.playable);
    return isFirst;
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
