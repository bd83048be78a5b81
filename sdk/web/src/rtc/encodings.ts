/** Bit rates and simulcast layers for a source. Pure. */
import type { Size } from '../stream';

export interface VideoWish {
  readonly size: Size;
  readonly isScreen: boolean;
  readonly maxBitrateBps: number | undefined;
  readonly maxFrameRate: number | undefined;
  readonly isScalable: boolean;
}

/** bit/s per pixel of 30 pictures a second at 720p; smaller pictures need more per pixel. */
const REFERENCE_PIXELS = 1280 * 720;
const REFERENCE_BPS = 1_700_000;
const MIN_VIDEO_BPS = 150_000;
const SCREEN_BPS = 2_500_000;
/** Half and quarter sizes below this help nobody. */
const MIN_LAYER_HEIGHT = 180;

export function videoEncodings(wish: VideoWish): RTCRtpEncodingParameters[] {
  const common = wish.maxFrameRate === undefined ? {} : { maxFramerate: wish.maxFrameRate };
  const full = wish.maxBitrateBps ?? defaultBitrate(wish);
  const scales = layerScales(wish);
  if (scales.length === 1) return [{ ...common, maxBitrate: full }];
  return scales.map((scale, index) => ({
    ...common,
    rid: ['q', 'h', 'f'].slice(-scales.length)[index] ?? 'f',
    scaleResolutionDownBy: scale,
    maxBitrate: Math.max(MIN_VIDEO_BPS, Math.round(full / scale ** 1.6)),
  }));
}

/** What of a video is watched: nothing, or of several encodings these. */
export interface VideoDemand {
  readonly watched: boolean;
  readonly rids: readonly string[];
}

/** Switches off what nobody watches; true when something changed. */
export function meetDemand(
  encodings: readonly RTCRtpEncodingParameters[],
  { watched, rids }: VideoDemand,
): boolean {
  let isChanged = false;
  for (const encoding of encodings) {
    const active = watched && (encoding.rid === undefined || rids.includes(encoding.rid));
    isChanged ||= encoding.active !== active;
    encoding.active = active;
  }
  return isChanged;
}

function layerScales({ size, isScreen, isScalable }: VideoWish): number[] {
  if (isScreen || !isScalable) return [1];
  const shorter = Math.min(size.width, size.height);
  return [4, 2, 1].filter((scale) => scale === 1 || shorter / scale >= MIN_LAYER_HEIGHT);
}

function defaultBitrate({ size, isScreen }: VideoWish): number {
  if (isScreen) return SCREEN_BPS;
  const share = (size.width * size.height) / REFERENCE_PIXELS;
  return Math.max(MIN_VIDEO_BPS, Math.round(REFERENCE_BPS * share ** 0.75));
}
