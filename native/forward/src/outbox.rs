//! Where forwarding puts what it wants sent. The worker implements it over sealing send slots.

use crate::parameters::{PublisherHandle, SubscriberHandle, TransportHandle};

/// Takes finished packets. A call must not block and must not allocate per packet.
pub trait Outbox {
    /// An RTP packet for `transport`: a complete, rewritten header (with extensions, without
    /// padding) and, apart from it, the payload shared by all receivers. The implementation
    /// writes both into a send slot and seals them there: that copy is the only one.
    ///
    /// Calls come subscriber by subscriber, packets in order, so that runs of packets to one
    /// transport stand together and can leave as one segmented datagram.
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]);

    /// As `rtp`, for a receiver that asks for lost packets and has no retransmission stream: the
    /// sealed packet is kept for `rtp_again`. An outbox that keeps nothing only sends it.
    fn rtp_kept(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        self.rtp(transport, header, payload);
    }

    /// Sends a kept packet again, as the very same sealed bytes: sealing anything a second time
    /// under its number would repeat a nonce. Returns their length; `None`: not kept (any more).
    fn rtp_again(
        &mut self,
        _transport: TransportHandle,
        _ssrc: u32,
        _sequence: u16,
    ) -> Option<usize> {
        None
    }

    /// A compound RTCP packet for `transport`, in clear.
    fn rtcp(&mut self, transport: TransportHandle, compound: &[u8]);

    /// Something the control plane wants to know.
    fn event(&mut self, event: ForwardEvent);
}

/// Whether a subscriber's link carries its video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// It does.
    #[default]
    Ok,
    /// Hardly: the smallest layer is more than the estimate.
    Limited,
    /// Not: video is held back so that sound passes.
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

/// What forwarding reports upward.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForwardEvent {
    /// Another publisher of its session is the one that speaks (RFC 6464 levels).
    DominantSpeaker {
        /// Which.
        publisher: PublisherHandle,
    },
    /// What a subscriber's link carries of its video has changed.
    StreamStateChanged {
        /// Whose.
        subscriber: SubscriberHandle,
        /// The new state.
        state: StreamState,
    },
    /// Other encodings of a video than before are worth sending.
    SubscribedLayersChanged {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// RIDs of the encodings that somebody could be given; `None` is the only one of a video
        /// without RIDs. Empty: nobody watches.
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
