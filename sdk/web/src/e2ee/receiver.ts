/** The receiving side: finds the key by KID, refuses replays and other senders (e2ee/2, 3 and 7). */
import {
  AUDIO_WINDOW,
  MAX_ACTIVE_CONTEXTS,
  MAX_COUNTER,
  OLD_CONTEXT_MS,
  SIGNAL_WINDOW,
  VIDEO_WINDOW,
} from '../rules';
import type { Bytes } from './bytes';
import { DerivationBudget } from './derivations';
import type { FrameFormat, EncryptedFrame } from './frames/index';
import { contextOf, isKid, isOlderContext, senderOf } from './kid';
import { ReplayWindow } from './replay';
import { decryptFrame } from './frame-encryption';
import type { KeyOwner, SessionKeys } from './secret';
import type { SecretRing } from './secret-ring';
import type { Header, SFrameKey } from './sframe';
import { decodeHeader } from './sframe';

/** Why a frame was not decrypted. `replay` does not count as a failure. */
export type Refusal = 'secret' | 'auth' | 'sender' | 'format' | 'replay';
type DecryptResult = { readonly frame: Bytes } | { readonly refused: Refusal };

const WINDOWS = { audio: AUDIO_WINDOW, signals: SIGNAL_WINDOW, video: VIDEO_WINDOW } as const;

type LogKind = keyof typeof WINDOWS;

interface Context {
  readonly number: number;
  readonly connectionId: string;
  readonly secretId: string;
  /** `undefined`: the secret was given up since. */
  key: SFrameKey | undefined;
  /** What all subscriptions together have decrypted. */
  readonly decrypted: ReplayWindow;
  readonly decryptedAt: number;
}

/** The one publication that a stream id, or a connection id for signals, stands for. */
interface Pin {
  sender: number | undefined;
}

/** All that was ever received of one kind of one stream. It outlives every m-line of it. */
class ReceiveLog {
  readonly contexts = new Map<bigint, Context>();
  /** Authenticated once and over: never accepted again. */
  private readonly retired = new Set<bigint>();
  /** The newest context that was retired: nothing before it is accepted either. */
  private floor: number | undefined;

  constructor(
    readonly name: string,
    readonly kind: LogKind,
    readonly pin: Pin,
  ) {}

  newWindow(): ReplayWindow {
    return new ReplayWindow(WINDOWS[this.kind]);
  }

  /** Retired, or older than what the sender has long moved on from. */
  isOver(kid: bigint, now: number): boolean {
    if (this.contexts.size > 1) this.retireOld(now);
    if (this.retired.has(kid)) return true;
    if (this.contexts.has(kid) || this.pin.sender !== senderOf(kid)) return false;
    const number = contextOf(kid);
    if (this.floor !== undefined && isOlderContext(number, this.floor)) return true;
    return now - this.supersededAt(number) >= OLD_CONTEXT_MS;
  }

  /** A frame under this KID was authenticated for the first time. */
  begin(kid: bigint, context: Context): void {
    this.contexts.set(kid, context);
    while (this.contexts.size > MAX_ACTIVE_CONTEXTS) this.retireOldest();
  }

  /** When the first newer context began; `Infinity`: there is none. */
  private supersededAt(number: number): number {
    let at = Infinity;
    for (const other of this.contexts.values()) {
      if (isOlderContext(number, other.number)) at = Math.min(at, other.decryptedAt);
    }
    return at;
  }

  private retireOld(now: number): void {
    for (const [kid, { number }] of this.contexts) {
      if (now - this.supersededAt(number) >= OLD_CONTEXT_MS) this.retire(kid, number);
    }
  }

  private retireOldest(): void {
    let oldest: [bigint, Context] | undefined;
    for (const entry of this.contexts) {
      if (!oldest || isOlderContext(entry[1].number, oldest[1].number)) oldest = entry;
    }
    if (oldest) this.retire(oldest[0], oldest[1].number);
  }

  private retire(kid: bigint, number: number): void {
    this.contexts.delete(kid);
    this.retired.add(kid);
    if (this.floor === undefined || isOlderContext(this.floor, number)) this.floor = number;
  }
}

interface StreamLogs {
  readonly audio: ReceiveLog;
  readonly video: ReceiveLog;
}

/** What was received in the life of the Session object. Nothing the server says resets it. */
export class ReceiveHistory {
  private readonly streams = new Map<string, StreamLogs>();
  private readonly signals = new Map<string, Decryptor>();
  private readonly budget = new DerivationBudget();

  constructor(private readonly ring: SecretRing) {}

  /** For one subscription: it plays nothing that another one has already decrypted. */
  subscribe(owner: { connectionId: string; streamId: string }, kind: 'audio' | 'video'): Decryptor {
    let logs = this.streams.get(owner.streamId);
    if (!logs) {
      const pin: Pin = { sender: undefined };
      const logOf = (of: 'audio' | 'video'): ReceiveLog =>
        new ReceiveLog(`${of} ${owner.streamId}`, of, pin);
      logs = { audio: logOf('audio'), video: logOf('video') };
      this.streams.set(owner.streamId, logs);
    }
    return new Decryptor(this.ring, this.budget, logs[kind], owner);
  }

  /** Connections are the server's word: one is remembered once a signal of it was decrypted. */
  async decryptSignal(
    connectionId: string,
    format: FrameFormat,
    encrypted: Bytes,
    now: number,
  ): Promise<DecryptResult> {
    const decryptor = this.signals.get(connectionId) ?? this.signalDecryptor(connectionId);
    const result = await decryptor.decrypt(format, encrypted, now);
    if ('frame' in result) {
      const known = this.signals.get(connectionId) ?? decryptor;
      this.signals.set(connectionId, known);
      // Two that came at once, and both were the first: only one of them counts.
      if (known !== decryptor) return known.decrypt(format, encrypted, now);
    }
    return result;
  }

  /** Keys of secrets that ended are not kept; what was decrypted under them is remembered. */
  forgetKeys(now: number): void {
    const logs = [...this.streams.values()].flatMap(({ audio, video }) => [audio, video]);
    for (const { contexts } of [...logs, ...[...this.signals.values()].map(({ log }) => log)]) {
      for (const context of contexts.values()) {
        if (!this.ring.find(context.secretId, now)) context.key = undefined;
      }
    }
  }

  private signalDecryptor(connectionId: string): Decryptor {
    const log = new ReceiveLog(`signals ${connectionId}`, 'signals', { sender: undefined });
    return new Decryptor(this.ring, this.budget, log, { connectionId, streamId: undefined });
  }
}

/** One subscription's view of a log. */
export class Decryptor {
  private readonly windows: Map<bigint, ReplayWindow>;

  constructor(
    private readonly ring: SecretRing,
    private readonly budget: DerivationBudget,
    readonly log: ReceiveLog,
    private readonly owner: KeyOwner,
  ) {
    this.windows = new Map(
      [...log.contexts].map(([kid, { decrypted }]) => [kid, decrypted.copy()]),
    );
  }

  get kind(): LogKind {
    return this.log.kind;
  }

  async decrypt(format: FrameFormat, wire: Bytes, now: number): Promise<DecryptResult> {
    const parts = format.parse(wire);
    const header = parts && decodeHeader(parts.sframe);
    if (!parts || !header || !isKid(header.kid) || header.ctr >= MAX_COUNTER) {
      return { refused: 'format' };
    }
    if (this.log.isOver(header.kid, now)) return { refused: 'replay' };
    const attempt = { format, parts, header, now };
    const context = this.log.contexts.get(header.kid);
    return context ? this.decryptKnown(context, attempt) : this.decryptUnknown(attempt);
  }

  private async decryptKnown(context: Context, attempt: Attempt): Promise<DecryptResult> {
    const { kid } = attempt.header;
    const keys = this.ring.find(context.secretId, attempt.now);
    if (!keys) {
      context.key = undefined;
      return { refused: 'secret' };
    }
    if (context.connectionId !== this.owner.connectionId) return { refused: 'auth' };
    if (!context.key) {
      if (!this.budget.take(this.log.name, attempt.now)) return { refused: 'auth' };
      context.key = await keys.sframeKey(this.owner, kid);
    }
    return this.decryptWith(context, context.key, attempt);
  }

  /** A KID becomes a context only when a frame under it was authenticated. */
  private async decryptUnknown(attempt: Attempt): Promise<DecryptResult> {
    const { header, now } = attempt;
    const candidates = this.ring.candidates(header.kid, now);
    if (candidates.length === 0) return { refused: 'secret' };
    if (this.isOfAnother(header.kid)) return { refused: 'sender' };
    for (const keys of candidates) {
      if (!this.budget.take(this.log.name, now)) break;
      const key = await keys.sframeKey(this.owner, header.kid);
      const context = this.log.contexts.get(header.kid) ?? this.newContext(attempt, keys, key);
      const result = await this.decryptWith(context, key, attempt);
      if (!('refused' in result) || result.refused !== 'auth') return result;
    }
    return { refused: 'auth' };
  }

  private async decryptWith(
    context: Context,
    key: SFrameKey,
    attempt: Attempt,
  ): Promise<DecryptResult> {
    const { header, now } = attempt;
    if (this.windowOf(header.kid).isReplay(header.ctr)) return { refused: 'replay' };
    const frame = await decryptFrame(attempt.format, key, header, attempt.parts);
    if (!frame) return { refused: 'auth' };
    // Again, for all of it may have changed while the frame was being decrypted.
    if (!this.ring.find(context.secretId, now)) return { refused: 'secret' };
    if (this.isOfAnother(header.kid)) return { refused: 'sender' };
    const known = this.log.contexts.get(header.kid);
    if (!known && this.log.isOver(header.kid, now)) return { refused: 'replay' };
    const window = this.windowOf(header.kid);
    if (window.isReplay(header.ctr)) return { refused: 'replay' };
    this.log.pin.sender = senderOf(header.kid);
    if (!known) this.log.begin(header.kid, context);
    window.accept(header.ctr);
    (known ?? context).decrypted.accept(header.ctr);
    this.ring.decrypted(context.secretId, now);
    return { frame };
  }

  private isOfAnother(kid: bigint): boolean {
    const { sender } = this.log.pin;
    return sender !== undefined && sender !== senderOf(kid);
  }

  private windowOf(kid: bigint): ReplayWindow {
    let window = this.windows.get(kid);
    if (!window) {
      for (const old of this.windows.keys()) {
        if (!this.log.contexts.has(old)) this.windows.delete(old);
      }
      window = this.log.newWindow();
      this.windows.set(kid, window);
    }
    return window;
  }

  private newContext({ header, now }: Attempt, keys: SessionKeys, key: SFrameKey): Context {
    return {
      number: contextOf(header.kid),
      connectionId: this.owner.connectionId,
      secretId: keys.id,
      key,
      decrypted: this.log.newWindow(),
      decryptedAt: now,
    };
  }
}

interface Attempt {
  readonly format: FrameFormat;
  readonly parts: EncryptedFrame;
  readonly header: Header;
  readonly now: number;
}
