/** How long an answer of the server takes to come, and how long one is worth waiting for. */

/** A server that is there answers within this time, where machines and networks are quick. */
const LEAST_MS = 1_000;
/** Nobody waits longer than this before the way is given up for another one. */
const MOST_MS = 8_000;

/** Round trips smoothed as RFC 6298 section 2 does, with its gains of 1/8 and 1/4. Pure. */
export class AnswerTime {
  private smoothedMs: number | undefined;
  private variationMs = 0;
  private open: { readonly id: number; readonly askedMs: number } | undefined;

  /** The answer to this question is timed; one that is still open is not any more. */
  asked(id: number, nowMs: number): void {
    this.open = { id, askedMs: nowMs };
  }

  /** The time in which the page was busy counts: it may be busy again. */
  answered(id: number, nowMs: number): void {
    if (id !== this.open?.id) return;
    const tookMs = nowMs - this.open.askedMs;
    this.open = undefined;
    // A machine that slept says nothing of the next answer.
    if (tookMs <= MOST_MS) this.smooth(tookMs);
  }

  /** After this time without an answer there is reason to think that none will come. */
  get patienceMs(): number {
    const expected = (this.smoothedMs ?? 0) + 4 * this.variationMs;
    return Math.min(Math.max(expected, LEAST_MS), MOST_MS);
  }

  private smooth(tookMs: number): void {
    if (this.smoothedMs === undefined) {
      this.smoothedMs = tookMs;
      this.variationMs = tookMs / 2;
      return;
    }
    this.variationMs += (Math.abs(this.smoothedMs - tookMs) - this.variationMs) / 4;
    this.smoothedMs += (tookMs - this.smoothedMs) / 8;
  }
}
