//! What the reader of a tap may make the worker do.
//!
//! A reader handles bytes of participants, so somebody else may have taken it over. A request for a
//! key frame costs the worker a step of the session, a packet is forwarded to subscribers, and each
//! record costs a system call: without a budget one reader would take the worker's thread from the
//! sessions.

/// So many at once, and one more after each interval. Stored as the time when it is full again.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    burst: u64,
    interval_us: u64,
    full_us: u64,
}

impl TokenBucket {
    const fn new(burst: u64, per_s: u64) -> Self {
        Self {
            burst,
            interval_us: 1_000_000 / per_s,
            full_us: 0,
        }
    }

    /// Takes `count`, or nothing if there are fewer.
    fn take(&mut self, now_us: u64, count: u64) -> bool {
        let after = self.full_us.max(now_us) + count * self.interval_us;
        let fits = after - now_us <= self.burst * self.interval_us;
        if fits {
            self.full_us = after;
        }
        fits
    }
}

/// The budget of one reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderBudget {
    requests: TokenBucket,
    packets: TokenBucket,
    refused: TokenBucket,
    flooded: bool,
}

impl Default for ReaderBudget {
    fn default() -> Self {
        Self {
            // A reader requests at most one key frame a second of each track. At once: those of a
            // session in which 256 tracks begin.
            requests: TokenBucket::new(256, 128),
            // An audio stream has 50 packets a second, a video of 4 Mbit/s about 450. The burst is
            // what a reader that was held up may send at once.
            packets: TokenBucket::new(250, 500),
            // Twice as many packets as a stream has are lost, but do not end the tap.
            refused: TokenBucket::new(1_024, 500),
            flooded: false,
        }
    }
}

impl ReaderBudget {
    /// Takes a record with so many requests for key frames. Returns whether it fits.
    pub(crate) fn takes_requests(&mut self, now_us: u64, count: usize) -> bool {
        self.requests.take(now_us, count as u64)
    }

    /// Takes a packet that the reader publishes. Returns whether it fits.
    pub(crate) fn takes_packet(&mut self, now_us: u64) -> bool {
        self.packets.take(now_us, 1)
    }

    /// Counts a record that was refused, for whatever reason.
    pub(crate) fn on_refused(&mut self, now_us: u64) {
        self.flooded |= !self.refused.take(now_us, 1);
    }

    /// Whether the reader goes on to send what is refused, so that it is not what it should be.
    pub(crate) fn is_flooded(&self) -> bool {
        self.flooded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 5_000_000;
    const SECOND_US: u64 = 1_000_000;

    fn taken(budget: &mut ReaderBudget, now_us: u64, records: u32, requests: usize) -> u32 {
        (0..records)
            .filter(|_| budget.takes_requests(now_us, requests))
            .count() as u32
    }

    #[test]
    fn requests_have_a_burst_and_then_a_rate() {
        let mut budget = ReaderBudget::default();
        assert_eq!(taken(&mut budget, NOW_US, 1_000, 1), 256);
        assert_eq!(taken(&mut budget, NOW_US + SECOND_US, 1_000, 1), 128);
        assert_eq!(taken(&mut budget, NOW_US + SECOND_US, 1, 1), 0);
        // A long pause fills it and no more.
        assert_eq!(taken(&mut budget, NOW_US + 100 * SECOND_US, 1_000, 1), 256);
    }

    #[test]
    fn many_requests_in_a_record_cost_as_much_as_in_many() {
        let mut budget = ReaderBudget::default();
        assert_eq!(taken(&mut budget, NOW_US, 10, 100), 2);
        assert_eq!(taken(&mut budget, NOW_US, 100, 1), 56);
        assert_eq!(taken(&mut budget, NOW_US + 60 * SECOND_US, 1, 257), 0);
    }

    #[test]
    fn packets_and_requests_do_not_share_a_budget() {
        let mut budget = ReaderBudget::default();
        assert_eq!(taken(&mut budget, NOW_US, 256, 1), 256);
        let packets = (0..1_000).filter(|_| budget.takes_packet(NOW_US)).count();
        assert_eq!(packets, 250);
    }

    #[test]
    fn a_reader_that_goes_on_is_told_from_one_that_sends_too_much_now_and_then() {
        let mut budget = ReaderBudget::default();
        let mut refuse = |now_us, count| {
            for _ in 0..count {
                budget.on_refused(now_us);
            }
            budget.is_flooded()
        };
        for second in 0..60 {
            assert!(!refuse(NOW_US + second * SECOND_US, 500), "{second}");
        }
        let later = NOW_US + 100 * SECOND_US;
        assert!(!refuse(later, 1_024));
        assert!(refuse(later, 1));
        // It does not get better.
        assert!(refuse(later + 100 * SECOND_US, 0));
    }
}
