//! AV1: one OBU of a type that decoders use for tiles, with a copy of the sequence header in front
//! of key frames.

const SEQUENCE_HEADER: u8 = 1;
const FRAME: u8 = 6;
/// Type 6, no extension, no size.
const OPAQUE: u8 = FRAME << 3;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
const FORBIDDEN: u8 = 0x80;
/// `leb128()` of the AV1 specification.
const MAX_SIZE_BYTES: usize = 8;

struct Obu<'a> {
    kind: u8,
    /// With its header.
    whole: &'a [u8],
    payload: &'a [u8],
    has_size: bool,
}

/// What stands in front of the SFrame. None for what is not a row of OBUs.
pub(super) fn prefix(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = frame;
    while !rest.is_empty() {
        let obu = take(&mut rest)?;
        if obu.kind == SEQUENCE_HEADER && obu.has_size {
            out.extend_from_slice(obu.whole);
        }
    }
    out.push(OPAQUE);
    Some(out)
}

/// The content of the first frame OBU.
pub(super) fn opaque(wire: &[u8]) -> Option<&[u8]> {
    let mut rest = wire;
    while !rest.is_empty() {
        let obu = take(&mut rest)?;
        if obu.kind == FRAME {
            return Some(obu.payload);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<Obu<'a>> {
    let whole = *bytes;
    let header = *whole.first()?;
    if header & FORBIDDEN != 0 {
        return None;
    }
    let has_size = header & HAS_SIZE != 0;
    let mut payload = whole.get(1 + usize::from(header & HAS_EXTENSION != 0)..)?;
    let mut after = &whole[..0];
    if has_size {
        let size = take_size(&mut payload)?;
        (payload, after) = payload.split_at_checked(size)?;
    }
    let whole = &whole[..whole.len() - after.len()];
    *bytes = after;
    Some(Obu {
        kind: header >> 3 & 0x0f,
        whole,
        payload,
        has_size,
    })
}

fn take_size(bytes: &mut &[u8]) -> Option<usize> {
    let mut size = 0_u64;
    for digit in 0..MAX_SIZE_BYTES {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        size |= u64::from(byte & 0x7f) << (7 * digit);
        if byte & 0x80 == 0 {
            return usize::try_from(size).ok();
        }
    }
    None
}
