/** The sending side of one track: contexts (KID, key, counter) and the switch between them. */
import type { Bytes } from './bytes';
import type { FrameFormat } from './frames/index';
import { sealFrame } from './seal';
import type { SessionKeys } from './secret';
import { makeKid } from './secret';
import type { SFrameKey } from './sframe';

interface Context {
  readonly kid: bigint;
  readonly keys: SessionKeys;
  readonly key: SFrameKey | undefined;
}

/** e2ee/1 5.2: a context ends here, long before a counter could be used twice. */
const MAX_CTR = 2 ** 32;

export type SealResult = Bytes | 'no-key' | 'format' | 'exhausted';

export class TrackSealer {
  private streamId: string | undefined;
  private active: (Context & { ctr: number }) | undefined;
  private prepared: Context | undefined;
  sealed = 0;
  dropped = 0;

  get isReady(): boolean {
    return this.active?.key !== undefined;
  }

  /** Makes the context to switch to next. Its KID is declared to the server before its use. */
  async prepare(keys: SessionKeys): Promise<bigint> {
    const kid = makeKid(keys.hint);
    this.prepared = { kid, keys, key: undefined };
    const key = this.streamId === undefined ? undefined : await keys.streamKey(this.streamId, kid);
    if (this.prepared?.kid === kid) this.prepared = { kid, keys, key };
    return kid;
  }

  /** The stream that this track belongs to from now on; it changes all keys. */
  async bind(streamId: string): Promise<void> {
    this.streamId = streamId;
    this.active = undefined;
    const waiting = this.prepared;
    if (!waiting) return;
    const key = await waiting.keys.streamKey(streamId, waiting.kid);
    if (this.prepared?.kid === waiting.kid && this.streamId === streamId) {
      this.prepared = { ...waiting, key };
    }
  }

  /** One atomic swap of KID, key and counter between two frames; false when `kid` is not ready. */
  activate(kid: bigint): boolean {
    if (this.prepared?.kid !== kid || !this.prepared.key) return false;
    this.active = { ...this.prepared, ctr: 0 };
    this.prepared = undefined;
    return true;
  }

  /** Nothing is sent until the next stream is bound. */
  release(): void {
    this.streamId = undefined;
    this.active = undefined;
    this.prepared = undefined;
  }

  async seal(format: FrameFormat, frame: Bytes): Promise<SealResult> {
    const context = this.active;
    if (!context?.key) return this.drop('no-key');
    if (context.ctr >= MAX_CTR) return this.drop('exhausted');
    const ctr = context.ctr;
    // Counted before the first await: two frames never share a counter.
    context.ctr += 1;
    const wire = await sealFrame(format, context.key, context.kid, BigInt(ctr), frame);
    if (!wire) return this.drop('format');
    this.sealed += 1;
    return wire;
  }

  private drop<Reason extends SealResult>(reason: Reason): Reason {
    this.dropped += 1;
    return reason;
  }
}
