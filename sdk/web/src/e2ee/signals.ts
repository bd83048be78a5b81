/** Signals sealed between members of a session: the server relays opaque bytes. */
import type { Bytes } from './bytes';
import { at, concat, fromUtf8, lengthPrefixed, utf8 } from './bytes';
import { SIGNAL_FORMAT } from './frames/index';
import { TrackOpener } from './receiver';
import { sealFrame } from './seal';
import type { SessionKeys } from './secret';
import { makeKid } from './secret';
import type { SecretRing } from './secret-ring';
import type { SFrameKey } from './sframe';

export class SignalSealer {
  private context: { kid: bigint; key: SFrameKey; ctr: number; connectionId: string } | undefined;

  constructor(private readonly keys: SessionKeys) {}

  async seal(connectionId: string, type: string, data: string): Promise<Bytes> {
    if (this.context?.connectionId !== connectionId) {
      const kid = makeKid(this.keys.hint);
      const key = await this.keys.signalKey(connectionId, kid);
      // A concurrent call may have been first; two contexts are as good as one.
      this.context = { kid, key, ctr: 0, connectionId };
    }
    const { kid, key, ctr } = this.context;
    this.context.ctr += 1;
    const plaintext = concat(lengthPrefixed(type), utf8(data));
    const sealed = await sealFrame(SIGNAL_FORMAT, key, kid, BigInt(ctr), plaintext);
    return sealed ?? new Uint8Array(0);
  }
}

/** `refused`: why a signal could not be opened. */
export type SignalResult =
  { readonly signalType: string; readonly data: string } | { readonly refused: string };

export class SignalOpener {
  private readonly openers = new Map<string, TrackOpener>();

  constructor(private readonly ring: SecretRing) {}

  async open(connectionId: string, sealed: Bytes, now: number): Promise<SignalResult> {
    const result = await this.opener(connectionId).open(SIGNAL_FORMAT, sealed, now);
    return 'refused' in result ? result : decode(result.frame);
  }

  private opener(connectionId: string): TrackOpener {
    let opener = this.openers.get(connectionId);
    if (!opener) {
      opener = new TrackOpener(this.ring, (keys, kid) => keys.signalKey(connectionId, kid));
      this.openers.set(connectionId, opener);
    }
    return opener;
  }
}

function decode(plain: Bytes): SignalResult {
  const end = 2 + ((at(plain, 0) << 8) | at(plain, 1));
  if (plain.length < end) return { refused: 'format' };
  try {
    return { signalType: fromUtf8(plain.subarray(2, end)), data: fromUtf8(plain.subarray(end)) };
  } catch {
    return { refused: 'format' };
  }
}
