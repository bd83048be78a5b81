//! SRTP and SRTCP (RFC 3711, RFC 7714), one direction per context.

mod error;
mod index;
mod receiver;
mod sender;
mod session_keys;

pub use error::SrtpError;
pub use receiver::{MAX_MISSED_REPORTS, SrtpClue, SrtpReceiver};
pub use sender::SrtpSender;

const GCM_TAG_BYTES: usize = 16;
const CM_TAG_BYTES: usize = 10;
const INDEX_BYTES: usize = 4;
const RTCP_HEADER_BYTES: usize = 8;
const ENCRYPTED_FLAG: u32 = 0x8000_0000;

/// Maximum bytes that protection adds to a packet.
pub const MAX_OVERHEAD_BYTES: usize = GCM_TAG_BYTES + INDEX_BYTES;

/// A protection profile (RFC 5764, section 4.1.2; RFC 7714, section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SrtpProfile {
    /// AES-GCM with a key of 128 bits.
    #[serde(rename = "SRTP_AEAD_AES_128_GCM")]
    AeadAes128Gcm,
    /// AES-GCM with a key of 256 bits.
    #[serde(rename = "SRTP_AEAD_AES_256_GCM")]
    AeadAes256Gcm,
    /// AES counter mode with HMAC-SHA1 truncated to 80 bits.
    #[serde(rename = "SRTP_AES128_CM_SHA1_80")]
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// Every profile, in order of preference.
    pub const ALL: [Self; 3] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::Aes128CmHmacSha1_80,
    ];

    /// The profile's registered name, as DTLS libraries spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmHmacSha1_80 => "SRTP_AES128_CM_SHA1_80",
        }
    }

    /// The profile with a registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Length of the master key, in bytes.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt, in bytes.
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    const fn is_gcm(self) -> bool {
        !matches!(self, Self::Aes128CmHmacSha1_80)
    }

    const fn tag_bytes(self) -> usize {
        if self.is_gcm() {
            GCM_TAG_BYTES
        } else {
            CM_TAG_BYTES
        }
    }
}

/// Master key and salt of one direction, as DTLS exports them.
#[derive(Clone, Copy)]
pub struct SrtpKeys<'a> {
    /// [`SrtpProfile::key_bytes`] long.
    pub key: &'a [u8],
    /// [`SrtpProfile::salt_bytes`] long.
    pub salt: &'a [u8],
}

/// Length of an RTP header with CSRCs and extension (RFC 3550, section 5.1).
///
/// # Errors
/// `TooShort`, or `Malformed` if the version is wrong or the header extends past the packet's end.
pub fn rtp_header_bytes(packet: &[u8]) -> Result<usize, SrtpError> {
    let first = *packet.first().ok_or(SrtpError::TooShort)?;
    if first >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    if packet.len() < 12 {
        return Err(SrtpError::TooShort);
    }
    let mut length = 12 + 4 * usize::from(first & 15);
    if first & 0x10 != 0 {
        let words = packet
            .get(length + 2..length + 4)
            .ok_or(SrtpError::Malformed)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    if length > packet.len() {
        return Err(SrtpError::Malformed);
    }
    Ok(length)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
