/** From the encryption secret to keys (e2ee/1 5.2). Runs in the worker. */
import type { Bytes } from './bytes';
import { bigEndian, concat, lengthPrefixed, toBigInt, utf8 } from './bytes';
import { expand, importHkdf, SFrameKey, SUITES } from './sframe';

export const FORMAT = 'e2ee/1';
const SUITE = SUITES[6]!;
const SECRET_MIN_LENGTH = 8;
const SECRET_MAX_LENGTH = 256;
/** 2.9 times OWASP's figure for SHA-512: about 0.3 s once per secret, against offline guessing. */
const PBKDF2_ITERATIONS = 600_000;
const SESSION_KEY_BYTES = 64;
const VERIFICATION_GROUPS = 6;

/** 8..256 Unicode code points, counted before normalising. */
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
  const salt = concat(utf8(`${FORMAT} pbkdf2`), lengthPrefixed(sessionId));
  const parameters = { name: 'PBKDF2', hash: 'SHA-512', salt, iterations };
  return new Uint8Array(await subtle.deriveBits(parameters, password, SESSION_KEY_BYTES * 8));
}

/** All that is derived from one secret. K itself can not be read back from it. */
export class SessionKeys {
  private constructor(
    private readonly key: CryptoKey,
    /** 2 bytes that name the secret; equal for everybody who holds it. */
    readonly hint: number,
  ) {}

  static async fromSecret(secret: string, sessionId: string): Promise<SessionKeys> {
    return SessionKeys.fromSessionKey(await deriveSessionKey(secret, sessionId));
  }

  /** Overwrites `sessionKey` with zeros once WebCrypto has it. */
  static async fromSessionKey(sessionKey: Bytes): Promise<SessionKeys> {
    const key = await importHkdf(sessionKey);
    sessionKey.fill(0);
    const hint = await expand('SHA-512', key, utf8(`${FORMAT} hint`), 2);
    return new SessionKeys(key, Number(toBigInt(hint)));
  }

  async streamBaseKey(streamId: string): Promise<Bytes> {
    return this.baseKey('base', streamId);
  }

  async streamKey(streamId: string, kid: bigint): Promise<SFrameKey> {
    return SFrameKey.derive(SUITE, await importHkdf(await this.baseKey('base', streamId)), kid);
  }

  async signalKey(connectionId: string, kid: bigint): Promise<SFrameKey> {
    return SFrameKey.derive(
      SUITE,
      await importHkdf(await this.baseKey('signal', connectionId)),
      kid,
    );
  }

  /** Six groups of five digits that people compare aloud: equal when their secrets are. */
  async verificationCode(): Promise<string> {
    const bytes = await expand(
      'SHA-512',
      this.key,
      utf8(`${FORMAT} verify`),
      VERIFICATION_GROUPS * 5,
    );
    return Array.from({ length: VERIFICATION_GROUPS }, (_, group) =>
      (toBigInt(bytes.subarray(group * 5, group * 5 + 5)) % 100_000n).toString().padStart(5, '0'),
    ).join(' ');
  }

  private async baseKey(use: 'base' | 'signal', owner: string): Promise<Bytes> {
    const info = concat(utf8(`${FORMAT} ${use} `), lengthPrefixed(owner));
    return expand('SHA-512', this.key, info, SESSION_KEY_BYTES);
  }
}

/** A fresh KID: 48 random bits with the top bit set, then the hint. */
export function makeKid(hint: number): bigint {
  const context = globalThis.crypto.getRandomValues(new Uint8Array(6));
  context[0] = (context[0] ?? 0) | 0x80;
  return toBigInt(concat(context, bigEndian(hint, 2)));
}

export function hintOf(kid: bigint): number {
  return Number(kid & 0xffffn);
}
