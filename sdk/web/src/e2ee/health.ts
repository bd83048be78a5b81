/** From per-frame results to mismatch and match (e2ee/2 section 8). Pure: time is a parameter. */
import {
  CHANGE_GRACE_MS,
  MISMATCH_FAILURES,
  MISMATCH_SPAN_MS,
  REPORT_EVERY_MS,
  SPAN_AFTER_CHANGE_MS,
} from '../rules';
import type { TrackResults } from './protocol';
import type { Refusal } from './receiver';

/** Notices of the worker take a moment, not always the same. */
const JITTER_MS = 500;

type HealthChange = 'decrypted' | 'failing' | 'ok' | undefined;

/** One received track in the worker. */
export class TrackHealth {
  private failures = 0;
  private firstFailureAt = 0;
  private failing = false;
  private reported = false;
  private reportedAt = 0;
  decrypted = 0;
  failed = 0;

  onDecrypted(): HealthChange {
    this.decrypted += 1;
    this.failures = 0;
    this.reported = false;
    if (this.failing) {
      this.failing = false;
      return 'ok';
    }
    return this.decrypted === 1 ? 'decrypted' : undefined;
  }

  /** `secretChangedAt`: when the application last set a secret. */
  onRefused(refusal: Refusal, now: number, secretChangedAt: number): HealthChange {
    if (refusal === 'replay') return undefined;
    this.failed += 1;
    if (this.failures === 0) this.firstFailureAt = now;
    this.failures += 1;
    const span = now - secretChangedAt < CHANGE_GRACE_MS ? SPAN_AFTER_CHANGE_MS : MISMATCH_SPAN_MS;
    if (this.reported && now - this.reportedAt < REPORT_EVERY_MS) return undefined;
    if (this.failures < MISMATCH_FAILURES || now - this.firstFailureAt < span) return undefined;
    this.failing = true;
    this.reported = true;
    this.reportedAt = now;
    return 'failing';
  }

  /** Counts from the start, so that a track that still fails is reported once more. */
  recheck(): void {
    this.failures = 0;
    this.reported = false;
  }
}

export interface HealthActions {
  /** The event for the application, if there is one. */
  readonly event?: 'mismatch' | 'match';
  /** The state to report to the server, if any. */
  readonly report?: 'mismatch' | 'ok';
  /** Tracks whose results are counted from the start. */
  readonly recheck?: readonly string[];
}

/** Totals of frames, for the server's diagnosis. */
export interface FrameCounts {
  readonly decrypted: number;
  readonly failed: number;
}

/** All tracks of one Subscriber: one mismatch per streak, match when every failed track decrypted. */
export class SubscriberHealth {
  private readonly failing = new Set<string>();
  private readonly totals = new Map<string, FrameCounts>();
  /** When the mismatch was last reported; `undefined`: the server pauses nothing. */
  private reportedAt: number | undefined;

  /** Frames of all tracks, as of their last change. */
  get counts(): FrameCounts {
    let decrypted = 0;
    let failed = 0;
    for (const track of this.totals.values()) {
      decrypted += track.decrypted;
      failed += track.failed;
    }
    return { decrypted, failed };
  }

  get isMismatched(): boolean {
    return this.failing.size > 0;
  }

  onTrack(track: string, { change, decrypted, failed }: TrackResults, now: number): HealthActions {
    this.totals.set(track, { decrypted, failed });
    return change === 'failing' ? this.onFailing(track, now) : this.onDecrypted(track);
  }

  /**
   * The next frames may decrypt: a secret was set here, or the sender announced one known here.
   * The server holds back video since the mismatch, so it must be asked for frames to try.
   */
  onHope(): HealthActions {
    return this.isMismatched ? { ...this.reportOk(), recheck: [...this.failing] } : {};
  }

  private onFailing(track: string, now: number): HealthActions {
    const isFirst = !this.isMismatched;
    this.failing.add(track);
    const isReported =
      this.reportedAt !== undefined && now - this.reportedAt < REPORT_EVERY_MS - JITTER_MS;
    if (!isReported) this.reportedAt = now;
    return {
      ...(isFirst ? { event: 'mismatch' } : {}),
      ...(isReported ? {} : { report: 'mismatch' }),
    };
  }

  private onDecrypted(track: string): HealthActions {
    if (!this.failing.delete(track)) return {};
    return this.isMismatched
      ? { ...this.reportOk(), recheck: [...this.failing] }
      : { ...this.reportOk(), event: 'match' };
  }

  private reportOk(): { report?: 'ok' } {
    const wasReported = this.reportedAt !== undefined;
    this.reportedAt = undefined;
    return wasReported ? { report: 'ok' } : {};
  }
}
