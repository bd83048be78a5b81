/** Notices that a transport's packets get no answer, seconds before ICE says so. */
import type { Clock } from '../clock';
import type { StatsReader } from './stats-reader';

const INTERVAL_MS = 250;
/** What the watchdog of encrypted sessions has read serves too. */
const MAX_AGE_MS = 400;
/** The server reports on what it gets ten times a second and more. */
const STALLED_MS = 750;
/** A look this long after the one before says that the page is late: packets may wait behind it. */
const LATE_MS = 2 * INTERVAL_MS;
/** Fewer packets than this may be a pause. */
const MIN_SENT = 10;

/** Totals of packets, again and again. Pure. */
export class StallDetector {
  private received = -1;
  private sentThen = 0;
  private since = 0;
  private seenAt = 0;
  private isReported = false;

  /**
   * True once for each period in which packets were sent for this long and none arrived, while the
   * page kept its time: a machine that is too busy to look is too busy to receive.
   */
  see(now: number, sent: number, received: number): boolean {
    const isLate = now - this.seenAt > LATE_MS;
    this.seenAt = now;
    if (received !== this.received || (isLate && !this.isReported)) {
      this.received = received;
      this.sentThen = sent;
      this.since = now;
      this.isReported = false;
      return false;
    }
    const stalls = now - this.since >= STALLED_MS && sent - this.sentThen >= MIN_SENT;
    if (!stalls || this.isReported) return false;
    this.isReported = true;
    return true;
  }
}

/** So many looks in a row with something new: media comes steadily. */
const STEADY_LOOKS = 4;
const QUIET_MS = 1_000;

/** When media was heard or seen last, again and again. Pure. */
export class PauseDetector {
  private newest = 0;
  private changedAt = 0;
  private seenAt = 0;
  private steady = 0;

  /** True once when what came steadily has stopped. Audio that pauses in silence is not steady. */
  see(now: number, newest: number): boolean {
    const isLate = now - this.seenAt > LATE_MS;
    this.seenAt = now;
    if (isLate) {
      this.newest = Math.max(this.newest, newest);
      this.changedAt = now;
      this.steady = 0;
      return false;
    }
    if (newest > this.newest) {
      this.newest = newest;
      this.changedAt = now;
      this.steady += 1;
      return false;
    }
    const wasSteady = this.steady >= STEADY_LOOKS;
    if (!wasSteady || now - this.changedAt >= QUIET_MS) this.steady = 0;
    return wasSteady && this.steady === 0;
  }
}

/** Calls `onPause` until `peer` is closed. It looks at what browsers keep at hand, without statistics. */
export function watchPauses(peer: RTCPeerConnection, clock: Clock, onPause: () => void): void {
  const detector = new PauseDetector();
  const look = (): void => {
    if (peer.connectionState === 'closed') return;
    const sources = peer.getReceivers().flatMap((receiver) => receiver.getSynchronizationSources());
    const newest = sources.reduce((latest, { timestamp }) => Math.max(latest, timestamp), 0);
    if (detector.see(clock.now(), newest)) onPause();
    clock.after(INTERVAL_MS, look);
  };
  clock.after(INTERVAL_MS, look);
}

/** Calls `onStall` until `peer` is closed. Browsers that count no packets are not watched. */
export function watchStalls(
  peer: RTCPeerConnection,
  stats: StatsReader,
  clock: Clock,
  onStall: () => void,
): void {
  const detector = new StallDetector();
  const look = async (): Promise<void> => {
    if (peer.connectionState === 'closed') return;
    const { askedAt, rows } = await stats.read(MAX_AGE_MS);
    for (const { type, packetsSent: sent, packetsReceived: received } of rows) {
      if (type !== 'transport' || typeof sent !== 'number' || typeof received !== 'number')
        continue;
      if (detector.see(askedAt, sent, received)) onStall();
    }
  };
  const later = (): void => {
    clock.after(INTERVAL_MS, () => {
      look()
        .catch(() => undefined)
        .finally(() => {
          if (peer.connectionState !== 'closed') later();
        });
    });
  };
  later();
}
