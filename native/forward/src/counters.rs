//! Totals of one session's forwarding.

use crate::drop_reason::DropReason;

/// Totals since start. Cheap to read, dense.
#[derive(Clone, Debug, Default)]
pub struct ForwardCounters {
    /// Packets given to `handle_rtp`.
    pub rtp_received: u64,
    /// Packets given to an outbox, those sent again not counted.
    pub rtp_forwarded: u64,
    /// Packets forwarded after all that had been dropped or were from before the subscriber: those
    /// behind the late first packet of a key frame. They are counted as forwarded too.
    pub rtp_caught_up: u64,
    /// Packets sent again because they were asked for.
    pub rtx_sent: u64,
    /// Packets sent once more than they were asked for.
    pub repeated_unasked: u64,
    /// Sequence numbers that subscribers asked for.
    pub nacks_received: u64,
    /// Sequence numbers that publishers were asked for.
    pub nacks_sent: u64,
    /// Key-frame requests of subscribers.
    pub plis_received: u64,
    /// Of these, what was beyond the receiver's budget.
    pub plis_refused: u64,
    /// Encodings that publishers need not send. Of now.
    pub encodings_paused: u64,
    /// Key-frame requests to publishers.
    pub plis_sent: u64,
    drops: [u64; DropReason::ALL.len()],
}

impl ForwardCounters {
    /// How many packets were dropped for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// All totals by name; drops under the name of their reason.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let totals = [
            ("rtp_received", self.rtp_received),
            ("rtp_forwarded", self.rtp_forwarded),
            ("rtp_caught_up", self.rtp_caught_up),
            ("rtx_sent", self.rtx_sent),
            ("repeated_unasked", self.repeated_unasked),
            ("nacks_received", self.nacks_received),
            ("nacks_sent", self.nacks_sent),
            ("plis_received", self.plis_received),
            ("plis_refused", self.plis_refused),
            ("plis_sent", self.plis_sent),
            ("encodings_paused", self.encodings_paused),
        ];
        let drops = DropReason::ALL
            .iter()
            .map(|&reason| (reason.name(), self.dropped(reason)));
        totals.into_iter().chain(drops)
    }

    pub(crate) fn drop_packet(&mut self, reason: DropReason) {
        self.drop_packets(reason, 1);
    }

    pub(crate) fn drop_packets(&mut self, reason: DropReason, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }
}
