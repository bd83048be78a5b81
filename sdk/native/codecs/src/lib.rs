//! Codecs by libraries of the system: VP8 by libvpx, Opus by libopus, each behind a feature. Without
//! its feature a codec answers [`CodecError::NotBuilt`].

mod error;
mod image;
mod opus;
mod vp8;

pub use error::CodecError;
pub use image::{Image, MAX_SIDE};
pub use opus::{FRAME_MS, OpusDecoder, OpusEncoder, RATES};
pub use vp8::{Encoded, Vp8Decoder, Vp8Encoder};
