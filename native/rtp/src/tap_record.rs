//! The records of a tap (`tap/1`): a session's clear media for a process of the same host.
//!
//! One record is one datagram of a `SOCK_SEQPACKET` socket: a header of 16 bytes, little endian,
//! then the body. The header names the version, so a reader refuses what it does not know.
//!
//! ```text
//!  0 kind u8 | 1 flags u8 (0; readers ignore them) | 2 version u16 | 4 ssrc u32 | 8 arrival_us u64
//! ```

/// Bytes of a record before its body.
pub const HEADER_BYTES: usize = 16;
/// The version that is written and read.
pub const VERSION: u16 = 1;
/// No record is longer: it has to fit a datagram of the socket, and a reader's buffer.
pub const MAX_RECORD_BYTES: usize = 65_536;

/// What the body of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// To the reader: an RTP packet of a track, as a subscriber gets it, without SRTP.
    Rtp = 1,
    /// To the reader: an RTCP compound about a track, with its sender reports.
    Rtcp = 2,
    /// To the reader: a JSON object of the control plane.
    Json = 3,
    /// To the reader: how many packets of a track it missed (u32), because it read too slowly.
    Lost = 4,
    /// To the reader: nothing follows.
    End = 5,
    /// From the reader: an RTCP compound that requests key frames.
    Feedback = 6,
    /// From the reader: an RTP packet of a stream that is published over the tap.
    Publish = 7,
}

impl RecordKind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Rtp,
            2 => Self::Rtcp,
            3 => Self::Json,
            4 => Self::Lost,
            5 => Self::End,
            6 => Self::Feedback,
            7 => Self::Publish,
            _ => return None,
        })
    }
}

/// Why a datagram is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Shorter than its header.
    TooShort,
    /// Of a version that is not known.
    Version,
    /// Of a kind that is not known.
    Kind,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::TooShort => "shorter than a record's header",
            Self::Version => "a record of an unknown version",
            Self::Kind => "a record of an unknown kind",
        })
    }
}

impl std::error::Error for RecordError {}

/// What stands before the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the body is.
    pub kind: RecordKind,
    /// The track: its SSRC within the tap; 0 where no track is meant.
    pub ssrc: u32,
    /// When the packet arrived, or the record was written: `CLOCK_MONOTONIC` of the host.
    pub arrival_us: u64,
}

impl RecordHeader {
    /// As it is sent.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = self.kind as u8;
        bytes[2..4].copy_from_slice(&VERSION.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.ssrc.to_le_bytes());
        bytes[8..].copy_from_slice(&self.arrival_us.to_le_bytes());
        bytes
    }
}

/// A record as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What stands before the body.
    pub header: RecordHeader,
    /// The rest of the datagram.
    pub body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// If it is not a record of this version.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, RecordError> {
        let (header, body) = datagram
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(RecordError::TooShort)?;
        let [kind, _, v0, v1, s0, s1, s2, s3, arrival @ ..] = *header;
        if u16::from_le_bytes([v0, v1]) != VERSION {
            return Err(RecordError::Version);
        }
        let header = RecordHeader {
            kind: RecordKind::of(kind).ok_or(RecordError::Kind)?,
            ssrc: u32::from_le_bytes([s0, s1, s2, s3]),
            arrival_us: u64::from_le_bytes(arrival),
        };
        Ok(Self { header, body })
    }

    /// The body of a record of kind `Lost`: a number of packets.
    pub fn lost(&self) -> Option<u32> {
        let count = self.body.first_chunk()?;
        (self.header.kind == RecordKind::Lost).then(|| u32::from_le_bytes(*count))
    }
}
