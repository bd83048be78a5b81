//! Classifies loss: congestive loss, caused by sending too much, or random loss of the path.
//!
//! The thresholds are those of draft-ietf-rmcat-gcc-02 section 6. Its rule would give up bandwidth
//! on a path with random loss, so a loss share that does not fall when less is sent counts as
//! random and is no longer answered.

/// A verdict needs this many packets and this much time.
const MIN_PACKETS: u32 = 60;
const MIN_WINDOW_US: i64 = 500_000;
/// Above the first, send less; below the second, growth is allowed.
const TOO_MUCH: f64 = 0.10;
const LITTLE: f64 = 0.03;
/// Less was sent and this share of the loss remained: it is random.
const UNMOVED: f64 = 0.6;
const RANDOM_SHARE: f64 = 0.9;
/// No usable path has more random loss.
const MAX_RANDOM: f64 = 0.4;
/// How fast the estimate of random loss falls when less is seen.
const FORGETTING: f64 = 0.3;

/// The verdict on loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Verdict {
    #[default]
    Grow,
    Hold,
    /// Send at most this share of the acknowledged bitrate.
    Reduce,
}

/// Judges windows of feedback.
#[derive(Debug, Default)]
pub(crate) struct LossLimit {
    arrived: u32,
    lost: u32,
    since_us: Option<i64>,
    random: f64,
    /// The loss share that was last answered by sending less.
    answered: Option<f64>,
    verdict: Verdict,
    last: f64,
}

impl LossLimit {
    pub(crate) fn count(&mut self, arrived: u32, lost: u32) {
        self.arrived += arrived;
        self.lost += lost;
    }

    /// The loss share of the last window.
    pub(crate) fn share(&self) -> f64 {
        self.last
    }

    /// The share that the path loses at any bitrate.
    pub(crate) fn random(&self) -> f64 {
        self.random
    }

    /// Whether growth is allowed.
    pub(crate) fn may_grow(&self) -> bool {
        self.verdict == Verdict::Grow
    }

    /// Ends a window when it is full. `Reduce` is returned once per window.
    pub(crate) fn judge(&mut self, now_us: i64) -> Verdict {
        let since = *self.since_us.get_or_insert(now_us);
        let total = self.arrived + self.lost;
        if total < MIN_PACKETS || now_us - since < MIN_WINDOW_US {
            return if self.verdict == Verdict::Reduce {
                Verdict::Hold
            } else {
                self.verdict
            };
        }
        let share = f64::from(self.lost) / f64::from(total);
        (self.arrived, self.lost, self.since_us) = (0, 0, Some(now_us));
        self.last = share;
        if share < self.random {
            self.random += (share - self.random) * FORGETTING;
        }
        if let Some(before) = self.answered.take()
            && share > before * UNMOVED
        {
            self.random = self.random.max(share * RANDOM_SHARE).min(MAX_RANDOM);
        }
        let congestive = share - self.random;
        self.verdict = if congestive > TOO_MUCH {
            self.answered = Some(share);
            Verdict::Reduce
        } else if congestive > LITTLE {
            // The bitrate stays constant, so remaining loss is random.
            self.random += congestive * FORGETTING;
            Verdict::Hold
        } else {
            Verdict::Grow
        };
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::{LossLimit, Verdict};

    #[test]
    fn loss_that_ends_when_less_is_sent_is_answered_each_time() {
        let mut limit = LossLimit::default();
        limit.judge(0);
        for round in 0..4 {
            limit.count(70, 30);
            assert_eq!(limit.judge(round * 2_000_000 + 600_000), Verdict::Reduce);
            limit.count(100, 0);
            assert_eq!(limit.judge(round * 2_000_000 + 1_600_000), Verdict::Grow);
        }
    }

    #[test]
    fn loss_that_stays_whatever_is_sent_is_not_answered_forever() {
        let mut limit = LossLimit::default();
        limit.judge(0);
        let mut reductions = 0;
        for round in 1..40 {
            limit.count(70, 30);
            reductions += u32::from(limit.judge(round * 600_000) == Verdict::Reduce);
        }
        assert_eq!(reductions, 1);
        assert!(limit.may_grow());
    }

    #[test]
    fn a_few_packets_prove_nothing() {
        let mut limit = LossLimit::default();
        limit.judge(0);
        limit.count(1, 20);
        assert_eq!(limit.judge(10_000_000), Verdict::Grow);
    }
}
