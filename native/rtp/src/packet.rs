//! RTP packets (RFC 3550 section 5.1) and their header extensions (RFC 8285).

use crate::sequence::Sequence;

/// Larger datagrams are not our media; the cap bounds every buffer of the core.
pub const MAX_PACKET_BYTES: usize = 1_500;

const FIXED_HEADER_BYTES: usize = 12;
const ONE_BYTE_PROFILE: u16 = 0xBEDE;
const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xFFF0;

/// Whether a packet that is not STUN or DTLS is RTCP (RFC 5761 section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet.get(1), Some(192..=223))
}

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// Shorter than its header declares.
    TooShort,
    /// Longer than [`MAX_PACKET_BYTES`].
    TooLong,
    /// Not RTP version 2.
    Version,
    /// The padding count is zero or larger than the payload.
    Padding,
}

/// A parsed packet that borrows its bytes.
#[derive(Clone, Debug)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    extensions: HeaderExtensions<'a>,
    payload_start: usize,
    payload_end: usize,
}

impl<'a> RtpPacket<'a> {
    /// Checks the lengths of all parts once; the accessors cannot fail afterwards.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PacketError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(PacketError::TooLong);
        }
        let &[first, ..] = bytes else {
            return Err(PacketError::TooShort);
        };
        if first >> 6 != 2 {
            return Err(PacketError::Version);
        }
        let mut start = FIXED_HEADER_BYTES + usize::from(first & 0x0F) * 4;
        if bytes.len() < start {
            return Err(PacketError::TooShort);
        }
        let mut extensions = HeaderExtensions::default();
        if first & 0x10 != 0 {
            let [p0, p1, l0, l1] = read_array(bytes, start).ok_or(PacketError::TooShort)?;
            let length = usize::from(u16::from_be_bytes([l0, l1])) * 4;
            let block = bytes
                .get(start + 4..start + 4 + length)
                .ok_or(PacketError::TooShort)?;
            extensions = HeaderExtensions {
                profile: u16::from_be_bytes([p0, p1]),
                block,
            };
            start += 4 + length;
        }
        let mut end = bytes.len();
        if first & 0x20 != 0 {
            let padding = usize::from(bytes[end - 1]);
            if padding == 0 || start + padding > end {
                return Err(PacketError::Padding);
            }
            end -= padding;
        }
        Ok(Self {
            bytes,
            extensions,
            payload_start: start,
            payload_end: end,
        })
    }

    /// The marker bit.
    pub fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// The payload type.
    pub fn payload_type(&self) -> u8 {
        self.bytes[1] & 0x7F
    }

    /// The sequence number.
    pub fn sequence(&self) -> Sequence {
        Sequence(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// The timestamp, in units of the codec's clock.
    pub fn timestamp(&self) -> u32 {
        be32(self.bytes, 4)
    }

    /// The synchronization source.
    pub fn ssrc(&self) -> u32 {
        be32(self.bytes, 8)
    }

    /// The header extensions.
    pub fn extensions(&self) -> HeaderExtensions<'a> {
        self.extensions.clone()
    }

    /// The payload without padding.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload_start..self.payload_end]
    }

    /// How many bytes the header takes, extensions included.
    pub fn header_bytes(&self) -> usize {
        self.payload_start
    }
}

/// The header extensions of a packet: an iterator of `(id, value)`.
#[derive(Clone, Debug, Default)]
pub struct HeaderExtensions<'a> {
    profile: u16,
    block: &'a [u8],
}

impl<'a> HeaderExtensions<'a> {
    /// The value of the first element with `id`.
    pub fn get(mut self, id: u8) -> Option<&'a [u8]> {
        self.find_map(|(found, value)| (found == id).then_some(value))
    }

    fn next_one_byte(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&head, rest) = self.block.split_first()?;
            let (id, length) = (head >> 4, usize::from(head & 0x0F) + 1);
            match id {
                // Padding is one byte, whatever its length bits contain.
                0 => self.block = rest,
                // Reserved: processing stops here (RFC 8285 section 4.2).
                15 => return None,
                _ => return self.split_value(id, rest, length),
            }
        }
    }

    fn next_two_byte(&mut self) -> Option<(u8, &'a [u8])> {
        loop {
            let (&id, rest) = self.block.split_first()?;
            if id == 0 {
                self.block = rest;
                continue;
            }
            let (&length, rest) = rest.split_first()?;
            return self.split_value(id, rest, usize::from(length));
        }
    }

    fn split_value(&mut self, id: u8, rest: &'a [u8], length: usize) -> Option<(u8, &'a [u8])> {
        let (value, rest) = rest.split_at_checked(length)?;
        self.block = rest;
        Some((id, value))
    }
}

impl<'a> Iterator for HeaderExtensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let element = match self.profile {
            ONE_BYTE_PROFILE => self.next_one_byte(),
            profile if profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE => self.next_two_byte(),
            _ => None,
        };
        if element.is_none() {
            self.block = &[];
        }
        element
    }
}

/// The fields of a header to be written; extensions follow through [`RtpHeader::write`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpHeader {
    /// End of frame for video, start of a talk spurt for audio.
    pub marker: bool,
    /// Seven bits.
    pub payload_type: u8,
    /// As on the wire.
    pub sequence: u16,
    /// In units of the codec's clock.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
}

impl RtpHeader {
    /// Writes the header and `extensions` into `out` and returns its length. Elements that do not
    /// fit are dropped; an element that needs it selects the two-byte form.
    #[inline]
    pub fn write<'e, I, const N: usize>(&self, extensions: I, out: &mut [u8; N]) -> usize
    where
        I: Iterator<Item = (u8, &'e [u8])> + Clone,
    {
        const { assert!(N >= FIXED_HEADER_BYTES + 4) };
        out[0] = 0x80;
        out[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7F);
        out[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        let two_byte = extensions
            .clone()
            .any(|(id, value)| id > 14 || value.is_empty() || value.len() > 16);
        let start = FIXED_HEADER_BYTES + 4;
        let mut end = start;
        for (id, value) in extensions {
            let head = if two_byte { 2 } else { 1 };
            if value.len() > 255 || end + head + value.len() + 3 > out.len() {
                continue;
            }
            if two_byte {
                out[end] = id;
                out[end + 1] = value.len() as u8;
            } else {
                out[end] = (id << 4) | (value.len() as u8 - 1);
            }
            end += head;
            out[end..end + value.len()].copy_from_slice(value);
            end += value.len();
        }
        if end == start {
            return FIXED_HEADER_BYTES;
        }
        while !(end - start).is_multiple_of(4) {
            out[end] = 0;
            end += 1;
        }
        out[0] |= 0x10;
        let profile = if two_byte {
            TWO_BYTE_PROFILE
        } else {
            ONE_BYTE_PROFILE
        };
        out[12..14].copy_from_slice(&profile.to_be_bytes());
        out[14..16].copy_from_slice(&(((end - start) / 4) as u16).to_be_bytes());
        end
    }
}

fn read_array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
