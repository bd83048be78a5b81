//! The content of a frame decides nothing: whatever follows the packetizer's descriptor, the same
//! packets reach the same receivers at the same time, and encodings switch alike.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, Extension, Layer, PayloadAccess};
use sealroute_netem::Random;
use std::time::Duration;
use support::wire::{encrypted, rtp};
use support::*;

const DESCRIPTOR_ID: u8 = 13;
const FRAME: Duration = Duration::from_millis(33);
const FRAMES: u16 = 400;
const FRAMES_PER_PREFERENCE: u16 = 40;
const VIDEO: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];

/// The content of frames.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Noise(u64),
    Byte(u8),
    /// The start of a VP8 key frame of 16 by 16 pixels.
    KeyFrame,
}

const FILLS: [Fill; 5] = [
    Fill::Noise(1),
    Fill::Noise(2),
    Fill::Byte(0x00),
    Fill::Byte(0xFF),
    Fill::KeyFrame,
];

impl Fill {
    fn bytes(self, random: &mut Random, length: usize) -> Vec<u8> {
        match self {
            Self::Noise(_) => (0..length).map(|_| random.below(256) as u8).collect(),
            Self::Byte(byte) => vec![byte; length],
            Self::KeyFrame => {
                let mut bytes = vec![0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 16, 0, 16, 0];
                bytes.resize(length, 0);
                bytes
            }
        }
    }

    fn seed(self) -> u64 {
        match self {
            Self::Noise(seed) => seed,
            Self::Byte(_) | Self::KeyFrame => 0,
        }
    }
}

/// A dependency descriptor of one layer in one packet; key frames carry the structure.
fn descriptor(key_frame: bool, number: u16, (width, height): (u16, u16)) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut bytes = vec![0xC0, high, low];
    if key_frame {
        // A structure; offset 0; one decode target; one template, to which it may switch; no
        // frame differences and chains; a size.
        let head = 0b100_0000_0000_0000_0111_0001_u64;
        let sized = (head << 16 | u64::from(width - 1)) << 16 | u64::from(height - 1);
        bytes.extend_from_slice(&(sized << 1).to_be_bytes()[1..]);
    }
    bytes
}

/// The bytes of the packetizer, and nothing else.
fn packetised(codec: Codec, key_frame: bool, picture_id: u16) -> Vec<u8> {
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    match codec {
        Codec::Vp8 => vec![0x90, 0x80, high, low],
        Codec::Vp9 => vec![0x8C | u8::from(!key_frame) << 6, high, low],
        Codec::H264 => vec![0x61],
        Codec::Av1 => vec![0x10, 0x30],
        Codec::Opus => Vec::new(),
    }
}

/// The bytes after the descriptor that e2ee/2 leaves readable.
fn declared(codec: Codec, key_frame: bool, (width, height): (u16, u16)) -> Vec<u8> {
    let ([w0, w1], [h0, h1]) = (width.to_le_bytes(), height.to_le_bytes());
    let clear = match codec {
        Codec::Vp8 if key_frame => vec![0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, w0, w1, h0, h1],
        Codec::Vp8 => vec![0x11],
        // first_mb 0, slice type P, parameter set 0.
        Codec::H264 => vec![0b1001_1011],
        _ => Vec::new(),
    };
    [clear, encrypted(&[])].concat()
}

fn compare(codec: Codec, access: PayloadAccess) {
    let expected = run(codec, access, FILLS[0]);
    let preferences = usize::from(FRAMES / FRAMES_PER_PREFERENCE);
    assert_eq!(expected.switches, preferences - 1, "{codec:?}");
    for fill in &FILLS[1..] {
        let found = run(codec, access, *fill);
        let mut pairs = found.sent.iter().zip(&expected.sent);
        let other = pairs.position(|(one, other)| one != other);
        assert_eq!(other, None, "{codec:?} with {fill:?}");
        assert!(found == expected, "{codec:?} with {fill:?}");
    }
}

/// Everything sent, without the content of frames, and the number of switches.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    sent: Vec<(u64, Vec<u8>, usize)>,
    asked: Vec<Vec<u8>>,
    switches: usize,
}

fn run(codec: Codec, access: PayloadAccess, fill: Fill) -> Trace {
    let mut parameters = simulcast(codec);
    let extension = (Extension::DependencyDescriptor, DESCRIPTOR_ID);
    parameters.extensions.0.push(extension);
    let mut session = Session::with(access, parameters);
    let mut random = Random::new(fill.seed());
    let mut trace = Trace {
        sent: Vec::new(),
        asked: Vec::new(),
        switches: 0,
    };
    let mut last = None;
    for number in 0..FRAMES {
        if number % FRAMES_PER_PREFERENCE == 0 {
            let encoding = (number / FRAMES_PER_PREFERENCE % 3) as u8;
            let layer = Layer {
                encoding,
                ..Layer::default()
            };
            let set = session.router.set_allocation(SUBSCRIBER, "7", Some(layer));
            set.expect("set");
        }
        let asked = [100, 101, 102].map(|ssrc| session.out.plis(UPLINK, ssrc) > 0);
        trace
            .asked
            .extend(session.out.rtcp.drain(..).map(|sent| sent.bytes));
        for (index, size) in SIZES.into_iter().enumerate() {
            let ssrc = 100 + index as u32;
            let key_frame = number == 0 || asked[index];
            let mut payload = packetised(codec, key_frame, number);
            if access == PayloadAccess::Opaque {
                payload.extend(declared(codec, key_frame, size));
            }
            let readable = payload.len();
            payload.extend(fill.bytes(&mut random, 40 + 10 * index));
            let packet = rtp(number, u32::from(number) * 2_970, &payload)
                .ssrc(ssrc)
                .marker()
                .extension(MID_ID, b"0")
                .extension(RID_ID, [b"q", b"h", b"f"][index])
                .extension(DESCRIPTOR_ID, &descriptor(key_frame, number, size));
            session.rtp(&packet.bytes());
            for sent in session.out.rtp.drain(..) {
                let body = sent.packet().payload().len() - readable;
                trace.switches += usize::from(last.is_some_and(|last| last != body));
                last = Some(body);
                let head = sent.bytes.len() - body;
                assert_eq!(sent.bytes[head..], payload[readable..], "as it came");
                trace
                    .sent
                    .push((sent.to.0, sent.bytes[..head].to_vec(), body));
            }
        }
        session.pass(FRAME);
    }
    trace
}

#[test]
fn payloads_without_any_clear_byte_switch_by_the_dependency_descriptor_whatever_they_are() {
    for codec in VIDEO {
        compare(codec, PayloadAccess::Clear);
    }
}

#[test]
fn encrypted_frames_are_forwarded_the_same_whatever_stands_behind_their_frame_header() {
    for codec in VIDEO {
        compare(codec, PayloadAccess::Opaque);
    }
}
