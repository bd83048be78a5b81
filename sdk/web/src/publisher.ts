/** What this client sends: its tracks, its element, and the stream once it is published. */
import { asOTError, E2EE_ERRORS, type OTError, otError, withCallback } from './errors';
import { exceptions } from './exceptions';
import { elementId } from './identifiers';
import { parseResolution } from './media/capture';
import { LevelPoll, TrackMeter } from './media/level';
import { LocalMedia } from './media/local-media';
import { definePromised, type WithPromise } from './promise-variant';
import { PublishedVideo } from './published-video';
import { type PublisherBinding, type PublisherProperties } from './publisher-surface';
import { PublisherDevices } from './publisher-devices';
import { audioSending } from './rtc/audio';
import type { SubscribedLayers } from './rtc/encodings';
import { PublisherQuality, WATCHED_OF_PUBLISHER } from './publisher-quality';
import type { MediaSender } from './rtc/fan-out';
import type { MediaProcessorConnector } from './media/processing';
import { JobQueue } from './rtc/queue';
import { type Rows, rowsOf } from './rtc/stats';
import type { PublisherRtcStatsReportArr, PublisherStatsArr } from './rtc/stats-shapes';
import type { Source, StreamProperties } from './rtc/uplink';
import type { Session } from './session';
import { initialsOf, shortened, type Size, type Stream } from './stream';
import { play } from './ui/playback';
import { type Target, View } from './ui/view';

export type { PublisherProperties } from './publisher-surface';

/** Camera, microphone or screen of this client, and its element; made by `OT.initPublisher`. */
export class Publisher extends PublisherDevices {
  /** Starts or stops to send audio; also before the stream is published. */
  declare readonly publishAudio: WithPromise<
    (isWanted: boolean) => this,
    (isWanted: boolean) => Promise<void>
  >;
  /**
   * Starts or stops to send video; while stopped, no frame is encoded. Calls back, or rejects with
   * the browser's error, when the track could not be changed.
   */
  declare readonly publishVideo: WithPromise<
    (isWanted: boolean, callback?: (error?: OTError) => void) => this,
    (isWanted: boolean) => Promise<void>
  >;
  /** Ends the stream, releases camera and microphone and removes the element. */
  declare readonly destroy: WithPromise<() => this, () => Promise<void>>;
  /** Id of the element on the page; no id of the server. */
  readonly id = elementId('publisher');
  /** Whether the user allowed camera and microphone; `undefined` before the answer. */
  accessAllowed: boolean | undefined;
  /** The session that it is published to, from the call of `publish` to the end of the stream. */
  session: Session | undefined;
  /** @internal Settles when camera and microphone are there, or refused. */
  readonly ready: Promise<void>;
  protected readonly view: View;
  protected readonly media: LocalMedia;
  private readonly meter = new TrackMeter();
  private readonly levels: LevelPoll;
  protected readonly video: PublishedVideo;
  private readonly quality: PublisherQuality;
  private readonly videoChanges = new JobQueue();
  private binding: PublisherBinding | undefined;
  protected wantsAudio: boolean;
  protected wantsVideo: boolean;
  private wantsCaptions: boolean;
  /** The way to the server is too bad for video (`audioFallback`). */
  private isHeldBack = false;
  private size: Size = { width: 0, height: 0 };
  private isDestroyed = false;

  /** @internal Use OT.initPublisher or session.publish. */
  constructor(
    target: Target,
    protected readonly properties: PublisherProperties = {},
  ) {
    super();
    parseResolution(properties.resolution);
    this.wantsAudio = properties.publishAudio ?? true;
    this.wantsVideo = properties.publishVideo ?? true;
    this.wantsCaptions = properties.publishCaptions ?? false;
    this.contentHint = properties.videoContentHint ?? '';
    this.media = new LocalMedia(properties, (track) => this.onTrackEnded(track));
    this.video = new PublishedVideo(
      this.media,
      properties,
      () => this.binding?.media.senders.video,
    );
    this.levels = new LevelPoll(
      () => this.meter.read(this.media.output('audio')),
      (audioLevel) => this.dispatch('audioLevelUpdated', { audioLevel }),
    );
    this.quality = this.newQuality(properties);
    this.view = new View(target, {
      role: 'publisher',
      id: this.id,
      name: properties.name ?? '',
      initials: shortened(properties.initials) || initialsOf(properties.name ?? ''),
      isMirrored: properties.mirror ?? !this.media.isScreen,
      properties,
    });
    this.view.addMuteButton('Mute microphone', () => this.publishAudio(!this.wantsAudio));
    this.view.video.addEventListener('resize', () => this.onResize());
    this.applyStyle();
    this.ready = this.acquire();
    this.ready.catch(() => undefined);
  }

  /** The stream while it is published. */
  get stream(): Stream | undefined {
    return this.binding?.stream;
  }

  /**
   * Whether what is said may be captioned, while the application has captions of the session. Rejects
   * with `OT_NOT_SUPPORTED` for true in an end-to-end encrypted session, which has none.
   */
  // eslint-disable-next-line @typescript-eslint/require-await -- a promise, as that of OpenTok.js
  async publishCaptions(isWanted: boolean): Promise<void> {
    if (isWanted && this.binding?.isEncrypted) throw E2EE_ERRORS.noCaptions();
    this.wantsCaptions = isWanted;
    if (!this.binding?.isEncrypted) this.binding?.update({ hasCaptions: isWanted });
  }

  /** Totals since the stream is published. Rejects with `OT_NOT_CONNECTED` before. */
  getStats(
    callback?: (error?: OTError, stats?: PublisherStatsArr) => void,
  ): Promise<PublisherStatsArr> {
    const stats = this.collectStats();
    withCallback(stats, callback);
    return stats;
  }

  /** The browser's own statistics, one report per track that is sent. */
  async getRtcStatsReport(): Promise<PublisherRtcStatsReportArr> {
    const reports = await Promise.all(this.senders().map((sender) => sender.getStats()));
    return reports.map((rtcStatsReport) => ({ rtcStatsReport }));
  }

  /** @internal */
  get isGone(): boolean {
    return this.isDestroyed;
  }

  // --- the session's side -------------------------------------------------------------

  /** @internal Throws when there is nothing to publish. */
  sources(isEncrypted: boolean): Source[] {
    const onEncrypted = this.trust.begin(isEncrypted);
    const preferred = this.properties.preferredVideoCodecs;
    const preferredCodecs = Array.isArray(preferred) ? preferred : [];
    const { video } = this.media;
    const audio = this.media.output('audio');
    const sources: Source[] = [];
    if (audio) {
      const sending = audioSending(this.properties);
      sources.push({ kind: 'audio', track: audio, ...sending, onEncrypted });
    }
    if (video) {
      const track = this.videoToSend;
      const encodings = this.video.encodings();
      sources.push({ kind: 'video', track, encodings, preferredCodecs, onEncrypted });
    }
    if (sources.length === 0 || this.isDestroyed) {
      throw otError('OT_STREAM_CREATE_FAILED', 'The publisher has nothing to publish');
    }
    return sources;
  }

  /** @internal */
  streamProperties(): StreamProperties {
    const { video, audio } = this.media;
    const { width, height, frameRate } = video?.getSettings() ?? {};
    return {
      ...this.names(),
      hasAudio: audio !== undefined && this.wantsAudio,
      hasVideo: video !== undefined && this.sendsVideo,
      ...(video ? { videoType: this.video.type } : {}),
      ...(width && height ? { videoDimensions: { width, height } } : {}),
      ...(frameRate ? { frameRate } : {}),
      ...this.captionsConsent(),
    };
  }

  private names(): Pick<StreamProperties, 'name' | 'initials'> {
    const { name = '' } = this.properties;
    const initials = shortened(this.properties.initials);
    return initials ? { name, initials } : { name };
  }

  private captionsConsent(): Pick<StreamProperties, 'hasCaptions'> {
    return this.wantsCaptions ? { hasCaptions: true } : {};
  }

  /** @internal The stream is live. */
  bind(binding: PublisherBinding): void {
    this.binding = binding;
    if (binding.isEncrypted && this.properties.publishCaptions) {
      exceptions.report(E2EE_ERRORS.noCaptions());
    }
    this.handlersChanged();
    this.catchUp(binding).catch((error: unknown) => exceptions.report(error));
    this.dispatch('streamCreated', { stream: binding.stream });
  }

  /** @internal The stream is over; by default the publisher goes with it. False: none was live. */
  unbind(reason: string, isReplaced = false): boolean {
    const { binding } = this;
    if (!binding) return false;
    this.binding = undefined;
    this.handlersChanged();
    this.quality.reset();
    if (!isReplaced) this.session = undefined;
    const event = this.dispatch(
      'streamDestroyed',
      { stream: binding.stream, reason },
      { cancelable: true },
    );
    if (!isReplaced && !event.isDefaultPrevented()) this.end();
    return true;
  }

  /** @internal A moderator muted this stream. */
  onMuteForced(): void {
    this.setAudioWanted(false);
    this.dispatch('muteForced', {});
  }

  /** @internal The layers of the video that have subscribers changed. */
  onSubscribedLayers(layers: SubscribedLayers): void {
    this.video.activate(layers).catch((error: unknown) => exceptions.report(error));
  }

  protected override handlersChanged(): void {
    // Called by the super constructor's users only after `levels` exists.
    this.levels.run(this.hasHandlers('audioLevelUpdated') && !this.isDestroyed);
    const isWatched = WATCHED_OF_PUBLISHER.some((name) => this.hasHandlers(name));
    this.quality.run(this.binding !== undefined && !this.isDestroyed, isWatched);
  }

  protected async process(
    kind: 'audio' | 'video',
    connector: MediaProcessorConnector | null,
  ): Promise<void> {
    const output = await this.media.process(kind, connector);
    if (!output) return;
    if (kind === 'audio') await this.sendAudio(output);
    else {
      output.contentHint = this.contentHint;
      await this.applyVideo();
    }
    this.show();
  }

  protected async sendAudio(output: MediaStreamTrack): Promise<void> {
    await this.binding?.media.senders.audio?.replaceTrack(output);
  }

  private newQuality(properties: PublisherProperties): PublisherQuality {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- for the getters
    const publisher = this;
    return new PublisherQuality(properties, {
      rows: () => this.rows(),
      get wantedBps() {
        return publisher.video.wantedBps;
      },
      get subscribedBps() {
        return publisher.video.subscribedBps;
      },
      get wantsVideo() {
        return publisher.wantsVideo && publisher.media.video !== undefined;
      },
      hold: (isHeld) => {
        this.isHeldBack = isHeld;
        this.applyVideo().catch((error: unknown) => exceptions.report(error));
      },
      sendStats: (stats) => this.binding?.sendStats(stats),
      dispatch: (name, details) => this.dispatch(name, details),
    });
  }

  private get sendsVideo(): boolean {
    return this.wantsVideo && !this.isHeldBack;
  }

  private get videoToSend(): MediaStreamTrack | null {
    return this.sendsVideo ? (this.media.output('video') ?? null) : null;
  }

  /** What was muted, switched off or replaced while the stream was on its way. */
  private async catchUp(binding: PublisherBinding): Promise<void> {
    const { hasAudio = false } = this.streamProperties();
    const { stream, media } = binding;
    if (media.senders.audio) {
      if (stream.hasAudio !== hasAudio) binding.update({ hasAudio });
      await media.senders.audio.replaceTrack(this.media.output('audio') ?? null);
    }
    const hasCaptions = this.wantsCaptions;
    if (media.senders.audio && !binding.isEncrypted && stream.hasCaptions !== hasCaptions) {
      binding.update({ hasCaptions });
    }
    await this.applyVideo();
  }

  /** One after the other, each with what is wanted by then; a stream that is over needs none. */
  protected applyVideo(): Promise<void> {
    return this.videoChanges.run(async () => {
      const { binding, sendsVideo } = this;
      const sender = binding?.media.senders.video;
      if (!binding || !sender) return;
      try {
        // No track at all: not even black frames cost anything.
        await sender.replaceTrack(this.videoToSend);
      } catch (error) {
        if (binding === this.binding) throw error;
      }
      if (binding === this.binding && binding.stream.hasVideo !== sendsVideo) {
        binding.update({ hasVideo: sendsVideo });
      }
    });
  }

  private async acquire(): Promise<void> {
    // Handlers are registered after the constructor; nothing may happen before.
    await Promise.resolve();
    this.dispatch('accessDialogOpened', {});
    try {
      await this.applyFirstFilters(this.properties);
      await this.media.acquire();
    } catch (error) {
      this.accessAllowed = false;
      this.dispatch('accessDialogClosed', {});
      this.dispatch('accessDenied', {}, { cancelable: true });
      this.end();
      throw asOTError(error, 'OT_UNABLE_TO_CAPTURE_MEDIA');
    }
    this.dispatch('accessDialogClosed', {});
    if (this.isDestroyed) {
      this.media.stop();
      throw otError('OT_STREAM_CREATE_FAILED', 'The publisher was destroyed');
    }
    this.accessAllowed = true;
    this.watchDevices();
    if (this.media.audio) this.media.audio.enabled = this.wantsAudio;
    if (this.media.video) this.media.video.enabled = this.wantsVideo;
    void this.setVideoContentHint(this.contentHint);
    this.show();
    this.dispatch('accessAllowed', {});
    this.dispatch('mediaStreamAvailable', { mediaStream: this.media.stream });
    this.dispatch('videoElementCreated', { element: this.view.video });
  }

  protected show(): void {
    const { video } = this.view;
    this.view.hideVideo(!this.wantsVideo || this.media.video === undefined);
    video.srcObject = this.media.stream;
    void play({ video, onBlocked: () => undefined, onUnblocked: () => undefined });
  }

  private setAudioWanted(isWanted: boolean): this {
    this.wantsAudio = isWanted;
    this.view.showMuted(!isWanted);
    if (this.media.audio) {
      this.media.audio.enabled = isWanted;
      this.binding?.update({ hasAudio: isWanted });
    }
    return this;
  }

  private async setVideoWanted(isWanted: boolean): Promise<void> {
    this.wantsVideo = isWanted;
    const { video } = this.media;
    if (!video) return;
    video.enabled = isWanted;
    this.view.hideVideo(!isWanted);
    await this.applyVideo();
  }

  private onTrackEnded(track: MediaStreamTrack): void {
    this.onDeviceEnded(track);
    if (track.kind === 'video' && this.media.isScreen) this.binding?.unpublish('mediaStopped');
  }

  private onResize(): void {
    const newValue = { width: this.videoWidth(), height: this.videoHeight() };
    const oldValue = this.size;
    if (newValue.width === oldValue.width && newValue.height === oldValue.height) return;
    this.size = newValue;
    this.dispatch('videoDimensionsChanged', { oldValue, newValue });
    this.binding?.update({ videoDimensions: newValue });
  }

  private async collectStats(): Promise<PublisherStatsArr> {
    return [{ stats: await this.quality.stats() }];
  }

  private async rows(): Promise<Rows> {
    const senders = this.senders();
    if (senders.length === 0) throw otError('OT_NOT_CONNECTED', 'The publisher is not published');
    const reports = await Promise.all(senders.map((sender) => sender.getStats()));
    if (!this.binding) throw otError('OT_NOT_CONNECTED', 'The publisher is not published any more');
    return rowsOf(reports);
  }

  private senders(): MediaSender[] {
    return Object.values(this.binding?.media.senders ?? {});
  }

  private end(): this {
    if (this.isDestroyed) return this;
    this.isDestroyed = true;
    this.handlersChanged();
    this.binding?.unpublish('clientDisconnected');
    this.levels.stop();
    this.meter.close();
    this.substitutes.stop();
    this.media.stop();
    this.view.remove();
    this.dispatch('destroyed', {});
    return this;
  }

  static {
    definePromised(this.prototype, {
      publishAudio: {
        call(isWanted: boolean) {
          return this.setAudioWanted(isWanted);
        },
        promise(isWanted: boolean) {
          return Promise.resolve(void this.setAudioWanted(isWanted));
        },
      },
      publishVideo: {
        call(isWanted: boolean, callback?: (error?: OTError) => void) {
          withCallback(this.setVideoWanted(isWanted), callback);
          return this;
        },
        promise(isWanted: boolean) {
          return this.setVideoWanted(isWanted);
        },
      },
      destroy: {
        call() {
          return this.end();
        },
        promise() {
          return Promise.resolve(void this.end());
        },
      },
    });
  }
}
