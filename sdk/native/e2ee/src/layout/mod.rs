//! Where the SFrame of each codec is, and what stands around it (docs/e2ee.md sections 4 and 5).

mod av1;
mod h264;
mod nal;

use std::borrow::Cow;

use crate::{FrameError, Kind};

const VERSION: u8 = 0x02;
const VP8_KEY_FRAME_BYTES: usize = 10;

/// What a frame is encoded with; no other codec is ever encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// The only one of audio.
    Opus = 0,
    /// RFC 6386.
    Vp8 = 1,
    /// Each layer's frame by itself.
    Vp9 = 2,
    /// In packetization-mode 1.
    H264 = 3,
    /// Each layer's frame by itself.
    Av1 = 4,
}

impl Codec {
    /// Which windows count its frames.
    pub fn kind(self) -> Kind {
        match self {
            Self::Opus => Kind::Audio,
            _ => Kind::Video,
        }
    }
}

/// A frame of the encoder, before it is encrypted.
pub(crate) struct Outgoing<'a> {
    /// Authenticated, not encrypted.
    pub(crate) clear: &'a [u8],
    pub(crate) plaintext: Cow<'a, [u8]>,
    wrap: Wrap,
}

enum Wrap {
    /// The clear bytes alone.
    None,
    /// In front of the SFrame, not authenticated.
    Prefix(Vec<u8>),
    /// In front, and the SFrame in the shape of a NAL unit's end.
    Nal(Vec<u8>),
}

impl<'a> Outgoing<'a> {
    pub(crate) fn of(codec: Codec, frame: &'a [u8]) -> Result<Self, FrameError> {
        if frame.is_empty() {
            return Err(FrameError::Empty);
        }
        let (clear, plaintext) = match codec {
            Codec::Vp8 => split_vp8(frame).ok_or(FrameError::Malformed)?,
            _ => (&frame[..0], frame),
        };
        let whole = |wrap| Self {
            clear,
            plaintext: Cow::Borrowed(plaintext),
            wrap,
        };
        match codec {
            Codec::Opus | Codec::Vp8 | Codec::Vp9 => Ok(whole(Wrap::None)),
            Codec::Av1 => Ok(whole(Wrap::Prefix(
                av1::prefix(frame).ok_or(FrameError::Malformed)?,
            ))),
            Codec::H264 => {
                let unit = h264::AccessUnit::read(frame).ok_or(FrameError::Malformed)?;
                Ok(Self {
                    clear,
                    plaintext: Cow::Owned(unit.canonical()),
                    wrap: Wrap::Nal(unit.prefix()),
                })
            }
        }
    }

    /// What goes into packets.
    pub(crate) fn wire(self, sframe: Vec<u8>) -> Vec<u8> {
        match self.wrap {
            Wrap::None if self.clear.is_empty() => sframe,
            Wrap::None => [self.clear, &sframe].concat(),
            Wrap::Prefix(mut wire) => {
                wire.extend_from_slice(&sframe);
                wire
            }
            Wrap::Nal(mut wire) => {
                h264::push_wrapped(&mut wire, &sframe);
                wire
            }
        }
    }
}

/// A frame as it arrived.
pub(crate) struct Received<'a> {
    pub(crate) clear: &'a [u8],
    pub(crate) sframe: Cow<'a, [u8]>,
}

impl<'a> Received<'a> {
    /// None for what has no SFrame where its codec has it.
    pub(crate) fn of(codec: Codec, wire: &'a [u8]) -> Option<Self> {
        let nothing = &wire[..0];
        let (clear, sframe) = match codec {
            Codec::Opus | Codec::Vp9 => (nothing, Cow::Borrowed(wire)),
            Codec::Vp8 => {
                let (clear, rest) = split_vp8(wire)?;
                (clear, Cow::Borrowed(rest))
            }
            Codec::Av1 => (nothing, Cow::Borrowed(av1::opaque(wire)?)),
            Codec::H264 => (nothing, Cow::Owned(h264::unwrapped(wire)?)),
        };
        Some(Self { clear, sframe })
    }
}

/// What is authenticated beside the SFrame header.
pub(crate) fn metadata(codec: Codec, clear: &[u8]) -> Vec<u8> {
    [&[VERSION, codec as u8], clear].concat()
}

/// The frame as its decoder takes it.
pub(crate) fn frame(codec: Codec, clear: &[u8], plaintext: Vec<u8>) -> Vec<u8> {
    match codec {
        Codec::Vp8 => [clear, &plaintext].concat(),
        Codec::H264 => [&nal::START_CODE[..], &plaintext].concat(),
        Codec::Opus | Codec::Vp9 | Codec::Av1 => plaintext,
    }
}

/// The bytes that its depacketizers read, and the rest.
fn split_vp8(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_key_frame = frame.first()? & 1 == 0;
    frame.split_at_checked(if is_key_frame { VP8_KEY_FRAME_BYTES } else { 1 })
}
