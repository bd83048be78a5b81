//! VP9 (RFC 9628): the layer frames of a picture, as a superframe where there are several.

use sealroute_rtp::bits::BitReader;
use sealroute_rtp::descriptor::{Vp9Descriptor, Vp9Prediction};

use crate::layer_chain::Picture;
use crate::references::{ListedPicture, Reference};
use crate::whole::{Depacketizer, Malformed, Whole};

/// As many as the index of a superframe can count.
const MAX_LAYER_FRAMES: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Vp9 {
    first: Option<(Vp9Descriptor, Vp9Prediction)>,
    size: Option<(u16, u16)>,
    references: Vec<u8>,
    /// Where each layer frame begins in `data`.
    starts: Vec<usize>,
    inside: bool,
    opens: bool,
    data: Vec<u8>,
}

impl Depacketizer for Vp9 {
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let descriptor = Vp9Descriptor::parse(payload).ok_or(Malformed)?;
        if descriptor.frame_start == self.inside {
            return Err(Malformed);
        }
        if descriptor.frame_start {
            self.start_layer(descriptor, payload)?;
        }
        self.inside = !descriptor.frame_end;
        self.data.extend_from_slice(&payload[descriptor.length..]);
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Whole>, Malformed> {
        let mut ended = std::mem::take(self);
        let (first, prediction) = ended.first.take().ok_or(Malformed)?;
        if ended.inside {
            return Err(Malformed);
        }
        let header = FrameHeader::parse(&ended.data).ok_or(Malformed)?;
        let key = header.key && first.spatial_layer == 0;
        let size = ended.size.or(header.size);
        let reference = ended.reference(first, prediction, key);
        ended.write_index()?;
        Ok(Some(Whole {
            key,
            size: size.filter(|_| key),
            duration_us: None,
            // After a loss, a lower layer of the picture may be missing unseen; listed references
            // have a check of their own.
            begins: first.spatial_layer == 0 || prediction.flexible,
            reference,
            data: ended.data,
        }))
    }
}

impl Vp9 {
    fn start_layer(&mut self, descriptor: Vp9Descriptor, payload: &[u8]) -> Result<(), Malformed> {
        let prediction = Vp9Prediction::parse(payload).ok_or(Malformed)?;
        match &self.first {
            // The layer that it is predicted from is missing.
            None if prediction.inter_layer => return Err(Malformed),
            None => self.first = Some((descriptor, prediction)),
            Some((_, first)) if first.picture_id != prediction.picture_id => return Err(Malformed),
            Some(_) => {}
        }
        if self.starts.len() == MAX_LAYER_FRAMES {
            return Err(Malformed);
        }
        self.starts.push(self.data.len());
        self.size = descriptor.size.or(self.size);
        self.opens |= descriptor.switching_up_point;
        let references = prediction.references.iter();
        self.references.extend(references.filter(|&&ago| ago > 0));
        Ok(())
    }

    fn reference(&self, first: Vp9Descriptor, prediction: Vp9Prediction, key: bool) -> Reference {
        match prediction.picture_id {
            Some(id) if prediction.flexible => Reference::Listed(ListedPicture {
                key,
                id,
                ago: self.references.clone(),
                temporal: first.temporal_layer,
                lowest_spatial: first.spatial_layer,
            }),
            id => Reference::Layers(Picture {
                key,
                id,
                tl0: prediction.tl0_picture_index,
                temporal: first.temporal_layer,
                sync: false,
                opens: self.opens,
            }),
        }
    }

    /// Annex B of the VP9 bitstream specification: decoders take the frames of a picture together.
    fn write_index(&mut self) -> Result<(), Malformed> {
        let count = self.starts.len();
        if count < 2 {
            return Ok(());
        }
        let ends = self.starts[1..].iter().copied().chain([self.data.len()]);
        let sizes: Vec<usize> = ends
            .zip(&self.starts)
            .map(|(end, start)| end - start)
            .collect();
        let marker = 0xC0 | (3 << 3) | (count - 1) as u8;
        self.data.push(marker);
        for size in sizes {
            let size = u32::try_from(size).map_err(|_| Malformed)?;
            self.data.extend_from_slice(&size.to_le_bytes());
        }
        self.data.push(marker);
        Ok(())
    }
}

/// The beginning of an uncompressed header (VP9 bitstream specification section 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FrameHeader {
    key: bool,
    size: Option<(u16, u16)>,
}

const SYNC_CODE: u32 = 0x49_8342;
const SRGB: u32 = 7;

impl FrameHeader {
    /// `None`: not VP9, or a key frame that ends too early.
    fn parse(frame: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(frame);
        if bits.take(2)? != 2 {
            return None;
        }
        let profile = bits.take(1)? | bits.take(1)? << 1;
        if profile == 3 {
            bits.take(1)?;
        }
        let shows_existing = bits.take(1)? == 1;
        if shows_existing || bits.take(1)? == 1 {
            return Some(Self::default());
        }
        // Whether it is shown, and whether it is resilient to errors.
        bits.take(2)?;
        if bits.take(24)? != SYNC_CODE {
            return None;
        }
        skip_color_config(&mut bits, profile)?;
        let width = bits.take(16)? as u16;
        let height = bits.take(16)? as u16;
        Some(Self {
            key: true,
            size: Some((width.saturating_add(1), height.saturating_add(1))),
        })
    }
}

fn skip_color_config(bits: &mut BitReader<'_>, profile: u32) -> Option<()> {
    if profile >= 2 {
        bits.take(1)?;
    }
    let subsampled_by_choice = profile & 1 == 1;
    if bits.take(3)? == SRGB {
        bits.take(usize::from(subsampled_by_choice))?;
    } else {
        bits.take(if subsampled_by_choice { 4 } else { 1 })?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{FrameHeader, Vp9};
    use crate::whole::{Depacketizer, Malformed};

    /// Profile 0, key frame, shown; color space 1, range 0; 640x360.
    const KEY: [u8; 9] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xF0, 0x16, 0x70];

    #[test]
    fn the_size_of_a_key_frame_is_in_its_header() {
        let header = FrameHeader::parse(&KEY).expect("a header");
        assert!(header.key);
        assert_eq!(header.size, Some((640, 360)));
        assert_eq!(FrameHeader::parse(&KEY[..8]), None);
        assert_eq!(FrameHeader::parse(&[0x86]), Some(FrameHeader::default()));
        assert_eq!(FrameHeader::parse(&[0x42]), None);
    }

    #[test]
    fn the_layer_frames_of_a_picture_are_a_superframe() {
        let mut vp9 = Vp9::default();
        // Non-flexible; start and end of a layer frame; layers 0 and 1 of spatial layering.
        vp9.push(&[&[0x2C, 0x00, 0x01], KEY.as_slice()].concat())
            .expect("layer 0");
        vp9.push(&[0x28, 0x03, 0x01, 0x86, 1, 2]).expect("layer 1");
        vp9.push(&[0x24, 0x03, 0x01, 3]).expect("layer 1");
        let whole = vp9.finish().expect("whole").expect("media");
        assert!(whole.key);
        let index = [0xD9, 9, 0, 0, 0, 4, 0, 0, 0, 0xD9];
        assert_eq!(
            whole.data,
            [&KEY, [0x86, 1, 2, 3].as_slice(), &index].concat()
        );
    }

    #[test]
    fn a_layer_without_the_one_below_is_no_picture() {
        let mut vp9 = Vp9::default();
        assert_eq!(vp9.push(&[0x2C, 0x03, 0x01, 0x86]), Err(Malformed));
        assert_eq!(vp9.finish(), Err(Malformed));
        // A continuation alone, and a frame without its end.
        assert_eq!(vp9.push(&[0x24, 0x00, 0x01, 0x86]), Err(Malformed));
        let _ = vp9.finish();
        vp9.push(&[0x28, 0x00, 0x01, 0x86]).expect("a start");
        assert_eq!(vp9.finish(), Err(Malformed));
    }
}
