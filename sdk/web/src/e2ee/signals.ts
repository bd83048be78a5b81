/** Signals encrypted between members of a session: the server relays opaque bytes. */
import { MAX_COUNTER } from '../rules';
import type { Bytes } from './bytes';
import { at, concat, fromUtf8, lengthPrefixed, utf8 } from './bytes';
import { SIGNAL_FORMAT } from './frames/index';
import { Publication } from './kid';
import type { ReceiveHistory } from './receiver';
import { encryptFrame } from './frame-encryption';
import type { SessionKeys } from './secret';
import type { SFrameKey } from './sframe';

interface SignalContent {
  /** The addressee's connection id, "" for everybody. */
  readonly to: string;
  readonly signalType: string;
  readonly data: string;
}

interface Context {
  readonly keys: SessionKeys;
  readonly kid: bigint;
  readonly key: SFrameKey;
  ctr: number;
}

/** What one connection sends: each secret that it uses gets a context of its own. */
export class SignalEncryptor {
  private readonly publication = new Publication();
  private context: Context | undefined;

  constructor(private readonly connectionId: string) {}

  async encrypt(keys: SessionKeys, { to, signalType, data }: SignalContent): Promise<Bytes> {
    if (this.context?.keys !== keys || this.context.ctr >= MAX_COUNTER) {
      const kid = this.publication.nextKid(keys.hint);
      const key = await keys.sframeKey(
        { connectionId: this.connectionId, streamId: undefined },
        kid,
      );
      // A concurrent call may have been first; two contexts are as good as one.
      this.context = { keys, kid, key, ctr: 0 };
    }
    const { kid, key, ctr } = this.context;
    this.context.ctr += 1;
    const plaintext = concat(lengthPrefixed(to), lengthPrefixed(signalType), utf8(data));
    const encrypted = await encryptFrame(SIGNAL_FORMAT, key, kid, ctr, plaintext);
    if (!encrypted) throw new Error('the signal could not be encrypted');
    return encrypted;
  }
}

/** `refused`: why a signal was not decrypted; `addressee`: it is for somebody else. */
type SignalResult =
  { readonly signalType: string; readonly data: string } | { readonly refused: string };

export async function decryptSignal(
  history: ReceiveHistory,
  { from, to, encrypted, now }: { from: string; to: string; encrypted: Bytes; now: number },
): Promise<SignalResult> {
  const result = await history.decryptSignal(from, SIGNAL_FORMAT, encrypted, now);
  if ('refused' in result) return result;
  const content = decode(result.frame);
  if (!content) return { refused: 'format' };
  if (content.to !== '' && content.to !== to) return { refused: 'addressee' };
  return { signalType: content.signalType, data: content.data };
}

function decode(plain: Bytes): SignalContent | undefined {
  const typeStart = endOfText(plain, 0);
  const dataStart = endOfText(plain, typeStart);
  if (plain.length < dataStart) return undefined;
  try {
    return {
      to: fromUtf8(plain.subarray(2, typeStart)),
      signalType: fromUtf8(plain.subarray(typeStart + 2, dataStart)),
      data: fromUtf8(plain.subarray(dataStart)),
    };
  } catch {
    return undefined;
  }
}

/** Behind a text with its length before it; past the end when it is cut short. */
function endOfText(bytes: Bytes, start: number): number {
  return start + 2 + ((at(bytes, start) << 8) | at(bytes, start + 1));
}
