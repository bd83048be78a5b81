//! AV1: OBUs without sizes in payloads (its RTP specification, section 4), with sizes in frames.

const HAS_SIZE: u8 = 0x02;
const HAS_EXTENSION: u8 = 0x04;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const MAX_LEB_BYTES: usize = 8;

fn kind(head: u8) -> u8 {
    head >> 3 & 0x0F
}

/// An unsigned LEB128 value, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().take(MAX_LEB_BYTES).enumerate() {
        value |= usize::from(byte & 0x7F).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The OBUs of a frame without their sizes; those that are never sent are left out.
fn elements(mut frame: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((&head, rest)) = frame.split_first() {
        let extension = usize::from(head & HAS_EXTENSION != 0);
        let Some((extension, rest)) = rest.split_at_checked(extension) else {
            break;
        };
        let split = if head & HAS_SIZE == 0 {
            Some((rest, &rest[rest.len()..]))
        } else {
            leb128(rest).and_then(|(size, rest)| rest.split_at_checked(size))
        };
        let Some((body, after)) = split else {
            break;
        };
        if !matches!(kind(head), TEMPORAL_DELIMITER | TILE_LIST) {
            found.push([&[head & !HAS_SIZE], extension, body].concat());
        }
        frame = after;
    }
    found
}

/// Each element has its length, so any number of them fits into a payload.
pub(crate) fn payloads(frame: &[u8], is_key_frame: bool, most: usize) -> Vec<Vec<u8>> {
    let mut payloads: Vec<Vec<u8>> = vec![vec![u8::from(is_key_frame) << 3]];
    for element in elements(frame) {
        let mut rest = &element[..];
        while !rest.is_empty() {
            let length = payloads.last().map_or(0, Vec::len);
            // Its length takes two bytes at most.
            let room = most.saturating_sub(length + 2);
            if room < rest.len().min(16) {
                payloads.push(vec![0]);
                continue;
            }
            let (part, after) = rest.split_at(room.min(rest.len()));
            if let Some(payload) = payloads.last_mut() {
                push_leb128(payload, part.len());
                payload.extend_from_slice(part);
                if !after.is_empty() {
                    // The element goes on in the next one.
                    payload[0] |= 0x40;
                }
            }
            if !after.is_empty() {
                payloads.push(vec![0x80]);
            }
            rest = after;
        }
    }
    payloads.retain(|payload| payload.len() > 1);
    payloads
}

/// The frame of its payloads, each OBU with its size. None for what is none.
pub(crate) fn frame<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    for payload in payloads {
        let (&head, mut rest) = payload.split_first()?;
        if (head & 0x80 != 0) == open.is_empty() {
            return None;
        }
        let count = head >> 4 & 0x03;
        let mut at = 0;
        while !rest.is_empty() {
            at += 1;
            let (element, after) = if at == count {
                (rest, &rest[rest.len()..])
            } else {
                let (size, rest) = leb128(rest)?;
                rest.split_at_checked(size)?
            };
            if at > 1 {
                push_obu(&mut out, &std::mem::take(&mut open))?;
            }
            open.extend_from_slice(element);
            rest = after;
        }
        if head & 0x40 == 0 && !open.is_empty() {
            push_obu(&mut out, &std::mem::take(&mut open))?;
        }
    }
    open.is_empty().then_some(out)
}

fn push_obu(out: &mut Vec<u8>, element: &[u8]) -> Option<()> {
    let (&head, rest) = element.split_first()?;
    let extension = usize::from(head & HAS_EXTENSION != 0);
    let (extension, rest) = rest.split_at_checked(extension)?;
    out.push(head | HAS_SIZE);
    out.extend_from_slice(extension);
    // A sender may have left the size where it was.
    let body = if head & HAS_SIZE == 0 {
        rest
    } else {
        let (size, rest) = leb128(rest)?;
        rest.get(..size)?
    };
    push_leb128(out, body.len());
    out.extend_from_slice(body);
    Some(())
}
