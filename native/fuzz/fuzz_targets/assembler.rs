//! Native clients put frames together of packets that a server could send: in any order, of any
//! payload, with any timestamp. It ends, and what it holds stays within its bounds.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sealroute_e2ee::Codec;
use sealroute_media::{Assembler, Piece};

#[derive(Arbitrary, Debug)]
struct Packet {
    /// Near the one before, as on a real path, or anywhere.
    step: i8,
    jump: Option<u64>,
    timestamp: u8,
    marker: bool,
    waits_ms: u8,
    payload: Vec<u8>,
}

const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fuzz_target!(|input: (u8, Vec<Packet>)| {
    let (codec, packets) = input;
    let mut assembler = Assembler::new(CODECS[usize::from(codec) % CODECS.len()]);
    let (mut sequence, mut now, mut most) = (1_000_u64, Duration::ZERO, 0);
    for packet in packets {
        sequence = packet
            .jump
            .unwrap_or_else(|| sequence.saturating_add_signed(packet.step.into()));
        now += Duration::from_millis(packet.waits_ms.into());
        most += 1 + packet.payload.len();
        assembler.push(Piece {
            sequence,
            timestamp: packet.timestamp.into(),
            marker: packet.marker,
            payload: packet.payload,
        });
        while let Some(frame) = assembler.next_frame(now) {
            // A start code or a size for each byte, at the worst.
            assert!(frame.bytes.len() <= 5 * most);
        }
        assembler.takes_key_frame_request(now);
        assert!(assembler.deadline().is_none_or(|at| at > now));
    }
});
