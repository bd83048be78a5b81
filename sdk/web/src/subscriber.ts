/** A stream as this client gets it: its element, its preferences, and the results of decryption. */
import { SubscriberHealth, type FrameCounts, type HealthActions } from './e2ee/health';
import type { TrackResults } from './e2ee/protocol';
import { type StreamEncryptionState, StreamTrust } from './e2ee/trust';
import { asOTError, type OTError, otError, withCallback } from './errors';
import type { SubscriberEvents } from './event-types';
import { Emitter } from './events';
import { exceptions } from './exceptions';
import { elementId } from './identifiers';
import { addOutput, removeOutput } from './media/devices';
import { LevelPoll } from './media/level';
import { definePromised, type WithPromise } from './promise-variant';
import type { ReceivedTrack } from './rtc/downlink';
import { rowsOf, subscriberStats, type SubscriberStats } from './rtc/stats';
import type { Size, Stream } from './stream';
import { forgetPlayable, isBlocked, play, type Playable } from './ui/playback';
import { type Target, View, type WidgetProperties } from './ui/view';
import { defineNotBuilt, type Rejecting, type Throwing } from './unsupported';

/** `HTMLMediaElement.HAVE_CURRENT_DATA`: a frame is there. */
const HAVE_CURRENT_DATA = 2;

/** Options of `Session.subscribe`. */
export interface SubscriberProperties extends WidgetProperties {
  /** 0..100 */
  audioVolume?: number;
  /** Frames per second to receive at most; without it the server chooses. */
  preferredFrameRate?: number;
  /** Width and height to receive at most, in pixels; `auto` lets the server choose. */
  preferredResolution?: 'auto' | Size;
  /** Whether audio is received from the start; the default is true. */
  subscribeToAudio?: boolean;
  /** Whether video is received from the start; the default is true. */
  subscribeToVideo?: boolean;
}

/** Whether the link carries the video. */
type StreamState = 'ok' | 'limited' | 'paused';

/** Members of UpdateSubscriber; what is missing stays as it was. */
export interface SubscriberPreferences {
  audio?: boolean;
  video?: boolean;
  preferredResolution?: Size | null;
  preferredFrameRate?: number | null;
}

/** What the session does for its subscribers. */
export interface SubscriberBinding {
  update(preferences: SubscriberPreferences): Promise<void>;
  report(state: 'mismatch' | 'ok', counts: FrameCounts): void;
  recheck(tracks: readonly string[]): void;
  unsubscribe(): void;
}

type Switch = WithPromise<(isWanted: boolean) => Subscriber, (isWanted: boolean) => Promise<void>>;

/** A stream that this client receives, and its element on the page. */
export class Subscriber extends Emitter<SubscriberEvents> {
  declare readonly setAudioVolume: WithPromise<
    (volume: number) => this,
    (volume: number) => Promise<void>
  >;
  declare readonly subscribeToAudio: Switch;
  declare readonly subscribeToVideo: Switch;
  declare readonly restrictFrameRate: Switch;
  declare getCaptionsTranslationLanguage: Throwing;
  declare subscribeToCaptions: Rejecting;
  declare setCaptionsTranslationLanguage: Rejecting;
  declare setAudioMediaProcessorConnector: Rejecting;
  declare setVideoMediaProcessorConnector: Rejecting;
  readonly id = elementId('subscriber');
  private readonly view: View;
  /** All tracks. */
  private readonly mediaStream = new MediaStream();
  /** Those that the element plays. */
  private readonly shown = new MediaStream();
  private health = new SubscriberHealth();
  private readonly trust = new StreamTrust((change) => {
    this.view.showEncryption(change.newValue);
    this.dispatch('encryptionStateChanged', change);
  });
  private readonly levels: LevelPoll;
  private readonly playable: Playable;
  private tracks: readonly ReceivedTrack[] = [];
  private binding: SubscriberBinding | undefined;
  private wantsAudio: boolean;
  private wantsVideo: boolean;
  private preferredSize: Size | null;
  private preferredRate: number | null;
  private streamState: StreamState = 'ok';
  private volume: number;
  private size: Size = { width: 0, height: 0 };
  private isDestroyed = false;
  private isConnected = false;
  private hasMedia = false;

  /** @internal Use session.subscribe. */
  constructor(
    readonly stream: Stream,
    target: Target,
    private readonly properties: SubscriberProperties = {},
  ) {
    super();
    this.wantsAudio = properties.subscribeToAudio ?? true;
    this.wantsVideo = properties.subscribeToVideo ?? true;
    this.preferredSize = sizeOf(properties.preferredResolution);
    this.preferredRate = properties.preferredFrameRate || null;
    this.levels = new LevelPoll(
      () => this.readLevel(),
      (audioLevel) => this.dispatch('audioLevelUpdated', { audioLevel }),
    );
    this.view = new View(target, {
      role: 'subscriber',
      id: this.id,
      name: stream.name,
      isMirrored: false,
      properties,
    });
    this.view.addMuteButton('Mute', () => this.setVolume(this.volume > 0 ? 0 : 100));
    this.volume = this.setVolume(properties.audioVolume ?? 100);
    this.view.hideVideo(!stream.hasVideo);
    this.view.video.addEventListener('resize', () => this.onResize());
    this.playable = {
      video: this.view.video,
      onBlocked: () => this.dispatch('audioBlocked', {}),
      onUnblocked: () => this.dispatch('audioUnblocked', {}),
    };
    addOutput(this.view.video);
  }

  get element(): HTMLElement | undefined {
    return this.view.element;
  }

  /** "encrypted" once a frame of the stream was decrypted, and not before. */
  get encryptionState(): StreamEncryptionState {
    return this.trust.state;
  }

  /** Volume of the element, 0 to 100. */
  getAudioVolume(): number {
    return this.volume;
  }

  /** Frames a second; `null` lets the server choose. */
  async setPreferredFrameRate(frameRate: number | null): Promise<void> {
    this.preferredRate = frameRate || null;
    await this.binding?.update({ preferredFrameRate: frameRate });
  }

  /** `'auto'` and `null` let the server choose. */
  async setPreferredResolution(resolution: Size | 'auto' | null): Promise<void> {
    this.preferredSize = sizeOf(resolution);
    await this.binding?.update({ preferredResolution: this.preferredSize });
  }

  /** Whether the browser blocks the audio until the user interacts with the page. */
  isAudioBlocked(): boolean {
    return isBlocked(this.playable);
  }

  /** Totals since the subscription. */
  getStats(
    callback?: (error?: OTError, stats?: SubscriberStats) => void,
  ): Promise<SubscriberStats> {
    const stats = this.collectStats();
    withCallback(stats, callback);
    return stats;
  }

  async getRtcStatsReport(): Promise<RTCStatsReport> {
    const receiver = (this.track('video') ?? this.track('audio'))?.receiver;
    if (!receiver) throw otError('OT_NOT_CONNECTED', 'The subscriber is not connected');
    return receiver.getStats();
  }

  /** The current frame as PNG in base64 without a prefix, or `null`. */
  getImgData(): string | null {
    return this.view.imageData();
  }

  getStyle(key?: string): unknown {
    const style = this.properties.style ?? {};
    return key === undefined ? style : style[key];
  }

  setStyle(style: string | Record<string, unknown>, value?: unknown): this {
    const entries = typeof style === 'string' ? { [style]: value } : style;
    this.properties.style = { ...this.properties.style, ...entries };
    for (const [key, entry] of Object.entries(entries)) this.view.setStyle(key, entry);
    return this;
  }

  /** Width of the received video in pixels, 0 before the first frame. */
  videoWidth(): number {
    return this.view.video.videoWidth;
  }

  /** Height of the received video in pixels, 0 before the first frame. */
  videoHeight(): number {
    return this.view.video.videoHeight;
  }

  isSubscribedToCaptions(): boolean {
    return false;
  }

  // --- the session's side -------------------------------------------------------------

  /** @internal What to subscribe with. */
  preferences(): SubscriberPreferences {
    return {
      audio: this.wantsAudio,
      video: this.wantsVideo,
      ...(this.preferredSize ? { preferredResolution: this.preferredSize } : {}),
      ...(this.preferredRate ? { preferredFrameRate: this.preferredRate } : {}),
    };
  }

  /** @internal The server subscribed with `sent`; preferences that changed since then are sent now. */
  bind(binding: SubscriberBinding, sent: SubscriberPreferences, isEncrypted: boolean): void {
    this.binding = binding;
    this.health = new SubscriberHealth();
    this.trust.begin(isEncrypted);
    // The server begins with what it can send, whatever it could before.
    this.onStreamState('ok');
    const now: SubscriberPreferences = {
      ...(sent.audio === this.wantsAudio ? {} : { audio: this.wantsAudio }),
      ...(sent.video === this.wantsVideo ? {} : { video: this.wantsVideo }),
      ...((sent.preferredResolution ?? null) === this.preferredSize
        ? {}
        : { preferredResolution: this.preferredSize }),
      ...((sent.preferredFrameRate ?? null) === this.preferredRate
        ? {}
        : { preferredFrameRate: this.preferredRate }),
    };
    if (Object.keys(now).length > 0) {
      binding.update(now).catch((error: unknown) => {
        // The subscription may have ended meanwhile.
        if (this.binding === binding) exceptions.report(error);
      });
    }
  }

  /** @internal The tracks of the newest offer. */
  onTracks(tracks: readonly ReceivedTrack[]): void {
    const isFirst = !this.hasMedia && tracks.length > 0;
    this.hasMedia ||= tracks.length > 0;
    this.tracks = tracks;
    const wanted = tracks.map(({ receiver }) => receiver.track);
    for (const track of this.mediaStream.getTracks()) {
      if (!wanted.includes(track)) this.mediaStream.removeTrack(track);
    }
    for (const track of wanted) this.mediaStream.addTrack(track);
    this.fillElement();
    void play(this.playable);
    if (!isFirst) return;
    this.dispatch('mediaStreamAvailable', { mediaStream: this.mediaStream });
    this.dispatch('videoElementCreated', { element: this.view.video });
  }

  /** @internal */
  onConnected(): void {
    if (this.isConnected || this.isDestroyed) return;
    this.isConnected = true;
    this.dispatch('connected', {});
  }

  /** @internal The transport went away; the session subscribes again. */
  onDisconnected(): void {
    if (!this.isConnected) return;
    this.isConnected = false;
    this.dispatch('disconnected', {});
  }

  /** @internal */
  onStreamChanged(hasVideo: boolean): void {
    this.showVideo();
    const name = hasVideo ? 'videoEnabled' : 'videoDisabled';
    this.dispatch(name, { reason: 'publishVideo' });
  }

  /** @internal What the link carries of the video has changed. */
  onStreamState(streamState: StreamState): void {
    const before = this.streamState;
    this.streamState = streamState;
    if (before === streamState) return;
    if (before === 'limited') this.dispatch('videoDisableWarningLifted', {});
    if (streamState === 'limited') this.dispatch('videoDisableWarning', {});
    if (streamState === 'paused' || before === 'paused') {
      this.showVideo();
      const name = streamState === 'paused' ? 'videoDisabled' : 'videoEnabled';
      this.dispatch(name, { reason: 'quality' });
    }
  }

  /** @internal What the worker sees on one of the tracks. */
  onHealth(track: string, results: TrackResults, now: number): void {
    this.act(this.health.onTrack(track, results, now));
    if (results.change !== 'failing') this.trust.onPassed();
    this.trust.onFailing(this.health.isMismatched);
  }

  /** @internal The next frames may decrypt: a secret arrived that could fit. */
  onHope(): void {
    this.act(this.health.onHope());
  }

  /** @internal */
  end(reason: string, keepsElement = false): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.levels.stop();
    forgetPlayable(this.playable);
    removeOutput(this.view.video);
    if (!keepsElement) this.view.remove();
    this.onDisconnected();
    this.binding = undefined;
    this.dispatch('destroyed', { reason });
  }

  protected override handlersChanged(): void {
    this.levels.run(this.hasHandlers('audioLevelUpdated') && !this.isDestroyed);
  }

  /** Whether video is to come at all: sent, wanted, and carried by the link. */
  private get expectsVideo(): boolean {
    return this.stream.hasVideo && this.wantsVideo && this.streamState !== 'paused';
  }

  private showVideo(): void {
    this.view.hideVideo(!this.expectsVideo);
    this.fillElement();
  }

  /**
   * Browsers play no audio of an element before the first frame of its video: the element has the
   * video track only while frames are expected, or when it has shown one.
   */
  private fillElement(): void {
    const tracks = this.mediaStream.getTracks();
    const audio = tracks.filter(({ kind }) => kind === 'audio');
    const before = this.shown.getTracks();
    const { video } = this.view;
    const hadVideo = before.some(({ kind }) => kind === 'video');
    const hasVideo = this.expectsVideo || (hadVideo && video.readyState >= HAVE_CURRENT_DATA);
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

  private act({ event, report, recheck }: HealthActions): void {
    if (recheck) this.binding?.recheck(recheck);
    if (report) this.binding?.report(report, this.health.counts);
    if (event === 'mismatch') this.dispatch('encryptionSecretMismatch', {});
    if (event === 'match') this.dispatch('encryptionSecretMatch', {});
  }

  private async setReceiving(kind: 'audio' | 'video', isWanted: boolean): Promise<void> {
    if (kind === 'audio') this.wantsAudio = isWanted;
    else this.wantsVideo = isWanted;
    const track = this.track(kind)?.receiver.track;
    if (track) track.enabled = isWanted;
    if (kind === 'video') {
      this.showVideo();
      this.dispatch(isWanted ? 'videoEnabled' : 'videoDisabled', { reason: 'subscribeToVideo' });
    }
    try {
      await this.binding?.update({ [kind]: isWanted });
    } catch (error) {
      throw asOTError(error, 'OT_UNABLE_TO_SUBSCRIBE');
    }
  }

  private setVolume(volume: number): number {
    const clamped = Math.min(100, Math.max(0, Number(volume) || 0));
    this.volume = clamped;
    this.view.video.volume = clamped / 100;
    this.view.showMuted(clamped === 0);
    return clamped;
  }

  private readLevel(): number | undefined {
    const [source] = this.track('audio')?.receiver.getSynchronizationSources() ?? [];
    if (!source || performance.now() + performance.timeOrigin - source.timestamp > 1_000) return 0;
    return source.audioLevel;
  }

  private onResize(): void {
    const oldValue = this.size;
    this.size = { width: this.videoWidth(), height: this.videoHeight() };
    this.dispatch('videoDimensionsChanged', { oldValue, newValue: this.size });
  }

  private async collectStats(): Promise<SubscriberStats> {
    if (this.tracks.length === 0) {
      throw otError('OT_NOT_CONNECTED', 'The subscriber is not connected');
    }
    const reports = await Promise.all(this.tracks.map(({ receiver }) => receiver.getStats()));
    return subscriberStats(rowsOf(reports), Date.now());
  }

  private track(kind: 'audio' | 'video'): ReceivedTrack | undefined {
    return this.tracks.find((track) => track.kind === kind);
  }

  static {
    definePromised(this.prototype, {
      setAudioVolume: {
        call(volume: number) {
          this.setVolume(volume);
          return this;
        },
        promise(volume: number) {
          return Promise.resolve(void this.setVolume(volume));
        },
      },
      subscribeToAudio: switching((one, isWanted) => one.setReceiving('audio', isWanted)),
      subscribeToVideo: switching((one, isWanted) => one.setReceiving('video', isWanted)),
      restrictFrameRate: switching((one, isRestricted) =>
        one.setPreferredFrameRate(isRestricted ? 1 : null),
      ),
    });
    defineNotBuilt(this.prototype, {
      throwing: ['getCaptionsTranslationLanguage'],
      rejecting: [
        ...['subscribeToCaptions', 'setCaptionsTranslationLanguage'],
        ...['setAudioMediaProcessorConnector', 'setVideoMediaProcessorConnector'],
      ],
    });
  }
}

function switching(change: (one: Subscriber, isWanted: boolean) => Promise<void>): {
  call(this: Subscriber, isWanted: boolean): Subscriber;
  promise(this: Subscriber, isWanted: boolean): Promise<void>;
} {
  return {
    call(isWanted) {
      change(this, isWanted).catch(() => undefined);
      return this;
    },
    promise(isWanted) {
      return change(this, isWanted);
    },
  };
}

function sizeOf(resolution: Size | 'auto' | null | undefined): Size | null {
  return resolution === 'auto' || !resolution ? null : { ...resolution };
}
