//! Frames to payloads: VP8 (RFC 7741), VP9 (RFC 9628), H.264 (RFC 6184), AV1 (its RTP
//! specification), Opus (RFC 7587).

use std::fmt;

use sealroute_e2ee::Codec;
use sealroute_session::Wire;

use crate::{h264, obu};

/// Bytes of a payload: with all headers and SRTP it fits any path that carries WebRTC.
pub const MAX_PAYLOAD: usize = 1_100;

/// One payload of a frame that may leave: made of a [`Wire`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    codec: Codec,
    payload: Vec<u8>,
    is_last: bool,
}

impl Packet {
    /// What the frame was encoded with.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The payload of the RTP packet.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// RTP's marker of video; audio has none.
    pub fn is_last_of_frame(&self) -> bool {
        self.is_last && self.codec != Codec::Opus
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({:?}, {} bytes)", self.codec, self.payload.len())
    }
}

/// Of one sender, through all its frames, which have numbers.
#[derive(Clone, Debug, Default)]
pub struct Packetizer {
    picture_id: u16,
    base_picture_index: u8,
}

impl Packetizer {
    /// `is_key_frame`: as the encoder said.
    pub fn packetize(&mut self, wire: &Wire, is_key_frame: bool) -> Vec<Packet> {
        self.payloads(wire.codec(), wire.bytes(), is_key_frame)
    }

    fn payloads(&mut self, codec: Codec, frame: &[u8], is_key_frame: bool) -> Vec<Packet> {
        let payloads = match codec {
            Codec::Opus => vec![frame.to_vec()],
            Codec::Vp8 => self.vp8(frame),
            Codec::Vp9 => self.vp9(frame, is_key_frame),
            Codec::H264 => h264::payloads(frame, MAX_PAYLOAD),
            Codec::Av1 => obu::payloads(frame, is_key_frame, MAX_PAYLOAD),
        };
        self.picture_id = (self.picture_id + 1) & 0x7FFF;
        self.base_picture_index = self.base_picture_index.wrapping_add(1);
        let last = payloads.len().saturating_sub(1);
        let packets = payloads.into_iter().enumerate();
        packets
            .map(|(at, payload)| Packet {
                codec,
                payload,
                is_last: at == last,
            })
            .collect()
    }

    /// Picture id of 15 bits, TL0PICIDX, one temporal layer.
    fn vp8(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        let [high, low] = self.picture_id.to_be_bytes();
        let parts = frame.chunks(MAX_PAYLOAD - 6).enumerate();
        parts
            .map(|(at, part)| {
                let start = if at == 0 { 0x10 } else { 0 };
                let head = [
                    0x80 | start,
                    0xE0,
                    0x80 | high,
                    low,
                    self.base_picture_index,
                    0,
                ];
                [&head[..], part].concat()
            })
            .collect()
    }

    /// Not flexible, one layer.
    fn vp9(&self, frame: &[u8], is_key_frame: bool) -> Vec<Vec<u8>> {
        let [high, low] = self.picture_id.to_be_bytes();
        let count = frame.len().div_ceil(MAX_PAYLOAD - 6);
        let parts = frame.chunks(MAX_PAYLOAD - 6).enumerate();
        parts
            .map(|(at, part)| {
                let (is_first, is_last) = (at == 0, at + 1 == count);
                // Of a key frame alone, and there with the number of layers: one.
                let has_structure = is_key_frame && is_first;
                let flags = 0xA0
                    | u8::from(!is_key_frame) << 6
                    | u8::from(is_first) << 3
                    | u8::from(is_last) << 2
                    | u8::from(has_structure) << 1;
                let mut payload = vec![flags, 0x80 | high, low, 0, self.base_picture_index];
                payload.extend(has_structure.then_some(0));
                payload.extend_from_slice(part);
                payload
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sealroute_e2ee::Codec;

    use super::{MAX_PAYLOAD, Packet, Packetizer};

    /// As if the session had given the frame.
    pub(crate) fn packets(
        packetizer: &mut Packetizer,
        codec: Codec,
        frame: &[u8],
        is_key_frame: bool,
    ) -> Vec<Packet> {
        packetizer.payloads(codec, frame, is_key_frame)
    }

    #[test]
    fn no_payload_is_longer_than_a_path_takes_and_the_last_is_marked() {
        let mut packetizer = Packetizer::default();
        let start = [0, 0, 0, 1, 0x65];
        let long = [&start[..], &[7; 5_000]].concat();
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
            let made = packets(&mut packetizer, codec, &long, true);
            assert!(made.len() > 4, "{codec:?}");
            assert!(
                made.iter()
                    .all(|packet| packet.payload().len() <= MAX_PAYLOAD)
            );
            let marked: Vec<bool> = made.iter().map(Packet::is_last_of_frame).collect();
            assert!(marked.last().is_some_and(|last| *last));
            assert_eq!(marked.iter().filter(|one| **one).count(), 1);
        }
        let audio = packets(&mut packetizer, Codec::Opus, b"audio", false);
        assert_eq!(audio.len(), 1);
        assert!(!audio[0].is_last_of_frame());
    }
}
