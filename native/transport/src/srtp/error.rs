//! SRTP errors.

/// Why a packet was not protected or unprotected, or keys were rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SrtpError {
    /// Shorter than header, trailer and tag.
    TooShort,
    /// Not RTP or RTCP version 2, or the header extends past the end.
    Malformed,
    /// The authentication tag does not match: other keys, or a modified packet.
    BadTag,
    /// The packet was received before, or is older than the replay window.
    Replayed,
    /// The packet's index was used before, or is too old to tell: it would repeat a nonce.
    IndexReused,
    /// The protected packet is not kept, or no longer kept.
    NotKept,
    /// The table of SSRCs is full.
    TooManyStreams,
    /// An SRTCP packet whose E bit is clear.
    NotEncrypted,
    /// The protected packet does not fit into the slot.
    SlotTooSmall,
    /// The key or salt does not have the length that the profile requires.
    KeyLength,
    /// All packet indices of these keys are used.
    KeysExhausted,
    /// The cryptographic library returned an error.
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
