/** Bytes over a plain (never shared) buffer, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

export const EMPTY: Bytes = new Uint8Array(0);

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** Throws TypeError when `bytes` are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** `value` in `length` bytes, big-endian. */
export function bigEndian(value: bigint | number, length: number): Bytes {
  const bytes = new Uint8Array(length);
  let rest = BigInt(value);
  for (let index = length - 1; index >= 0; index -= 1) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

export function toBigInt(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** str(x) of e2ee/2 section 2: a 2-byte big-endian length, then the text in UTF-8. */
export function lengthPrefixed(text: string): Bytes {
  const bytes = utf8(text);
  // Either would give two texts the same bytes.
  if (bytes.length > 0xffff || /\p{Cs}/u.test(text)) throw new RangeError('no text for a key');
  return concat(bigEndian(bytes.length, 2), bytes);
}

/** Takes the same time for every difference, so that a tag cannot be guessed byte by byte. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let index = 0; index < a.length; index += 1) difference |= at(a, index) ^ at(b, index);
  return difference === 0;
}

/** The byte at `index`, 0 behind the end: parsers check their bounds by length. */
export function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
