/** What a Subscriber received, and which of it its element plays. */
import type { ReceivedTrack } from './rtc/downlink';
import { play, type Playable } from './ui/playback';

/** `HTMLMediaElement.HAVE_CURRENT_DATA`: a frame is there. */
const HAVE_CURRENT_DATA = 2;

export class ShownMedia {
  /** All tracks. */
  readonly stream = new MediaStream();
  tracks: readonly ReceivedTrack[] = [];
  /** Those that the element plays. */
  private readonly shown = new MediaStream();
  private hasMedia = false;

  constructor(private readonly playable: Playable) {}

  track(kind: 'audio' | 'video'): ReceivedTrack | undefined {
    return this.tracks.find((track) => track.kind === kind);
  }

  /** The tracks of the newest offer. True for the first ones. */
  take(tracks: readonly ReceivedTrack[], expectsVideo: boolean): boolean {
    const isFirst = !this.hasMedia && tracks.length > 0;
    this.hasMedia ||= tracks.length > 0;
    this.tracks = tracks;
    const wanted = tracks.map(({ receiver }) => receiver.track);
    for (const track of this.stream.getTracks()) {
      if (!wanted.includes(track)) this.stream.removeTrack(track);
    }
    for (const track of wanted) this.stream.addTrack(track);
    this.fill(expectsVideo);
    void play(this.playable);
    return isFirst;
  }

  /**
   * Browsers play no audio of an element before the first frame of its video: the element has the
   * video track only while frames are expected, or when it has shown one.
   */
  fill(expectsVideo: boolean): void {
    const tracks = this.stream.getTracks();
    const audio = tracks.filter(({ kind }) => kind === 'audio');
    const before = this.shown.getTracks();
    const { video } = this.playable;
    const hadVideo = before.some(({ kind }) => kind === 'video');
    const hasVideo = expectsVideo || (hadVideo && video.readyState >= HAVE_CURRENT_DATA);
    const now = hasVideo ? tracks : audio;
    for (const track of before.filter((one) => !now.includes(one))) this.shown.removeTrack(track);
    for (const track of now) this.shown.addTrack(track);
    if (tracks.length === 0) return;
    // An element that waits for a first frame stops waiting only when it is given its media again.
    const isStuck = hadVideo && !hasVideo;
    if (video.srcObject === this.shown && !isStuck) return;
    video.srcObject = this.shown;
    void play(this.playable);
  }
}
