//! Whether it pays to wait a little for the rest of a burst.
//!
//! A burst comes packet by packet, and who wakes up at its first finds one. Sent at once, every
//! packet costs a message for each viewer; together they leave as one message that the kernel
//! segments. Where packets come singly a wait makes them late for nothing. So waiting goes on as
//! long as it brings packets, and is tried now and then where it has not.

use std::time::Duration;

use sealroute_forward::TransportHandle;

/// In which a sender's next packets of a burst come, if there are any.
pub(crate) const WAIT: Duration = Duration::from_micros(100);
/// Where waiting does not pay, one batch in so many waits: below what a 99th percentile sees.
const TRIED_EVERY: u32 = 128;
const MOST: u8 = 8;
const ENOUGH: u8 = 4;

/// The media packets of a batch, as far as they are of one sender: only those leave together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Burst {
    last: Option<TransportHandle>,
    /// Packets that came after another of their sender.
    followers: usize,
}

impl Burst {
    pub(crate) fn take(&mut self, sender: TransportHandle) {
        self.followers += usize::from(self.last.replace(sender) == Some(sender));
    }

    pub(crate) fn has_begun(self) -> bool {
        self.last.is_some()
    }

    pub(crate) fn has_grown_since(self, before: Self) -> bool {
        self.followers > before.followers
    }
}

/// What the last waits brought.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    batches: u32,
    /// Rises by two with a wait that paid, falls by one with another: in balance at one in three.
    score: u8,
}

impl Gathering {
    /// Whether to wait `WAIT` for more before the batch that was read is forwarded.
    pub(crate) fn waits(&mut self) -> bool {
        self.batches = self.batches.wrapping_add(1);
        self.score >= ENOUGH || self.batches.is_multiple_of(TRIED_EVERY)
    }

    /// Learns whether the burst has grown meanwhile.
    pub(crate) fn waited(&mut self, came: bool) {
        self.score = if came {
            (self.score + 2).min(MOST)
        } else {
            self.score.saturating_sub(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `batches` waited, and how many waited in vain.
    fn run(gathering: &mut Gathering, batches: u32, comes: impl Fn(u32) -> bool) -> (u32, u32) {
        let (mut waits, mut vain) = (0, 0);
        for index in 0..batches {
            if gathering.waits() {
                waits += 1;
                vain += u32::from(!comes(index));
                gathering.waited(comes(index));
            }
        }
        (waits, vain)
    }

    #[test]
    fn a_burst_is_of_one_sender() {
        let (one, other) = (TransportHandle(1), TransportHandle(2));
        let mut burst = Burst::default();
        assert!(!burst.has_begun());
        burst.take(one);
        assert!(burst.has_begun());
        let before = burst;
        burst.take(other);
        assert!(!burst.has_grown_since(before));
        burst.take(other);
        assert!(burst.has_grown_since(before));
    }

    #[test]
    fn packets_that_come_singly_do_not_wait_but_for_a_trial() {
        let mut gathering = Gathering::default();
        assert_eq!(run(&mut gathering, 12_800, |_| false), (100, 100));
    }

    #[test]
    fn bursts_are_waited_for_after_two_trials() {
        let mut gathering = Gathering::default();
        let (waits, vain) = run(&mut gathering, 1_000, |_| true);
        assert!(waits > 700, "{waits}");
        assert_eq!(vain, 0);
    }

    #[test]
    fn waiting_ends_with_the_bursts() {
        let mut gathering = Gathering::default();
        run(&mut gathering, 1_000, |_| true);
        let (waits, _) = run(&mut gathering, 128, |_| false);
        assert!(waits < 8, "{waits}");
    }

    #[test]
    fn a_wait_that_pays_every_other_time_goes_on_and_one_in_five_does_not() {
        let mut gathering = Gathering::default();
        run(&mut gathering, 1_000, |_| true);
        assert_eq!(run(&mut gathering, 1_000, |n| n % 2 == 0), (1_000, 500));
        let (waits, _) = run(&mut gathering, 1_280, |n| n % 5 == 0);
        assert!(waits < 100, "{waits}");
    }
}
