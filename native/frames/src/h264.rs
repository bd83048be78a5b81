//! H.264 (RFC 6184) to an Annex B byte stream whose key frames carry their parameter sets.

use sealroute_rtp::bits::BitReader;

use crate::h264_parameters::{ParameterSets, Sps};
use crate::references::{NumberedPicture, Reference};
use crate::whole::{Depacketizer, Malformed, Whole};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const SLICE: u8 = 1;
const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const AGGREGATION: u8 = 24;
const FRAGMENTATION: u8 = 28;
/// A slice header up to `frame_num`, with emulation prevention.
const SLICE_HEADER_BYTES: usize = 24;

#[derive(Debug, Default)]
pub(crate) struct H264 {
    sets: ParameterSets,
    unit: Vec<u8>,
    in_fragment: bool,
    data: Vec<u8>,
    picture: Pending,
}

/// What the units of a frame said so far.
#[derive(Debug, Default)]
struct Pending {
    first_slice: Option<Slice>,
    idr: bool,
    sps: bool,
    pps: bool,
    size: Option<(u16, u16)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    first_macroblock: bool,
    referenced: bool,
    number: Option<(u32, u32)>,
}

impl Depacketizer for H264 {
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let (&head, rest) = payload.split_first().ok_or(Malformed)?;
        match head & 0x1F {
            FRAGMENTATION => self.push_fragment(head, rest),
            _ if self.in_fragment => Err(Malformed),
            AGGREGATION => self.push_aggregate(rest),
            1..=23 => {
                self.take_unit(payload);
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn finish(&mut self) -> Result<Option<Whole>, Malformed> {
        let picture = std::mem::take(&mut self.picture);
        let data = std::mem::take(&mut self.data);
        self.unit.clear();
        if std::mem::take(&mut self.in_fragment) {
            return Err(Malformed);
        }
        let Some(slice) = picture.first_slice else {
            return Ok(None);
        };
        if picture.idr && !self.sets.complete() {
            return Err(Malformed);
        }
        let data = if picture.idr {
            let missing = self.sets.annex_b(!picture.sps, !picture.pps);
            [missing, data].concat()
        } else {
            data
        };
        Ok(Some(Whole {
            key: picture.idr,
            size: picture.size.filter(|_| picture.idr),
            duration_us: None,
            // Parameter sets of a key frame may have been in what was lost.
            begins: slice.first_macroblock && (!picture.idr || picture.sps),
            reference: Reference::Numbered(NumberedPicture {
                key: picture.idr,
                number: slice.number,
                referenced: slice.referenced,
            }),
            data,
        }))
    }
}

impl H264 {
    fn push_fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), Malformed> {
        let (&head, body) = rest.split_first().ok_or(Malformed)?;
        let (starts, ends) = (head & 0x80 != 0, head & 0x40 != 0);
        if starts == self.in_fragment {
            return Err(Malformed);
        }
        if starts {
            self.unit.clear();
            self.unit.push(indicator & 0xE0 | head & 0x1F);
        } else if self
            .unit
            .first()
            .is_none_or(|first| (first ^ head) & 0x1F != 0)
        {
            return Err(Malformed);
        }
        self.unit.extend_from_slice(body);
        self.in_fragment = !ends;
        if ends {
            let unit = std::mem::take(&mut self.unit);
            self.take_unit(&unit);
            self.unit = unit;
        }
        Ok(())
    }

    fn push_aggregate(&mut self, mut rest: &[u8]) -> Result<(), Malformed> {
        while let Some((length, following)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (unit, after) = following.split_at_checked(length).ok_or(Malformed)?;
            if unit.is_empty() {
                return Err(Malformed);
            }
            self.take_unit(unit);
            rest = after;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// A whole NAL unit, never empty.
    fn take_unit(&mut self, unit: &[u8]) {
        let Some((&head, body)) = unit.split_first() else {
            return;
        };
        match head & 0x1F {
            // A parameter set put in front would have to come after a delimiter; filler is nothing.
            DELIMITER | FILLER => return,
            SPS => {
                self.picture.sps = true;
                self.sets.keep(unit);
                self.picture.size = Sps::parse(unit).map(|sps| sps.size);
            }
            PPS => {
                self.picture.pps = true;
                self.sets.keep(unit);
            }
            kind @ (SLICE | IDR) => {
                self.picture.idr |= kind == IDR;
                let referenced = head & 0x60 != 0;
                let read = || slice(body, referenced, self.sets.active());
                self.picture.first_slice.get_or_insert_with(read);
                if kind == IDR && self.picture.size.is_none() {
                    self.picture.size = self.sets.active().map(|sps| sps.size);
                }
            }
            _ => {}
        }
        self.data.extend_from_slice(&START_CODE);
        self.data.extend_from_slice(unit);
    }
}

/// ITU-T H.264 section 7.3.3, up to `frame_num`.
fn slice(body: &[u8], referenced: bool, sps: Option<&Sps>) -> Slice {
    let plain = unescaped(&body[..body.len().min(SLICE_HEADER_BYTES)]);
    let mut bits = BitReader::new(&plain);
    let first_macroblock = bits.exp_golomb() == Some(0);
    let number = || {
        let sps = sps?;
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        if sps.separate_planes {
            bits.take(2)?;
        }
        let number = bits.take(sps.frame_number_bits)?;
        Some((number, (1 << sps.frame_number_bits) - 1))
    };
    Slice {
        first_macroblock,
        referenced,
        number: { number }(),
    }
}

/// Without emulation prevention (ITU-T H.264 section 7.4.1).
pub(crate) fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::H264;
    use crate::whole::{Depacketizer, Malformed};

    /// Baseline, 320x180, `frame_num` of 4 bits.
    const SPS: [u8; 9] = [0x67, 0x42, 0xC0, 0x0D, 0xDA, 0x05, 0x06, 0x7E, 0x74];
    const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];
    /// The first macroblock, slice type 7, parameter set 0, frame 0.
    const IDR: [u8; 5] = [0x65, 0x88, 0x84, 0, 0x10];
    const START: [u8; 4] = [0, 0, 0, 1];

    fn aggregate() -> Vec<u8> {
        let units = [SPS.as_slice(), &PPS].map(|unit| [&[0, unit.len() as u8], unit].concat());
        [&[0x78], units.concat().as_slice()].concat()
    }

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units
            .iter()
            .flat_map(|unit| [&START, *unit].concat())
            .collect()
    }

    #[test]
    fn aggregates_and_fragments_become_annex_b() {
        let mut h264 = H264::default();
        h264.push(&aggregate()).expect("parameter sets");
        h264.push(&[0x7C, 0x85, 0x88, 0x84]).expect("the start");
        h264.push(&[0x7C, 0x45, 0, 0x10]).expect("the end");
        let whole = h264.finish().expect("whole").expect("media");
        assert!(whole.key && whole.begins);
        assert_eq!(whole.size, Some((320, 180)));
        assert_eq!(whole.data, annex_b(&[&SPS, &PPS, &IDR]));
    }

    #[test]
    fn a_key_frame_gets_the_parameter_sets_that_came_before_it() {
        let mut h264 = H264::default();
        h264.push(&IDR).expect("a unit");
        assert_eq!(h264.finish(), Err(Malformed), "without any");
        h264.push(&aggregate()).expect("parameter sets");
        assert_eq!(h264.finish(), Ok(None), "no media");
        h264.push(&[0x09, 0x10]).expect("a delimiter");
        h264.push(&IDR).expect("a unit");
        let whole = h264.finish().expect("whole").expect("media");
        assert_eq!(whole.data, annex_b(&[&SPS, &PPS, &IDR]));
        assert!(!whole.begins, "newer ones may have been lost");
    }

    #[test]
    fn what_is_cut_or_mixed_is_no_frame() {
        let mut h264 = H264::default();
        for bad in [
            [0x7C, 0x45, 0].as_slice(),
            &[0x7C],
            &[0x78, 0, 9, 0x67],
            &[0x78, 0, 0],
            &[0x78, 0],
            &[0x79, 0],
            &[],
        ] {
            assert_eq!(h264.push(bad), Err(Malformed), "{bad:?}");
        }
        h264.push(&[0x7C, 0x81, 1]).expect("a start");
        assert_eq!(
            h264.push(&[0x7C, 0x05, 1]),
            Err(Malformed),
            "of another type"
        );
        assert_eq!(h264.push(&IDR), Err(Malformed), "inside a fragment");
        assert_eq!(h264.finish(), Err(Malformed), "without its end");
    }
}
