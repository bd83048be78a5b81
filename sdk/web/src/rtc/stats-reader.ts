/** The statistics of one peer connection for all who look at them again and again. */
import type { Clock } from '../clock';
import { rowsOf, type Rows } from './stats';

interface Reading {
  /** When the browser was asked. */
  readonly askedAt: number;
  readonly rows: Rows;
}

/** To gather statistics costs a browser far more than to read them: one reading serves everybody. */
export class StatsReader {
  private latest: Reading | undefined;

  constructor(
    private readonly connection: Pick<RTCPeerConnection, 'getStats'>,
    private readonly clock: Clock,
  ) {}

  /** A reading that is at most so old; 0: a new one. */
  async read(maxAgeMs = 0): Promise<Reading> {
    const { latest } = this;
    const askedAt = this.clock.now();
    if (latest && askedAt - latest.askedAt < maxAgeMs) return latest;
    const reading = { askedAt, rows: rowsOf([await this.connection.getStats()]) };
    this.latest = reading;
    return reading;
  }
}
