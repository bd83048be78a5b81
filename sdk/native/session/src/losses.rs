//! How soon a lost transport is made again, and when no more (docs/e2ee.md section 2): every one of
//! them draws fresh key ids, and the server says when one is lost.

use std::time::Duration;

use sealroute_rules::{FIRST_LOSS, LOSS_QUIET, MAX_LOSS, MAX_LOSSES};

/// Of one direction.
#[derive(Debug, Default)]
pub(crate) struct LossBackoff {
    losses: u32,
    taken_up: Duration,
}

impl LossBackoff {
    /// When it is made again; none: it was lost too often.
    pub(crate) fn on_loss(&mut self, now: Duration) -> Option<Duration> {
        if now >= self.taken_up + LOSS_QUIET {
            self.losses = 0;
        }
        if u64::from(self.losses) >= MAX_LOSSES {
            return None;
        }
        let wait = match self.losses {
            0 => Duration::ZERO,
            losses => (FIRST_LOSS * (1 << (losses - 1))).min(MAX_LOSS),
        };
        self.losses += 1;
        self.taken_up = now.max(self.taken_up) + wait;
        Some(self.taken_up)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LossBackoff;

    #[test]
    fn the_first_is_made_good_at_once_later_ones_later_and_the_eleventh_never() {
        let mut backoff = LossBackoff::default();
        let mut now = Duration::from_secs(100);
        let mut waits = Vec::new();
        while let Some(until) = backoff.on_loss(now) {
            waits.push(until.saturating_sub(now).as_millis());
            now = until;
        }
        let expected = [
            0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000,
        ];
        assert_eq!(waits, expected);
        assert_eq!(backoff.on_loss(now + Duration::from_secs(59)), None);
        let calm = now + Duration::from_secs(60);
        assert_eq!(backoff.on_loss(calm), Some(calm));
    }
}
