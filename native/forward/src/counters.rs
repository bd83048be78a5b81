//! Totals of one session's forwarding, and the macro that declares totals.

use serde::Serialize;

use crate::drop_reason::DropReason;

/// How a total behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CounterKind {
    /// Only grows.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// The single description of a total; its metric is generated from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CounterInfo {
    /// Stable name.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: CounterKind,
    /// Help text of the metric.
    pub help: &'static str,
}

/// Declares a struct of totals from rows of `kind name "help",`. The struct gets `INFO`, and
/// `totals` in the same order.
#[macro_export]
macro_rules! counters {
    ($(#[$doc:meta])* $visibility:vis struct $struct:ident {
        $($kind:ident $field:ident $help:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        $visibility struct $struct { $(#[doc = $help] $visibility $field: u64,)* }

        impl $struct {
            /// Name, kind and help text of each total.
            $visibility const INFO: &'static [$crate::CounterInfo] = &[$($crate::CounterInfo {
                name: stringify!($field),
                kind: $crate::CounterKind::$kind,
                help: $help,
            },)*];

            /// The totals in the order of `INFO`.
            $visibility fn totals(&self) -> impl Iterator<Item = u64> + use<> {
                [$(self.$field,)*].into_iter()
            }
        }
    };
}

counters! {
    /// Totals of packets and reports, since the session began.
    pub struct ForwardTotals {
        Counter rtp_received "RTP packets received and decrypted.",
        Counter rtp_forwarded "RTP packets forwarded, once for each Subscriber; retransmissions are not among them.",
        Counter rtp_caught_up "Forwarded packets that were dropped at first: they follow the late first packet of a key frame.",
        Counter still_frames "Key frames forwarded to Subscribers whose video is paused for lack of bandwidth.",
        Counter rtx_sent "RTP packets retransmitted because a Subscriber asked for them.",
        Counter repeated_unasked "RTP packets sent once more than a Subscriber asked for.",
        Counter nacks_received "Sequence numbers that Subscribers asked for again.",
        Counter nacks_sent "Sequence numbers that Publishers were asked for again.",
        Counter plis_received "Key-frame requests of Subscribers.",
        Counter plis_refused "Key-frame requests beyond a Subscriber's budget.",
        Counter plis_sent "Key-frame requests to Publishers.",
        Gauge encodings_paused "Video encodings that their Publishers need not send, since nobody watches them.",
    }
}

/// Totals since start, and dropped packets by reason.
#[derive(Clone, Debug, Default)]
pub struct ForwardCounters {
    totals: ForwardTotals,
    drops: [u64; DropReason::ALL.len()],
}

impl std::ops::Deref for ForwardCounters {
    type Target = ForwardTotals;

    fn deref(&self) -> &ForwardTotals {
        &self.totals
    }
}

impl std::ops::DerefMut for ForwardCounters {
    fn deref_mut(&mut self) -> &mut ForwardTotals {
        &mut self.totals
    }
}

impl ForwardCounters {
    /// Packets dropped for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// All totals: those of `ForwardTotals::INFO`, then one for each `DropReason`.
    pub fn values(&self) -> impl Iterator<Item = u64> + '_ {
        self.totals.totals().chain(self.drops.iter().copied())
    }

    /// All totals by name. Dropped packets are named by their reason.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let totals = ForwardTotals::INFO.iter().map(|info| info.name);
        let drops = DropReason::ALL.iter().map(|reason| reason.name());
        totals.chain(drops).zip(self.values())
    }

    pub(crate) fn drop_packet(&mut self, reason: DropReason) {
        self.drop_packets(reason, 1);
    }

    pub(crate) fn drop_packets(&mut self, reason: DropReason, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }
}
