//! RTCP compound packets (RFC 3550 section 6, RFC 4585).

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpPacket<'a> {
    /// Packet type, 192..=223.
    pub kind: u8,
    /// Count or feedback message type, 0..=31.
    pub count: u8,
    /// Behind the 4-byte header.
    pub body: &'a [u8],
}

impl RtcpPacket<'_> {
    /// The SSRC that a PLI asks a key frame of (RFC 4585 section 6.3.1).
    pub fn pli_target(&self) -> Option<u32> {
        (self.kind == 206 && self.count == 1).then_some(())?;
        let media = self.body.get(4..8)?;
        Some(u32::from_be_bytes([media[0], media[1], media[2], media[3]]))
    }

    /// The SSRCs that a FIR asks key frames of (RFC 5104 section 4.3.1).
    pub fn fir_targets(&self) -> impl Iterator<Item = u32> + '_ {
        let entries = if self.kind == 206 && self.count == 4 {
            self.body.get(8..)
        } else {
            None
        };
        entries
            .unwrap_or_default()
            .chunks_exact(8)
            .map(|e| u32::from_be_bytes([e[0], e[1], e[2], e[3]]))
    }
}

/// Iterates over a compound; ends at the first malformed packet.
#[derive(Clone, Debug)]
pub struct RtcpPackets<'a>(&'a [u8]);

/// The packets of a compound.
pub fn packets(compound: &[u8]) -> RtcpPackets<'_> {
    RtcpPackets(compound)
}

impl<'a> Iterator for RtcpPackets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, tail) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
        if head[0] >> 6 != 2 {
            return None;
        }
        let (body, rest) = tail.split_at_checked(length)?;
        self.0 = rest;
        Some(RtcpPacket {
            kind: head[1],
            count: head[0] & 0x1F,
            body,
        })
    }
}

/// A compound of an empty receiver report and a PLI.
pub fn write_pli(sender: u32, media: u32) -> [u8; 20] {
    let mut out = [
        0x80, 201, 0, 1, 0, 0, 0, 0, 0x81, 206, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    out[4..8].copy_from_slice(&sender.to_be_bytes());
    out[12..16].copy_from_slice(&sender.to_be_bytes());
    out[16..20].copy_from_slice(&media.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_pli_is_found_in_its_compound() {
        let compound = write_pli(1, 0xDEAD_BEEF);
        assert_eq!(
            packets(&compound).find_map(|p| p.pli_target()),
            Some(0xDEAD_BEEF)
        );
    }
}
