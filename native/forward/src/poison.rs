//! Debug builds only: a payload with every byte changed that routing must not read.
//!
//! Written independently of the readers in `frame_mark.rs`: a reader that goes beyond what
//! docs/e2ee.md allows misreads in every test.

use sealroute_rtp::descriptor::{Vp8Descriptor, Vp9Descriptor, slice_prefix_bytes};

use crate::frame_mark::ROUTING_VIEW_BYTES;
use crate::parameters::Codec;

const POISON: u8 = 0xDB;
/// Config byte and key id.
const FRAME_HEADER: usize = 9;
/// The same with the most emulation prevention that H.264 may add.
const ESCAPED_FRAME_HEADER: usize = 14;
const VP8_KEY_FRAME: usize = 10;
const VP8_DESCRIPTOR: usize = 6;
const NAL_SLICES: [u8; 2] = [1, 5];
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const OBU_FRAME: u8 = 6;

/// The start of a payload without the forbidden bytes.
pub(crate) struct Poisoned<'a> {
    view: &'a [u8],
    bytes: [u8; ROUTING_VIEW_BYTES],
}

/// `view` has at most [`ROUTING_VIEW_BYTES`].
pub(crate) fn poisoned(codec: Codec, view: &[u8]) -> Poisoned<'_> {
    let mut poisoned = Poisoned {
        view,
        bytes: [POISON; ROUTING_VIEW_BYTES],
    };
    match codec {
        Codec::Opus => poisoned.keep(0, FRAME_HEADER),
        Codec::Vp8 => poisoned.keep_vp8(),
        Codec::Vp9 => poisoned.keep_vp9(),
        Codec::H264 => poisoned.keep_h264(),
        Codec::Av1 => poisoned.keep_av1(),
    }
    poisoned
}

impl Poisoned<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.view.len()]
    }

    fn keep(&mut self, from: usize, count: usize) {
        let end = (from + count).min(self.view.len());
        if from < end {
            self.bytes[from..end].copy_from_slice(&self.view[from..end]);
        }
    }

    fn keep_vp8(&mut self) {
        let Some(descriptor) = Vp8Descriptor::parse(self.view) else {
            return self.keep(0, VP8_DESCRIPTOR);
        };
        let length = usize::from(descriptor.length);
        self.keep(0, length);
        if let (true, Some(first)) = (descriptor.frame_start, self.view.get(length)) {
            let clear = if first & 1 == 0 { VP8_KEY_FRAME } else { 1 };
            self.keep(length, clear + FRAME_HEADER);
        }
    }

    fn keep_vp9(&mut self) {
        let Some(descriptor) = Vp9Descriptor::parse(self.view) else {
            // The descriptor fills the payload and continues beyond it.
            return self.keep(0, self.view.len());
        };
        let header = if descriptor.frame_start {
            FRAME_HEADER
        } else {
            0
        };
        self.keep(0, descriptor.length + header);
    }

    fn keep_h264(&mut self) {
        let kind = self.view.first().map(|first| first & 0x1F);
        match (kind, self.view.get(1)) {
            (Some(STAP_A), _) => self.keep_aggregate(),
            (Some(FU_A), Some(header)) => {
                self.keep(0, 2);
                if header & 0x80 != 0 {
                    self.keep_slice(header & 0x1F, 2);
                }
            }
            (Some(kind), _) => {
                self.keep(0, 1);
                self.keep_slice(kind, 1);
            }
            (None, _) => {}
        }
    }

    fn keep_aggregate(&mut self) {
        self.keep(0, 1);
        let mut at = 1;
        while let Some(&[high, low]) = self.view.get(at..at + 2).and_then(|two| two.first_chunk()) {
            self.keep(at, 3);
            if let Some(head) = self.view.get(at + 2) {
                self.keep_slice(head & 0x1F, at + 3);
            }
            at += 2 + usize::from(u16::from_be_bytes([high, low]));
        }
    }

    /// The prefix of a slice at `at`, and the frame header after it.
    fn keep_slice(&mut self, kind: u8, at: usize) {
        let body = self.view.get(at..).unwrap_or_default();
        if NAL_SLICES.contains(&kind) {
            let prefix = slice_prefix_bytes(body).unwrap_or(body.len());
            self.keep(at, prefix + ESCAPED_FRAME_HEADER);
        }
    }

    fn keep_av1(&mut self) {
        self.keep(0, 1);
        let Some(&aggregation) = self.view.first() else {
            return;
        };
        let (mut continues, elements) = (aggregation & 0x80 != 0, aggregation >> 4 & 0x03);
        let mut at = 1;
        for number in 1_u8.. {
            let mut size = self.view.len().saturating_sub(at);
            if number != elements {
                let Some((said, bytes)) = leb128(self.view.get(at..).unwrap_or_default()) else {
                    return self.keep(at, self.view.len());
                };
                self.keep(at, bytes);
                at += bytes;
                size = said;
            }
            let head = self.view.get(at).filter(|_| size > 0 && !continues);
            if let Some(head) = head {
                let header = if head >> 3 & 0x0F == OBU_FRAME {
                    FRAME_HEADER
                } else {
                    0
                };
                self.keep(at, (1 + header).min(size));
            }
            continues = false;
            at = at.saturating_add(size);
            if number == elements || at >= self.view.len() {
                return;
            }
        }
    }
}

/// A value and its length in bytes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}
