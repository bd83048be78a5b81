//! The worker's time as other processes of the host read it.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Maps the worker's times to those of the host's `CLOCK_MONOTONIC`, which another process reads
/// too. They are the same clock, but `Instant` does not tell its value.
pub(crate) struct HostClock {
    instant: Instant,
    us: u64,
}

impl HostClock {
    /// Both clocks, read one after the other.
    pub(crate) fn read() -> Self {
        let at = clock_gettime(ClockId::Monotonic);
        let us = at.tv_sec as u64 * 1_000_000 + at.tv_nsec as u64 / 1_000;
        Self::new(Instant::now(), us)
    }

    /// The host's clock shows `us` at this time of the worker.
    pub(crate) const fn new(instant: Instant, us: u64) -> Self {
        Self { instant, us }
    }

    pub(crate) fn us(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.instant);
        self.us + since.as_micros() as u64
    }
}
