/** The receiving side of one track: finds the key by KID, refuses replays (e2ee/1 5.3, 5.7). */
import type { Bytes } from './bytes';
import type { FrameFormat, Sealed } from './frames/index';
import { ReplayWindow } from './replay';
import { openFrame } from './seal';
import type { SessionKeys } from './secret';
import { hintOf } from './secret';
import type { SecretRing } from './secret-ring';
import type { Header, SFrameKey } from './sframe';
import { decodeHeader } from './sframe';

/** Why a frame was not opened. `replay` does not count as a failure. */
export type Refusal = 'secret' | 'auth' | 'format' | 'replay';
export type OpenResult = { readonly frame: Bytes } | { readonly refused: Refusal };
/** How frames of one owner are keyed: by stream for media, by connection for signals. */
export type KeySource = (keys: SessionKeys, kid: bigint) => Promise<SFrameKey>;

const MAX_ACTIVE_KIDS = 8;
/** Deriving a key costs far more than a frame: strangers' KIDs get this many tries a second. */
const MAX_DERIVATIONS_PER_S = 20;
/** How long frames of a sender's old context may still arrive after its new one began. */
const OLD_CONTEXT_MS = 10_000;

interface Context {
  readonly key: SFrameKey;
  readonly keys: SessionKeys;
  readonly replay: ReplayWindow;
  supersededAt: number | undefined;
}

export class TrackOpener {
  private readonly contexts = new Map<bigint, Context>();
  /** Authenticated once and over: never accepted again, for the life of the subscription. */
  private readonly retired = new Set<bigint>();
  private derivations: number[] = [];

  constructor(
    private readonly ring: SecretRing,
    private readonly keySource: KeySource,
  ) {}

  async open(format: FrameFormat, wire: Bytes, now: number): Promise<OpenResult> {
    const parts = format.parse(wire);
    const header = parts && decodeHeader(parts.sframe);
    if (!parts || !header || header.ctr > BigInt(Number.MAX_SAFE_INTEGER)) {
      return { refused: 'format' };
    }
    this.retireOld(now);
    if (this.retired.has(header.kid)) return { refused: 'replay' };
    const context = this.contexts.get(header.kid);
    return context
      ? this.openWith(context, { format, parts, header, now })
      : this.openUnknown({ format, parts, header, now });
  }

  private async openWith(context: Context, frame: Attempt): Promise<OpenResult> {
    const ctr = Number(frame.header.ctr);
    if (context.replay.isReplay(ctr)) return { refused: 'replay' };
    if (!this.ring.has(context.keys, frame.now)) return { refused: 'secret' };
    const plain = await openFrame(frame.format, context.key, frame.header, frame.parts);
    if (!plain) return { refused: 'auth' };
    // Again: the same frame may have come twice while the first was being opened.
    if (context.replay.isReplay(ctr)) return { refused: 'replay' };
    context.replay.accept(ctr);
    this.ring.opened(context.keys, frame.now);
    return { frame: plain };
  }

  /** A KID becomes a context only when a frame under it was authenticated. */
  private async openUnknown(frame: Attempt): Promise<OpenResult> {
    const { kid } = frame.header;
    const candidates = this.ring.candidates(hintOf(kid), frame.now);
    if (candidates.length === 0) return { refused: 'secret' };
    for (const keys of candidates) {
      if (!this.mayDerive(frame.now)) break;
      const key = await this.keySource(keys, kid);
      const context = this.contexts.get(kid) ?? newContext(key, keys);
      const result = await this.openWith(context, frame);
      if ('frame' in result) this.begin(kid, context, frame.now);
      if (!('refused' in result) || result.refused !== 'auth') return result;
    }
    return { refused: 'auth' };
  }

  private begin(kid: bigint, context: Context, now: number): void {
    if (this.contexts.has(kid)) return;
    for (const older of this.contexts.values()) older.supersededAt ??= now;
    this.contexts.set(kid, context);
    while (this.contexts.size > MAX_ACTIVE_KIDS) {
      const [oldest] = this.contexts.keys();
      if (oldest !== undefined) this.retire(oldest);
    }
  }

  private retireOld(now: number): void {
    for (const [kid, { supersededAt }] of this.contexts) {
      if (supersededAt !== undefined && now - supersededAt >= OLD_CONTEXT_MS) this.retire(kid);
    }
  }

  private retire(kid: bigint): void {
    this.contexts.delete(kid);
    this.retired.add(kid);
  }

  private mayDerive(now: number): boolean {
    this.derivations = this.derivations.filter((at) => now - at < 1_000);
    if (this.derivations.length >= MAX_DERIVATIONS_PER_S) return false;
    this.derivations.push(now);
    return true;
  }
}

interface Attempt {
  readonly format: FrameFormat;
  readonly parts: Sealed;
  readonly header: Header;
  readonly now: number;
}

function newContext(key: SFrameKey, keys: SessionKeys): Context {
  return {
    key,
    keys,
    replay: new ReplayWindow(),
    supersededAt: undefined,
  };
}
