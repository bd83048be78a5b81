//! Images as encoders take them and decoders give them.

use std::fmt;

use crate::CodecError;

/// Longer sides are none that anybody sends: VP8 ends at 16,383.
pub const MAX_SIDE: u32 = 8_192;

/// I420: a plane of luma, then two of chroma with half the width and height, rounded up. No gaps.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}x{})", self.width, self.height)
    }
}

impl Image {
    /// Errors: `Shape` where the bytes are not as many as an image of that size has.
    pub fn new(width: u32, height: u32, bytes: Vec<u8>) -> Result<Self, CodecError> {
        if Self::bytes_of(width, height) != Some(bytes.len()) {
            return Err(CodecError::Shape);
        }
        Ok(Self {
            width,
            height,
            bytes,
        })
    }

    /// How many an image of that size has; none for sizes that are refused.
    pub fn bytes_of(width: u32, height: u32) -> Option<usize> {
        let is_fit = |side: u32| (1..=MAX_SIDE).contains(&side);
        if !is_fit(width) || !is_fit(height) {
            return None;
        }
        let luma = (width * height) as usize;
        let chroma = (width.div_ceil(2) * height.div_ceil(2)) as usize;
        Some(luma + 2 * chroma)
    }

    /// In pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All three planes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// 0 is luma, 1 and 2 are chroma; none for others.
    pub fn plane(&self, number: usize) -> Option<&[u8]> {
        let luma = (self.width * self.height) as usize;
        let chroma = (self.bytes.len() - luma) / 2;
        match number {
            0 => self.bytes.get(..luma),
            1 => self.bytes.get(luma..luma + chroma),
            2 => self.bytes.get(luma + chroma..),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn an_image_has_as_many_bytes_as_its_size_says_also_an_odd_one() {
        assert_eq!(Image::bytes_of(640, 480), Some(460_800));
        assert_eq!(Image::bytes_of(3, 5), Some(15 + 2 * 6));
        for (width, height) in [(0, 5), (5, 0), (8_193, 2), (u32::MAX, u32::MAX)] {
            assert_eq!(Image::bytes_of(width, height), None);
        }
        let image = Image::new(3, 5, (0..27).collect());
        let image = image.unwrap_or_else(|error| panic!("{error}"));
        let planes = [0, 1, 2, 3].map(|number| image.plane(number).map(<[u8]>::len));
        assert_eq!(planes, [Some(15), Some(6), Some(6), None]);
        assert!(Image::new(3, 5, vec![0; 26]).is_err());
    }
}
