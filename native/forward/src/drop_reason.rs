//! Drop reasons: why a packet was not forwarded.
//!
//! A packet that is not accepted has one reason. An accepted packet is, for each Subscriber of its
//! up track, either forwarded or dropped for one reason; without Subscribers it counts as
//! `no_subscriber` once.

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// Why a packet was not forwarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)* }

        impl DropReason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// Stable name for metrics.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }

            /// What happened to the packet.
            pub fn help(self) -> &'static str {
                match self { $(DropReason::$name => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

drop_reasons! {
    /// Not an RTP packet.
    Malformed = "malformed",
    /// No up track of the transport has this SSRC.
    UnknownStream = "unknown_stream",
    /// The payload type is not the up track's.
    PayloadType = "payload_type",
    /// Padding without media: a bandwidth probe.
    PaddingOnly = "padding_only",
    /// It was received before.
    Duplicate = "duplicate",
    /// More packets arrived between two flushes than the limit.
    Overflow = "overflow",
    /// The up track is muted.
    Muted = "muted",
    /// The frame does not carry a declared key id.
    NotEncrypted = "not_encrypted",
    /// The up track has no Subscribers.
    NoSubscriber = "no_subscriber",
    /// The down track is paused by the control plane.
    Paused = "paused",
    /// Muted by level: others are louder, and the session is too large to forward all audio tracks.
    QuietVoice = "quiet_voice",
    /// The subscriber's downlink has no room for it.
    Bandwidth = "bandwidth",
    /// A video packet for a tap whose reader is behind; audio has the room that is left.
    TapFull = "tap_full",
    /// The pacer's queue is full.
    PacerFull = "pacer_full",
    /// It was queued in the pacer for too long.
    PacerLate = "pacer_late",
    /// It was queued in the pacer when its stream restarted, paused or fell behind.
    PacerOvertaken = "pacer_overtaken",
    /// A video down track waits for its first key frame.
    AwaitingKeyFrame = "awaiting_key_frame",
    /// The down track receives another encoding.
    OtherEncoding = "other_encoding",
    /// Its spatial or temporal layer is above the down track's.
    UpperLayer = "upper_layer",
    /// It is too late: from before the down track started or switched.
    TooLate = "too_late",
    /// It is of an encoding that nobody behind a trunk wants, on another worker of this process.
    UnwantedBehindTrunk = "unwanted_behind_trunk",
    /// A retransmission was requested on a paused down track.
    ResendPaused = "resend_paused",
    /// A packet to retransmit is no longer kept.
    NotCached = "not_cached",
    /// It was retransmitted a moment ago.
    ResentRecently = "resent_recently",
    /// The subscriber's share of retransmissions is used up.
    ResendLimit = "resend_limit",
}
