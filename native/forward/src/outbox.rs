//! The outgoing side of forwarding. The worker implements it over send slots.

use crate::parameters::{PublisherHandle, SubscriberHandle, TransportHandle};

/// Takes finished packets. A call must neither block nor allocate per packet.
pub trait Outbox {
    /// An RTP packet for `transport`: a complete, rewritten header (with extensions, without
    /// padding) and, separately, the payload shared by all receivers. The implementation writes
    /// both into a send slot and protects them there: that copy is the only one.
    ///
    /// Calls come subscriber by subscriber with packets in order, so that consecutive packets to
    /// one transport can leave as one segmented datagram.
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]);

    /// As `rtp`, for a receiver that sends NACKs and has no retransmission stream: the SRTP packet
    /// is kept for `rtp_again`. An outbox without storage only sends it.
    fn rtp_kept(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        self.rtp(transport, header, payload);
    }

    /// Sends the kept SRTP packet again, byte for byte: protecting other content under its sequence
    /// number would repeat a nonce. Returns its length; `None`: it is not kept (any more).
    fn rtp_again(
        &mut self,
        _transport: TransportHandle,
        _ssrc: u32,
        _sequence: u16,
    ) -> Option<usize> {
        None
    }

    /// A compound RTCP packet for `transport`, not yet protected.
    fn rtcp(&mut self, transport: TransportHandle, compound: &[u8]);

    /// The reader of a local transport misses this many packets of a track.
    fn lost(&mut self, _transport: TransportHandle, _ssrc: u32, _packets: u32) {}

    /// An event for the control plane.
    fn event(&mut self, event: ForwardEvent);
}

/// Whether a subscriber's downlink carries its video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// It does.
    #[default]
    Ok,
    /// Barely: the smallest layer exceeds the estimate.
    Limited,
    /// It does not: video is paused so that audio passes.
    Paused,
}

impl StreamState {
    /// Stable name for events and dumps.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Paused => "paused",
        }
    }
}

/// An event of forwarding.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForwardEvent {
    /// The dominant speaker of the session changed (RFC 6464 levels).
    DominantSpeaker {
        /// The new one.
        publisher: PublisherHandle,
    },
    /// The state of a subscriber's video changed.
    StreamStateChanged {
        /// Whose.
        subscriber: SubscriberHandle,
        /// The new state.
        state: StreamState,
    },
    /// The subscribed layers of a video changed: its publisher should send these encodings.
    SubscribedLayersChanged {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// RIDs of the encodings with receivers; `None` is the single encoding of a video without
        /// RIDs. Empty: no receivers.
        subscribed: Vec<Option<String>>,
    },
    /// The plaintext guard dropped packets of an up track. At most one per up track and second.
    NotEncrypted {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// How many since the last report.
        packets: u64,
    },
}
