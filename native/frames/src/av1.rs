//! AV1 (AV1 RTP specification 1.0) to a temporal unit of OBUs with size fields.

use sealroute_rtp::bits::BitReader;
use sealroute_rtp::descriptor::Av1Descriptor;

use crate::references::Reference;
use crate::whole::{Depacketizer, Malformed, Whole};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
/// Longer values do not fit a frame.
const MAX_LEB128_BYTES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Av1 {
    /// An OBU that the next packet continues.
    partial: Option<Vec<u8>>,
    data: Vec<u8>,
    unit: Pending,
}

/// What the OBUs of a temporal unit said so far.
#[derive(Debug, Default)]
struct Pending {
    starts_sequence: Option<bool>,
    sequence: bool,
    size: Option<(u16, u16)>,
    key: Option<bool>,
}

impl Depacketizer for Av1 {
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let descriptor = Av1Descriptor::parse(payload).ok_or(Malformed)?;
        let continued_later = payload[0] & 0x40 != 0;
        if descriptor.continues != self.partial.is_some() {
            return Err(Malformed);
        }
        let starts_sequence = descriptor.new_sequence && !descriptor.continues;
        self.unit.starts_sequence.get_or_insert(starts_sequence);
        let mut left = descriptor.elements;
        let mut rest = &payload[1..];
        while !rest.is_empty() {
            let (element, following) = if left == 1 {
                (rest, [].as_slice())
            } else {
                let (length, used) = leb128(rest).ok_or(Malformed)?;
                rest[used..].split_at_checked(length).ok_or(Malformed)?
            };
            rest = following;
            left = left.saturating_sub(1);
            let open = rest.is_empty() && continued_later;
            self.take_element(element, open)?;
        }
        // Fewer elements than announced, or a promise of more without anything to continue.
        if left > 0 || continued_later != self.partial.is_some() {
            return Err(Malformed);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Whole>, Malformed> {
        let data = std::mem::take(&mut self.data);
        let unit = std::mem::take(&mut self.unit);
        if self.partial.take().is_some() {
            return Err(Malformed);
        }
        let Some(key_frame) = unit.key else {
            return Ok(None);
        };
        let key = key_frame && unit.sequence;
        Ok(Some(Whole {
            key,
            size: unit.size.filter(|_| key),
            duration_us: None,
            begins: unit.starts_sequence == Some(true),
            reference: Reference::Unknown { key },
            data,
        }))
    }
}

impl Av1 {
    fn take_element(&mut self, element: &[u8], open: bool) -> Result<(), Malformed> {
        let mut obu = self.partial.take().unwrap_or_default();
        if open || !obu.is_empty() {
            obu.extend_from_slice(element);
        }
        if open {
            self.partial = Some(obu);
            return Ok(());
        }
        let whole = if obu.is_empty() { element } else { &obu };
        self.take_obu(whole)
    }

    fn take_obu(&mut self, obu: &[u8]) -> Result<(), Malformed> {
        let &head = obu.first().ok_or(Malformed)?;
        let kind = head >> 3 & 0x0F;
        if head & 0x80 != 0 {
            return Err(Malformed);
        }
        let header_bytes = 1 + usize::from(head & HAS_EXTENSION != 0);
        let (header, mut body) = obu.split_at_checked(header_bytes).ok_or(Malformed)?;
        if head & HAS_SIZE != 0 {
            let (length, used) = leb128(body).ok_or(Malformed)?;
            body = body.get(used..used + length).ok_or(Malformed)?;
        }
        match kind {
            // A file marks the units by itself; the others have nothing for a decoder.
            TEMPORAL_DELIMITER | TILE_LIST | PADDING => return Ok(()),
            SEQUENCE_HEADER => {
                self.unit.sequence = true;
                self.unit.size = sequence_size(body).or(self.unit.size);
            }
            FRAME | FRAME_HEADER => {
                self.unit.key.get_or_insert_with(|| is_key_frame(body));
            }
            _ => {}
        }
        self.data.push(head | HAS_SIZE);
        self.data.extend_from_slice(&header[1..]);
        put_leb128(&mut self.data, body.len());
        self.data.extend_from_slice(body);
        Ok(())
    }
}

/// A new frame of type KEY (AV1 specification section 5.9.2).
fn is_key_frame(body: &[u8]) -> bool {
    body.first().is_some_and(|first| first & 0xE0 == 0)
}

/// `max_frame_width` and height (AV1 specification section 5.5.1).
fn sequence_size(body: &[u8]) -> Option<(u16, u16)> {
    let mut bits = BitReader::new(body);
    bits.take(4)?;
    if bits.take(1)? == 1 {
        bits.take(5)?;
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.take(4)? as usize + 1;
    let height_bits = bits.take(4)? as usize + 1;
    let width = bits.take(width_bits)? as u16;
    let height = bits.take(height_bits)? as u16;
    Some((width.saturating_add(1), height.saturating_add(1)))
}

fn skip_operating_points(bits: &mut BitReader<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.take(1)? == 1 {
        bits.take(32)?;
        bits.take(32)?;
        if bits.take(1)? == 1 {
            bits.exp_golomb()?;
        }
        if bits.take(1)? == 1 {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let display_delay = bits.take(1)? == 1;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        if bits.take(5)? > 7 {
            bits.take(1)?;
        }
        if let Some(length) = delay_bits
            && bits.take(1)? == 1
        {
            bits.take(length)?;
            bits.take(length)?;
            bits.take(1)?;
        }
        if display_delay && bits.take(1)? == 1 {
            bits.take(4)?;
        }
    }
    Some(())
}

/// A value and its length in bytes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, &byte) in bytes.iter().take(MAX_LEB128_BYTES).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

fn put_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{Av1, leb128, put_leb128, sequence_size};
    use crate::whole::{Depacketizer, Malformed};

    const Z: u8 = 0x80;
    const Y: u8 = 0x40;
    const N: u8 = 0x08;
    const FRAME: u8 = 6 << 3;

    #[test]
    fn obus_of_several_packets_get_their_sizes() {
        let mut av1 = Av1::default();
        // A delimiter, a sequence header, and the beginning of a frame of two packets.
        let first = [3 << 4 | Y | N, 1, 2 << 3, 2, 1 << 3, 0x18, FRAME, 0x10, 7];
        av1.push(&first).expect("the start");
        av1.push(&[1 << 4 | Z, 8, 9]).expect("the end");
        let whole = av1.finish().expect("whole").expect("media");
        assert!(whole.key && whole.begins);
        let sequence = [1 << 3 | 2, 1, 0x18];
        assert_eq!(
            whole.data,
            [sequence.as_slice(), &[FRAME | 2, 4, 0x10, 7, 8, 9]].concat()
        );
    }

    #[test]
    fn the_size_of_a_key_frame_is_in_the_sequence_header() {
        let body = [0x00, 0x00, 0x00, 0x24, 0xC4, 0xFF, 0x67, 0x80];
        assert_eq!(sequence_size(&body), Some((640, 360)));
        assert_eq!(sequence_size(&body[..6]), None);
    }

    #[test]
    fn sizes_that_are_there_are_kept_once() {
        let mut av1 = Av1::default();
        av1.push(&[0, 4, FRAME | 2, 2, 0x30, 5, 2, FRAME, 0x30])
            .expect("two");
        let whole = av1.finish().expect("whole").expect("media");
        assert!(!whole.key && !whole.begins);
        assert_eq!(whole.data, [FRAME | 2, 2, 0x30, 5, FRAME | 2, 1, 0x30]);
    }

    #[test]
    fn what_is_cut_or_not_continued_is_no_frame() {
        for bad in [
            [1 << 4 | Z, 1].as_slice(),
            &[2 << 4, 9, FRAME],
            &[2 << 4, 1, FRAME],
            &[1 << 4 | Y],
            &[1 << 4, 0x80 | FRAME],
            &[1 << 4, FRAME | 2, 9, 0],
            &[0, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            &[],
        ] {
            assert_eq!(Av1::default().push(bad), Err(Malformed), "{bad:?}");
        }
        let mut av1 = Av1::default();
        av1.push(&[1 << 4 | Y, FRAME, 0x10]).expect("a start");
        assert_eq!(av1.finish(), Err(Malformed), "without its end");
        av1.push(&[1 << 4 | Y, FRAME, 0x10]).expect("a start");
        assert_eq!(av1.push(&[1 << 4, FRAME]), Err(Malformed), "not continued");
    }

    #[test]
    fn lengths_survive_writing_and_reading() {
        for value in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, (1 << 28) - 1] {
            let mut out = Vec::new();
            put_leb128(&mut out, value);
            assert_eq!(leb128(&out), Some((value, out.len())));
        }
    }
}
