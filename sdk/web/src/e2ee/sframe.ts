/** SFrame (RFC 9605) over WebCrypto: header, key derivation, encryption and decryption. */
import type { Bytes } from './bytes';
import { at, bigEndian, concat, EMPTY, equalInConstantTime, toBigInt, utf8 } from './bytes';

interface Suite {
  readonly id: number;
  readonly mode: 'ctr' | 'gcm';
  readonly hash: 'SHA-256' | 'SHA-512';
  /** Lengths in bytes: key, AES key inside it, tag. */
  readonly nk: number;
  readonly nka: number;
  readonly nt: number;
}

/** RFC 9605 table 1 and the registered AES-256-CTR suites 6 to 8. The product uses suite 6. */
export const SUITES: Readonly<Record<number, Suite>> = {
  1: { id: 1, mode: 'ctr', hash: 'SHA-256', nk: 48, nka: 16, nt: 10 },
  2: { id: 2, mode: 'ctr', hash: 'SHA-256', nk: 48, nka: 16, nt: 8 },
  3: { id: 3, mode: 'ctr', hash: 'SHA-256', nk: 48, nka: 16, nt: 4 },
  4: { id: 4, mode: 'gcm', hash: 'SHA-256', nk: 16, nka: 16, nt: 16 },
  5: { id: 5, mode: 'gcm', hash: 'SHA-512', nk: 32, nka: 32, nt: 16 },
  6: { id: 6, mode: 'ctr', hash: 'SHA-512', nk: 96, nka: 32, nt: 10 },
  7: { id: 7, mode: 'ctr', hash: 'SHA-512', nk: 96, nka: 32, nt: 8 },
  8: { id: 8, mode: 'ctr', hash: 'SHA-512', nk: 96, nka: 32, nt: 4 },
};

const NONCE_BYTES = 12;
const MAC_LENGTHS = 24;

type Parts = readonly Uint8Array[];

/**
 * WebCrypto copies what it is given before a call returns (Web Cryptography API, "get a copy of
 * the bytes"), so one block and one buffer serve all frames, also those under way.
 */
const counterBlock = new Uint8Array(16);
const COUNTER: AesCtrParams = { name: 'AES-CTR', counter: counterBlock, length: 32 };
let macBuffer = new Uint8Array(2_048);

export interface Header {
  readonly kid: bigint;
  /** Exact up to 2^53; readers refuse larger ones. */
  readonly ctr: number;
  /** Length of the encoded header in bytes. */
  readonly length: number;
}

/** RFC 9605 4.3: config byte, KID, CTR, each in its shortest form. */
export function encodeHeader(kid: bigint, ctr: number): Bytes {
  const kidLength = lengthOf(kid);
  const ctrLength = ctr < 2 ** 32 ? numberLength(ctr) : lengthOf(BigInt(ctr));
  const header = new Uint8Array(1 + kidLength + ctrLength);
  const kidBits = kidLength === 0 ? Number(kid) : 0b1000 | (kidLength - 1);
  header[0] = (kidBits << 4) | (ctrLength === 0 ? ctr : 0b1000 | (ctrLength - 1));
  if (kidLength === 8) new DataView(header.buffer).setBigUint64(1, kid);
  else if (kidLength > 0) header.set(bigEndian(kid, kidLength), 1);
  for (let index = header.length - 1, rest = ctr; index > kidLength; index -= 1) {
    header[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return header;
}

/** In bytes; 0: the value stands in the config byte. */
function numberLength(value: number): number {
  if (value < 8) return 0;
  if (value < 2 ** 8) return 1;
  if (value < 2 ** 16) return 2;
  return value < 2 ** 24 ? 3 : 4;
}

function lengthOf(value: bigint): number {
  if (value >> 56n !== 0n) return 8;
  return value < 8n ? 0 : Math.ceil(value.toString(16).length / 2);
}

/** `undefined` when the bytes are not a header in its shortest form. */
export function decodeHeader(bytes: Uint8Array): Header | undefined {
  if (bytes.length === 0) return undefined;
  const config = at(bytes, 0);
  const kid = endOf(bytes, 1, config >> 4);
  if (kid === undefined) return undefined;
  const end = endOf(bytes, kid, config & 0b1111);
  if (end === undefined) return undefined;
  return {
    kid: kid === 1 ? BigInt(config >> 4) : kidIn(bytes, kid),
    ctr: end === kid ? config & 0b1111 : numberIn(bytes, kid, end),
    length: end,
  };
}

function kidIn(bytes: Uint8Array, end: number): bigint {
  if (end < 9) return toBigInt(bytes.subarray(1, end));
  return new DataView(bytes.buffer, bytes.byteOffset, end).getBigUint64(1);
}

function numberIn(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let index = start; index < end; index += 1) value = value * 256 + at(bytes, index);
  return value;
}

/** Where a field ends that begins at `start`; `undefined` when it is not in its shortest form. */
function endOf(bytes: Uint8Array, start: number, bits: number): number | undefined {
  if ((bits & 0b1000) === 0) return start;
  const end = start + (bits & 0b111) + 1;
  if (end > bytes.length) return undefined;
  const isShortest = end - start === 1 ? at(bytes, start) >= 8 : at(bytes, start) !== 0;
  return isShortest ? end : undefined;
}

/** What one KID encrypts with. The key stays in WebCrypto and cannot be read back. */
export class SFrameKey {
  private constructor(
    private readonly suite: Suite,
    private readonly aes: CryptoKey,
    private readonly mac: CryptoKey | undefined,
    private readonly salt: Bytes,
  ) {}

  /** RFC 9605 4.4.2: key and salt of one KID from a base key (an HKDF key). */
  static async derive(suite: Suite, baseKey: CryptoKey, kid: bigint): Promise<SFrameKey> {
    const label = concat(bigEndian(kid, 8), bigEndian(suite.id, 2));
    const [key, salt] = await Promise.all([
      expand(suite.hash, baseKey, concat(utf8('SFrame 1.0 Secret key '), label), suite.nk),
      expand(suite.hash, baseKey, concat(utf8('SFrame 1.0 Secret salt '), label), NONCE_BYTES),
    ]);
    return SFrameKey.fromRaw(suite, key, salt);
  }

  /** Overwrites `key` with zeros once WebCrypto has it. */
  static async fromRaw(suite: Suite, key: Bytes, salt: Bytes): Promise<SFrameKey> {
    const algorithm = suite.mode === 'ctr' ? 'AES-CTR' : 'AES-GCM';
    const { subtle } = globalThis.crypto;
    const [aes, mac] = await Promise.all([
      subtle.importKey('raw', key.slice(0, suite.nka), algorithm, false, ['encrypt', 'decrypt']),
      suite.mode === 'ctr'
        ? subtle.importKey('raw', key.slice(suite.nka), { name: 'HMAC', hash: suite.hash }, false, [
            'sign',
          ])
        : undefined,
    ]);
    key.fill(0);
    return new SFrameKey(suite, aes, mac, salt);
  }

  /** header || ciphertext || tag. `metadata` is authenticated, not sent. */
  async encryptSFrame(
    kid: bigint,
    ctr: number,
    metadata: Uint8Array,
    plaintext: Bytes,
  ): Promise<Bytes> {
    const header = encodeHeader(kid, ctr);
    return this.encryptBehind(header, ctr, [header, metadata], plaintext);
  }

  /** `undefined` when the tag does not verify. `header` is what decodeHeader read from `sframe`. */
  async decryptSFrame(
    header: Header,
    metadata: Uint8Array,
    sframe: Bytes,
  ): Promise<Bytes | undefined> {
    const aad = [sframe.subarray(0, header.length), metadata];
    return this.decryptParts(header.ctr, aad, sframe.subarray(header.length));
  }

  async encrypt(ctr: number, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
    return this.encryptBehind(EMPTY, ctr, [aad], plaintext);
  }

  async decrypt(ctr: number, aad: Bytes, encrypted: Bytes): Promise<Bytes | undefined> {
    return this.decryptParts(ctr, [aad], encrypted);
  }

  private async encryptBehind(
    header: Bytes,
    ctr: number,
    aad: Parts,
    plaintext: Bytes,
  ): Promise<Bytes> {
    const { subtle } = globalThis.crypto;
    if (!this.mac) {
      const parameters = { name: 'AES-GCM', iv: this.nonce(ctr), additionalData: concat(...aad) };
      const encrypted = await subtle.encrypt(parameters, this.aes, plaintext);
      return concat(header, new Uint8Array(encrypted));
    }
    const ciphertext = new Uint8Array(await subtle.encrypt(this.counter(ctr), this.aes, plaintext));
    return concat(header, ciphertext, await this.tag(this.mac, ctr, aad, ciphertext));
  }

  private async decryptParts(
    ctr: number,
    aad: Parts,
    encrypted: Bytes,
  ): Promise<Bytes | undefined> {
    const length = encrypted.length - this.suite.nt;
    if (length < 0) return undefined;
    if (!this.mac) return this.decryptGcm(this.nonce(ctr), concat(...aad), encrypted);
    const ciphertext = encrypted.subarray(0, length);
    // Both at once, on threads of their own. Nothing is given out before the tag is compared.
    const [tag, plaintext] = await Promise.all([
      this.tag(this.mac, ctr, aad, ciphertext),
      globalThis.crypto.subtle.decrypt(this.counter(ctr), this.aes, ciphertext),
    ]);
    const isAuthentic = equalInConstantTime(tag, encrypted.subarray(length));
    return isAuthentic ? new Uint8Array(plaintext) : undefined;
  }

  private async decryptGcm(iv: Bytes, aad: Bytes, encrypted: Bytes): Promise<Bytes | undefined> {
    try {
      const parameters = { name: 'AES-GCM', iv, additionalData: aad };
      return new Uint8Array(
        await globalThis.crypto.subtle.decrypt(parameters, this.aes, encrypted),
      );
    } catch (error) {
      if (error instanceof Error && error.name === 'OperationError') return undefined;
      throw error;
    }
  }

  /** Valid until the next call. */
  private counter(ctr: number): AesCtrParams {
    this.writeNonce(counterBlock, 0, ctr);
    return COUNTER;
  }

  /** RFC 9605 4.5.1. The tag's length is under the MAC, so suites cannot be mixed. */
  private async tag(mac: CryptoKey, ctr: number, aad: Parts, ciphertext: Bytes): Promise<Bytes> {
    const input = this.macInput(ctr, aad, ciphertext);
    const full = await globalThis.crypto.subtle.sign('HMAC', mac, input);
    return new Uint8Array(full, 0, this.suite.nt);
  }

  /** Valid until the next call. */
  private macInput(ctr: number, aad: Parts, ciphertext: Bytes): Bytes {
    let aadLength = 0;
    for (const part of aad) aadLength += part.length;
    const length = MAC_LENGTHS + NONCE_BYTES + aadLength + ciphertext.length;
    if (macBuffer.length < length) macBuffer = new Uint8Array(2 * length);
    const view = new DataView(macBuffer.buffer);
    // Three lengths of 8 bytes; the upper halves stay zero.
    view.setUint32(4, aadLength);
    view.setUint32(12, ciphertext.length);
    view.setUint32(20, this.suite.nt);
    this.writeNonce(macBuffer, MAC_LENGTHS, ctr);
    let end = MAC_LENGTHS + NONCE_BYTES;
    for (const part of [...aad, ciphertext]) {
      macBuffer.set(part, end);
      end += part.length;
    }
    return macBuffer.subarray(0, length);
  }

  private nonce(ctr: number): Bytes {
    const nonce = new Uint8Array(NONCE_BYTES);
    this.writeNonce(nonce, 0, ctr);
    return nonce;
  }

  private writeNonce(target: Bytes, start: number, ctr: number): void {
    target.set(this.salt, start);
    const view = new DataView(target.buffer, start, NONCE_BYTES);
    // Counters of senders end at 2^32; what receivers are sent may be larger.
    view.setUint32(4, (view.getUint32(4) ^ Math.floor(ctr / 2 ** 32)) >>> 0);
    view.setUint32(8, (view.getUint32(8) ^ (ctr % 2 ** 32)) >>> 0);
  }
}

/** HKDF with an empty salt (RFC 5869): `length` bytes. */
export async function expand(
  hash: 'SHA-256' | 'SHA-512',
  key: CryptoKey,
  info: Bytes,
  length: number,
): Promise<Bytes> {
  const parameters = { name: 'HKDF', hash, salt: EMPTY, info };
  return new Uint8Array(await globalThis.crypto.subtle.deriveBits(parameters, key, length * 8));
}

export async function importHkdf(raw: Bytes): Promise<CryptoKey> {
  return globalThis.crypto.subtle.importKey('raw', raw, 'HKDF', false, ['deriveBits']);
}
