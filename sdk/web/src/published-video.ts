/** How a publisher's video is encoded: its bit rates, and the layers that have subscribers. */
import { otError } from './errors';
import type { LocalMedia } from './media/local-media';
import type { BitratePreset, PublisherProperties } from './publisher-surface';
import {
  activateLayers,
  EncodingChanges,
  limitRates,
  scalingOf,
  type SubscribedLayers,
  videoEncodings,
} from './rtc/encodings';
import type { MediaSender } from './rtc/fan-out';

export type VideoType = 'camera' | 'screen' | 'custom';

/** Share of the default bit rate that each preset may use. */
const PRESETS: Readonly<Record<BitratePreset, number>> = {
  default: 1,
  bw_saver: 0.5,
  extra_bw_saver: 0.25,
};
const MIN_BITRATE_BPS = 5_000;
const MAX_BITRATE_BPS = 10_000_000;

export class PublishedVideo {
  preset: BitratePreset = 'default';
  maxBitrateBps: number | undefined;
  private readonly changes = new EncodingChanges();

  /** `sender`: of the stream that is published, if there is one. */
  constructor(
    private readonly media: LocalMedia,
    private readonly properties: PublisherProperties,
    private readonly sender: () => MediaSender | undefined,
  ) {
    this.maxBitrateBps = properties.maxVideoBitrate;
  }

  get type(): VideoType {
    if (this.media.isScreen) return 'screen';
    return this.properties.videoSource instanceof MediaStreamTrack ? 'custom' : 'camera';
  }

  /** Rejects with `OT_INVALID_PARAMETER`. */
  async setMaxBitrate(bps: number): Promise<void> {
    if (!Number.isFinite(bps) || bps < MIN_BITRATE_BPS || bps > MAX_BITRATE_BPS) {
      throw otError('OT_INVALID_PARAMETER', 'The bit rate must lie between 5,000 and 10,000,000');
    }
    this.maxBitrateBps = bps;
    await this.apply();
  }

  /** Rejects with `OT_INVALID_PARAMETER`. */
  async setPreset(preset: BitratePreset): Promise<void> {
    if (!Object.hasOwn(PRESETS, preset)) {
      throw otError('OT_INVALID_PARAMETER', 'There is no such preset');
    }
    this.preset = preset;
    await this.apply();
  }

  encodings(track: MediaStreamTrack): RTCRtpEncodingParameters[] {
    const { width = 640, height = 480 } = track.getSettings();
    const encodings = videoEncodings({
      size: { width, height },
      isScreen: this.media.isScreen,
      maxBitrateBps: this.maxBitrateBps,
      maxFrameRate: this.properties.frameRate,
      scaling: scalingOf(this.properties, this.type === 'camera'),
    });
    const share = PRESETS[this.preset];
    return encodings.map((encoding) => ({
      ...encoding,
      ...(encoding.maxBitrate ? { maxBitrate: Math.round(encoding.maxBitrate * share) } : {}),
    }));
  }

  /** Encodes only what somebody gets. */
  activate(layers: SubscribedLayers): Promise<void> {
    return this.changes.run(this.sender(), (encodings) => activateLayers(encodings, layers));
  }

  private async apply(): Promise<void> {
    const { video } = this.media;
    if (!video) return;
    const wanted = this.encodings(video);
    await this.changes.run(this.sender(), (encodings) => limitRates(encodings, wanted));
  }
}
