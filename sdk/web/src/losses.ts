import { type OTError, otError } from './errors';

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;
const QUIET_MS = 60_000;
const MAX_LOSSES = 10;

/**
 * How soon a lost transport is made again, and when no more. Every transport takes fresh key ids,
 * and the server says when one is lost: a server that says so in a loop must not draw them without
 * end. The Python SDK has the same numbers (docs/e2ee.md section 2).
 */
export class LossBackoff {
  private losses = 0;
  private takenUpMs = -Infinity;

  /** The delay before it is made again; `undefined`: it has been lost too often. */
  onLoss(nowMs: number): number | undefined {
    // What is not there yet cannot be lost once more.
    if (nowMs < this.takenUpMs) return this.takenUpMs - nowMs;
    if (nowMs >= this.takenUpMs + QUIET_MS) this.losses = 0;
    if (this.losses >= MAX_LOSSES) return undefined;
    const delayMs = this.losses === 0 ? 0 : delayOf(this.losses - 1);
    this.losses += 1;
    this.takenUpMs = nowMs + delayMs;
    return delayMs;
  }
}

/**
 * How long to wait after attempt number `attempt` (from 0) to get back what the network took was
 * refused; `undefined`: it has been refused too often.
 */
export function retryDelayMs(attempt: number): number | undefined {
  return attempt < MAX_LOSSES ? delayOf(attempt) : undefined;
}

const delayOf = (step: number): number => Math.min(FIRST_DELAY_MS * 2 ** step, MAX_DELAY_MS);

export function lostTooOften(): OTError {
  return otError(
    'OT_ICE_WORKFLOW_FAILED',
    'The media connection was lost too often; try again later',
  );
}
