/** The sending side of one track: contexts (KID, key, counter) and the switch between them. */
import { MAX_COUNTER } from '../rules';
import type { Bytes } from './bytes';
import type { FrameFormat } from './frames/index';
import type { Publication } from './kid';
import { encryptFrame } from './frame-encryption';
import type { KeyOwner, SessionKeys } from './secret';
import type { SFrameKey } from './sframe';

interface Prepared {
  readonly kid: bigint;
  readonly keys: SessionKeys;
}

interface Active extends Prepared {
  readonly key: SFrameKey;
  ctr: number;
  /** Frames under it that are not out yet never leave. */
  isRevoked: boolean;
}

type EncryptResult = Bytes | 'no-key' | 'format' | 'exhausted';

export class TrackEncryptor {
  private publication: Publication | undefined;
  private owner: KeyOwner | undefined;
  private active: Active | undefined;
  private prepared: Prepared | undefined;
  encrypted = 0;
  dropped = 0;

  get isReady(): boolean {
    return this.active !== undefined;
  }

  /** What frames are encrypted under now. */
  get keys(): SessionKeys | undefined {
    return this.active?.keys;
  }

  /** The first context of another publication: nothing is sent before its stream is bound. */
  begin(publication: Publication, keys: SessionKeys): bigint {
    this.release();
    this.publication = publication;
    return this.prepare(keys);
  }

  /** The KID that `use` with the same keys will switch to; it may be declared before that. */
  prepare(keys: SessionKeys): bigint {
    if (!this.publication) throw new Error('the track was not prepared');
    this.prepared = { kid: this.publication.nextKid(keys.hint), keys };
    return this.prepared.kid;
  }

  /** The stream that this track belongs to from now on; it changes all keys. */
  bind(owner: KeyOwner): void {
    if (!this.publication) throw new Error('the track was released');
    this.owner = owner;
    this.active = undefined;
  }

  /**
   * One atomic swap of KID, key and counter between two frames. `undefined`: the track belongs
   * to no stream, or not any more. Throws when no context is left.
   */
  async use(keys: SessionKeys, isRevoking = false): Promise<bigint | undefined> {
    const { owner } = this;
    if (!owner) return undefined;
    if (this.prepared?.keys !== keys) this.prepare(keys);
    const { prepared, active } = this;
    this.prepared = undefined;
    if (!prepared) return undefined;
    if (active && isRevoking) active.isRevoked = true;
    const key = await keys.sframeKey(owner, prepared.kid);
    if (this.owner !== owner) return undefined;
    this.active = { ...prepared, key, ctr: 0, isRevoked: false };
    return prepared.kid;
  }

  /** Nothing is sent until the next stream is bound. */
  release(): void {
    this.publication = undefined;
    this.owner = undefined;
    this.active = undefined;
    this.prepared = undefined;
  }

  async encrypt(format: FrameFormat, frame: Bytes): Promise<EncryptResult> {
    const context = this.active;
    if (!context || context.isRevoked) return this.drop('no-key');
    if (context.ctr >= MAX_COUNTER) return this.drop('exhausted');
    const ctr = context.ctr;
    // Counted before the first await: two frames never share a counter.
    context.ctr += 1;
    const wire = await encryptFrame(format, context.key, context.kid, ctr, frame);
    if (!wire) return this.drop('format');
    if (context.isRevoked) return this.drop('no-key');
    this.encrypted += 1;
    return wire;
  }

  private drop<Reason extends EncryptResult>(reason: Reason): Reason {
    this.dropped += 1;
    return reason;
  }
}
