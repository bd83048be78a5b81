/** The tracks of one Publisher: captured once, replaced later, stopped by their owner. */
import { otError } from '../errors';
import { capture, type CaptureProperties, isScreen } from './capture';
import { inputDevices } from './devices';

type Kind = 'audio' | 'video';

export class LocalMedia {
  readonly stream = new MediaStream();
  /** Tracks that the application made are the application's to stop. */
  private readonly owned = new WeakSet<MediaStreamTrack>();

  constructor(
    private readonly properties: CaptureProperties,
    private readonly onEnded: (track: MediaStreamTrack) => void,
  ) {}

  get audio(): MediaStreamTrack | undefined {
    return this.stream.getAudioTracks()[0];
  }

  get video(): MediaStreamTrack | undefined {
    return this.stream.getVideoTracks()[0];
  }

  get isScreen(): boolean {
    return isScreen(this.properties.videoSource);
  }

  async acquire(): Promise<void> {
    const { audioSource, videoSource } = this.properties;
    const { audio, video } = await capture(this.properties);
    if (audio) this.adopt(audio, audio !== audioSource);
    if (video) this.adopt(video, video !== videoSource);
  }

  /** Captures another source and puts its track in place of the old one. */
  async replace(kind: Kind, source: string | MediaStreamTrack): Promise<MediaStreamTrack> {
    const isTrack = source instanceof MediaStreamTrack;
    if (isTrack && source.kind !== kind) {
      throw otError('OT_INVALID_PARAMETER', `The track must be of kind ${kind}`);
    }
    const track = isTrack ? source : await this.captureOne(kind, source);
    const old = kind === 'audio' ? this.audio : this.video;
    track.enabled = old?.enabled ?? true;
    this.adopt(track, !isTrack);
    if (old && old !== track) this.drop(old);
    return track;
  }

  /** The camera after the present one. */
  async nextCamera(): Promise<string> {
    const cameras = (await inputDevices()).filter(({ kind }) => kind === 'videoInput');
    const current = this.video?.getSettings().deviceId;
    const index = cameras.findIndex(({ deviceId }) => deviceId === current);
    const next = cameras[(index + 1) % cameras.length];
    if (!next) throw otError('OT_NO_DEVICES_FOUND', 'No camera was found');
    return next.deviceId;
  }

  stop(): void {
    for (const track of this.stream.getTracks()) this.drop(track);
  }

  private async captureOne(kind: Kind, deviceId: string): Promise<MediaStreamTrack> {
    const other: CaptureProperties =
      kind === 'audio'
        ? { audioSource: deviceId, videoSource: null }
        : { videoSource: deviceId, audioSource: null };
    // Phones cannot open two cameras at once: the old one is closed first.
    if (kind === 'video' && this.video && this.owned.has(this.video)) this.video.stop();
    const captured = await capture({ ...this.properties, ...other });
    const track = captured[kind];
    if (!track) throw otError('OT_NO_DEVICES_FOUND', 'The device was not found');
    return track;
  }

  private adopt(track: MediaStreamTrack, isOwned: boolean): void {
    if (isOwned) this.owned.add(track);
    this.stream.addTrack(track);
    track.addEventListener('ended', () => {
      if (this.stream.getTracks().includes(track)) this.onEnded(track);
    });
  }

  private drop(track: MediaStreamTrack): void {
    this.stream.removeTrack(track);
    if (this.owned.has(track)) track.stop();
  }
}
