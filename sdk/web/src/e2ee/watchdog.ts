/** Notices media that goes around the worker, in either direction (e2ee/2 section 10). */
import type { Clock } from '../clock';
import { otError, type OTError } from '../errors';
import type { Downlink } from '../rtc/downlink';
import { framesReceived, framesSent, isStray, rowsOf } from '../rtc/stats';
import type { Uplink } from '../rtc/uplink';
import type { SessionSeal } from './session-seal';

const INTERVAL_MS = 2_000;
/** Frames between the two counts when they are read: everything goes on meanwhile. */
const SLACK = 30;

/** Both are totals of one sender or receiver since it was made. */
export function isBypassed(counted: number, passedWorker: number): boolean {
  return counted - passedWorker > SLACK;
}

/** Stops what it catches: a sender loses its track, the whole downlink is closed. */
export class Watchdog {
  private cancel: () => void = () => undefined;
  private isStopped = false;

  constructor(
    private readonly seal: SessionSeal,
    private readonly uplink: Uplink,
    private readonly downlink: Downlink,
    private readonly clock: Clock,
    private readonly onFault: (error: unknown) => void,
  ) {}

  start(): void {
    this.cancel = this.clock.after(INTERVAL_MS, () => {
      this.look()
        .catch(this.onFault)
        .finally(() => {
          if (!this.isStopped) this.start();
        });
    });
  }

  stop(): void {
    this.isStopped = true;
    this.cancel();
  }

  private async look(): Promise<void> {
    await this.lookAtSenders();
    if (!this.isStopped && (await this.isDownlinkBypassed())) {
      this.downlink.reset();
      this.onFault(fault('OT_DECRYPTION_INTERNAL_ERROR', 'arrived'));
    }
  }

  private async lookAtSenders(): Promise<void> {
    for (const { name, kind, sender } of this.uplink.senders()) {
      const counted = framesSent(rowsOf([await sender.getStats()]), kind);
      const { sealed = 0, dropped = 0 } = (await this.seal.counters()).sent[name] ?? {};
      if (this.isStopped || !isBypassed(counted, sealed + dropped)) continue;
      await sender.replaceTrack(null);
      this.onFault(fault('OT_ENCRYPTION_INTERNAL_ERROR', 'left'));
    }
  }

  private async isDownlinkBypassed(): Promise<boolean> {
    const { connection } = this.downlink;
    if (!connection || connection.connectionState !== 'connected') return false;
    if (rowsOf([await connection.getStats()]).some(isStray)) return true;
    for (const { name, kind, receiver } of this.downlink.receivers()) {
      const counted = framesReceived(rowsOf([await receiver.getStats()]), kind);
      const { seen = 0 } = (await this.seal.counters()).received[name] ?? {};
      if (connection === this.downlink.connection && isBypassed(counted, seen)) return true;
    }
    return false;
  }
}

function fault(
  name: 'OT_ENCRYPTION_INTERNAL_ERROR' | 'OT_DECRYPTION_INTERNAL_ERROR',
  verb: string,
): OTError {
  return otError(name, `Media ${verb} without passing the encryption worker; it was stopped`);
}
