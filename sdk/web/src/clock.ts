/** Time as the state machines get it, so that tests can turn it by hand. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Returns what cancels the call. */
  after(delayMs: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, call) {
    // Engines cut fractions off, and the call would come before its time.
    const timer = setTimeout(call, Math.ceil(delayMs));
    return () => clearTimeout(timer);
  },
};

const STEP_MS = 1_000;

/**
 * Calls after `delayMs` in which the page ran: while it stands still (a busy or suspended machine)
 * nobody can answer it, and all of that counts as one step. Returns what cancels the call.
 */
export function afterRunning(clock: Clock, delayMs: number, call: () => void): () => void {
  const stepMs = Math.min(delayMs, STEP_MS);
  let cancel = clock.after(stepMs, () => {
    if (stepMs === delayMs) call();
    else cancel = afterRunning(clock, delayMs - stepMs, call);
  });
  return () => cancel();
}
