//! Reads big-endian bit fields; the end of input is a result, not a panic.

/// A cursor over the bits of a slice, most significant first.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// At the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `count` bits (up to 32) as a number; `None` past the end.
    pub fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.position / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.position % 8)) & 1);
            self.position += 1;
        }
        Some(value)
    }

    /// One Exp-Golomb code (ITU-T H.264 9.1), bounded to 32 leading zeros.
    pub fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        Some((1_u32 << zeros) - 1 + rest)
    }

    /// The index of the byte that follows the bits read so far, rounded up.
    pub fn next_byte(&self) -> usize {
        self.position.div_ceil(8)
    }
}
