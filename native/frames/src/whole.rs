//! What depacketizers have in common.

use crate::av1::Av1;
use crate::codec::Codec;
use crate::h264::H264;
use crate::opus::Opus;
use crate::references::Reference;
use crate::vp8::Vp8;
use crate::vp9::Vp9;

/// A payload is not of the codec, or does not continue the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A frame whose packets are all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// It depends on nothing.
    pub(crate) key: bool,
    /// Width and height, where the frame says them.
    pub(crate) size: Option<(u16, u16)>,
    /// How long it lasts, where the frame says it.
    pub(crate) duration_us: Option<u32>,
    /// Its first payload is certainly the frame's first, whatever was lost before it.
    pub(crate) begins: bool,
    /// What it depends on.
    pub(crate) reference: Reference,
    /// As a decoder and a file take it.
    pub(crate) data: Vec<u8>,
}

/// Turns the payloads of a frame, in order and without a hole, into the frame.
pub(crate) trait Depacketizer: Send + std::fmt::Debug {
    /// Takes the next payload of the frame.
    fn push(&mut self, payload: &[u8]) -> Result<(), Malformed>;

    /// Ends the frame, whatever came of it, and starts the next. `None`: it has no media.
    fn finish(&mut self) -> Result<Option<Whole>, Malformed>;
}

pub(crate) fn depacketizer(codec: Codec) -> Box<dyn Depacketizer> {
    match codec {
        Codec::Opus => Box::<Opus>::default(),
        Codec::Vp8 => Box::<Vp8>::default(),
        Codec::Vp9 => Box::<Vp9>::default(),
        Codec::H264 => Box::<H264>::default(),
        Codec::Av1 => Box::<Av1>::default(),
    }
}
