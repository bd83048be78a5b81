//! What forwarding knows of a frame without decrypting it (docs/architecture.md, decision 4).
//!
//! Routing reads at most the first [`ROUTING_VIEW_BYTES`] of a payload: the packetizer's
//! descriptor, the clear prefix and the frame header that e2ee/2 declares.

use sealroute_rtp::descriptor::{
    Av1Descriptor, NalStarts, ObuElements, Vp8Descriptor, Vp9Descriptor, slice_prefix_bytes,
};

use crate::layer_filter::{LayerMark, Level, Levels};
use crate::parameters::{Codec, Kid};

/// Copies of H.264 parameter sets precede the frame header and take up to about 100 bytes.
pub(crate) const ROUTING_VIEW_BYTES: usize = 160;

const VP8_KEY_FRAME_CLEAR_BYTES: usize = 10;
const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_DELIMITER: u8 = 9;
const FRAGMENTATION_UNIT: u8 = 28;
const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;
const OBU_FRAME: u8 = 6;
/// Config byte and key id (e2ee/2 section 4).
const FRAME_HEADER_BYTES: usize = 9;
/// The same with the most emulation prevention that H.264 may add.
const ESCAPED_FRAME_HEADER_BYTES: usize = FRAME_HEADER_BYTES + 5;

/// The content at the position of the encrypted frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FrameHeader {
    /// The packet continues an earlier frame.
    #[default]
    Continuation,
    /// Copies of parameter sets alone, without media.
    ParameterSets,
    /// A frame starts and names this key id.
    Kid(Kid),
    /// A frame starts without a valid header.
    Missing,
}

/// A packet as routing sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The frame that starts here is independent of earlier ones.
    pub(crate) key_frame: bool,
    /// Earlier packets may carry its parameter sets: an H.264 IDR without a copy of them.
    pub(crate) needs_earlier: bool,
    /// Frame size, if the codec's clear prefix carries it.
    pub(crate) size: Option<(u16, u16)>,
    /// Input of the plaintext guard.
    pub(crate) frame_header: FrameHeader,
    /// The layer, if the codec's descriptor carries it.
    pub(crate) layer: LayerMark,
    /// The descriptor of a VP8 payload, whose ids are rewritten for each receiver.
    pub(crate) vp8: Option<Vp8Descriptor>,
}

impl Reading {
    /// A payload without a valid descriptor is no part of an encrypted frame.
    const UNREADABLE: Self = Self {
        key_frame: false,
        needs_earlier: false,
        size: None,
        frame_header: FrameHeader::Missing,
        layer: LayerMark {
            level: Level {
                spatial: 0,
                temporal: 0,
            },
            rises: Levels::NONE,
            leans_on_own: false,
            opens: false,
            ends: false,
        },
        vp8: None,
    };
}

/// Reads the part of a payload that routing may see.
pub(crate) fn read(codec: Codec, payload: &[u8]) -> Reading {
    let view = &payload[..payload.len().min(ROUTING_VIEW_BYTES)];
    #[cfg(debug_assertions)]
    let poisoned = crate::poison::poisoned(codec, view);
    #[cfg(debug_assertions)]
    let view = poisoned.bytes();
    let mut reading = read_view(codec, view);
    if reading.frame_header == FrameHeader::ParameterSets && payload.len() > view.len() {
        // Parameter sets are short. Media could follow them beyond the routing view.
        reading.frame_header = FrameHeader::Missing;
    }
    reading
}

fn read_view(codec: Codec, view: &[u8]) -> Reading {
    match codec {
        Codec::Opus => Reading {
            key_frame: true,
            frame_header: frame_header_at(view, 0),
            ..Reading::default()
        },
        Codec::Vp8 => read_vp8(view),
        Codec::Vp9 => read_vp9(view),
        Codec::H264 => read_h264(view),
        Codec::Av1 => read_av1(view),
    }
}

fn read_vp8(view: &[u8]) -> Reading {
    let Some(descriptor) = Vp8Descriptor::parse(view) else {
        return Reading::UNREADABLE;
    };
    let layer = vp8_layer(&descriptor);
    if !descriptor.frame_start {
        return Reading {
            layer,
            vp8: Some(descriptor),
            ..Reading::default()
        };
    }
    let frame = &view[usize::from(descriptor.length)..];
    let key_frame = frame.first().is_some_and(|first| first & 1 == 0);
    let size = match *frame {
        // RFC 6386 section 9.1: start code, then 14 bits of width and of height.
        [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] if key_frame => Some((
            u16::from_le_bytes([w0, w1]) & 0x3FFF,
            u16::from_le_bytes([h0, h1]) & 0x3FFF,
        )),
        _ => None,
    };
    let clear = if key_frame {
        VP8_KEY_FRAME_CLEAR_BYTES
    } else {
        1
    };
    Reading {
        key_frame,
        needs_earlier: false,
        size,
        frame_header: frame_header_at(frame, clear),
        layer,
        vp8: Some(descriptor),
    }
}

fn vp8_layer(descriptor: &Vp8Descriptor) -> LayerMark {
    let level = Level {
        spatial: 0,
        temporal: descriptor.temporal_layer.unwrap_or_default(),
    };
    let rises = Levels::default();
    LayerMark {
        level,
        rises: if descriptor.layer_sync {
            rises.with_larger(level)
        } else {
            rises
        },
        ..LayerMark::default()
    }
}

fn vp9_layer(descriptor: &Vp9Descriptor) -> LayerMark {
    LayerMark {
        level: Level {
            spatial: descriptor.spatial_layer,
            temporal: descriptor.temporal_layer,
        },
        // Without inter-picture prediction, a layer frame depends only on the spatial layer below.
        rises: if descriptor.inter_picture {
            Levels::default()
        } else {
            Levels::of_spatial(descriptor.spatial_layer)
        },
        leans_on_own: false,
        opens: descriptor.switching_up_point,
        ends: descriptor.frame_end,
    }
}

fn read_vp9(view: &[u8]) -> Reading {
    let Some(descriptor) = Vp9Descriptor::parse(view) else {
        return Reading::UNREADABLE;
    };
    let layer = vp9_layer(&descriptor);
    if !descriptor.frame_start {
        return Reading {
            layer,
            ..Reading::default()
        };
    }
    Reading {
        key_frame: !descriptor.inter_picture && descriptor.spatial_layer == 0,
        needs_earlier: false,
        size: descriptor.size,
        frame_header: frame_header_at(view, descriptor.length),
        layer,
        vp8: None,
    }
}

fn read_h264(view: &[u8]) -> Reading {
    let fragment = matches!(view, [indicator, header, ..]
        if indicator & 0x1F == FRAGMENTATION_UNIT && header & 0x80 == 0);
    if fragment {
        return Reading::default();
    }
    let mut units = NalStarts::new(view).peekable();
    if units.peek().is_none() {
        return Reading::UNREADABLE;
    }
    let mut reading = Reading::default();
    let mut with_parameters = false;
    for unit in units {
        let frame_header = match unit.unit_type {
            NAL_SPS | NAL_PPS | NAL_DELIMITER => FrameHeader::ParameterSets,
            NAL_SLICE | NAL_IDR => slice_frame_header(unit.body),
            _ => FrameHeader::Missing,
        };
        with_parameters |= unit.unit_type == NAL_SPS;
        reading.key_frame |= matches!(unit.unit_type, NAL_SPS | NAL_IDR);
        reading.frame_header = worse(reading.frame_header, frame_header);
    }
    reading.needs_earlier = reading.key_frame && !with_parameters;
    reading
}

/// Of several units in a packet, an unencrypted one decides, then an encrypted one.
fn worse(one: FrameHeader, other: FrameHeader) -> FrameHeader {
    match (one, other) {
        (FrameHeader::Missing, _) | (_, FrameHeader::Missing) => FrameHeader::Missing,
        (FrameHeader::Kid(kid), _) | (_, FrameHeader::Kid(kid)) => FrameHeader::Kid(kid),
        (_, frame_header) => frame_header,
    }
}

/// The encrypted frame in an opaque slice follows three Exp-Golomb codes and is escaped.
fn slice_frame_header(body: &[u8]) -> FrameHeader {
    let Some(escaped) = slice_prefix_bytes(body).and_then(|prefix| body.get(prefix..)) else {
        return FrameHeader::Missing;
    };
    let mut plain = [0_u8; FRAME_HEADER_BYTES];
    let mut length = 0;
    let mut zeros = 0;
    for &byte in escaped.iter().take(ESCAPED_FRAME_HEADER_BYTES) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain[length] = byte;
        length += 1;
        if length == plain.len() {
            return frame_header_at(&plain, 0);
        }
    }
    FrameHeader::Missing
}

fn read_av1(view: &[u8]) -> Reading {
    let Some(descriptor) = Av1Descriptor::parse(view) else {
        return Reading::UNREADABLE;
    };
    let mut reading = Reading::default();
    for element in ObuElements::new(view).skip(usize::from(descriptor.continues)) {
        let Some(head) = element.first() else {
            continue;
        };
        let frame_header = match head >> 3 & 0x0F {
            OBU_SEQUENCE_HEADER | OBU_TEMPORAL_DELIMITER => FrameHeader::ParameterSets,
            OBU_FRAME => frame_header_at(element, 1),
            _ => FrameHeader::Missing,
        };
        reading.frame_header = worse(reading.frame_header, frame_header);
    }
    reading.key_frame = descriptor.new_sequence && !descriptor.continues;
    reading
}

/// The e2ee/2 header at `at`: a config byte for an 8-byte key id, then the id.
fn frame_header_at(bytes: &[u8], at: usize) -> FrameHeader {
    match bytes.get(at..at + FRAME_HEADER_BYTES) {
        Some([0xF0..=0xFB, kid @ ..]) => kid
            .try_into()
            .map_or(FrameHeader::Missing, FrameHeader::Kid),
        _ => FrameHeader::Missing,
    }
}
