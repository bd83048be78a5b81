//! Classification of datagrams by protocol.

/// The protocol a datagram of the media port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A STUN message.
    Stun,
    /// A DTLS record.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// None of these.
    Unknown,
}

/// Classifies a datagram by its first bytes (RFC 7983, section 7; RFC 5761, section 4), without
/// validating the rest.
pub fn classify(datagram: &[u8]) -> PacketKind {
    match datagram {
        [0..=3, ..] => PacketKind::Stun,
        [20..=63, ..] => PacketKind::Dtls,
        [128..=191, 192..=223, ..] => PacketKind::Rtcp,
        [128..=191, _, ..] => PacketKind::Rtp,
        _ => PacketKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_is_classified_as_in_rfc_7983() {
        for first in 0..=255_u8 {
            let right = match first {
                0..=3 => PacketKind::Stun,
                20..=63 => PacketKind::Dtls,
                128..=191 => PacketKind::Rtp,
                _ => PacketKind::Unknown,
            };
            assert_eq!(classify(&[first, 96]), right, "{first}");
        }
    }

    #[test]
    fn the_second_byte_separates_rtcp_from_rtp_with_and_without_marker() {
        for second in 0..=255_u8 {
            let right = if (192..=223).contains(&second) {
                PacketKind::Rtcp
            } else {
                PacketKind::Rtp
            };
            assert_eq!(classify(&[0x80, second]), right, "{second}");
        }
    }

    #[test]
    fn an_empty_datagram_and_half_a_header_are_unknown() {
        assert_eq!(classify(&[]), PacketKind::Unknown);
        assert_eq!(classify(&[0x80]), PacketKind::Unknown);
    }
}
