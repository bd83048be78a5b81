//! A publisher of every codec whose frames depend on the one before, and whose bytes are known.
#![allow(dead_code, reason = "each test uses a part")]

use sealroute_frames::Codec;
use sealroute_netem::Random;
use sealroute_rtp::RtpHeader;

pub const SSRC: u32 = 7;
const SPS: [u8; 9] = [0x67, 0x42, 0xC0, 0x0D, 0xDA, 0x05, 0x06, 0x7E, 0x74];
const PPS: [u8; 4] = [0x68, 0xCE, 0x3C, 0x80];
const SEQUENCE: [u8; 9] = [0x08, 0x00, 0x00, 0x00, 0x24, 0xC4, 0xFF, 0x67, 0x80];
const VP9_KEY: [u8; 9] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xF0, 0x16, 0x70];
const SHORTEST_PART: u64 = 300;

/// A frame as it was encoded, and its packets.
#[derive(Clone, Debug)]
pub struct Made {
    pub number: u32,
    pub key: bool,
    pub data: Vec<u8>,
    pub packets: Vec<Vec<u8>>,
}

pub struct Publisher {
    codec: Codec,
    random: Random,
    pub sequence: u16,
    number: u32,
    since_key: u32,
}

impl Publisher {
    pub fn new(codec: Codec, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let sequence = random.next_u64() as u16;
        Self {
            codec,
            random,
            sequence,
            number: 0,
            since_key: 0,
        }
    }

    /// The next frame; the first is a key frame.
    pub fn make(&mut self, timestamp: u32, key: bool) -> Made {
        let key = key || self.number == 0 || self.codec == Codec::Opus;
        self.since_key = if key { 0 } else { self.since_key + 1 };
        let length = self.random.below(3_000) as usize;
        // The number, without zeros: H.264 would have to escape them.
        let mut body = vec![(self.number / 250) as u8 + 1, (self.number % 250) as u8 + 1];
        body.extend((0..length).map(|index| (index % 255) as u8 + 1));
        let (data, payloads) = match self.codec {
            Codec::Opus => opus(&body),
            Codec::Vp8 => self.vp8(&body, key),
            Codec::Vp9 => self.vp9(&body, key),
            Codec::H264 => self.h264(&body, key),
            Codec::Av1 => self.av1(&body, key),
        };
        let last = payloads.len() - 1;
        let packets = payloads.iter().enumerate();
        let packets = packets
            .map(|(index, payload)| self.packet(timestamp, index == last, payload))
            .collect();
        let number = self.number;
        self.number += 1;
        Made {
            number,
            key,
            data,
            packets,
        }
    }

    /// A packet of the track; without payload, it is padding.
    pub fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let header = RtpHeader {
            marker,
            payload_type: 96,
            sequence: self.sequence,
            timestamp,
            ssrc: SSRC,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut out = [0; 64];
        let length = header.write(std::iter::empty(), &mut out);
        [&out[..length], payload].concat()
    }

    fn parts<'a>(&mut self, data: &'a [u8]) -> Vec<&'a [u8]> {
        let size = SHORTEST_PART + self.random.below(900);
        data.chunks(size as usize).collect()
    }

    fn vp8(&mut self, body: &[u8], key: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let head: &[u8] = if key {
            &[0x10, 2, 0, 0x9D, 0x01, 0x2A, 0x80, 2, 0x68, 1]
        } else {
            &[0x11]
        };
        let data = [head, body].concat();
        let [high, low] = (self.number as u16 | 0x8000).to_be_bytes();
        let parts = self.parts(&data);
        let payload = |(index, part): (usize, &&[u8])| {
            let first = if index == 0 { 0x90 } else { 0x80 };
            [&[first, 0x80, high, low], *part].concat()
        };
        let payloads = parts.iter().enumerate().map(payload).collect();
        (data, payloads)
    }

    fn vp9(&mut self, body: &[u8], key: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let head: &[u8] = if key { &VP9_KEY } else { &[0x86] };
        let data = [head, body].concat();
        let [high, low] = (self.number as u16 | 0x8000).to_be_bytes();
        let parts = self.parts(&data);
        let last = parts.len() - 1;
        let payload = |(index, part): (usize, &&[u8])| {
            let inter = if key { 0 } else { 0x40 };
            let start = if index == 0 { 0x08 } else { 0 };
            let end = if index == last { 0x04 } else { 0 };
            [&[0x80 | inter | start | end, high, low], *part].concat()
        };
        let payloads = parts.iter().enumerate().map(payload).collect();
        (data, payloads)
    }

    fn h264(&mut self, body: &[u8], key: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let number = self.since_key as u8 % 16;
        let head = if key {
            [0x65, 0x88, 0x84]
        } else {
            // The bits of frame_num go across two bytes.
            [0x41, 0x9A | number >> 3, (number << 5) | 0x10]
        };
        let unit = [&head, body].concat();
        let mut payloads = Vec::new();
        let mut data = Vec::new();
        if key {
            let sets = [SPS.as_slice(), &PPS];
            let lengths = sets.map(|set| [&[0, set.len() as u8], set].concat());
            payloads.push([&[0x78], lengths.concat().as_slice()].concat());
            data.extend(sets.map(|set| [&[0, 0, 0, 1], set].concat()).concat());
        }
        data.extend([&[0, 0, 0, 1], unit.as_slice()].concat());
        let parts = self.parts(&unit[1..]);
        let last = parts.len() - 1;
        if last == 0 {
            payloads.push(unit);
            return (data, payloads);
        }
        payloads.extend(parts.iter().enumerate().map(|(index, part)| {
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            [
                &[unit[0] & 0xE0 | 0x1C, start | end | unit[0] & 0x1F],
                *part,
            ]
            .concat()
        }));
        (data, payloads)
    }

    fn av1(&mut self, body: &[u8], key: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
        let frame = [&[0x30, if key { 0x10 } else { 0x30 }], body].concat();
        let mut data = Vec::new();
        if key {
            data.extend([0x0A, SEQUENCE.len() as u8 - 1]);
            data.extend(&SEQUENCE[1..]);
        }
        data.push(0x32);
        let length = frame.len() - 1;
        if length >= 0x80 {
            data.push(length as u8 | 0x80);
        }
        data.push(if length >= 0x80 { length >> 7 } else { length } as u8);
        data.extend(&frame[1..]);
        let parts = self.parts(&frame);
        let last = parts.len() - 1;
        let payload = |(index, part): (usize, &&[u8])| {
            let begun = if index == 0 { 0 } else { 0x80 };
            let open = if index == last { 0 } else { 0x40 };
            if key && index == 0 {
                let head = [open | 0x28, SEQUENCE.len() as u8];
                return [&head, SEQUENCE.as_slice(), part].concat();
            }
            [&[begun | open | 0x10], *part].concat()
        };
        let payloads = parts.iter().enumerate().map(payload).collect();
        (data, payloads)
    }
}

fn opus(body: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let data = [&[0xFC], &body[..body.len().min(1_000)]].concat();
    let payload = data.clone();
    (data, vec![payload])
}
