//! Uplink sequence numbers that a receiver must not count.

use std::collections::VecDeque;

use sealroute_rtp::FullSequence;

/// Dropped sequence numbers that may still follow late packets.
const MAX_RECENT: usize = 64;

/// Uplink sequence numbers without media to forward (probes, refused packets).
#[derive(Clone, Debug, Default)]
pub(crate) struct DroppedSequences {
    recent: VecDeque<FullSequence>,
    older: u64,
    /// The newest forgotten one. Sequence numbers up to it can no longer be mapped.
    oldest_countable: Option<FullSequence>,
}

impl DroppedSequences {
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Only a sequence number above all received ones may be dropped: earlier ones are already
    /// mapped.
    pub(crate) fn push(&mut self, sequence: FullSequence) {
        if self.recent.len() == MAX_RECENT {
            self.oldest_countable = self.recent.pop_front();
            self.older += 1;
        }
        self.recent.push_back(sequence);
    }

    /// Whether a sequence number was dropped, or precedes the tracked ones.
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
