/** What of one stream has changed from one reading to the next, as the events say it. Pure. */
import { numberIn, type Rows, select } from '../rtc/stats';
import { roundTripMs } from '../rtc/track-stats';
import type {
  PublisherStats,
  QualityScore,
  SubscriberStats,
  VideoLayerStats,
  VideoQualityReason,
} from '../rtc/stats-shapes';
import type { Rates } from './rates';
import { audioScore, videoScore } from './score';

/** Whether a value is another one than before; the first is no change. */
class Changed<Value> {
  private before: Value | undefined;

  take(now: Value): boolean {
    const { before } = this;
    this.before = now;
    return before !== undefined && before !== now;
  }
}

/** A condition is an event when it is known for the first time, too. */
export class ConditionChange {
  private before = 'unknown';

  take({ mediaLink }: { mediaLink: PublisherStats['mediaLink'] }): boolean {
    const { networkCondition } = mediaLink.transport;
    const isChanged = networkCondition !== this.before;
    this.before = networkCondition;
    return isChanged;
  }
}

/** What has become of a video that is sent. */
export class SentVideoChange {
  private readonly limitation = new Changed<string>();
  private readonly size = new Changed<string>();
  private readonly codec = new Changed<string>();

  take({ video }: PublisherStats): VideoQualityReason | undefined {
    const largest = video.layers?.at(-1);
    if (!largest || largest.width === 0) return undefined;
    const { codec, qualityLimitationReason = 'none' } = largest;
    return firstOf({
      [qualityLimitationReason]: this.limitation.take(qualityLimitationReason),
      codecChange: this.codec.take(codec),
      resolutionChange: this.size.take(sizeOf(largest)),
    });
  }
}

/** What has become of a video that is received. */
export class ReceivedVideoChange {
  private readonly freezes = new Changed<number>();
  private readonly size = new Changed<string>();
  private readonly codec = new Changed<string>();

  take({ video }: SubscriberStats): VideoQualityReason | undefined {
    if (video.width === 0) return undefined;
    return firstOf({
      videoInterruption: this.freezes.take(video.freezeCount ?? 0),
      codecChange: this.codec.take(video.codec),
      resolutionChange: this.size.take(sizeOf(video)),
    });
  }
}

function firstOf(
  changes: Partial<Record<VideoQualityReason, boolean>>,
): VideoQualityReason | undefined {
  const found = Object.entries(changes).find(([, isChanged]) => isChanged);
  return found?.[0] as VideoQualityReason | undefined;
}

function sizeOf({ width, height }: Pick<VideoLayerStats, 'width' | 'height'>): string {
  return `${width}x${height}`;
}

/** Smaller steps are noise. */
const SCORE_STEP = 0.3;

/** An event when a score moved by a step, or there is one more or one less. */
export class ScoreChange {
  private before: QualityScore = {};

  take(now: QualityScore): boolean {
    const names = ['audioQualityScore', 'videoQualityScore'] as const;
    const isChanged = names.some((name) => {
      const [first, last] = [this.before[name], now[name]];
      if (first === undefined || last === undefined) return first !== last;
      return Math.abs(last - first) >= SCORE_STEP - 1e-9;
    });
    if (isChanged) this.before = { ...now };
    return isChanged;
  }
}

/** Scores of what came since the reading before; what did not come has none. */
export function scoresOf(
  rows: Rows,
  rates: Rates,
  stats: SubscriberStats,
  isScreen: boolean,
): QualityScore {
  return { ...scoreOfAudio(rows, rates), ...scoreOfVideo(rows, rates, stats, isScreen) };
}

function scoreOfAudio(rows: Rows, rates: Rates): QualityScore {
  const audio = select(rows, 'inbound-rtp', 'audio');
  const samples = rates.sum(audio, 'totalSamplesReceived');
  if (samples === 0 || rates.sum(audio, 'packetsReceived') === 0) return {};
  const concealed = rates.sum(audio, 'concealedSamples');
  const inSilence = rates.sum(audio, 'silentConcealedSamples');
  const emitted = rates.sum(audio, 'jitterBufferEmittedCount');
  const waitedMs = emitted > 0 ? (1_000 * rates.sum(audio, 'jitterBufferDelay')) / emitted : 0;
  const audioQualityScore = audioScore({
    concealed: Math.max(0, concealed - inSilence) / samples,
    delayMs: roundTripMs(rows) / 2 + waitedMs,
  });
  return { audioQualityScore };
}

function scoreOfVideo(
  rows: Rows,
  rates: Rates,
  { video }: SubscriberStats,
  isScreen: boolean,
): QualityScore {
  const inbound = select(rows, 'inbound-rtp', 'video');
  const { seconds } = rates.of(inbound[0]);
  if (seconds === 0 || numberIn(inbound[0], 'frameWidth') === 0) return {};
  const { width, height, decodedFrameRate, bitrate } = video;
  const frozen = rates.sum(inbound, 'totalFreezesDuration') / seconds;
  const seen = { width, height, frameRate: decodedFrameRate, bitrateBps: bitrate };
  return { videoQualityScore: videoScore({ ...seen, frozen, isScreen }) };
}
