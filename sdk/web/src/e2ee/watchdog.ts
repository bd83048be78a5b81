/** Notices media that goes around the worker, in either direction (e2ee/2 section 10). */
import type { Clock } from '../clock';
import { otError, type OTError } from '../errors';
import type { Downlink } from '../rtc/downlink';
import { amountsReceived, amountsSent, isStray, type Rows, rowsByLine } from '../rtc/stats';
import type { StatsReader } from '../rtc/stats-reader';
import type { Uplink } from '../rtc/uplink';
import { Passage } from './passage';
import type { Requests } from './protocol';
import type { SessionEncryption } from './session-encryption';

const LOOK_MS = 300;
/** Where a look showed something that the next ones decide. */
const SOON_MS = 100;
/** An answer that takes longer is one of a worker that has something else to do. */
const PROMPT_MS = 250;
const PERIOD_MS = 2_000;
/**
 * A worker that did not answer for so many periods has ended. It is about answers, not about media:
 * a stream that is muted, or whose encoder says nothing in silence (DTX), leaves the worker free to
 * answer. A worker that has ended gives nothing out, so that to wait costs a black call and no
 * secret; to be wrong ends a session that would have gone on. Nothing that a living worker does
 * takes a second (keys are derived beside it), so what it survives is a starved machine: ten seconds
 * are a third of those after which ICE gives up a silent peer (RFC 7675, 30 s), and its user with it.
 * Periods are counted, and not the clock: however long the page or the machine sleeps, that is one.
 */
const SILENT_PERIODS = 5;

type Counters = Requests['counters'][1];

/** A sender or a receiver, and what the browser has counted of it. */
interface Counted<Line> {
  readonly line: Line;
  readonly counted: ReadonlyMap<unknown, number>;
}

type SendLine = ReturnType<Uplink['senders']>[number];
type ReceiveLine = ReturnType<Downlink['receivers']>[number];

/** Stops what it catches: a sender loses its track, the whole downlink is closed. */
export class Watchdog {
  private readonly cancels = new Map<string, () => void>();
  private isStopped = false;
  /** By the worker's names of tracks. */
  private passages = new Map<string, Passage>();
  private stalls: number | undefined;
  private isJudging = false;

  constructor(
    private readonly encryption: SessionEncryption,
    private readonly uplink: Uplink,
    private readonly downlink: Downlink,
    private readonly clock: Clock,
    private readonly onFault: (error: unknown) => void,
  ) {}

  start(): void {
    this.repeat();
  }

  stop(): void {
    this.isStopped = true;
    for (const cancel of this.cancels.values()) cancel();
  }

  private get isOpen(): boolean {
    return [...this.passages.values()].some((passage) => passage.isOpen);
  }

  private repeat(): void {
    if (this.isStopped) return;
    this.cancels.get('look')?.();
    this.after('look', this.isOpen ? SOON_MS : LOOK_MS, () => {
      this.look()
        .catch(this.onFault)
        .finally(() => this.repeat());
    });
  }

  /**
   * The browser is asked once for each connection: its statistics are dear. What belongs to no
   * track is found without the worker, however busy that is; so the tracks are judged beside.
   */
  private async look(): Promise<void> {
    const connection = this.inUse();
    const [sent, received] = await Promise.all([
      readOf(this.uplink.stats),
      readOf(connection && this.downlink.stats),
    ]);
    if (connection && received.some(isStray)) {
      this.closeDownlink(connection);
    } else if (!this.isJudging) {
      this.isJudging = true;
      this.countedOf(connection, sent, received)
        .then((looked) => this.judge(connection, looked))
        .catch(this.onFault)
        .finally(() => {
          this.isJudging = false;
          this.repeat();
        });
    }
  }

  private async countedOf(
    connection: RTCPeerConnection | undefined,
    sent: Rows,
    received: Rows,
  ): Promise<Looked> {
    const [senders, receivers] = await Promise.all([
      rowsByLine(sent, 'outbound-rtp', this.uplink.senders(), ({ sender }) => sender),
      connection
        ? rowsByLine(received, 'inbound-rtp', this.downlink.receivers(), (line) => line.receiver)
        : [],
    ]);
    return {
      sent: senders.map(({ line, rows }) => ({ line, counted: amountsSent(rows, line.kind) })),
      received: receivers.map(({ line, rows }) => ({
        line,
        counted: amountsReceived(rows, line.kind),
      })),
    };
  }

  private async judge(
    connection: RTCPeerConnection | undefined,
    { sent, received }: Looked,
  ): Promise<void> {
    // Asked after the browser was: what the browser had counted came to the worker before.
    const askedAt = this.clock.now();
    const counters = await this.counters();
    if (this.isStopped) return;
    if (!counters) {
      this.encryption.giveUpWorker();
      return;
    }
    this.stalls ??= counters.stalls;
    const isPrompt = counters.stalls === this.stalls && this.clock.now() - askedAt <= PROMPT_MS;
    this.stalls = counters.stalls;
    const before = this.passages;
    this.passages = new Map();
    await this.judgeSenders(sent, counters, { before, isPrompt });
    if (connection && this.isDownlinkBypassed(received, counters, { before, isPrompt })) {
      this.closeDownlink(connection);
    }
  }

  private async judgeSenders(
    sent: readonly Counted<SendLine>[],
    counters: Counters,
    { before, isPrompt }: Judging,
  ): Promise<void> {
    for (const { line, counted } of sent) {
      const { name, kind, sender } = line;
      const isSure = kind === 'audio';
      const { seen = 0, bytes = 0 } = counters.sent[name] ?? {};
      const passage = this.keep(name, before.get(name) ?? new Passage(isSure));
      const look = { counted, seen: isSure ? bytes : seen, isPrompt, isAttached: true };
      if (!passage.look(look)) continue;
      await sender.replaceTrack(null);
      this.onFault(fault('OT_ENCRYPTION_INTERNAL_ERROR', 'left'));
    }
  }

  private isDownlinkBypassed(
    received: readonly Counted<ReceiveLine>[],
    counters: Counters,
    { before, isPrompt }: Judging,
  ): boolean {
    const bypassed = received.filter(({ line: { name, kind }, counted }) => {
      const isSure = kind === 'video';
      const { bytes = 0, given = 0, isAttached = false } = counters.received[name] ?? {};
      const passage = this.keep(name, before.get(name) ?? new Passage(isSure));
      return passage.look({ counted, seen: isSure ? given : bytes, isPrompt, isAttached });
    });
    return bypassed.length > 0;
  }

  private keep(name: string, passage: Passage): Passage {
    this.passages.set(name, passage);
    return passage;
  }

  /** Media plays on where a server lets the transport look disconnected or failed. */
  private inUse(): RTCPeerConnection | undefined {
    const { connection } = this.downlink;
    const isIdle =
      connection?.connectionState === 'new' || connection?.connectionState === 'closed';
    return isIdle ? undefined : connection;
  }

  /** Not one that was made meanwhile. */
  private closeDownlink(connection: RTCPeerConnection): void {
    if (this.isStopped || connection !== this.downlink.connection) return;
    this.downlink.reset();
    this.onFault(fault('OT_DECRYPTION_INTERNAL_ERROR', 'arrived'));
  }

  /** `undefined`: the worker has ended without a word. */
  private async counters(): Promise<Counters | undefined> {
    const counters = this.encryption.counters();
    for (let period = 0; period < SILENT_PERIODS && !this.isStopped; period += 1) {
      const answer = await Promise.race([counters, this.wait(PERIOD_MS)]);
      this.cancels.get('wait')?.();
      if (answer) return answer;
    }
    return undefined;
  }

  private wait(delayMs: number): Promise<undefined> {
    return new Promise((resolve) => this.after('wait', delayMs, () => resolve(undefined)));
  }

  private after(name: string, delayMs: number, call: () => void): void {
    this.cancels.set(name, this.clock.after(delayMs, call));
  }
}

/** What the looks before left, and whether the worker was awake in this one. */
interface Judging {
  readonly before: ReadonlyMap<string, Passage>;
  readonly isPrompt: boolean;
}

/** What the browser had counted of each track. */
interface Looked {
  readonly sent: readonly Counted<SendLine>[];
  readonly received: readonly Counted<ReceiveLine>[];
}

async function readOf(stats: StatsReader | undefined): Promise<Rows> {
  return stats ? (await stats.read()).rows : [];
}

function fault(
  name: 'OT_ENCRYPTION_INTERNAL_ERROR' | 'OT_DECRYPTION_INTERNAL_ERROR',
  verb: string,
): OTError {
  return otError(name, `Media ${verb} without passing the encryption worker; it was stopped`);
}
