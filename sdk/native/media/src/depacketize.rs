//! What a payload says of its frame, and a frame of its payloads.

use sealroute_e2ee::Codec;
use sealroute_rtp::descriptor::{Av1Descriptor, NalStarts, Vp8Descriptor, Vp9Descriptor};

use crate::{h264, obu};

/// What the descriptor of one payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// A frame begins.
    pub(crate) is_start: bool,
    /// It ends, if the descriptor says so and not RTP's marker.
    pub(crate) is_end: bool,
    /// It needs none before it.
    pub(crate) is_key_frame: bool,
    /// Bytes before those of the frame.
    pub(crate) skip: usize,
}

/// `is_first`: of its timestamp, for the codecs whose descriptors do not say where a frame begins.
pub(crate) fn mark(codec: Codec, payload: &[u8], is_first: bool) -> Option<Mark> {
    match codec {
        Codec::Opus => Some(Mark {
            is_start: true,
            is_end: true,
            is_key_frame: true,
            skip: 0,
        }),
        Codec::Vp8 => {
            let descriptor = Vp8Descriptor::parse(payload)?;
            let skip = descriptor.length.into();
            let first = payload.get(skip)?;
            Some(Mark {
                is_start: descriptor.frame_start,
                is_end: false,
                is_key_frame: descriptor.frame_start && first & 1 == 0,
                skip,
            })
        }
        Codec::Vp9 => {
            let descriptor = Vp9Descriptor::parse(payload)?;
            let is_base = descriptor.spatial_layer == 0;
            Some(Mark {
                is_start: descriptor.frame_start,
                is_end: descriptor.frame_end,
                is_key_frame: descriptor.frame_start && !descriptor.inter_picture && is_base,
                skip: descriptor.length,
            })
        }
        Codec::H264 => Some(Mark {
            is_start: is_first && NalStarts::new(payload).next().is_some(),
            is_end: false,
            is_key_frame: is_first && h264::is_key_frame(payload),
            skip: 0,
        }),
        Codec::Av1 => {
            let descriptor = Av1Descriptor::parse(payload)?;
            Some(Mark {
                is_start: is_first && !descriptor.continues,
                is_end: false,
                is_key_frame: is_first && descriptor.new_sequence,
                skip: 0,
            })
        }
    }
}

/// `payloads` without what [`Mark::skip`] counts.
pub(crate) fn frame<'a>(codec: Codec, payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    match codec {
        Codec::Opus | Codec::Vp8 | Codec::Vp9 => {
            Some(payloads.fold(Vec::new(), |mut frame, payload| {
                frame.extend_from_slice(payload);
                frame
            }))
        }
        Codec::H264 => h264::stream(payloads),
        Codec::Av1 => obu::frame(payloads),
    }
}
