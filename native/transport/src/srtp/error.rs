//! Why SRTP refused.

/// Why a packet was not opened or sealed, or keys were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpError {
    /// Fewer bytes than header, trailer and tag need.
    TooShort,
    /// No RTP or RTCP of version 2, or its header points behind its end.
    Malformed,
    /// The tag does not match: other keys, or a changed packet.
    BadTag,
    /// The packet was opened before, or is too old to tell.
    Replayed,
    /// The packet's index was sealed before, or is too old to tell: it would repeat a nonce.
    IndexReused,
    /// The sealed packet is not kept (any more).
    NotKept,
    /// The table of SSRCs is full.
    TooManyStreams,
    /// An SRTCP packet whose E bit is clear.
    NotEncrypted,
    /// The sealed packet does not fit into the slot.
    SlotTooSmall,
    /// Key or salt is not as long as the profile says.
    KeyLength,
    /// All packet indices of these keys are used up.
    KeysExhausted,
    /// The cryptographic library refused.
    Cipher,
}

impl SrtpError {
    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "srtp_too_short",
            Self::Malformed => "srtp_malformed",
            Self::BadTag => "srtp_bad_tag",
            Self::Replayed => "srtp_replayed",
            Self::IndexReused => "srtp_index_reused",
            Self::NotKept => "srtp_not_kept",
            Self::TooManyStreams => "srtp_too_many_streams",
            Self::NotEncrypted => "srtp_not_encrypted",
            Self::SlotTooSmall => "srtp_slot_too_small",
            Self::KeyLength => "srtp_key_length",
            Self::KeysExhausted => "srtp_keys_exhausted",
            Self::Cipher => "srtp_cipher",
        }
    }
}

impl std::fmt::Display for SrtpError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::error::Error for SrtpError {}
