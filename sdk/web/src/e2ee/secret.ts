/** From the encryption secret to keys (e2ee/2 section 2). Runs in the worker. */
import { E2EE_FORMAT } from '../rules';
import type { Bytes } from './bytes';
import { concat, lengthPrefixed, toBigInt, utf8 } from './bytes';
import { expand, importHkdf, SFrameKey, SUITES } from './sframe';

const SUITE = SUITES[6]!;
const SECRET_MIN_LENGTH = 8;
const SECRET_MAX_LENGTH = 256;
/** 2.9 times OWASP's figure for SHA-512: about 0.3 s once per secret, against offline guessing. */
const PBKDF2_ITERATIONS = 600_000;
const SESSION_KEY_BYTES = 64;
const VERIFICATION_GROUPS = 6;
/** This format exists in sessions of this media mode alone; the verification code says so. */
const MEDIA_MODE = 'routed';

/** Whose frames a key is for: a stream of a connection, or the signals of a connection. */
export interface KeyOwner {
  readonly connectionId: string;
  /** `undefined`: signals. */
  readonly streamId: string | undefined;
}

/** 8..256 Unicode code points, counted before normalizing. */
export function isValidSecret(secret: unknown): secret is string {
  if (typeof secret !== 'string' || secret.length > 2 * SECRET_MAX_LENGTH) return false;
  const length = [...secret].length;
  return length >= SECRET_MIN_LENGTH && length <= SECRET_MAX_LENGTH;
}

/** K: 64 bytes for one secret in one session. */
export async function deriveSessionKey(
  secret: string,
  sessionId: string,
  iterations = PBKDF2_ITERATIONS,
): Promise<Bytes> {
  const { subtle } = globalThis.crypto;
  const password = await subtle.importKey('raw', utf8(secret.normalize('NFC')), 'PBKDF2', false, [
    'deriveBits',
  ]);
  const salt = concat(utf8(`${E2EE_FORMAT} pbkdf2`), lengthPrefixed(sessionId));
  const parameters = { name: 'PBKDF2', hash: 'SHA-512', salt, iterations };
  return new Uint8Array(await subtle.deriveBits(parameters, password, SESSION_KEY_BYTES * 8));
}

/** All that is derived from one secret. K itself cannot be read back from it. */
export class SessionKeys {
  private constructor(
    private readonly key: CryptoKey,
    /** 2 bytes that name the secret; equal for everybody who holds it. */
    readonly hint: number,
    /** Digits to compare aloud. Equal when, and only when, the secret, session and format are. */
    readonly verificationCode: string,
    /** Tells secrets apart here: the bytes behind the code, whole. */
    readonly id: string,
  ) {}

  static async fromSecret(secret: string, sessionId: string): Promise<SessionKeys> {
    return SessionKeys.fromSessionKey(await deriveSessionKey(secret, sessionId));
  }

  /** Overwrites `sessionKey` with zeros once WebCrypto has it. */
  static async fromSessionKey(sessionKey: Bytes): Promise<SessionKeys> {
    const key = await importHkdf(sessionKey);
    sessionKey.fill(0);
    const hint = await expand('SHA-512', key, utf8(`${E2EE_FORMAT} hint`), 2);
    const info = concat(utf8(`${E2EE_FORMAT} verify `), lengthPrefixed(MEDIA_MODE));
    const verification = await expand('SHA-512', key, info, VERIFICATION_GROUPS * 5);
    const id = toBigInt(verification).toString(16);
    return new SessionKeys(key, Number(toBigInt(hint)), codeOf(verification), id);
  }

  /** The key of one KID of one owner: all that frames are ever encrypted with. */
  async sframeKey(owner: KeyOwner, kid: bigint): Promise<SFrameKey> {
    return SFrameKey.derive(SUITE, await importHkdf(await this.baseKey(owner)), kid);
  }

  async baseKey({ connectionId, streamId }: KeyOwner): Promise<Bytes> {
    const info =
      streamId === undefined
        ? concat(utf8(`${E2EE_FORMAT} signal `), lengthPrefixed(connectionId))
        : concat(
            utf8(`${E2EE_FORMAT} stream `),
            lengthPrefixed(connectionId),
            lengthPrefixed(streamId),
          );
    return expand('SHA-512', this.key, info, SESSION_KEY_BYTES);
  }
}

function codeOf(verification: Bytes): string {
  return Array.from({ length: VERIFICATION_GROUPS }, (_, group) =>
    (toBigInt(verification.subarray(group * 5, group * 5 + 5)) % 100_000n)
      .toString()
      .padStart(5, '0'),
  ).join(' ');
}
