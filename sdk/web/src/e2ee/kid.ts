/** Key ids (e2ee/2 section 2): 1 | sender(31) | context(16) | key(16). */

/** The last 16 bits name the key: the hint of a secret here, the epoch of a group elsewhere. */
export function keyOf(kid: bigint): number {
  return Number(kid & 0xffffn);
}

/** The publication that the frame is part of: drawn by its publisher alone. */
export function senderOf(kid: bigint): number {
  return Number((kid >> 32n) & 0x7fff_ffffn);
}

export function contextOf(kid: bigint): number {
  return Number((kid >> 16n) & 0xffffn);
}

export function isKid(kid: bigint): boolean {
  return kid >> 63n === 1n;
}

export function composeKid(sender: number, context: number, key: number): bigint {
  return (1n << 63n) | (BigInt(sender) << 32n) | (BigInt(context) << 16n) | BigInt(key);
}

/** Contexts are counted up modulo 2^16, from a random start. */
export function isOlderContext(context: number, than: number): boolean {
  const ahead = (than - context) & 0xffff;
  return ahead !== 0 && ahead < 0x8000;
}

const CONTEXTS = 0x1_0000;

/**
 * What one publisher gave out for one stream. One sender part for its audio and video, and never
 * the same context twice: not even a server that gives two streams one id makes a nonce repeat.
 */
export class Publication {
  private readonly sender: number;
  private context: number;
  private used = 0;

  constructor() {
    const drawn = globalThis.crypto.getRandomValues(new Uint32Array(2));
    this.sender = (drawn[0] ?? 0) & 0x7fff_ffff;
    this.context = (drawn[1] ?? 0) & 0xffff;
  }

  /** Throws when every context was used: the stream has to end. */
  nextKid(key: number): bigint {
    if (this.used === CONTEXTS) throw new Error('every context of the stream was used');
    this.used += 1;
    this.context = (this.context + 1) & 0xffff;
    return composeKid(this.sender, this.context, key);
  }
}
