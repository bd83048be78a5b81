//! The only code that reads payloads: packetiser descriptors, the declared clear prefix, the SFrame header.

use crate::parameters::{Codec, Kid};

/// What a packet says of its frame (`FrameMark`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameMark {
    pub(crate) starts_frame: bool,
    pub(crate) key_frame: bool,
}

/// Bytes of the VP8 payload descriptor (RFC 7741 section 4.2).
fn vp8_descriptor_bytes(payload: &[u8]) -> Option<usize> {
    let first = *payload.first()?;
    if first & 0x80 == 0 {
        return Some(1);
    }
    let flags = *payload.get(1)?;
    let mut length = 2;
    if flags & 0x80 != 0 {
        length += if payload.get(2)? & 0x80 != 0 { 2 } else { 1 };
    }
    length += usize::from(flags & 0x40 != 0) + usize::from(flags & 0x30 != 0);
    Some(length)
}

/// Bytes of the VP9 payload descriptor (RFC 9628 section 4.2).
fn vp9_descriptor_bytes(payload: &[u8]) -> Option<usize> {
    let first = *payload.first()?;
    let mut at = 1;
    if first & 0x80 != 0 {
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    let flexible = first & 0x10 != 0;
    if first & 0x20 != 0 {
        at += if flexible { 1 } else { 2 };
    }
    if flexible && first & 0x40 != 0 {
        for _ in 0..3 {
            at += 1;
            if payload.get(at - 1)? & 1 == 0 {
                break;
            }
        }
    }
    if first & 0x02 != 0 {
        let structure = *payload.get(at)?;
        at += 1;
        if structure & 0x10 != 0 {
            at += (usize::from(structure >> 5) + 1) * 4;
        }
        if structure & 0x08 != 0 {
            let pictures = *payload.get(at)?;
            at += 1;
            for _ in 0..pictures {
                at += 1 + usize::from(payload.get(at)? >> 2 & 3);
            }
        }
    }
    Some(at)
}

fn h264_mark(payload: &[u8]) -> Option<FrameMark> {
    let unit = payload.first()? & 0x1F;
    let key = |kind: u8| matches!(kind, 5 | 7);
    let (kind, starts_unit) = match unit {
        24 => (payload.get(3)? & 0x1F, true),
        28 => (payload.get(1)? & 0x1F, payload.get(1)? & 0x80 != 0),
        kind => (kind, true),
    };
    Some(FrameMark {
        starts_frame: starts_unit,
        key_frame: starts_unit && key(kind),
    })
}

/// Reads the descriptor; None where it is cut off.
pub(crate) fn frame_mark(codec: Codec, payload: &[u8]) -> Option<FrameMark> {
    match codec {
        Codec::Opus => Some(FrameMark {
            starts_frame: true,
            key_frame: true,
        }),
        Codec::Vp8 => {
            let starts_frame = payload.first()? & 0x17 == 0x10;
            let inside = payload.get(vp8_descriptor_bytes(payload)?)?;
            Some(FrameMark {
                starts_frame,
                key_frame: starts_frame && inside & 1 == 0,
            })
        }
        Codec::Vp9 => {
            let first = *payload.first()?;
            let starts_frame = first & 0x08 != 0;
            Some(FrameMark {
                starts_frame,
                key_frame: starts_frame && first & 0x40 == 0,
            })
        }
        Codec::H264 => h264_mark(payload),
        Codec::Av1 => {
            let first = *payload.first()?;
            let starts_frame = first & 0x80 == 0;
            Some(FrameMark {
                starts_frame,
                key_frame: starts_frame && first & 0x08 != 0,
            })
        }
    }
}

/// Codecs whose sealed frames the guard can recognise.
pub(crate) fn is_guarded(codec: Codec) -> bool {
    matches!(codec, Codec::Opus | Codec::Vp8 | Codec::Vp9)
}

/// Whether the first packet of a frame carries an e2ee/1 header with a declared key id.
pub(crate) fn is_sealed(codec: Codec, payload: &[u8], declared: &[Kid]) -> bool {
    let sealed_from = match codec {
        Codec::Opus => Some(0),
        Codec::Vp9 => vp9_descriptor_bytes(payload),
        Codec::Vp8 => vp8_descriptor_bytes(payload).and_then(|at| {
            let key_frame = payload.get(at)? & 1 == 0;
            Some(at + if key_frame { 10 } else { 1 })
        }),
        Codec::H264 | Codec::Av1 => None,
    };
    let Some([config, kid @ ..]) = sealed_from.and_then(|at| payload.get(at..)) else {
        return false;
    };
    (0xF0..=0xFB).contains(config) && declared.iter().any(|known| kid.starts_with(known))
}
