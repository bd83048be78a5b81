//! Receive coalescing: whether to wait briefly for the rest of a burst.
//!
//! A burst arrives packet by packet, and a thread that wakes at the first one finds only that one.
//! Sent immediately, every packet costs one message per subscriber; together they leave as one
//! message that the kernel segments. For single packets a wait is only delay. So the worker waits
//! as long as waiting pays, and tries it occasionally when it has not.

use std::time::Duration;

use sealroute_forward::TransportHandle;

/// Within this time the next packets of a burst arrive, if there are any.
pub(crate) const WAIT: Duration = Duration::from_micros(100);
/// While waiting does not pay, one batch in this many waits: below what a 99th percentile shows.
const TRIAL_INTERVAL: u32 = 128;
const MAX_SCORE: u8 = 8;
const WAIT_SCORE: u8 = 4;

/// The media packets of a batch. Only packets of one sender leave together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Burst {
    last: Option<TransportHandle>,
    /// Packets that directly follow another packet of the same sender.
    followers: usize,
}

impl Burst {
    pub(crate) fn take(&mut self, sender: TransportHandle) {
        self.followers += usize::from(self.last.replace(sender) == Some(sender));
    }

    pub(crate) fn is_started(self) -> bool {
        self.last.is_some()
    }

    pub(crate) fn has_grown_since(self, before: Self) -> bool {
        self.followers > before.followers
    }
}

/// The success of recent waits.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCoalescing {
    batches: u32,
    /// Plus two for a wait that paid, minus one for a futile one: balanced at one success in three.
    score: u8,
}

impl ReceiveCoalescing {
    /// Whether to wait `WAIT` for more packets before the current batch is forwarded.
    pub(crate) fn should_wait(&mut self) -> bool {
        self.batches = self.batches.wrapping_add(1);
        self.score >= WAIT_SCORE || self.batches.is_multiple_of(TRIAL_INTERVAL)
    }

    /// Records whether the burst grew during the wait.
    pub(crate) fn on_waited(&mut self, grew: bool) {
        self.score = if grew {
            (self.score + 2).min(MAX_SCORE)
        } else {
            self.score.saturating_sub(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `batches` waited, and how many of the waits were futile.
    fn run(
        coalescing: &mut ReceiveCoalescing,
        batches: u32,
        comes: impl Fn(u32) -> bool,
    ) -> (u32, u32) {
        let (mut waits, mut futile) = (0, 0);
        for index in 0..batches {
            if coalescing.should_wait() {
                waits += 1;
                futile += u32::from(!comes(index));
                coalescing.on_waited(comes(index));
            }
        }
        (waits, futile)
    }

    #[test]
    fn only_packets_of_one_sender_form_a_burst() {
        let (one, other) = (TransportHandle(1), TransportHandle(2));
        let mut burst = Burst::default();
        assert!(!burst.is_started());
        burst.take(one);
        assert!(burst.is_started());
        let before = burst;
        burst.take(other);
        assert!(!burst.has_grown_since(before));
        burst.take(other);
        assert!(burst.has_grown_since(before));
    }

    #[test]
    fn single_packets_wait_only_in_trials() {
        let mut coalescing = ReceiveCoalescing::default();
        assert_eq!(run(&mut coalescing, 12_800, |_| false), (100, 100));
    }

    #[test]
    fn after_two_trials_bursts_are_waited_for() {
        let mut coalescing = ReceiveCoalescing::default();
        let (waits, futile) = run(&mut coalescing, 1_000, |_| true);
        assert!(waits > 700, "{waits}");
        assert_eq!(futile, 0);
    }

    #[test]
    fn waiting_stops_when_bursts_stop() {
        let mut coalescing = ReceiveCoalescing::default();
        run(&mut coalescing, 1_000, |_| true);
        let (waits, _) = run(&mut coalescing, 128, |_| false);
        assert!(waits < 8, "{waits}");
    }

    #[test]
    fn waiting_continues_at_one_success_in_two_and_stops_at_one_in_five() {
        let mut coalescing = ReceiveCoalescing::default();
        run(&mut coalescing, 1_000, |_| true);
        assert_eq!(run(&mut coalescing, 1_000, |n| n % 2 == 0), (1_000, 500));
        let (waits, _) = run(&mut coalescing, 1_280, |n| n % 5 == 0);
        assert!(waits < 100, "{waits}");
    }
}
