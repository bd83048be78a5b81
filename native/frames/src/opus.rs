//! Opus (RFC 7587): a payload is a frame for the decoder and the file.

use crate::references::Reference;
use crate::whole::{Depacketizer, Malformed, Whole};

/// RFC 6716 section 3.2.5: no packet lasts longer.
const MAX_DURATION_US: u32 = 120_000;

#[derive(Debug, Default)]
pub(crate) struct Opus {
    payload: Vec<u8>,
}

impl Depacketizer for Opus {
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        if !self.payload.is_empty() {
            return Err(Malformed);
        }
        self.payload.extend_from_slice(payload);
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Whole>, Malformed> {
        let data = std::mem::take(&mut self.payload);
        let duration_us = duration_us(&data).ok_or(Malformed)?;
        Ok(Some(Whole {
            key: true,
            size: None,
            duration_us: Some(duration_us),
            begins: true,
            reference: Reference::Independent,
            data,
        }))
    }
}

/// RFC 6716 section 3.1. `None`: not an Opus packet.
fn duration_us(packet: &[u8]) -> Option<u32> {
    let &toc = packet.first()?;
    let frame_us = match toc >> 3 {
        config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
        config @ 12..=15 => [10_000, 20_000][usize::from(config & 1)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1)? & 0x3F),
    };
    let duration = frame_us * frames;
    (1..=MAX_DURATION_US)
        .contains(&duration)
        .then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::duration_us;

    #[test]
    fn the_first_byte_says_how_long_a_packet_lasts() {
        assert_eq!(duration_us(&[0xFC, 1, 2]), Some(20_000), "CELT, one frame");
        assert_eq!(duration_us(&[0x78]), Some(20_000), "hybrid");
        assert_eq!(duration_us(&[0x18]), Some(60_000), "SILK");
        assert_eq!(duration_us(&[0x81]), Some(5_000), "two of 2.5 ms");
        assert_eq!(duration_us(&[0xFB, 3]), Some(60_000), "three of 20 ms");
        assert_eq!(duration_us(&[0xFB, 7]), None, "140 ms");
        assert_eq!(duration_us(&[0xFB, 0]), None, "none");
        assert_eq!(duration_us(&[0xFB]), None, "without its count");
        assert_eq!(duration_us(&[]), None);
    }
}
