/** The small language of these tests. */
import { existsSync, readFileSync } from 'node:fs';
import type { Clock } from '../src/clock';
import type { Bytes } from '../src/e2ee/bytes';

export function hex(text: string): Bytes {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** A seeded generator (mulberry32): the same seed gives the same sequence everywhere. */
export class Random {
  constructor(private state: number) {}

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** 0 ≤ result < limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  bytes(length: number): Bytes {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** Bytes that like to look like start codes and emulation prevention. */
  zeroRichBytes(length: number): Bytes {
    return Uint8Array.from({ length }, () =>
      this.below(2) === 0 ? this.below(4) : this.below(256),
    );
  }
}

/** A JSON file relative to the package's folder, where the tests run; `undefined` if absent. */
export function readJson<Content>(path: string): Content | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Content) : undefined;
}

/** Time that moves when told to. */
export class FakeClock implements Clock {
  /** Timers come this much before their time, as those of engines with a coarse clock do. */
  earlyMs = 0;
  private time = 0;
  private timers: { at: number; call: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(delayMs: number, call: () => void): () => void {
    const timer = { at: this.time + Math.max(0, delayMs - this.earlyMs), call };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** The page stands still: what was due meanwhile runs late. */
  async freeze(ms: number): Promise<void> {
    this.time += ms;
    await this.advance(0);
  }

  /** Runs what is due on the way, and lets promises settle after each call. */
  async advance(ms: number): Promise<void> {
    await settled();
    const end = this.time + ms;
    for (;;) {
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.timers = this.timers.filter((other) => other !== next);
      this.time = Math.max(this.time, next.at);
      next.call();
      await settled();
    }
    this.time = end;
    await settled();
  }
}

/** Lets everything that waits for promises alone run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const PATIENCE_MS = 20_000;

/** For work that WebCrypto does on threads of its own: waits until `condition` holds. */
export async function until(condition: () => boolean, complaint: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    // Not counted in turns: how long one takes is the machine's.
    if (performance.now() > end) throw new Error(complaint);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
