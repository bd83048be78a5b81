/** What applications give a publisher, and what they hear of it. */
import { type StreamEncryptionState, StreamTrust } from './e2ee/trust';
import type { PublisherEvents } from './event-types';
import type { CaptureProperties } from './media/capture';
import { type AudioFilter, loadFilter, requireFilter, type VideoFilter } from './media/filters';
import type { LocalMedia } from './media/local-media';
import { type MediaProcessorConnector, requireConnector } from './media/processing';
import type { VideoCodecName } from './rtc/codecs';
import type { PublishedMedia } from './rtc/uplink';
import type { RemoteSender } from './rtc/track-stats';
import type { Size, Stream } from './stream';
import type { WidgetProperties, WidgetStyle } from './ui/view';
import { Widget } from './ui/widget';

/** What a video shows. */
export type VideoContentHint = '' | 'text' | 'detail' | 'motion';
/** What `Publisher.setVideoBitratePreset` takes. */
export type VideoBitratePresetInput = 'default' | 'bw_saver' | 'extra_bw_saver';
/** `custom`: the application set a bit rate. */
export type VideoBitratePreset = VideoBitratePresetInput | 'custom';

/** Parts of a Publisher's element that can be switched. */
export interface PublisherStyle extends WidgetStyle {
  /** Kept, and has no effect: the element does not show that the session is recorded. */
  archiveStatusDisplayMode: 'auto' | 'off';
}

/** Options of `OT.initPublisher`. */
export interface PublisherProperties extends WidgetProperties, CaptureProperties {
  /** Name of the stream for the other clients, at most 1,000 characters. */
  name?: string;
  /** Shown in the place of a video that is off, at most 16 characters; without it those of the name. */
  initials?: string;
  /** As for `setStyle`. */
  style?: Partial<PublisherStyle>;
  /**
   * `publisher`: the video ends while the way to the server is so bad that the audio would suffer;
   * the default is false. `subscriber` is accepted: the server pauses videos that a way cannot carry.
   */
  audioFallback?: { publisher?: boolean; subscriber?: boolean };
  /** Tells subscribers what the way to the server carries; see `SubscriberStats.senderStats`. */
  publishSenderStats?: boolean;
  /** What is said may be captioned; see `Publisher.publishCaptions`. The default is false. */
  publishCaptions?: boolean;
  /** Processes the video from its first frame; see `Publisher.applyVideoFilter`. */
  videoFilter?: VideoFilter;
  /** Processes the audio from its start; see `Publisher.applyAudioFilter`. */
  audioFilter?: AudioFilter;
  /** A microphone that is unplugged is not replaced; the default is false: another one is used until it is back. */
  disableAudioInputDeviceManagement?: boolean;
  /** Shows the own video mirrored; the default is true for cameras. */
  mirror?: boolean;
  /** Whether audio is sent from the start; the default is true. */
  publishAudio?: boolean;
  /** Whether video is sent from the start; the default is true. */
  publishVideo?: boolean;
  /** bit/s of the audio encoder. */
  audioBitrate?: number;
  /** Sends next to nothing during silence (Opus DTX). */
  enableDtx?: boolean;
  /** What the video shows; the browser prefers sharpness or frame rate accordingly. */
  videoContentHint?: VideoContentHint;
  /** Simulcast or SVC: several resolutions, so that each subscriber gets what it can show; for cameras. */
  scalableVideo?: boolean;
  /** The same for screens; the default is false. */
  scalableScreenshare?: boolean;
  /** Codecs in order of preference; `automatic` leaves the choice to the SDK. */
  preferredVideoCodecs?: 'automatic' | VideoCodecName[];
  /** bit/s of all encodings together. */
  maxVideoBitrate?: number;
}

/** What of an own stream changed. */
export interface StreamChange {
  hasAudio?: boolean;
  hasVideo?: boolean;
  hasCaptions?: boolean;
  videoDimensions?: Size;
}

/** What the session gives a publisher that is live. */
export interface PublisherBinding {
  readonly stream: Stream;
  readonly media: PublishedMedia;
  readonly isEncrypted: boolean;
  update(change: StreamChange): void;
  unpublish(reason: 'clientDisconnected' | 'mediaStopped'): void;
  /** For `publishSenderStats`. */
  sendStats(stats: RemoteSender): void;
}

/** The filters, and what is shown of the encryption. */
export abstract class PublisherSurface extends Widget<PublisherEvents, PublisherStyle> {
  protected abstract readonly media: LocalMedia;
  protected readonly trust = new StreamTrust((change) => {
    this.view.showEncryption(change.newValue);
    this.dispatch('encryptionStateChanged', change);
  });
  private videoFilter: VideoFilter | null = null;
  private audioFilter: AudioFilter | null = null;

  /** "encrypted" once a frame of the stream left encrypted, and not before. */
  get encryptionState(): StreamEncryptionState {
    return this.trust.state;
  }

  /** @internal The server drops frames of the stream: under no key that was declared to it. */
  onNotEncrypted(isDropped: boolean): void {
    this.trust.onFailing(isDropped);
  }

  /**
   * Blurs or replaces the background, before frames are encrypted. The filter is loaded from the
   * server. Rejects with `OT_INVALID_PARAMETER` or `OT_NOT_SUPPORTED`; the video is as it was then.
   */
  async applyVideoFilter(videoFilter: VideoFilter): Promise<void> {
    requireFilter('video', videoFilter);
    await this.process('video', await loadFilter(videoFilter));
    this.videoFilter = { ...videoFilter };
  }

  /** The filter in use. */
  getVideoFilter(): VideoFilter | null {
    return this.videoFilter;
  }

  /** The video as it is captured. */
  async clearVideoFilter(): Promise<void> {
    await this.setVideoMediaProcessorConnector(null);
  }

  /** Takes noise out of the audio, before it is encrypted. Rejects as `applyVideoFilter` does. */
  async applyAudioFilter(audioFilter: AudioFilter): Promise<void> {
    requireFilter('audio', audioFilter);
    await this.process('audio', await loadFilter(audioFilter));
    this.audioFilter = { ...audioFilter };
  }

  /** The filter in use. */
  getAudioFilter(): AudioFilter | null {
    return this.audioFilter;
  }

  /** The audio as it is captured. */
  async clearAudioFilter(): Promise<void> {
    await this.setAudioMediaProcessorConnector(null);
  }

  /**
   * Sends what the application makes of the video, from before the encryption on; `null` ends that.
   * It takes the place of a filter. Rejects with `OT_INVALID_PARAMETER` when the connector gives no
   * track; what was sent before goes on then.
   */
  async setVideoMediaProcessorConnector(connector: MediaProcessorConnector | null): Promise<void> {
    requireConnector(connector);
    await this.process('video', connector);
    this.videoFilter = null;
  }

  /** The same for the audio. */
  async setAudioMediaProcessorConnector(connector: MediaProcessorConnector | null): Promise<void> {
    requireConnector(connector);
    await this.process('audio', connector);
    this.audioFilter = null;
  }

  /** The filters among the properties, before anything is captured. */
  protected async applyFirstFilters({
    videoFilter,
    audioFilter,
  }: PublisherProperties): Promise<void> {
    if (videoFilter) await this.applyVideoFilter(videoFilter);
    if (audioFilter) await this.applyAudioFilter(audioFilter);
  }

  /** Sends what the connector makes of the track. */
  protected abstract process(
    kind: 'audio' | 'video',
    connector: MediaProcessorConnector | null,
  ): Promise<void>;
}
