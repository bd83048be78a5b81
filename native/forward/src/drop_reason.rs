//! Why a packet was not forwarded.
//!
//! A packet that is not taken has one reason. A packet that is taken is, for each Subscriber of
//! its up track, either forwarded or dropped for one reason; without Subscribers it is
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
    /// No up track of the transport claims it.
    UnknownStream = "unknown_stream",
    /// The payload type is not the up track's.
    PayloadType = "payload_type",
    /// Nothing but padding: a bandwidth probe.
    PaddingOnly = "padding_only",
    /// It came before.
    Duplicate = "duplicate",
    /// More was received between two flushes than is held.
    Overflow = "overflow",
    /// The up track is muted.
    Muted = "muted",
    /// The frame does not carry a declared key id.
    NotEncrypted = "not_encrypted",
    /// Nobody subscribes to the up track.
    NoSubscriber = "no_subscriber",
    /// The down track is held back.
    Paused = "paused",
    /// Others are louder, and the session is too large for all voices.
    QuietVoice = "quiet_voice",
    /// The subscriber's link has no room for it.
    Bandwidth = "bandwidth",
    /// More video waits for its time than the downlink carries soon.
    PacerFull = "pacer_full",
    /// It waited for its time until it was of no use.
    PacerLate = "pacer_late",
    /// It waited for its time when its stream began anew, paused or fell behind.
    PacerOvertaken = "pacer_overtaken",
    /// A video down track has not started.
    AwaitingKeyFrame = "awaiting_key_frame",
    /// The down track receives another encoding.
    OtherEncoding = "other_encoding",
    /// It is of a spatial or temporal layer above what the down track gets.
    UpperLayer = "upper_layer",
    /// It came too late: from before the down track started or switched.
    TooLate = "too_late",
    /// A packet was asked for again of a down track that is held back.
    ResendPaused = "resend_paused",
    /// A packet that was asked for again is no longer kept.
    NotCached = "not_cached",
    /// It was sent again a moment ago.
    ResentRecently = "resent_recently",
    /// Packets sent again would take too large a share of what the subscriber gets.
    ResendLimit = "resend_limit",
}
