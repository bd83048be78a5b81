//! Numbers that stand for nothing in what a receiver counts.

use std::collections::VecDeque;

use sealroute_rtp::FullSequence;

/// Uplink numbers that were skipped on purpose and may still lie ahead of late packets.
const MAX_RECENT: usize = 64;

/// Uplink sequence numbers that carried nothing to forward (probes, refused packets).
#[derive(Clone, Debug, Default)]
pub(crate) struct DroppedSequences {
    recent: VecDeque<FullSequence>,
    older: u64,
    /// The newest of the older ones: what lies before it can not be counted any more.
    oldest_countable: Option<FullSequence>,
}

impl DroppedSequences {
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Only numbers above all that were taken may be skipped: earlier ones have been counted.
    pub(crate) fn push(&mut self, sequence: FullSequence) {
        if self.recent.len() == MAX_RECENT {
            self.oldest_countable = self.recent.pop_front();
            self.older += 1;
        }
        self.recent.push_back(sequence);
    }

    /// Whether a number was skipped, or lies so far behind that skips before it are forgotten.
    pub(crate) fn covers(&self, sequence: FullSequence) -> bool {
        self.oldest_countable
            .is_some_and(|oldest| sequence <= oldest)
            || self.recent.binary_search(&sequence).is_ok()
    }

    pub(super) fn before(&self, sequence: FullSequence) -> u64 {
        let newer = self
            .recent
            .iter()
            .rev()
            .take_while(|&&skipped| skipped > sequence)
            .count();
        self.older + (self.recent.len() - newer) as u64
    }
}
