//! The parameter sets of an H.264 stream.

use sealroute_rtp::bits::BitReader;

use crate::h264::{PPS, SPS, unescaped};

/// Encoders of real-time media have one or two of each; more than this is nothing to remember.
const MAX_SETS: usize = 8;
/// Longer ones have tables that no real-time encoder sends.
const MAX_SET_BYTES: usize = 1_024;

/// The latest set of each type and id.
#[derive(Debug, Default)]
pub(crate) struct ParameterSets {
    sets: Vec<(u8, u32, Vec<u8>)>,
    active: Option<Sps>,
}

impl ParameterSets {
    pub(crate) fn keep(&mut self, unit: &[u8]) {
        let kind = unit.first().map_or(0, |head| head & 0x1F);
        let Some(id) = set_id(unit).filter(|_| unit.len() <= MAX_SET_BYTES) else {
            return;
        };
        if kind == SPS {
            self.active = Sps::parse(unit).or(self.active);
        }
        self.sets
            .retain(|(of, other, _)| (*of, *other) != (kind, id));
        if self.sets.len() == MAX_SETS {
            self.sets.remove(0);
        }
        self.sets.push((kind, id, unit.to_vec()));
    }

    /// The latest sequence parameter set: a sender has one.
    pub(crate) fn active(&self) -> Option<&Sps> {
        self.active.as_ref()
    }

    /// There is one of each type.
    pub(crate) fn complete(&self) -> bool {
        [SPS, PPS]
            .iter()
            .all(|kind| self.sets.iter().any(|(of, ..)| of == kind))
    }

    /// As Annex B, those of sequences first.
    pub(crate) fn annex_b(&self, sequences: bool, pictures: bool) -> Vec<u8> {
        let of = |kind: u8, wanted: bool| {
            let sets = self
                .sets
                .iter()
                .filter(move |(of, ..)| wanted && *of == kind);
            sets.flat_map(|(.., unit)| [&[0, 0, 0, 1], unit.as_slice()].concat())
        };
        of(SPS, sequences).chain(of(PPS, pictures)).collect()
    }
}

fn set_id(unit: &[u8]) -> Option<u32> {
    let skipped = if unit.first()? & 0x1F == SPS { 4 } else { 1 };
    let plain = unescaped(unit.get(..unit.len().min(32))?);
    BitReader::new(plain.get(skipped..)?).exp_golomb()
}

/// What is needed of a sequence parameter set (ITU-T H.264 section 7.3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sps {
    /// Width and height in pixels, without what is cropped.
    pub(crate) size: (u16, u16),
    /// The length of `frame_num`.
    pub(crate) frame_number_bits: usize,
    /// Slices name their color plane.
    pub(crate) separate_planes: bool,
}

impl Sps {
    pub(crate) fn parse(unit: &[u8]) -> Option<Self> {
        let plain = unescaped(unit.get(1..unit.len().min(MAX_SET_BYTES))?);
        let mut bits = BitReader::new(&plain);
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.exp_golomb()?;
        let (chroma, separate_planes) = match profile {
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => {
                read_chroma(&mut bits)?
            }
            _ => (1, false),
        };
        let frame_number_bits = bits.exp_golomb()? as usize + 4;
        if frame_number_bits > 16 {
            return None;
        }
        skip_order_count(&mut bits)?;
        bits.exp_golomb()?;
        bits.take(1)?;
        let width = bits.exp_golomb()?.checked_add(1)?.checked_mul(16)?;
        let units = bits.exp_golomb()?.checked_add(1)?.checked_mul(16)?;
        let frames_only = bits.take(1)?;
        if frames_only == 0 {
            bits.take(1)?;
        }
        bits.take(1)?;
        let height = units.checked_mul(2 - frames_only)?;
        let cropped = read_cropping(&mut bits, chroma, frames_only)?;
        Some(Self {
            size: (
                u16::try_from(width.checked_sub(cropped.0)?).ok()?,
                u16::try_from(height.checked_sub(cropped.1)?).ok()?,
            ),
            frame_number_bits,
            separate_planes,
        })
    }
}

/// `chroma_format_idc` and whether planes are separate; what else high profiles have is skipped.
fn read_chroma(bits: &mut BitReader<'_>) -> Option<(u32, bool)> {
    let chroma = bits.exp_golomb()?;
    let separate = chroma == 3 && bits.take(1)? == 1;
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.take(1)?;
    if bits.take(1)? == 1 {
        for list in 0..if chroma == 3 { 12 } else { 8 } {
            if bits.take(1)? == 1 {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some((if separate { 0 } else { chroma }, separate))
}

/// ITU-T H.264 section 7.3.2.1.1.1.
fn skip_scaling_list(bits: &mut BitReader<'_>, length: usize) -> Option<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..length {
        if next != 0 {
            let code = i64::from(bits.exp_golomb()?);
            let delta = if code & 1 == 1 {
                (code + 1) / 2
            } else {
                -(code / 2)
            };
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_order_count(bits: &mut BitReader<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let cycle = bits.exp_golomb()?;
            for _ in 0..(cycle <= 255).then_some(cycle)? {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Pixels of width and height that are cropped.
fn read_cropping(bits: &mut BitReader<'_>, chroma: u32, frames_only: u32) -> Option<(u32, u32)> {
    if bits.take(1)? == 0 {
        return Some((0, 0));
    }
    let wide = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let high = if chroma == 1 { 2 } else { 1 } * (2 - frames_only);
    let mut sum = || bits.exp_golomb()?.checked_add(bits.exp_golomb()?);
    let (across, down) = (sum()?, sum()?);
    Some((across.checked_mul(wide)?, down.checked_mul(high)?))
}
