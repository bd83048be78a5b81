//! Why a packet was not forwarded: every one has exactly one reason.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a packet was not forwarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)*];

            /// Stable name for metrics.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$name => $text,)* }
            }
        }
    };
}

drop_reasons! {
    /// Not an RTP packet.
    Malformed = "malformed",
    /// No source of the transport claims it.
    UnknownStream = "unknown_stream",
    /// The payload type is not the source's.
    PayloadType = "payload_type",
    /// Nothing but padding: a bandwidth probe.
    PaddingOnly = "padding_only",
    /// More was received between two flushes than is held.
    Overflow = "overflow",
    /// The source is muted.
    SourceMuted = "source_muted",
    /// The frame does not carry a declared key id.
    NotEncrypted = "not_encrypted",
    /// The sink is held back.
    Paused = "paused",
    /// A video sink has not started.
    AwaitingKeyFrame = "awaiting_key_frame",
    /// The sink receives another encoding.
    OtherEncoding = "other_encoding",
}
