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
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};
