//! H.264: one opaque slice for each access unit, with copies of the parameter sets in front for
//! those who packetize and forward. The real ones travel inside.

use super::nal::{self, Bits, START_CODE, exp_golomb_bytes, unescaped, units};

const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
/// Headers of the opaque slice, with a `nal_ref_idc` that says "needed".
const IDR_HEADER: u8 = 0x65;
const OTHER_HEADER: u8 = 0x41;
/// All slices of the frame are of type I, or P.
const ONLY_I: u32 = 7;
const ONLY_P: u32 = 5;
const MAX_PPS_ID: u32 = 255;
/// Keeps the last byte of the unit from being zero.
const END: u8 = 0x80;
/// Three numbers of a slice header, escaped, fit into these.
const SLICE_START: usize = 24;

pub(super) struct AccessUnit<'a> {
    units: Vec<&'a [u8]>,
    pps_id: u32,
}

impl<'a> AccessUnit<'a> {
    /// None without a slice.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let units: Vec<&[u8]> = units(frame).collect();
        let slice = units.iter().find(|unit| is_slice(unit))?;
        let start = unescaped(&slice[1..slice.len().min(SLICE_START)]);
        let mut bits = Bits::new(&start);
        let [_first, _type, pps_id] = [bits.exp_golomb()?, bits.exp_golomb()?, bits.exp_golomb()?];
        (pps_id <= MAX_PPS_ID).then_some(Self { units, pps_id })
    }

    /// The units with start codes between them, which is what is encrypted.
    pub(super) fn canonical(&self) -> Vec<u8> {
        self.units.join(&START_CODE[..])
    }

    /// Copies of parameter sets, and the opaque slice up to its content.
    pub(super) fn prefix(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for wanted in [SPS, PPS] {
            for unit in self.units.iter().filter(|unit| unit_type(unit) == wanted) {
                out.extend_from_slice(&START_CODE);
                out.extend_from_slice(unit);
            }
        }
        let is_idr = self.units.iter().any(|unit| unit_type(unit) == IDR_SLICE);
        let (header, slice_type) = if is_idr {
            (IDR_HEADER, ONLY_I)
        } else {
            (OTHER_HEADER, ONLY_P)
        };
        out.extend_from_slice(&START_CODE);
        out.push(header);
        out.extend(exp_golomb_bytes(&[0, slice_type, self.pps_id]));
        out
    }
}

/// Appends the SFrame as the content of the opaque slice.
pub(super) fn push_wrapped(out: &mut Vec<u8>, sframe: &[u8]) {
    nal::push_escaped(out, sframe.iter().copied().chain([END]));
}

/// The SFrame in the first slice.
pub(super) fn unwrapped(wire: &[u8]) -> Option<Vec<u8>> {
    let slice = units(wire).find(|unit| is_slice(unit))?;
    let mut bits = Bits::new(&slice[1..]);
    for _ in 0..3 {
        bits.exp_golomb()?;
    }
    let mut content = unescaped(bits.rest());
    (content.pop()? == END).then_some(content)
}

fn is_slice(unit: &[u8]) -> bool {
    matches!(unit_type(unit), SLICE | IDR_SLICE)
}

fn unit_type(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}
