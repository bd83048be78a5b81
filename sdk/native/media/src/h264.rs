//! H.264 in packetization-mode 1 (RFC 6184): single NAL units and FU-A; aggregates are read.

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const AGGREGATE: u8 = 24;
const FRAGMENT: u8 = 28;
const TYPE: u8 = 0x1F;

/// NAL units of a byte stream (Annex B), without start codes.
pub(crate) fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut begin = None;
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            if let Some(begin) = begin {
                units.push(trimmed(&stream[begin..at]));
            }
            begin = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    units.extend(begin.map(|begin| trimmed(&stream[begin..])));
    units.retain(|unit| !unit.is_empty());
    units
}

/// A fourth byte of the next start code, or trailing zeros, are none of the unit's.
fn trimmed(unit: &[u8]) -> &[u8] {
    let length = unit
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    &unit[..length]
}

pub(crate) fn payloads(stream: &[u8], most: usize) -> Vec<Vec<u8>> {
    let units = units(stream).into_iter();
    units.flat_map(|unit| payloads_of(unit, most)).collect()
}

fn payloads_of(unit: &[u8], most: usize) -> Vec<Vec<u8>> {
    if unit.len() <= most {
        return vec![unit.to_vec()];
    }
    let (head, body) = (unit[0], &unit[1..]);
    let parts = body.chunks(most - 2);
    let last = parts.len() - 1;
    parts
        .enumerate()
        .map(|(at, part)| {
            let bounds = u8::from(at == 0) << 7 | u8::from(at == last) << 6;
            let heads = [head & !TYPE | FRAGMENT, bounds | head & TYPE];
            [&heads[..], part].concat()
        })
        .collect()
}

/// The byte stream of a frame's payloads. None for what is none.
pub(crate) fn stream<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut is_open = false;
    for payload in payloads {
        let (&head, rest) = payload.split_first()?;
        let kind = head & TYPE;
        match kind {
            AGGREGATE => push_aggregate(&mut out, rest)?,
            FRAGMENT => {
                let (&bounds, part) = rest.split_first()?;
                if bounds & 0x80 != 0 {
                    out.extend_from_slice(&START_CODE);
                    out.push(head & !TYPE | bounds & TYPE);
                } else if !is_open {
                    return None;
                }
                is_open = bounds & 0x40 == 0;
                out.extend_from_slice(part);
                continue;
            }
            1..AGGREGATE => {
                out.extend_from_slice(&START_CODE);
                out.extend_from_slice(payload);
            }
            _ => return None,
        }
        is_open = false;
    }
    Some(out)
}

fn push_aggregate(out: &mut Vec<u8>, mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
        rest = after;
    }
    Some(())
}

/// Whether a frame begins with these bytes of it that a decoder can begin with.
pub(crate) fn is_key_frame(payload: &[u8]) -> bool {
    sealroute_rtp::descriptor::NalStarts::new(payload)
        .any(|start| matches!(start.unit_type, 5 | 7 | 8))
}
