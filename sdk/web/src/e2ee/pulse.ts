/** Notices that the worker did not run for a while, by a timer of its own that came late. Pure. */

export const BEAT_MS = 200;
/** Chromium keeps 60 frames of a track for a worker that does not take them, and drops the rest. */
const STALL_MS = 1_200;

export class Pulse {
  stalls = 0;
  private lastMs: number | undefined;

  beat(nowMs: number): void {
    if (this.lastMs !== undefined && nowMs - this.lastMs >= STALL_MS) this.stalls += 1;
    this.lastMs = nowMs;
  }
}
