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
/** A page that is always late, as one in the background, waits this many times as long at most. */
const MOST_TIMES = 6;

/**
 * Calls after `delayMs` in which the page ran: while it stands still (a busy or suspended machine)
 * nobody can answer it, and all of that counts as one step. A step at whose end `isAtWork` counts
 * nothing: the page itself has still to do what is waited for. Returns what cancels the call.
 */
export function afterRunning(
  clock: Clock,
  delayMs: number,
  call: () => void,
  isAtWork: () => boolean = () => false,
): () => void {
  let endMs = clock.now() + MOST_TIMES * delayMs;
  let cancel: () => void = () => undefined;
  const step = (restMs: number): void => {
    const stepMs = Math.min(restMs, STEP_MS);
    const beganMs = clock.now();
    cancel = clock.after(stepMs, () => {
      if (isAtWork()) {
        endMs += clock.now() - beganMs;
        step(restMs);
      } else if (stepMs === restMs || beganMs >= endMs) call();
      else step(restMs - stepMs);
    });
  };
  step(delayMs);
  return () => cancel();
}
