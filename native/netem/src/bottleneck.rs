//! A bottleneck: the slowest hop of a path, with a rate and a queue.

use std::time::{Duration, Instant};

/// A hop that several senders may share. Times must not run backwards.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    rate_bps: f64,
    longest_queue: Duration,
    free_at: Option<Instant>,
    dropped: u64,
}

impl Bottleneck {
    /// A hop with an empty queue. Packets that would wait longer than `longest_queue` are lost.
    pub fn new(rate_bps: f64, longest_queue: Duration) -> Self {
        Self {
            rate_bps,
            longest_queue,
            free_at: None,
            dropped: 0,
        }
    }

    /// Changes the rate for packets sent from now on.
    pub fn set_rate(&mut self, rate_bps: f64) {
        self.rate_bps = rate_bps;
    }

    /// How long a packet sent now would wait.
    pub fn queueing(&self, now: Instant) -> Duration {
        self.free_at
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// The number of packets dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When a packet of this many bytes leaves the hop, or `None` if the queue is full.
    pub fn send(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        if self.queueing(now) > self.longest_queue {
            self.dropped += 1;
            return None;
        }
        let begins = self.free_at.map_or(now, |at| at.max(now));
        let passed = begins + Duration::from_secs_f64(bytes as f64 * 8.0 / self.rate_bps);
        self.free_at = Some(passed);
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::Bottleneck;
    use std::time::{Duration, Instant};

    #[test]
    fn packets_pass_in_order_until_the_queue_is_full() {
        let now = Instant::now();
        let mut hop = Bottleneck::new(80_000.0, Duration::from_millis(150));
        assert_eq!(hop.send(now, 1_000), Some(now + Duration::from_millis(100)));
        assert_eq!(hop.send(now, 1_000), Some(now + Duration::from_millis(200)));
        assert_eq!(hop.send(now, 1_000), None);
        assert_eq!(hop.dropped(), 1);
        let later = now + Duration::from_secs(1);
        assert_eq!(hop.queueing(later), Duration::ZERO);
        assert!(hop.send(later, 1_000).is_some());
    }
}
