//! NAL units of an H.264 byte stream (annex B), and bytes that must not look like their start.

pub(crate) const START_CODE: [u8; 4] = [0, 0, 0, 1];
const ESCAPE: u8 = 3;

/// The units without start codes and without zero bytes at their end.
pub(super) fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let from = rest?;
        let (unit, after) = match start_code(from) {
            Some(at) => (&from[..at], from.get(at + 3..)),
            None => (from, None),
        };
        rest = after;
        Some(trimmed(unit))
    })
    .filter(|unit| !unit.is_empty())
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    stream.get(start_code(stream)? + 3..)
}

/// Where the next `00 00 01` is.
fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|three| three == [0, 0, 1])
}

fn trimmed(unit: &[u8]) -> &[u8] {
    let end = unit
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &unit[..end]
}

/// Appends bytes with `03` wherever two zero bytes stand before one of 0 to 3.
pub(super) fn push_escaped(out: &mut Vec<u8>, bytes: impl IntoIterator<Item = u8>) {
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && byte <= ESCAPE {
            out.push(ESCAPE);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

/// Takes the `03` out again.
pub(super) fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == ESCAPE {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads and writes bits, most significant first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// `ue(v)`: an Exp-Golomb code.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value: u32 = 1;
        for _ in 0..zeros {
            value = value << 1 | self.bit()?;
        }
        Some(value - 1)
    }

    /// The bytes after the one that was last read of.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at.div_ceil(8)..).unwrap_or_default()
    }
}

/// Exp-Golomb codes in a row, filled up with ones to a whole byte.
pub(super) fn exp_golomb_bytes(values: &[u32]) -> Vec<u8> {
    let mut bits = Vec::new();
    for value in values {
        let code = u64::from(*value) + 1;
        let digits = 64 - code.leading_zeros();
        bits.extend(std::iter::repeat_n(0, digits as usize - 1));
        bits.extend((0..digits).rev().map(|digit| (code >> digit & 1) as u8));
    }
    bits.resize(bits.len().next_multiple_of(8), 1);
    let byte = |eight: &[u8]| eight.iter().fold(0, |sum, bit| sum << 1 | bit);
    bits.chunks_exact(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{Bits, exp_golomb_bytes, push_escaped, unescaped, units};

    proptest! {
        #[test]
        fn escaped_bytes_hold_no_start_code_and_come_back(
            bytes in proptest::collection::vec(prop_oneof![4 => Just(0_u8), 1 => 1_u8..5], 0..60),
        ) {
            let mut out = Vec::new();
            push_escaped(&mut out, bytes.iter().copied());
            prop_assert!(!out.windows(3).any(|three| three[..2] == [0, 0] && three[2] < 3));
            prop_assert_eq!(unescaped(&out), bytes);
        }

        #[test]
        fn numbers_are_read_as_they_were_written(values in any::<[u32; 3]>(), shift in 0_u32..32) {
            let values = values.map(|value| (value >> shift).min(u32::MAX - 1));
            let bytes = exp_golomb_bytes(&values);
            let mut bits = Bits::new(&bytes);
            for value in values {
                prop_assert_eq!(bits.exp_golomb(), Some(value));
            }
            prop_assert!(bits.rest().is_empty());
        }

        #[test]
        fn any_bytes_are_units(bytes in proptest::collection::vec(0_u8..3, 0..60)) {
            for unit in units(&bytes) {
                prop_assert!(unit.last().is_some_and(|last| *last != 0));
            }
        }
    }
}
