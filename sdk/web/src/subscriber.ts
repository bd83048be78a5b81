/** A stream as this client gets it: its element, its preferences, and the results of decryption. */
import { SubscriberHealth, type FrameCounts, type HealthActions } from './e2ee/health';
import type { TrackResults } from './e2ee/protocol';
import { type StreamEncryptionState, StreamTrust } from './e2ee/trust';
import { asOTError, E2EE_ERRORS, type OTError, otError, withCallback } from './errors';
import type { SubscriberEvents } from './event-types';
import { exceptions } from './exceptions';
import { elementId } from './identifiers';
import { addOutput, removeOutput } from './media/devices';
import { LevelPoll } from './media/level';
import { definePromised, type WithPromise } from './promise-variant';
import type { ReceivedTrack } from './rtc/downlink';
import { type MediaProcessorConnector, requireConnector } from './media/processing';
import { type Rows, rowsOf } from './rtc/stats';
import type { SubscriberStats } from './rtc/stats-shapes';
import type { RemoteSender } from './rtc/track-stats';
import { ShownMedia, type ExpectedVideo } from './shown-media';
import type { Size, Stream } from './stream';
import type { StreamState } from './ui/indicators';
import { forgetPlayable, isBlocked, type Playable, unblockAll } from './ui/playback';
import { SubscriberQuality, WATCHED_OF_SUBSCRIBER } from './subscriber-quality';
import { type Target, View, type WidgetProperties, type WidgetStyle } from './ui/view';
import { Widget } from './ui/widget';
import { defineNotBuilt, type Rejecting, type Throwing } from './unsupported';

/** Parts of a Subscriber's element that can be switched. */
export interface SubscriberStyle extends WidgetStyle {
  /** The button that asks for a click where the browser blocks the audio; `off` hides it. */
  audioBlockedDisplayMode: 'auto' | 'on' | 'off';
}

/** Options of `Session.subscribe`. */
export interface SubscriberProperties extends WidgetProperties {
  /** As for `setStyle`. */
  style?: Partial<SubscriberStyle>;
  /** Accepted for OpenTok.js: an own stream comes from the server in any case. */
  testNetwork?: boolean;
  /** Whether `captionReceived` comes from the start; see `Subscriber.subscribeToCaptions`. */
  subscribeToCaptions?: boolean;
  /** Accepted for OpenTok.js, without effect: captions are not translated. */
  captionsTranslationLanguage?: CaptionsLanguageCode;
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

/** Members of UpdateSubscriber; what is missing stays as it was. */
export interface SubscriberPreferences {
  audio?: boolean;
  video?: boolean;
  captions?: boolean;
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

type Switch = WithPromise<
  (isWanted: boolean) => Subscriber,
  (isWanted: boolean, reason?: string) => Promise<void>
>;

/** A language and a region, as in `en-US`. */
export type CaptionsLanguageCode = `${string}-${string}`;

/** A stream that this client receives, and its element on the page. */
export class Subscriber extends Widget<SubscriberEvents, SubscriberStyle> {
  /** Volume of the element, 0 to 100. */
  declare readonly setAudioVolume: WithPromise<
    (volume: number) => this,
    (volume: number) => Promise<void>
  >;
  /** Starts or stops to receive audio. Rejects with `OT_UNABLE_TO_SUBSCRIBE`. */
  declare readonly subscribeToAudio: Switch;
  /** Starts or stops to receive video. Rejects with `OT_UNABLE_TO_SUBSCRIBE`. */
  declare readonly subscribeToVideo: Switch;
  /** True receives one frame per second; false as many as the server chooses. */
  declare readonly restrictFrameRate: Switch;
  /** Not built: it throws `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare getCaptionsTranslationLanguage: Throwing;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare setCaptionsTranslationLanguage: Rejecting;
  /** Id of the element on the page; no id of the server. */
  readonly id = elementId('subscriber');
  protected readonly view: View;
  private health = new SubscriberHealth();
  private readonly trust = new StreamTrust((change) => {
    this.view.showEncryption(change.newValue);
    this.dispatch('encryptionStateChanged', change);
  });
  private readonly levels: LevelPoll;
  private readonly quality: SubscriberQuality;
  private readonly playable: Playable;
  private readonly media: ShownMedia;
  private binding: SubscriberBinding | undefined;
  private wantsAudio: boolean;
  private wantsVideo: boolean;
  private wantsCaptions: boolean;
  private preferredSize: Size | null;
  private preferredRate: number | null;
  private streamState: StreamState = 'ok';
  private volume: number;
  private size: Size = { width: 0, height: 0 };
  private isDestroyed = false;
  private isConnected = false;
  private isEncrypted = false;

  /** @internal Use session.subscribe. */
  constructor(
    readonly stream: Stream,
    target: Target,
    protected readonly properties: SubscriberProperties = {},
  ) {
    super();
    this.wantsAudio = properties.subscribeToAudio ?? true;
    this.wantsVideo = properties.subscribeToVideo ?? true;
    this.wantsCaptions = properties.subscribeToCaptions ?? false;
    this.preferredSize = sizeOf(properties.preferredResolution);
    this.preferredRate = properties.preferredFrameRate || null;
    this.levels = new LevelPoll(
      () => this.readLevel(),
      (audioLevel) => this.dispatch('audioLevelUpdated', { audioLevel }),
    );
    this.quality = this.newQuality();
    this.view = new View(target, {
      role: 'subscriber',
      id: this.id,
      name: stream.name,
      initials: stream.initials,
      onUnblock: () => void unblockAll().catch(() => undefined),
      isMirrored: false,
      properties,
    });
    this.view.addMuteButton('Mute', () => this.setVolume(this.volume > 0 ? 0 : 100));
    this.volume = this.setVolume(properties.audioVolume ?? 100);
    this.view.hideVideo(!stream.hasVideo);
    this.view.video.addEventListener('resize', () => this.onResize());
    this.playable = {
      video: this.view.video,
      onBlocked: () => this.onBlocked(true),
      onUnblocked: () => this.onBlocked(false),
    };
    this.media = new ShownMedia(this.playable);
    addOutput(this.view.video);
    this.applyStyle();
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
    const stats = this.quality.stats();
    withCallback(stats, callback);
    return stats;
  }

  /**
   * The browser's own statistics of the video, or of the audio without video. Rejects with
   * `OT_NOT_CONNECTED` before there is media.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the browser's rows have no common type
  async getRtcStatsReport(): Promise<Map<string, any>> {
    const receiver = (this.media.track('video') ?? this.media.track('audio'))?.receiver;
    if (!receiver) throw otError('OT_NOT_CONNECTED', 'The subscriber is not connected');
    return new Map(await receiver.getStats());
  }

  /**
   * Shows what the application makes of the video, after its decryption; `null` ends that. Rejects
   * with `OT_INVALID_PARAMETER` when the connector gives no track; what was shown goes on then.
   */
  async setVideoMediaProcessorConnector(connector: MediaProcessorConnector | null): Promise<void> {
    requireConnector(connector);
    await this.media.process('video', connector);
  }

  /** The same for the audio. */
  async setAudioMediaProcessorConnector(connector: MediaProcessorConnector | null): Promise<void> {
    requireConnector(connector);
    await this.media.process('audio', connector);
  }

  /**
   * Starts or stops `captionReceived`: what is said on the stream, while the application has captions
   * of the session. Rejects with `OT_NOT_SUPPORTED` in an end-to-end encrypted session, which has none.
   */
  async subscribeToCaptions(isWanted: boolean): Promise<void> {
    if (isWanted && this.isEncrypted) throw E2EE_ERRORS.noCaptions();
    this.wantsCaptions = isWanted;
    await this.binding?.update({ captions: isWanted });
  }

  /** Whether `captionReceived` is asked for. */
  isSubscribedToCaptions(): boolean {
    return this.wantsCaptions;
  }

  // --- the session's side -------------------------------------------------------------

  /** @internal What to subscribe with. */
  preferences(isEncrypted: boolean): SubscriberPreferences {
    this.isEncrypted = isEncrypted;
    if (isEncrypted && this.wantsCaptions) {
      this.wantsCaptions = false;
      exceptions.report(E2EE_ERRORS.noCaptions());
    }
    return {
      audio: this.wantsAudio,
      video: this.wantsVideo,
      ...(this.wantsCaptions ? { captions: true } : {}),
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
      ...((sent.captions ?? false) === this.wantsCaptions ? {} : { captions: this.wantsCaptions }),
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
    const isFirst = this.media.take(tracks, this.expectedVideo);
    if (!isFirst) return;
    this.dispatch('mediaStreamAvailable', { mediaStream: this.media.stream });
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
    this.view.showTrouble(streamState);
    if (before === 'limited') this.dispatch('videoDisableWarningLifted', {});
    if (streamState === 'limited') this.dispatch('videoDisableWarning', {});
    if (streamState === 'paused' || before === 'paused') {
      this.showVideo();
      const name = streamState === 'paused' ? 'videoDisabled' : 'videoEnabled';
      this.dispatch(name, { reason: 'quality' });
    }
  }

  /** @internal What is said on the stream: nothing for who did not ask, whatever the server sends. */
  onCaption(caption: string, isFinal: boolean): void {
    const { streamId } = this.stream;
    if (this.wantsCaptions) this.dispatch('captionReceived', { streamId, caption, isFinal });
  }

  /** @internal The publisher reports its way to the server. */
  onSenderStats(remote: RemoteSender): void {
    this.quality.onSenderStats(remote);
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
    this.quality.run(false);
    this.media.close();
    forgetPlayable(this.playable);
    removeOutput(this.view.video);
    if (!keepsElement) this.view.remove();
    this.onDisconnected();
    this.binding = undefined;
    this.dispatch('destroyed', { reason });
  }

  protected override handlersChanged(): void {
    this.levels.run(this.hasHandlers('audioLevelUpdated') && !this.isDestroyed);
    const isWatched = WATCHED_OF_SUBSCRIBER.some((name) => this.hasHandlers(name));
    this.quality.run(isWatched && !this.isDestroyed);
  }

  private newQuality(): SubscriberQuality {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- for the getter
    const subscriber = this;
    return new SubscriberQuality({
      rows: () => this.rows(),
      get streamState() {
        return subscriber.streamState;
      },
      isScreen: this.stream.videoType === 'screen',
      dispatch: (name, details) => this.dispatch(name, details),
    });
  }

  private get expectedVideo(): ExpectedVideo {
    if (!this.stream.hasVideo || !this.wantsVideo) return 'nothing';
    return this.streamState === 'paused' ? 'stills' : 'frames';
  }

  private showVideo(): void {
    const expected = this.expectedVideo;
    this.media.fill(expected);
    const hasFrame = this.view.video.videoWidth > 0;
    this.view.hideVideo(expected === 'nothing' || (expected === 'stills' && !hasFrame));
  }

  private onBlocked(isBlocked: boolean): void {
    this.view.showBlocked(isBlocked);
    this.dispatch(isBlocked ? 'audioBlocked' : 'audioUnblocked', {});
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
    const track = this.media.track(kind)?.receiver.track;
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
    const [source] = this.media.track('audio')?.receiver.getSynchronizationSources() ?? [];
    if (!source || performance.now() + performance.timeOrigin - source.timestamp > 1_000) return 0;
    return source.audioLevel;
  }

  private onResize(): void {
    const oldValue = this.size;
    this.size = { width: this.videoWidth(), height: this.videoHeight() };
    // The first still frame of a paused video.
    this.showVideo();
    this.dispatch('videoDimensionsChanged', { oldValue, newValue: this.size });
  }

  private async rows(): Promise<Rows> {
    if (this.media.tracks.length === 0) {
      throw otError('OT_NOT_CONNECTED', 'The subscriber is not connected');
    }
    const reports = await Promise.all(this.media.tracks.map((one) => one.receiver.getStats()));
    // Who asked may have taken away meanwhile what the answer was for.
    if (this.isDestroyed) throw otError('OT_NOT_CONNECTED', 'The subscriber was destroyed');
    return rowsOf(reports);
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
      rejecting: ['setCaptionsTranslationLanguage'],
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
