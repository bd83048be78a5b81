/** What becomes of a subscribed stream on its way to here: scores, conditions and changes. */
import type { SubscriberEvents } from './event-types';
import { ConditionChange, ReceivedVideoChange, ScoreChange, scoresOf } from './quality/changes';
import { Monitor } from './quality/monitor';
import { Rates } from './quality/rates';
import type { Rows } from './rtc/stats';
import type { SubscriberStats } from './rtc/stats-shapes';
import { type RemoteSender, subscriberStats } from './rtc/track-stats';

/** What the subscriber does for it. */
interface QualityHost {
  /** Of all that it receives. Rejects while there is nothing. */
  rows(): Promise<Rows>;
  readonly streamState: 'ok' | 'limited' | 'paused';
  readonly isScreen: boolean;
  dispatch<Name extends WatchedOfSubscriber>(name: Name, details: SubscriberEvents[Name]): void;
}

type WatchedOfSubscriber = (typeof WATCHED_OF_SUBSCRIBER)[number];

/** Events that are worth the reading of statistics. */
export const WATCHED_OF_SUBSCRIBER = [
  'networkConditionChanged',
  'qualityScoreChanged',
  'videoQualityChanged',
] as const;

export class SubscriberQuality {
  private readonly monitor = new Monitor(() => this.look());
  /** Of the monitor, and of the application's calls: each sees its own differences. */
  private readonly rates = { looked: new Rates(), asked: new Rates() };
  private readonly condition = new ConditionChange();
  private readonly video = new ReceivedVideoChange();
  private readonly score = new ScoreChange();
  /** The last report of the publisher. */
  private remote: RemoteSender | undefined;

  constructor(private readonly host: QualityHost) {}

  run(isWatched: boolean): void {
    this.monitor.run(isWatched);
  }

  /** The publisher reports its way to the server. */
  onSenderStats(remote: RemoteSender): void {
    this.remote = remote;
  }

  /** For the application. */
  async stats(): Promise<SubscriberStats> {
    const rows = await this.host.rows();
    this.rates.asked.take(rows);
    return this.statsOf(rows, this.rates.asked);
  }

  private statsOf(rows: Rows, rates: Rates): SubscriberStats {
    const { streamState } = this.host;
    return subscriberStats(rows, Date.now(), { rates, streamState, remote: this.remote });
  }

  private async look(): Promise<void> {
    const rows = await this.host.rows();
    const { looked } = this.rates;
    looked.take(rows);
    const stats = this.statsOf(rows, looked);
    if (this.condition.take(stats)) {
      const reason = 'networkConditionChanged';
      this.host.dispatch('networkConditionChanged', { reason, stats });
    }
    const qualityScore = scoresOf(rows, looked, stats, this.host.isScreen);
    if (this.score.take(qualityScore)) this.host.dispatch('qualityScoreChanged', { qualityScore });
    const reason = this.video.take(stats);
    if (reason) this.host.dispatch('videoQualityChanged', { reason, stats });
  }
}
