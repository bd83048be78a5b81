/** When a publisher gives up its video so that its audio goes on. Pure: time is a parameter. */

/** `warning`: the video may be switched off soon. */
export type FallbackState = 'video' | 'warning' | 'audio';

export interface SendingReading {
  /** bit/s that the way to the server carries; 0: not known. */
  readonly estimateBps: number;
  /** Share of the packets since the last reading that were lost, 0 to 1. */
  readonly loss: number;
}

/** Below these rates video has no use; the gap keeps it from flapping. */
const WARN_BPS = 150_000;
const STOP_BPS = 100_000;
/** Retransmission cannot keep up with more, and takes what the audio needs. */
const WARN_LOSS = 0.12;
const STOP_LOSS = 0.2;
/** A way has to be bad for this long: a short gap is over before anybody minds. */
const STOP_AFTER_MS = 6_000;
/** Without video the estimate does not grow by itself: the video is tried again, ever less often. */
const FIRST_TRIAL_MS = 10_000;
const LAST_TRIAL_MS = 80_000;
/** A trial that lasts this long succeeded. */
const PROVEN_MS = 30_000;

export class AudioFallback {
  state: FallbackState = 'video';
  private badSinceMs: number | undefined;
  private changedMs = 0;
  private trialMs = FIRST_TRIAL_MS;

  /** The state after this reading. */
  take({ estimateBps, loss }: SendingReading, nowMs: number): FallbackState {
    if (this.state === 'audio') return this.takeWithoutVideo(loss, nowMs);
    const isBelow = (bps: number): boolean => estimateBps > 0 && estimateBps < bps;
    const isBad = isBelow(STOP_BPS) || loss >= STOP_LOSS;
    this.badSinceMs = isBad ? (this.badSinceMs ?? nowMs) : undefined;
    if (this.badSinceMs !== undefined && nowMs - this.badSinceMs >= STOP_AFTER_MS) {
      return this.turn('audio', nowMs);
    }
    if (nowMs - this.changedMs >= PROVEN_MS) this.trialMs = FIRST_TRIAL_MS;
    this.state = isBelow(WARN_BPS) || loss >= WARN_LOSS ? 'warning' : 'video';
    return this.state;
  }

  private takeWithoutVideo(loss: number, nowMs: number): FallbackState {
    if (loss >= WARN_LOSS || nowMs - this.changedMs < this.trialMs) return this.state;
    this.trialMs = Math.min(LAST_TRIAL_MS, 2 * this.trialMs);
    return this.turn('video', nowMs);
  }

  private turn(state: FallbackState, nowMs: number): FallbackState {
    this.badSinceMs = undefined;
    this.changedMs = nowMs;
    this.state = state;
    return state;
  }
}
