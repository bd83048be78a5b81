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
