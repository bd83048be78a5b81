/** Notices media that goes around the worker, in either direction (e2ee/2 section 10). */
import type { Clock } from '../clock';
import { otError, type OTError } from '../errors';
import type { Downlink } from '../rtc/downlink';
import { audioBytesSent, framesReceived, framesSent, isStray, rowsOf } from '../rtc/stats';
import type { Uplink } from '../rtc/uplink';
import type { Requests } from './protocol';
import type { SessionSeal } from './session-seal';

const INTERVAL_MS = 2_000;
/**
 * The browser may count a frame a moment before the worker does: then the next look shows both.
 * What went around the worker is missing in every look.
 */
const LOOKS = 5;
const LOOK_MS = 100;
/** A worker that did not answer for so many periods has ended. A sleep of the machine is one. */
const SILENT_PERIODS = 5;

type Counters = Requests['counters'][1];

/** Of one sender or receiver since it was made. */
export interface Passage {
  /** Frames, as the browser counts them. */
  readonly counted: number;
  /** Frames that came to the worker, asked for after the browser was. */
  readonly seen: number;
  /** Of audio that is sent: the bytes that left, and those that the worker gave out. */
  readonly bytes?: { readonly counted: number; readonly given: number };
}

/**
 * Browsers probe the network with padding over audio too, and count it as packets (Chromium, from
 * 64 kbit/s on). It has no bytes, and a frame that went around the worker has.
 */
export function isBypassed({ counted, seen, bytes }: Passage): boolean {
  return counted > seen && (!bytes || bytes.counted > bytes.given);
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
    if (!(await this.counters())) {
      if (!this.isStopped) this.seal.giveUpWorker();
      return;
    }
    await this.lookAtSenders();
    if (!this.isStopped && (await this.isDownlinkBypassed())) {
      this.downlink.reset();
      this.onFault(fault('OT_DECRYPTION_INTERNAL_ERROR', 'arrived'));
    }
  }

  private async lookAtSenders(): Promise<void> {
    for (const { name, kind, sender } of this.uplink.senders()) {
      const isCaught = await this.isEverBypassed(async () => {
        const rows = rowsOf([await sender.getStats()]);
        // A worker that does not answer has another fault, which the next period finds.
        const counters = await this.counters();
        const { seen = 0, bytes: given = 0 } = counters
          ? (counters.sent[name] ?? {})
          : { seen: Infinity };
        const counted = framesSent(rows, kind);
        if (kind === 'video') return { counted, seen };
        return { counted, seen, bytes: { counted: audioBytesSent(rows), given } };
      });
      if (!isCaught) continue;
      await sender.replaceTrack(null);
      this.onFault(fault('OT_ENCRYPTION_INTERNAL_ERROR', 'left'));
    }
  }

  private async isDownlinkBypassed(): Promise<boolean> {
    const { connection } = this.downlink;
    if (!connection || connection.connectionState !== 'connected') return false;
    if (rowsOf([await connection.getStats()]).some(isStray)) return true;
    for (const { name, kind, receiver } of this.downlink.receivers()) {
      const isCaught = await this.isEverBypassed(async () => ({
        counted: framesReceived(rowsOf([await receiver.getStats()]), kind),
        seen: await this.seen(name),
      }));
      if (isCaught && connection === this.downlink.connection) return true;
    }
    return false;
  }

  /** In every one of several looks. */
  private async isEverBypassed(read: () => Promise<Passage>): Promise<boolean> {
    for (let look = 0; look < LOOKS; look += 1) {
      if (look > 0) await this.wait(LOOK_MS);
      const passage = await read();
      if (this.isStopped || !isBypassed(passage)) return false;
    }
    return true;
  }

  /** A worker that does not answer has another fault, which the next period finds. */
  private async seen(track: string): Promise<number> {
    const counters = await this.counters();
    return counters ? (counters.received[track]?.seen ?? 0) : Infinity;
  }

  /** `undefined`: the worker has ended without a word. */
  private async counters(): Promise<Counters | undefined> {
    const counters = this.seal.counters();
    for (let period = 0; period < SILENT_PERIODS && !this.isStopped; period += 1) {
      const answer = await Promise.race([counters, this.wait(INTERVAL_MS)]);
      this.cancel();
      if (answer) return answer;
    }
    return undefined;
  }

  private wait(delayMs: number): Promise<undefined> {
    return new Promise((resolve) => {
      this.cancel = this.clock.after(delayMs, () => resolve(undefined));
    });
  }
}

function fault(
  name: 'OT_ENCRYPTION_INTERNAL_ERROR' | 'OT_DECRYPTION_INTERNAL_ERROR',
  verb: string,
): OTError {
  return otError(name, `Media ${verb} without passing the encryption worker; it was stopped`);
}
