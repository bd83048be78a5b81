/** How a publisher's video is encoded: its bit rates, and the layers that have subscribers. */
import { otError } from './errors';
import { exceptions } from './exceptions';
import type { LocalMedia } from './media/local-media';
import type {
  PublisherProperties,
  VideoBitratePreset,
  VideoBitratePresetInput,
} from './publisher-surface';
import {
  activateLayers,
  defaultBitrate,
  EncodingChanges,
  limitRates,
  scalingOf,
  subscribedBitrate,
  type SubscribedLayers,
  type VideoEncoding,
  videoEncodings,
} from './rtc/encodings';
import type { MediaSender } from './rtc/fan-out';
import type { Size } from './stream';

export type VideoType = 'camera' | 'screen' | 'custom';

/** Spatial and temporal layers of one encoding, as in WebRTC's SVC. */
export type ScalabilityMode = `L${1 | 2 | 3}T${1 | 2 | 3}`;

const SCALABILITY_MODES: readonly string[] = [1, 2, 3].flatMap((sizes) =>
  [1, 2, 3].map((rates) => `L${sizes}T${rates}`),
);

/** Share of the default bit rate that each preset may use. */
const PRESETS: Readonly<Record<VideoBitratePresetInput, number>> = {
  default: 1,
  bw_saver: 0.5,
  extra_bw_saver: 0.25,
};
const MIN_BITRATE_BPS = 5_000;
const MAX_BITRATE_BPS = 10_000_000;

export class PublishedVideo {
  /** What the application wants of layers. */
  mode: ScalabilityMode | undefined;
  private chosen: VideoBitratePresetInput = 'default';
  private maxBitrateBps: number | undefined;
  private readonly changes = new EncodingChanges();

  /** `sender`: of the stream that is published, if there is one. */
  constructor(
    private readonly media: LocalMedia,
    private readonly properties: PublisherProperties,
    private readonly sender: () => MediaSender | undefined,
  ) {
    this.maxBitrateBps = properties.maxVideoBitrate;
  }

  get preset(): VideoBitratePreset {
    return this.maxBitrateBps === undefined ? this.chosen : 'custom';
  }

  /** bit/s of all encodings together. */
  get wantedBps(): number {
    if (this.maxBitrateBps !== undefined) return this.maxBitrateBps;
    const isScreen = this.media.isScreen;
    return Math.round(PRESETS[this.chosen] * defaultBitrate({ size: this.size, isScreen }));
  }

  /** bit/s of what has subscribers, for which alone the way has to do. */
  get subscribedBps(): number {
    const { encodings = [] } = this.sender()?.getParameters() ?? {};
    return subscribedBitrate(encodings, this.wantedBps);
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
  async setPreset(preset: VideoBitratePresetInput): Promise<void> {
    if (!Object.hasOwn(PRESETS, preset)) {
      throw otError('OT_INVALID_PARAMETER', 'There is no such preset');
    }
    this.chosen = preset;
    this.maxBitrateBps = undefined;
    await this.apply();
  }

  /** Throws `OT_INVALID_PARAMETER`, and `OT_NOT_SUPPORTED` while several encodings are sent. */
  setMode(mode: ScalabilityMode): void {
    if (!SCALABILITY_MODES.includes(mode)) {
      throw otError('OT_INVALID_PARAMETER', 'A scalability mode reads like L3T3');
    }
    const sender = this.sender();
    if ((sender?.getParameters().encodings.length ?? 0) > 1) {
      throw otError(
        'OT_NOT_SUPPORTED',
        'The video is sent in several encodings; a scalability mode is of one: set it before publishing',
      );
    }
    this.mode = mode;
    this.changes
      .run(sender, (encodings: VideoEncoding[]) => {
        for (const encoding of encodings) encoding.scalabilityMode = mode;
        return true;
      })
      .catch((error: unknown) => exceptions.report(error));
  }

  encodings(): RTCRtpEncodingParameters[] {
    const encodings = this.layeredEncodings();
    if (this.mode === undefined) return encodings;
    // The largest is the full size, and has no name when it is the only one.
    const { maxFramerate } = encodings.at(-1) ?? {};
    const only: VideoEncoding = {
      ...(maxFramerate === undefined ? {} : { maxFramerate }),
      maxBitrate: this.wantedBps,
      scalabilityMode: this.mode,
    };
    return [only];
  }

  private get size(): Size {
    const { width = 640, height = 480 } = this.media.video?.getSettings() ?? {};
    return { width, height };
  }

  private layeredEncodings(): VideoEncoding[] {
    const { scalableScreenshare = false } = this.properties;
    const encodings = videoEncodings({
      size: this.size,
      isScreen: this.media.isScreen,
      maxBitrateBps: this.maxBitrateBps,
      maxFrameRate: this.properties.frameRate,
      scaling: scalingOf(this.properties, this.type === 'camera'),
    });
    const share = this.maxBitrateBps === undefined ? PRESETS[this.chosen] : 1;
    return encodings.map((encoding) => ({
      ...encoding,
      ...(encoding.maxBitrate ? { maxBitrate: Math.round(encoding.maxBitrate * share) } : {}),
      ...(this.media.isScreen && scalableScreenshare ? { scalabilityMode: 'L1T3' } : {}),
    }));
  }

  /** Encodes only what somebody gets. */
  activate(layers: SubscribedLayers): Promise<void> {
    return this.changes.run(this.sender(), (encodings) => activateLayers(encodings, layers));
  }

  private async apply(): Promise<void> {
    if (!this.media.video) return;
    const wanted = this.encodings();
    await this.changes.run(this.sender(), (encodings) => limitRates(encodings, wanted));
  }
}
