/** Which frame counters of one KID were seen (RFC 3711 section 3.3.2 style, e2ee/2 section 7). */
export class ReplayWindow {
  private highest = -1;
  /** A ring of bits: counter n is bit n % width. */
  private readonly seen: Uint32Array;

  /** `width`: a multiple of 32. */
  constructor(private readonly width: number) {
    this.seen = new Uint32Array(width / 32);
  }

  copy(): ReplayWindow {
    const copy = new ReplayWindow(this.width);
    copy.highest = this.highest;
    copy.seen.set(this.seen);
    return copy;
  }

  isReplay(ctr: number): boolean {
    if (ctr > this.highest) return false;
    return this.isTooOld(ctr) || (this.word(ctr) & mask(ctr)) !== 0;
  }

  /** Call only for a counter whose frame was authenticated. */
  accept(ctr: number): void {
    if (this.isTooOld(ctr)) return;
    if (ctr > this.highest) {
      this.forget(this.highest + 1, ctr);
      this.highest = ctr;
    }
    this.seen[this.index(ctr)] = this.word(ctr) | mask(ctr);
  }

  private isTooOld(ctr: number): boolean {
    return ctr <= this.highest - this.width;
  }

  private index(ctr: number): number {
    return Math.floor(ctr / 32) % this.seen.length;
  }

  private word(ctr: number): number {
    return this.seen[this.index(ctr)] ?? 0;
  }

  /** Clears the bits of counters that enter the window; never more than the window holds. */
  private forget(from: number, to: number): void {
    if (to - from >= this.width) {
      this.seen.fill(0);
      return;
    }
    for (let ctr = from; ctr <= to; ctr += 1) {
      this.seen[this.index(ctr)] = this.word(ctr) & ~mask(ctr);
    }
  }
}

function mask(ctr: number): number {
  return 1 << (ctr % 32);
}
