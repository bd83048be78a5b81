//! The RTP packet (RFC 3550 section 5.1) with header extensions (RFC 8285).

/// Larger datagrams are not RTP of ours.
const MAX_PACKET_BYTES: usize = 1_500;
const FIXED_HEADER_BYTES: usize = 12;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Shorter than its header says.
    Truncated,
    /// Longer than an MTU.
    TooLong,
    /// The version is not 2.
    Version,
    /// The padding count is zero or larger than the payload.
    Padding,
}

/// Whether a datagram of the RTP/RTCP range is RTCP (RFC 5761 section 4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram
        .get(1)
        .is_some_and(|kind| (192..=223).contains(kind))
}

/// A view of one packet; nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    /// Last packet of a frame, by the codec's rules.
    pub marker: bool,
    /// Payload type, 0..=127.
    pub payload_type: u8,
    /// Truncated sequence number.
    pub sequence: u16,
    /// In units of the RTP clock.
    pub timestamp: u32,
    /// Names the `RtpStream`.
    pub ssrc: u32,
    profile: u16,
    extension_block: &'a [u8],
    /// Without padding.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Reads one packet.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(ParseError::TooLong);
        }
        let (fixed, mut rest) = bytes
            .split_first_chunk::<FIXED_HEADER_BYTES>()
            .ok_or(ParseError::Truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let csrc_bytes = usize::from(fixed[0] & 0x0F) * 4;
        rest = rest.get(csrc_bytes..).ok_or(ParseError::Truncated)?;
        let (mut profile, mut extension_block) = (0, &rest[..0]);
        if fixed[0] & 0x10 != 0 {
            let (head, body) = rest.split_first_chunk::<4>().ok_or(ParseError::Truncated)?;
            profile = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            (extension_block, rest) = body.split_at_checked(length).ok_or(ParseError::Truncated)?;
        }
        if fixed[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(ParseError::Padding)?);
            if padding == 0 || padding > rest.len() {
                return Err(ParseError::Padding);
            }
            rest = &rest[..rest.len() - padding];
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7F,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            profile,
            extension_block,
            payload: rest,
        })
    }

    /// The header extensions as (id, value), in order; a malformed tail ends them.
    pub fn extensions(&self) -> Extensions<'a> {
        let two_byte = self.profile & 0xFFF0 == 0x1000;
        let known = two_byte || self.profile == 0xBEDE;
        Extensions {
            rest: if known { self.extension_block } else { &[] },
            two_byte,
        }
    }
}

/// Iterates over header extensions.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, tail @ ..] = self.rest {
            self.rest = tail;
        }
        let (id, length, tail) = match (self.two_byte, self.rest) {
            (true, [id, length, tail @ ..]) => (*id, usize::from(*length), tail),
            (false, [first, tail @ ..]) if first >> 4 != 15 => {
                (first >> 4, usize::from(first & 0x0F) + 1, tail)
            }
            _ => return None,
        };
        let (value, rest) = tail.split_at_checked(length)?;
        self.rest = rest;
        Some((id, value))
    }
}

/// The fields of a header to write.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields {
    /// See [`RtpPacket`].
    pub marker: bool,
    /// See [`RtpPacket`].
    pub payload_type: u8,
    /// See [`RtpPacket`].
    pub sequence: u16,
    /// See [`RtpPacket`].
    pub timestamp: u32,
    /// See [`RtpPacket`].
    pub ssrc: u32,
}

/// Appends a header; `extensions` yields (id, value), in one-byte form where all fit into it.
pub fn write_header<'v, I>(out: &mut Vec<u8>, fields: HeaderFields, extensions: I)
where
    I: Iterator<Item = (u8, &'v [u8])> + Clone,
{
    let start = out.len();
    out.extend_from_slice(&[
        0x80,
        u8::from(fields.marker) << 7 | fields.payload_type & 0x7F,
    ]);
    out.extend_from_slice(&fields.sequence.to_be_bytes());
    out.extend_from_slice(&fields.timestamp.to_be_bytes());
    out.extend_from_slice(&fields.ssrc.to_be_bytes());
    if extensions.clone().next().is_none() {
        return;
    }
    let fits = |(id, value): (u8, &[u8])| (1..15).contains(&id) && (1..=16).contains(&value.len());
    let one_byte = extensions.clone().all(fits);
    out[start] |= 0x10;
    out.extend_from_slice(if one_byte {
        &[0xBE, 0xDE, 0, 0]
    } else {
        &[0x10, 0, 0, 0]
    });
    let block = out.len();
    for (id, value) in extensions.filter(|(_, value)| value.len() < 256) {
        if one_byte {
            out.push(id << 4 | (value.len() as u8 - 1));
        } else {
            out.extend_from_slice(&[id, value.len() as u8]);
        }
        out.extend_from_slice(value);
    }
    while !(out.len() - block).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - block) / 4) as u16;
    out[block - 2..block].copy_from_slice(&words.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_header_reads_back_in_both_extension_forms() {
        for id in [3, 200] {
            let mut bytes = Vec::new();
            let fields = HeaderFields {
                marker: true,
                payload_type: 96,
                sequence: 7,
                timestamp: 8,
                ssrc: 9,
            };
            write_header(&mut bytes, fields, [(id, b"abc".as_slice())].into_iter());
            bytes.extend_from_slice(b"payload");
            let packet = RtpPacket::parse(&bytes).unwrap();
            assert_eq!(
                packet.extensions().collect::<Vec<_>>(),
                [(id, b"abc".as_slice())]
            );
            assert_eq!((packet.sequence, packet.ssrc, packet.marker), (7, 9, true));
            assert_eq!(packet.payload, b"payload");
        }
    }

    #[test]
    fn every_cut_of_a_header_is_refused_without_a_panic() {
        let bytes = [
            0xB1, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 0x10, 5, 0, 0,
        ];
        for length in 0..bytes.len() {
            assert!(RtpPacket::parse(&bytes[..length]).is_err());
        }
        assert_eq!(RtpPacket::parse(&bytes).err(), Some(ParseError::Padding));
    }
}
