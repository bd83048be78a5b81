/** The tracks of one Publisher: captured once, replaced later, stopped by their owner. */
import { otError } from '../errors';
import { capture, type CaptureProperties, isScreen } from './capture';
import { inputDevices } from './devices';
import { type MediaProcessorConnector, TrackProcessing } from './processing';

type Kind = 'audio' | 'video';

/** The constraints of one kind, of another device. */
function only(
  kind: Kind,
  deviceId: string,
  constraints: NonNullable<CaptureProperties['constraints']>,
): MediaStreamConstraints {
  const { [kind]: own } = constraints as MediaStreamConstraints;
  return { [kind]: { ...(typeof own === 'object' ? own : {}), deviceId: { exact: deviceId } } };
}

export class LocalMedia {
  /** What is sent and shown: the captured tracks, or what their processors made of them. */
  readonly stream = new MediaStream();
  /** Tracks that the application made are the application's to stop. */
  private readonly owned = new WeakSet<MediaStreamTrack>();
  private readonly captured: Partial<Record<Kind, MediaStreamTrack>> = {};
  private isStopped = false;
  private readonly processing = { audio: new TrackProcessing(), video: new TrackProcessing() };

  constructor(
    private readonly properties: CaptureProperties,
    private readonly onEnded: (track: MediaStreamTrack) => void,
  ) {}

  /** As captured. */
  get audio(): MediaStreamTrack | undefined {
    return this.captured.audio;
  }

  /** As captured. */
  get video(): MediaStreamTrack | undefined {
    return this.captured.video;
  }

  /** What is sent. */
  output(kind: Kind): MediaStreamTrack | undefined {
    return this.stream.getTracks().find((track) => track.kind === kind);
  }

  get isScreen(): boolean {
    return isScreen(this.properties.videoSource);
  }

  async acquire(): Promise<void> {
    const { audioSource, videoSource } = this.properties;
    const { audio, video } = await capture(this.properties);
    if (audio) this.adopt('audio', audio, audio !== audioSource);
    if (video) this.adopt('video', video, video !== videoSource);
    try {
      if (audio) this.send('audio', await this.processing.audio.through(audio));
      if (video) this.send('video', await this.processing.video.through(video));
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Captures another source and puts its track in place of the old one; returns what is sent. */
  async replace(kind: Kind, source: string | MediaStreamTrack): Promise<MediaStreamTrack> {
    const isTrack = source instanceof MediaStreamTrack;
    if (isTrack && source.kind !== kind) {
      throw otError('OT_INVALID_PARAMETER', `The track must be of kind ${kind}`);
    }
    const track = isTrack ? source : await this.captureOne(kind, source);
    if (this.isStopped) {
      // Nobody would stop it any more.
      if (!isTrack) track.stop();
      throw otError('OT_STREAM_CREATE_FAILED', 'The publisher was destroyed');
    }
    const old = this.captured[kind];
    track.enabled = old?.enabled ?? true;
    const output = await this.processing[kind].through(track);
    this.adopt(kind, track, !isTrack);
    this.send(kind, output);
    if (old && old !== track) this.release(old);
    return output;
  }

  /** What the track runs through from now on, and what is sent then; before the capture: later. */
  async process(
    kind: Kind,
    connector: MediaProcessorConnector | null,
  ): Promise<MediaStreamTrack | undefined> {
    const output = await this.processing[kind].set(connector, this.captured[kind]);
    if (output) this.send(kind, output);
    return output;
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

  /** The track of a device that may give way to another one of its kind: not a screen's, and not the application's. */
  replaceable(kind: Kind): MediaStreamTrack | undefined {
    const track = this.captured[kind];
    // The audio of a screen is no microphone.
    const isDevice =
      !this.isScreen || (kind === 'audio' && typeof this.properties.audioSource === 'string');
    return track && isDevice && this.owned.has(track) ? track : undefined;
  }

  stop(): void {
    this.isStopped = true;
    for (const kind of ['audio', 'video'] as const) {
      const track = this.captured[kind];
      this.send(kind, undefined);
      delete this.captured[kind];
      if (track) this.release(track);
      this.processing[kind].set(null, undefined).catch(() => undefined);
    }
  }

  private async captureOne(kind: Kind, deviceId: string): Promise<MediaStreamTrack> {
    const other: CaptureProperties =
      kind === 'audio'
        ? { audioSource: deviceId, videoSource: null }
        : { videoSource: deviceId, audioSource: null };
    // Phones cannot open two cameras at once: the old one is closed first.
    if (kind === 'video' && this.video && this.owned.has(this.video)) this.video.stop();
    const { constraints } = this.properties;
    const captured = await capture({
      ...this.properties,
      ...other,
      ...(constraints ? { constraints: only(kind, deviceId, constraints) } : {}),
    });
    const track = captured[kind];
    if (!track) throw otError('OT_NO_DEVICES_FOUND', 'The device was not found');
    return track;
  }

  private adopt(kind: Kind, track: MediaStreamTrack, isOwned: boolean): void {
    if (isOwned) this.owned.add(track);
    this.captured[kind] = track;
    track.addEventListener('ended', () => {
      if (this.captured[kind] === track) this.onEnded(track);
    });
  }

  private send(kind: Kind, track: MediaStreamTrack | undefined): void {
    const before = this.output(kind);
    if (before === track) return;
    if (before) this.stream.removeTrack(before);
    if (track) this.stream.addTrack(track);
  }

  private release(track: MediaStreamTrack): void {
    if (this.owned.has(track)) track.stop();
  }
}
