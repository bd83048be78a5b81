//! VP8 (RFC 7741): the payloads without their descriptors are the frame.

use sealroute_rtp::descriptor::Vp8Descriptor;

use crate::layer_chain::Picture;
use crate::references::Reference;
use crate::whole::{Depacketizer, Malformed, Whole};

#[derive(Debug, Default)]
pub(crate) struct Vp8 {
    first: Option<Vp8Descriptor>,
    data: Vec<u8>,
}

impl Depacketizer for Vp8 {
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let descriptor = Vp8Descriptor::parse(payload).ok_or(Malformed)?;
        match &self.first {
            None if descriptor.frame_start => self.first = Some(descriptor),
            Some(first) if !descriptor.frame_start && first.picture_id == descriptor.picture_id => {
            }
            _ => return Err(Malformed),
        }
        self.data
            .extend_from_slice(&payload[usize::from(descriptor.length)..]);
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<Whole>, Malformed> {
        let data = std::mem::take(&mut self.data);
        let first = self.first.take().ok_or(Malformed)?;
        let key = data.first().ok_or(Malformed)? & 1 == 0;
        let size = if key {
            Some(key_frame_size(&data).ok_or(Malformed)?)
        } else {
            None
        };
        let picture = Picture {
            key,
            id: first.picture_id,
            tl0: first.tl0_picture_index,
            temporal: first.temporal_layer.unwrap_or_default(),
            sync: first.layer_sync,
            opens: false,
        };
        Ok(Some(Whole {
            key,
            size,
            duration_us: None,
            // Its start bit said so.
            begins: true,
            reference: Reference::Layers(picture),
            data,
        }))
    }
}

/// RFC 6386 section 9.1: start code, then 14 bits of width and of height.
fn key_frame_size(frame: &[u8]) -> Option<(u16, u16)> {
    match *frame {
        [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] => Some((
            u16::from_le_bytes([w0, w1]) & 0x3FFF,
            u16::from_le_bytes([h0, h1]) & 0x3FFF,
        )),
        _ => None,
    }
}
