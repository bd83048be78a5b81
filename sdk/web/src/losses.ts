import { type OTError, otError } from './errors';
import { FIRST_LOSS_MS, LOSS_QUIET_MS, MAX_LOSS_MS, MAX_LOSSES } from './rules';

/**
 * How soon a lost transport is made again, and when no more. Every transport takes fresh key ids,
 * and the server says when one is lost: a server that says so in a loop must not draw them without
 * end (docs/e2ee.md section 2).
 */
export class LossBackoff {
  private losses = 0;
  private takenUpMs = -Infinity;

  /** The delay before it is made again; `undefined`: it has been lost too often. */
  onLoss(nowMs: number): number | undefined {
    // What is not there yet cannot be lost once more.
    if (nowMs < this.takenUpMs) return this.takenUpMs - nowMs;
    if (nowMs >= this.takenUpMs + LOSS_QUIET_MS) this.losses = 0;
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

const delayOf = (step: number): number => Math.min(FIRST_LOSS_MS * 2 ** step, MAX_LOSS_MS);

export function lostTooOften(): OTError {
  return otError(
    'OT_ICE_WORKFLOW_FAILED',
    'The media connection was lost too often; try again later',
  );
}

/** It goes on by itself: nothing ends. */
export function interrupted(what: 'sent' | 'received'): OTError {
  return otError(
    'OT_ICE_WORKFLOW_FAILED',
    `No media can be ${what} at present: the server does not answer on the media path`,
  );
}
