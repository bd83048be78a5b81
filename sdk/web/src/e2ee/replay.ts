/** Which frame counters of one KID were seen (RFC 3711 3.3.2 style, e2ee/1 5.7). */
const WINDOW = 1024;
const WORDS = WINDOW / 32;

export class ReplayWindow {
  private highest = -1;
  /** A ring of bits: counter n is bit n % 1024. */
  private readonly seen = new Uint32Array(WORDS);

  isReplay(ctr: number): boolean {
    if (ctr > this.highest) return false;
    if (ctr <= this.highest - WINDOW) return true;
    return (this.word(ctr) & mask(ctr)) !== 0;
  }

  /** Call only for a counter whose frame was authenticated and is no replay. */
  accept(ctr: number): void {
    if (ctr > this.highest) {
      this.forget(this.highest + 1, ctr);
      this.highest = ctr;
    }
    const index = Math.floor(ctr / 32) % WORDS;
    this.seen[index] = this.word(ctr) | mask(ctr);
  }

  private word(ctr: number): number {
    return this.seen[Math.floor(ctr / 32) % WORDS] ?? 0;
  }

  /** Clears the bits of counters that enter the window; never more than the window holds. */
  private forget(from: number, to: number): void {
    if (to - from >= WINDOW) {
      this.seen.fill(0);
      return;
    }
    for (let ctr = from; ctr <= to; ctr += 1) {
      this.seen[Math.floor(ctr / 32) % WORDS] = this.word(ctr) & ~mask(ctr);
    }
  }
}

function mask(ctr: number): number {
  return 1 << (ctr % 32);
}
