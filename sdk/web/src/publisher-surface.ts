/** What applications give a publisher, and what they hear of it. */
import { type StreamEncryptionState, StreamTrust } from './e2ee/trust';
import type { PublisherEvents } from './event-types';
import type { CaptureProperties } from './media/capture';
import type { VideoCodecName } from './rtc/codecs';
import type { PublishedMedia } from './rtc/uplink';
import type { Size, Stream } from './stream';
import type { WidgetProperties } from './ui/view';
import { Widget } from './ui/widget';
import { defineNotBuilt, type Rejecting, type Throwing } from './unsupported';

export type VideoContentHint = '' | 'text' | 'detail' | 'motion';
export type BitratePreset = 'default' | 'bw_saver' | 'extra_bw_saver';

/** Options of `OT.initPublisher`. */
export interface PublisherProperties extends WidgetProperties, CaptureProperties {
  /** Name of the stream for the other clients, at most 1,000 characters. */
  name?: string;
  /** Accepted for OpenTok.js; the SDK derives initials from the name. */
  initials?: string;
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
  /** Codecs in order of preference; `automatic` leaves the choice to the SDK. */
  preferredVideoCodecs?: 'automatic' | VideoCodecName[];
  /** bit/s of all encodings together. */
  maxVideoBitrate?: number;
}

/** What the session gives a publisher that is live. */
export interface PublisherBinding {
  readonly stream: Stream;
  readonly media: PublishedMedia;
  update(change: { hasAudio?: boolean; hasVideo?: boolean; videoDimensions?: Size }): void;
  unpublish(reason: 'clientDisconnected' | 'mediaStopped'): void;
}

/** The members that are not built, and what is shown of the encryption. */
export abstract class PublisherSurface extends Widget<PublisherEvents> {
  /** Not built: it throws `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare publishCaptions: Throwing;
  /** Not built: it throws `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare getTargetScalabilityMode: Throwing;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare setTargetScalabilityMode: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare applyVideoFilter: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare applyAudioFilter: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare clearVideoFilter: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare clearAudioFilter: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare setVideoMediaProcessorConnector: Rejecting;
  /** Not built: it rejects with `OT_NOT_SUPPORTED`; see docs/opentok-differences.md. */
  declare setAudioMediaProcessorConnector: Rejecting;

  protected readonly trust = new StreamTrust((change) => {
    this.view.showEncryption(change.newValue);
    this.dispatch('encryptionStateChanged', change);
  });

  /** "encrypted" once a frame of the stream left encrypted, and not before. */
  get encryptionState(): StreamEncryptionState {
    return this.trust.state;
  }

  /** @internal The server drops frames of the stream: under no key that was declared to it. */
  onNotEncrypted(isDropped: boolean): void {
    this.trust.onFailing(isDropped);
  }

  /** Always `null`: filters are not built. */
  getVideoFilter(): null {
    return null;
  }

  /** Always `null`: filters are not built. */
  getAudioFilter(): null {
    return null;
  }

  static {
    defineNotBuilt(this.prototype, {
      throwing: ['publishCaptions', 'getTargetScalabilityMode'],
      rejecting: [
        ...['applyVideoFilter', 'applyAudioFilter', 'clearVideoFilter', 'clearAudioFilter'],
        ...['setVideoMediaProcessorConnector', 'setAudioMediaProcessorConnector'],
        'setTargetScalabilityMode',
      ],
    });
  }
}
