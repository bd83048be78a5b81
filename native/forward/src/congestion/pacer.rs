//! The pacer: spreads bursts of video over time where the path would queue them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sealroute_rtp::{DataRate, FullSequence};

use crate::parameters::SubscriberHandle;
use crate::rewriter::RewrittenHeader;
use crate::up_track::EncodingIndex;

/// The burst that may leave at once: a few packets at any rate.
const DEPTH: Duration = Duration::from_millis(10);
const MIN_DEPTH_BYTES: f64 = 6_000.0;
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);
/// An older frame is of no use in a call.
pub(crate) const MAX_WAIT: Duration = Duration::from_millis(500);
const MAX_QUEUED: usize = 512;

/// A queued packet. Its content stays in the cache of its encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) subscriber: SubscriberHandle,
    pub(crate) ssrc: u32,
    pub(crate) encoding: EncodingIndex,
    pub(crate) sequence: FullSequence,
    pub(crate) rewritten: RewrittenHeader,
    pub(crate) bytes: usize,
    /// Useless from then on.
    pub(crate) expires: Instant,
}

impl Queued {
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        now > self.expires
    }
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Now,
    Later,
    /// The queue is longer than useful.
    Full,
}

/// The pacer of one downlink. Without a rate everything leaves at once.
#[derive(Debug)]
pub(crate) struct Pacer {
    rate: Option<DataRate>,
    least_depth_bytes: f64,
    /// Bytes sent ahead of the rate.
    ahead: f64,
    at: Option<Instant>,
    queue: VecDeque<Queued>,
}

impl Default for Pacer {
    fn default() -> Self {
        Self {
            rate: None,
            least_depth_bytes: MIN_DEPTH_BYTES,
            ahead: 0.0,
            at: None,
            queue: VecDeque::new(),
        }
    }
}

impl Pacer {
    /// Lets one packet pass at a time: a burst would delay the audio behind it.
    pub(crate) fn one_by_one() -> Self {
        Self {
            least_depth_bytes: 1.0,
            ..Self::default()
        }
    }

    /// None: no limit.
    pub(crate) fn set_rate(&mut self, rate: Option<DataRate>) {
        self.rate = rate;
    }

    /// Counts packets that are not paced: audio, retransmissions, padding.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        if let Some(rate) = self.rate {
            self.refill(now, rate);
            self.ahead += bytes as f64;
        }
    }

    pub(crate) fn take(&mut self, now: Instant, bytes: usize) -> Pace {
        let Some(rate) = self.rate else {
            return if self.queue.is_empty() {
                Pace::Now
            } else {
                Pace::Later
            };
        };
        self.refill(now, rate);
        if self.queue.is_empty() && self.ahead < self.depth(rate) {
            self.ahead += bytes as f64;
            return Pace::Now;
        }
        if self.queue.len() >= MAX_QUEUED {
            return Pace::Full;
        }
        Pace::Later
    }

    pub(crate) fn push(&mut self, packet: Queued) {
        self.queue.push_back(packet);
    }

    /// The next packet that may leave, which counts as sent, or the next one that is late. A late
    /// packet costs nothing, because it is not sent and the packets behind it must not become late
    /// too.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Queued> {
        let first = self.queue.front()?;
        if first.is_late(now) {
            return self.queue.pop_front();
        }
        if let Some(rate) = self.rate {
            let bytes = first.bytes;
            self.refill(now, rate);
            if self.ahead >= self.depth(rate) {
                return None;
            }
            self.ahead += bytes as f64;
        }
        self.queue.pop_front()
    }

    /// Keeps only the queued packets for which `stays` holds.
    pub(crate) fn retain(&mut self, stays: impl FnMut(&Queued) -> bool) {
        self.queue.retain(stays);
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The time until the rate lets the next packet pass.
    pub(crate) fn wait(&self) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let excess_bytes = (self.ahead - self.depth(rate)).max(0.0);
        rate.time_of(excess_bytes)
    }

    fn refill(&mut self, now: Instant, rate: DataRate) {
        let at = self.at.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(at);
        self.ahead = (self.ahead - rate.bytes_in(passed)).max(0.0);
    }

    fn depth(&self, rate: DataRate) -> f64 {
        rate.bytes_in(DEPTH).max(self.least_depth_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERVAL, MAX_QUEUED, MAX_WAIT, Pace, Pacer, Queued};
    use crate::parameters::SubscriberHandle;
    use crate::rewriter::RewrittenHeader;
    use crate::up_track::EncodingIndex;
    use sealroute_rtp::{DataRate, FullSequence};
    use std::time::{Duration, Instant};

    fn packet(now: Instant) -> Queued {
        Queued {
            subscriber: SubscriberHandle(1),
            ssrc: 1,
            encoding: EncodingIndex(0),
            sequence: FullSequence(0),
            rewritten: RewrittenHeader::default(),
            bytes: 1_200,
            expires: now + MAX_WAIT,
        }
    }

    #[test]
    fn without_a_rate_everything_leaves_at_once() {
        let (mut pacer, now) = (Pacer::default(), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(pacer.take(now, 1_200), Pace::Now);
        }
    }

    #[test]
    fn a_burst_is_spread_over_the_time_that_the_rate_gives_it() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.set_rate(Some(DataRate::from_kbps(520.0)));
        let mut left = 0;
        for _ in 0..25 {
            match pacer.take(start, 1_200) {
                Pace::Now => left += 1_200,
                _ => pacer.push(packet(start)),
            }
        }
        let mut now = start;
        while pacer.queued() > 0 {
            now += INTERVAL;
            while pacer.pop(now).is_some() {
                left += 1_200;
            }
        }
        assert_eq!(left, 30_000);
        let took = now.duration_since(start).as_secs_f64();
        assert!((0.33..0.42).contains(&took), "{took}");
    }

    #[test]
    fn one_by_one_no_packet_leaves_before_the_rate_has_paid_for_the_one_before() {
        let (mut pacer, start) = (Pacer::one_by_one(), Instant::now());
        pacer.set_rate(Some(DataRate::from_kbps(32.0)));
        assert_eq!(pacer.take(start, 1_200), Pace::Now);
        assert_eq!(pacer.take(start, 1_200), Pace::Later);
        pacer.push(packet(start));
        assert!(pacer.pop(start + Duration::from_millis(280)).is_none());
        assert!(pacer.pop(start + Duration::from_millis(300)).is_some());
    }

    #[test]
    fn a_late_packet_leaves_at_once_and_costs_the_packets_behind_it_nothing() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.set_rate(Some(DataRate::from_kbps(80.0)));
        for _ in 0..MAX_QUEUED - 1 {
            pacer.push(packet(start));
        }
        let now = start + Duration::from_millis(600);
        pacer.push(packet(now));
        let popped: Vec<_> = std::iter::from_fn(|| pacer.pop(now)).collect();
        assert_eq!(popped.len(), MAX_QUEUED);
        assert!(!popped[MAX_QUEUED - 1].is_late(now));
        assert_eq!(pacer.take(now, 1_200), Pace::Now);
    }

    #[test]
    fn the_queue_is_bounded() {
        let (mut pacer, now) = (Pacer::default(), Instant::now());
        pacer.set_rate(Some(DataRate::from_bps(1.0)));
        let mut refused = 0;
        for _ in 0..10_000 {
            match pacer.take(now, 1_200) {
                Pace::Later => pacer.push(packet(now)),
                Pace::Full => refused += 1,
                Pace::Now => {}
            }
        }
        assert_eq!(pacer.queued(), MAX_QUEUED);
        assert!(refused > 9_000);
    }
}
