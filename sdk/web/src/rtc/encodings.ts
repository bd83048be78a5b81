/** Bit rates and simulcast layers for a source. */
import type { Size } from '../stream';
import type { MediaSender } from './fan-out';
import { JobQueue } from './queue';

/** How a video is sent in several sizes: not at all, as encodings of their own, or inside one (SVC). */
export type Scaling = 'none' | 'simulcast' | 'svc';

interface EncodingOptions {
  readonly size: Size;
  readonly isScreen: boolean;
  readonly maxBitrateBps: number | undefined;
  readonly maxFrameRate: number | undefined;
  readonly scaling: Scaling;
}

/** With what the DOM types do not have yet (W3C "Scalable Video Coding (SVC) for WebRTC"). */
export interface VideoEncoding extends RTCRtpEncodingParameters {
  scalabilityMode?: string;
}

/** bit/s per pixel at 720p and 30 frames per second; lower resolutions need more per pixel. */
const REFERENCE_PIXELS = 1280 * 720;
const REFERENCE_BPS = 1_700_000;
const MIN_VIDEO_BPS = 150_000;
const SCREEN_BPS = 2_500_000;
/** Half and quarter sizes below this help nobody. */
const MIN_LAYER_HEIGHT = 180;

/** Chromium makes simulcast of VP8 and H.264 only, and several sizes inside one of the others. */
export function scalingOf(
  asked: { scalableVideo?: boolean; preferredVideoCodecs?: 'automatic' | readonly string[] },
  isCamera: boolean,
): Scaling {
  if (!(asked.scalableVideo ?? isCamera)) return 'none';
  const { preferredVideoCodecs: codecs } = asked;
  const first = codecs === 'automatic' ? undefined : codecs?.[0];
  return first === 'vp9' || first === 'av1' ? 'svc' : 'simulcast';
}

export function videoEncodings(options: EncodingOptions): VideoEncoding[] {
  const common = options.maxFrameRate === undefined ? {} : { maxFramerate: options.maxFrameRate };
  const full = options.maxBitrateBps ?? defaultBitrate(options);
  const scales = layerScales(options);
  if (options.scaling === 'svc') {
    return [{ ...common, maxBitrate: full, scalabilityMode: svcMode(scales.length) }];
  }
  if (scales.length === 1) return [{ ...common, maxBitrate: full }];
  return scales.map((scale, index) => ({
    ...common,
    rid: ['q', 'h', 'f'].slice(-scales.length)[index] ?? 'f',
    scaleResolutionDownBy: scale,
    maxBitrate: Math.max(MIN_VIDEO_BPS, Math.round(full / scale ** 1.6)),
  }));
}

/** The subscribed layers of a video: none, or those encodings of several. */
export interface SubscribedLayers {
  readonly subscribed: boolean;
  readonly rids: readonly string[];
}

/** Activates the subscribed encodings and deactivates the others; true when something changed. */
export function activateLayers(
  encodings: readonly RTCRtpEncodingParameters[],
  { subscribed, rids }: SubscribedLayers,
): boolean {
  let isChanged = false;
  for (const encoding of encodings) {
    const active = subscribed && (encoding.rid === undefined || rids.includes(encoding.rid));
    isChanged ||= encoding.active !== active;
    encoding.active = active;
  }
  return isChanged;
}

/** bit/s of the encodings that have subscribers; `wantedBps`: of all of them. */
export function subscribedBitrate(
  encodings: readonly RTCRtpEncodingParameters[],
  wantedBps: number,
): number {
  const active = encodings.filter((encoding) => encoding.active !== false);
  if (active.length === encodings.length) return wantedBps;
  return active.reduce((sum, { maxBitrate = 0 }) => sum + maxBitrate, 0);
}

/** Sizes need each other at key frames only: the largest alone costs little more than without. */
function svcMode(sizes: number): string {
  return sizes === 1 ? 'L1T3' : `L${sizes}T3_KEY`;
}

/** Gives encodings the bit rates of others; true when something changed. */
export function limitRates(
  encodings: readonly RTCRtpEncodingParameters[],
  wanted: readonly RTCRtpEncodingParameters[],
): boolean {
  let isChanged = false;
  encodings.forEach((encoding, index) => {
    const maxBitrate = wanted[index]?.maxBitrate;
    if (maxBitrate === undefined || encoding.maxBitrate === maxBitrate) return;
    encoding.maxBitrate = maxBitrate;
    isChanged = true;
  });
  return isChanged;
}

function layerScales({ size, isScreen, scaling }: EncodingOptions): number[] {
  if (isScreen || scaling === 'none') return [1];
  const shorter = Math.min(size.width, size.height);
  return [4, 2, 1].filter((scale) => scale === 1 || shorter / scale >= MIN_LAYER_HEIGHT);
}

/** bit/s for a video of this size without another word. */
export function defaultBitrate({
  size,
  isScreen,
}: Pick<EncodingOptions, 'size' | 'isScreen'>): number {
  if (isScreen) return SCREEN_BPS;
  const share = (size.width * size.height) / REFERENCE_PIXELS;
  return Math.max(MIN_VIDEO_BPS, Math.round(REFERENCE_BPS * share ** 0.75));
}

/** Changes of a sender's encodings, one after the other: what is read early undoes what is late. */
export class EncodingChanges {
  private readonly queue = new JobQueue();

  run(
    sender: MediaSender | undefined,
    change: (encodings: RTCRtpEncodingParameters[]) => boolean,
  ): Promise<void> {
    return this.queue.run(async () => {
      const parameters = sender?.getParameters();
      if (sender && parameters && change(parameters.encodings)) {
        await sender.setParameters(parameters);
      }
    });
  }
}
