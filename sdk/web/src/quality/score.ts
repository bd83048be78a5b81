/** How good the audio and video of a stream are, from 1 to 5, from what browsers measure of it. Pure. */
import { defaultBitrate } from '../rtc/encodings';

export interface ReceivedAudio {
  /** Share of the samples that were made up for lost ones, 0 to 1. */
  readonly concealed: number;
  /** From mouth to ear, as far as it is known. */
  readonly delayMs: number;
}

export interface ReceivedVideo {
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  readonly bitrateBps: number;
  /** Share of the time in which the video stood still, 0 to 1. */
  readonly frozen: number;
  /** A screen that does not change needs neither frames nor bits. */
  readonly isScreen: boolean;
}

/** ITU-T G.107: rating without impairment, and robustness against loss of a codec like Opus. */
const R_BEST = 93.2;
const LOSS_ROBUSTNESS = 20;
/** From here on delay disturbs conversation (G.107's step). */
const DELAY_STEP_MS = 177.3;

export function audioScore({ concealed, delayMs }: ReceivedAudio): number {
  const percent = 100 * concealed;
  const ofLoss = (95 * percent) / (percent + LOSS_ROBUSTNESS);
  const ofDelay = 0.024 * delayMs + 0.11 * Math.max(0, delayMs - DELAY_STEP_MS);
  const rating = Math.min(100, Math.max(0, R_BEST - ofLoss - ofDelay));
  const opinion = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6;
  return rounded(opinion);
}

/** Above this rate nobody sees more. */
const FULL_FRAME_RATE = 24;
/** A codec does well with half of what the SDK grants its encoders. */
const ENOUGH = 0.5;

export function videoScore(seen: ReceivedVideo): number {
  const { width, height, frameRate, bitrateBps, frozen, isScreen } = seen;
  const moving = (1 - Math.min(1, frozen)) ** 2;
  if (isScreen) return rounded(1 + 4 * moving);
  const rates = Math.min(1, frameRate / FULL_FRAME_RATE) ** 0.5;
  const enough = ENOUGH * defaultBitrate({ size: { width, height }, isScreen });
  return rounded(1 + 4 * moving * rates * Math.min(1, bitrateBps / enough) ** 0.3);
}

function rounded(score: number): number {
  return Math.round(Math.min(5, Math.max(1, score)) * 10) / 10;
}
