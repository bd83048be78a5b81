//! Packets as publishers send them.

use super::{KID, PAYLOAD_TYPE, RTX_PAYLOAD_TYPE, RTX_SSRC, SSRC};
use sealroute_forward::Codec;
use sealroute_rtp::{MAX_PACKET_BYTES, RtpHeader};

/// A packet to be written.
#[derive(Clone, Debug)]
pub struct Rtp {
    pub header: RtpHeader,
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub payload: Vec<u8>,
}

/// A packet of the publisher's first stream.
pub fn rtp(sequence: u16, timestamp: u32, payload: &[u8]) -> Rtp {
    let header = RtpHeader {
        marker: false,
        payload_type: PAYLOAD_TYPE,
        sequence,
        timestamp,
        ssrc: SSRC,
    };
    Rtp {
        header,
        extensions: Vec::new(),
        payload: payload.to_vec(),
    }
}

/// A retransmission of `original` (RFC 4588).
pub fn retransmission(sequence: u16, original: &Rtp) -> Rtp {
    let header = RtpHeader {
        payload_type: RTX_PAYLOAD_TYPE,
        sequence,
        ssrc: RTX_SSRC,
        ..original.header
    };
    let number = original.header.sequence.to_be_bytes();
    Rtp {
        header,
        extensions: original.extensions.clone(),
        payload: [&number, original.payload.as_slice()].concat(),
    }
}

impl Rtp {
    pub fn ssrc(mut self, ssrc: u32) -> Self {
        self.header.ssrc = ssrc;
        self
    }

    pub fn payload_type(mut self, payload_type: u8) -> Self {
        self.header.payload_type = payload_type;
        self
    }

    pub fn marker(mut self) -> Self {
        self.header.marker = true;
        self
    }

    pub fn extension(mut self, id: u8, value: &[u8]) -> Self {
        self.extensions.push((id, value.to_vec()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut head = [0; MAX_PACKET_BYTES];
        let extensions = self.extensions.iter().map(|(id, v)| (*id, v.as_slice()));
        let length = self.header.write(extensions, &mut head);
        [&head[..length], &self.payload].concat()
    }
}

/// A packet of padding alone.
pub fn probe(sequence: u16) -> Vec<u8> {
    let mut bytes = rtp(sequence, 0, &[0, 0, 0, 4]).bytes();
    bytes[0] |= 0x20;
    bytes
}

/// An e2ee/2 header with a small counter, followed by `body`.
pub fn encrypted(body: &[u8]) -> Vec<u8> {
    [&[0xF1], KID.as_slice(), body].concat()
}

/// VP8: descriptor with a 15-bit picture id and TL0PICIDX, then the frame's first packet.
pub fn vp8(key_frame: bool, picture_id: u16, body: &[u8]) -> Vec<u8> {
    vp8_sized(key_frame, picture_id, (640, 360), body)
}

pub fn vp8_sized(key_frame: bool, picture_id: u16, size: (u16, u16), body: &[u8]) -> Vec<u8> {
    let (width, height) = (size.0.to_le_bytes(), size.1.to_le_bytes());
    let key = [
        0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, width[0], width[1], height[0], height[1],
    ];
    let clear: &[u8] = if key_frame { &key } else { &[0x11] };
    let id = (picture_id & 0x7FFF | 0x8000).to_be_bytes();
    let descriptor = [0x90, 0xE0, id[0], id[1], picture_id as u8, 0x20];
    [&descriptor, clear, &encrypted(body)].concat()
}

/// The frame size written by [`vp8_sized`], if the payload starts a key frame.
pub fn vp8_key_frame_size(payload: &[u8]) -> Option<(u16, u16)> {
    let clear = payload.get(6..16)?;
    let begins = payload[0] == 0x90 && clear[..6] == [0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A];
    let number = |at: usize| u16::from_le_bytes([clear[at], clear[at + 1]]);
    begins.then(|| (number(6), number(8)))
}

/// A VP8 packet that continues a frame.
pub fn vp8_continuation(picture_id: u16, body: &[u8]) -> Vec<u8> {
    let id = (picture_id & 0x7FFF | 0x8000).to_be_bytes();
    [&[0x80, 0xE0, id[0], id[1], picture_id as u8, 0x20], body].concat()
}

/// Moves a payload of [`vp8`] into a temporal layer; `sync`: it depends on the lowest alone.
pub fn at_temporal(mut payload: Vec<u8>, temporal: u8, sync: bool) -> Vec<u8> {
    payload[5] = temporal << 6 | u8::from(sync) << 5;
    payload
}

/// Three temporal layers: the layer of each picture, and whether it is synced.
pub fn temporal_of(picture: u64) -> (u8, bool) {
    [(0, false), (2, true), (1, true), (2, false)][picture as usize % 4]
}

/// The picture id and TL0PICIDX written by [`vp8`].
pub fn picture_of(payload: &[u8]) -> (u16, u8) {
    (
        u16::from_be_bytes([payload[2] & 0x7F, payload[3]]),
        payload[4],
    )
}

/// Packetizes one encoded frame with at most `limit` payload bytes per packet.
pub fn packetise(codec: Codec, frame: &[u8], limit: usize) -> Vec<Vec<u8>> {
    match codec {
        Codec::Opus => vec![frame.to_vec()],
        Codec::Vp8 => split(frame, limit, |first, _| {
            vec![if first { 0x10 } else { 0x00 }]
        }),
        Codec::Vp9 => split(frame, limit, |first, last| {
            vec![u8::from(first) << 3 | u8::from(last) << 2]
        }),
        Codec::H264 => units(frame)
            .iter()
            .flat_map(|unit| fragments(unit, limit))
            .collect(),
        Codec::Av1 => av1(frame, limit),
    }
}

fn split(frame: &[u8], limit: usize, head: impl Fn(bool, bool) -> Vec<u8>) -> Vec<Vec<u8>> {
    let count = frame.len().div_ceil(limit);
    let parts = frame.chunks(limit).enumerate();
    parts
        .map(|(index, part)| [head(index == 0, index + 1 == count).as_slice(), part].concat())
        .collect()
}

/// NAL units of an access unit with start codes of three or four bytes.
pub fn units(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while at < frame.len() {
        if frame[at..].starts_with(&[0, 0, 1]) {
            if let Some(unit) = units.last_mut()
                && unit.last() == Some(&0)
            {
                unit.pop();
            }
            units.push(Vec::new());
            at += 3;
            continue;
        }
        if let Some(unit) = units.last_mut() {
            unit.push(frame[at]);
        }
        at += 1;
    }
    units
}

/// One NAL unit: single, or as FU-A.
pub fn fragments(unit: &[u8], limit: usize) -> Vec<Vec<u8>> {
    if unit.len() <= limit {
        return vec![unit.to_vec()];
    }
    let indicator = unit[0] & 0xE0 | 0x1C;
    split(&unit[1..], limit, |first, last| {
        let flags = u8::from(first) << 7 | u8::from(last) << 6;
        vec![indicator, flags | unit[0] & 0x1F]
    })
}

/// All NAL units in one STAP-A.
pub fn aggregate(units: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![24];
    for unit in units {
        payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        payload.extend_from_slice(unit);
    }
    payload
}

/// AV1: an aggregation header, then each OBU without its size field, the last one fragmented.
fn av1(frame: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let mut obus = obus(frame);
    let new_sequence = obus.iter().any(|obu| obu[0] >> 3 == 1);
    obus.retain(|obu| obu[0] >> 3 != 2);
    let last = obus.pop().expect("an OBU");
    let mut first = Vec::new();
    for obu in &obus {
        first.push(obu.len() as u8);
        first.extend_from_slice(obu);
    }
    let elements = (obus.len() + 1) as u8;
    let parts: Vec<&[u8]> = last.chunks(limit).collect();
    let count = parts.len();
    let packet = |(index, part): (usize, &&[u8])| {
        let goes_on = u8::from(index + 1 < count) << 6;
        if index > 0 {
            return [&[0x80 | goes_on | 1 << 4], *part].concat();
        }
        let head = goes_on | elements << 4 | u8::from(new_sequence) << 3;
        [&[head], first.as_slice(), part].concat()
    };
    parts.iter().enumerate().map(packet).collect()
}

/// The OBUs of a temporal unit without their size fields.
fn obus(mut frame: &[u8]) -> Vec<Vec<u8>> {
    let mut obus = Vec::new();
    while let Some(&head) = frame.first() {
        if head & 0x02 == 0 {
            obus.push(frame.to_vec());
            break;
        }
        let size = usize::from(frame[1]);
        obus.push([&[head & !0x02], &frame[2..2 + size]].concat());
        frame = &frame[2 + size..];
    }
    obus
}
