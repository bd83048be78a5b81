/** What becomes of a published stream on its way to the server: events, fallback, and statistics for subscribers. */
import type { PublisherEvents } from './event-types';
import { AudioFallback } from './quality/audio-fallback';
import { ConditionChange, SentVideoChange } from './quality/changes';
import { Monitor } from './quality/monitor';
import { Rates } from './quality/rates';
import type { Rows } from './rtc/stats';
import type { PublisherStats } from './rtc/stats-shapes';
import { lossOfSent, publisherStats, type RemoteSender } from './rtc/track-stats';

interface QualityOptions {
  readonly audioFallback?: { readonly publisher?: boolean };
  readonly publishSenderStats?: boolean;
}

/** What the publisher does for it. */
interface QualityHost {
  /** Of all that it sends. Rejects while it is not published. */
  rows(): Promise<Rows>;
  /** bit/s that its encoders may use together. */
  readonly wantedBps: number;
  /** The same of the encodings that have subscribers. */
  readonly subscribedBps: number;
  /** Whether the application wants video to be sent. */
  readonly wantsVideo: boolean;
  /** Sends the video, or not, whatever the application wants. */
  hold(isHeld: boolean): void;
  sendStats(stats: RemoteSender): void;
  dispatch<Name extends Watched>(name: Name, details: PublisherEvents[Name]): void;
}

type Watched =
  | 'networkConditionChanged'
  | 'videoDisabled'
  | 'videoDisableWarning'
  | 'videoDisableWarningLifted'
  | 'videoEnabled'
  | 'videoQualityChanged';

/** Events that are worth the reading of statistics. */
export const WATCHED_OF_PUBLISHER = ['networkConditionChanged', 'videoQualityChanged'] as const;

export class PublisherQuality {
  private readonly monitor = new Monitor(() => this.look());
  private readonly hasFallback: boolean;
  private readonly sendsStats: boolean;
  /** Of the monitor, and of the application's calls: each sees its own differences. */
  private readonly rates = { looked: new Rates(), asked: new Rates() };
  private condition = new ConditionChange();
  private video = new SentVideoChange();
  private fallback = new AudioFallback();

  constructor(
    { audioFallback, publishSenderStats }: QualityOptions,
    private readonly host: QualityHost,
  ) {
    this.hasFallback = audioFallback?.publisher ?? false;
    this.sendsStats = publishSenderStats ?? false;
  }

  /** `isLive`: there is a stream to look at; `isWatched`: the application has handlers. */
  run(isLive: boolean, isWatched: boolean): void {
    this.monitor.run(isLive && (isWatched || this.hasFallback || this.sendsStats));
  }

  /** For the next stream. */
  reset(): void {
    if (this.fallback.state === 'audio') this.host.hold(false);
    this.rates.looked = new Rates();
    this.condition = new ConditionChange();
    this.video = new SentVideoChange();
    this.fallback = new AudioFallback();
  }

  /** For the application. */
  async stats(): Promise<PublisherStats> {
    const rows = await this.host.rows();
    this.rates.asked.take(rows);
    return this.statsOf(rows, this.rates.asked);
  }

  private statsOf(rows: Rows, rates: Rates): PublisherStats {
    // A way on which hardly anything is sent is measured as no more than that.
    const wantedBps = this.host.wantsVideo ? this.host.subscribedBps : 0;
    return publisherStats(rows, Date.now(), { rates, wantedBps });
  }

  private async look(): Promise<void> {
    const rows = await this.host.rows();
    const { looked } = this.rates;
    looked.take(rows);
    const stats = this.statsOf(rows, looked);
    const statsContainer = { stats };
    if (this.condition.take(stats)) {
      const reason = 'networkConditionChanged';
      this.host.dispatch('networkConditionChanged', { reason, statsContainer });
    }
    const reason = this.video.take(stats);
    if (reason) this.host.dispatch('videoQualityChanged', { reason, statsContainer });
    if (this.hasFallback && this.host.wantsVideo) this.decide(stats, lossOfSent(rows, looked) ?? 0);
    if (this.sendsStats) this.sendStats(stats);
  }

  private decide({ timestamp, transportStats }: PublisherStats, loss: number): void {
    const before = this.fallback.state;
    const estimateBps = transportStats.connectionEstimatedBandwidth;
    const now = this.fallback.take({ estimateBps, loss }, timestamp);
    if (now === before) return;
    if (before === 'warning') this.host.dispatch('videoDisableWarningLifted', {});
    if (now === 'warning') this.host.dispatch('videoDisableWarning', {});
    if (now !== 'audio' && before !== 'audio') return;
    this.host.hold(now === 'audio');
    const name = now === 'audio' ? 'videoDisabled' : 'videoEnabled';
    this.host.dispatch(name, { reason: 'quality' });
  }

  private sendStats({ transportStats }: PublisherStats): void {
    this.host.sendStats({
      transport: transportStats,
      senderStats: {
        connectionMaxAllocatedBitrate: this.host.wantedBps,
        connectionEstimatedBandwidth: transportStats.connectionEstimatedBandwidth,
      },
    });
  }
}
