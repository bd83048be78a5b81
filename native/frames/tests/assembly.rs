//! What goes through a network comes out whole, in order, and once; what depends on a lost frame
//! does not.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sealroute_frames::{Assembler, Codec, ExtensionIds, Frame, MAX_FRAME_BYTES};
use sealroute_netem::{Conditions, Link};
use sealroute_rtp::RtpPacket;
use support::{Made, Publisher};

const HOLD_US: u64 = 400_000;
const FRAME_US: u64 = 33_000;
/// Repairs and stragglers come within this.
const TAIL_US: u64 = 2_000_000;

struct Run {
    made: Vec<Made>,
    out: Vec<Frame>,
    lost: u64,
    requests: u32,
}

fn run(codec: Codec, seed: u64, frames: u32, conditions: Conditions) -> Run {
    let start = Instant::now();
    let mut publisher = Publisher::new(codec, seed);
    let mut link = Link::new(seed, conditions);
    let mut assembler = Assembler::new(codec, HOLD_US, ExtensionIds::default());
    let mut run = Run {
        made: Vec::new(),
        out: Vec::new(),
        lost: 0,
        requests: 0,
    };
    let mut key = false;
    let end_us = u64::from(frames) * FRAME_US + TAIL_US;
    for now_us in (0..end_us).step_by(1_000) {
        let now = start + Duration::from_micros(now_us);
        if now_us % FRAME_US == 0 && now_us / FRAME_US < u64::from(frames) {
            let made = publisher.make((now_us / FRAME_US * 2_970) as u32, key);
            key = false;
            made.packets
                .iter()
                .for_each(|packet| link.send(now, packet));
            run.made.push(made);
        }
        while let Some(bytes) = link.receive(now) {
            let packet = RtpPacket::parse(&bytes).expect("a packet");
            assembler.handle_packet(now_us, now_us, &packet);
        }
        run.out
            .extend(std::iter::from_fn(|| assembler.poll(now_us)));
        if assembler.wants_key_frame(now_us) {
            key = true;
            run.requests += 1;
        }
    }
    run.lost = link.lost();
    run
}

/// The number of the frame with these bytes; panics for any other.
fn numbers(run: &Run) -> Vec<u32> {
    let by_data: HashMap<&[u8], &Made> = run
        .made
        .iter()
        .map(|made| (made.data.as_slice(), made))
        .collect();
    let number = |frame: &Frame| {
        let made = by_data
            .get(frame.data.as_slice())
            .expect("a frame with a hole");
        assert_eq!(frame.key, made.key);
        assert_eq!(frame.timestamp, made.number * 2_970);
        made.number
    };
    run.out.iter().map(number).collect()
}

fn seeds() -> impl Strategy<Value = (Codec, u64)> {
    (prop::sample::select(Codec::ALL.to_vec()), any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn without_loss_every_frame_comes_out_in_order_and_once((codec, seed) in seeds()) {
        let run = run(codec, seed, 90, Conditions {
            duplication: 0.05,
            reordering: 0.1,
            reordering_delay: Duration::from_millis(80),
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(60),
            ..Conditions::default()
        });
        prop_assert_eq!(numbers(&run), (0..90).collect::<Vec<_>>());
        prop_assert!(run.out.iter().all(|frame| frame.lost_before == 0));
        prop_assert_eq!(run.requests, 0);
    }

    #[test]
    fn after_a_loss_no_frame_comes_out_whose_references_are_missing((codec, seed) in seeds()) {
        let run = run(codec, seed, 300, Conditions {
            loss: 0.01,
            duplication: 0.01,
            reordering: 0.05,
            reordering_delay: Duration::from_millis(80),
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(30),
        });
        let numbers = numbers(&run);
        prop_assert!(numbers.is_sorted_by(|one, other| one < other));
        // The codecs with numbers tell what each frame depends on; the others need no less.
        for (frame, pair) in run.out[1..].iter().zip(numbers.windows(2)) {
            prop_assert!(frame.key || pair[1] == pair[0] + 1, "{pair:?}");
            prop_assert_eq!(frame.lost_before > 0, pair[1] > pair[0] + 1, "{:?}", pair);
        }
        prop_assert!(run.out[0].key);
        if codec == Codec::Opus {
            prop_assert_eq!(numbers.len() as u64 + run.lost, 300);
        } else {
            // Key frames come a second after each other at most, so something comes out.
            prop_assert!(numbers.len() > 20, "{}", numbers.len());
        }
    }
}

#[test]
fn a_key_frame_says_the_size_and_later_frames_keep_it() {
    let sizes = [
        (Codec::Opus, (0, 0)),
        (Codec::Vp8, (640, 360)),
        (Codec::Vp9, (640, 360)),
        (Codec::H264, (320, 180)),
        (Codec::Av1, (640, 360)),
    ];
    for (codec, size) in sizes {
        let run = run(codec, 1, 5, Conditions::default());
        assert_eq!(run.out.len(), 5, "{codec:?}");
        assert!(run.out.iter().all(|frame| frame.size == size), "{codec:?}");
    }
}

#[test]
fn padding_belongs_to_no_frame_and_leaves_no_gap() {
    let mut publisher = Publisher::new(Codec::Vp8, 2);
    let mut assembler = Assembler::new(Codec::Vp8, 0, ExtensionIds::default());
    let mut packets = publisher.make(0, true).packets;
    packets.push(publisher.packet(0, false, &[]));
    packets.push(publisher.packet(500, true, &[]));
    packets.extend(publisher.make(2_970, false).packets);
    let mut out = Vec::new();
    for bytes in packets {
        assembler.handle_packet(0, 0, &RtpPacket::parse(&bytes).expect("a packet"));
        out.extend(std::iter::from_fn(|| assembler.poll(0)));
    }
    assert_eq!(
        out.iter().map(|frame| frame.timestamp).collect::<Vec<_>>(),
        [0, 2_970]
    );
    assert!(out.iter().all(|frame| frame.lost_before == 0));
}

#[test]
fn a_frame_without_a_marker_ends_where_the_next_begins() {
    let mut publisher = Publisher::new(Codec::Vp9, 3);
    let mut assembler = Assembler::new(Codec::Vp9, 0, ExtensionIds::default());
    let mut out = Vec::new();
    for index in 0..3 {
        for mut bytes in publisher.make(index * 2_970, false).packets {
            bytes[1] &= 0x7F;
            assembler.handle_packet(0, 0, &RtpPacket::parse(&bytes).expect("a packet"));
            out.extend(std::iter::from_fn(|| assembler.poll(0)));
        }
    }
    assert_eq!(out.len(), 2);
}

#[test]
fn levels_and_orientation_come_from_header_extensions() {
    let mut publisher = Publisher::new(Codec::Vp8, 4);
    let ids = ExtensionIds {
        audio_level: Some(1),
        video_orientation: Some(2),
    };
    let mut assembler = Assembler::new(Codec::Vp8, 0, ids);
    let plain = publisher.make(0, true).packets.concat();
    let payload_at = 12;
    let extensions = [0xBE, 0xDE, 0, 1, 0x10, 0x80 | 31, 0x20, 0x03];
    let mut bytes = [&plain[..payload_at], &extensions, &[0x90, 0x80, 0x80, 0]].concat();
    bytes.extend([0x10, 2, 0, 0x9D, 0x01, 0x2A, 0x80, 2, 0x68, 1]);
    bytes[0] |= 0x10;
    bytes[1] |= 0x80;
    assembler.handle_packet(0, 0, &RtpPacket::parse(&bytes).expect("a packet"));
    let frame = assembler.poll(0).expect("a frame");
    assert_eq!((frame.orientation, frame.audio_level), (270, Some(31)));
}

#[test]
fn what_the_tap_dropped_is_a_loss_even_if_numbers_go_on() {
    let mut publisher = Publisher::new(Codec::Opus, 5);
    let mut assembler = Assembler::new(Codec::Opus, HOLD_US, ExtensionIds::default());
    let mut out = Vec::new();
    for index in 0..4 {
        let bytes = publisher.make(index * 960, false).packets.concat();
        let now_us = u64::from(index) * 20_000 + HOLD_US;
        assembler.handle_packet(now_us, now_us, &RtpPacket::parse(&bytes).expect("a packet"));
        out.extend(std::iter::from_fn(|| assembler.poll(now_us)));
        if index == 1 {
            assembler.handle_lost(9);
        }
    }
    out.extend(std::iter::from_fn(|| assembler.poll(2 * HOLD_US)));
    let lost: Vec<u32> = out.iter().map(|frame| frame.lost_before).collect();
    assert_eq!(lost, [0, 0, 9, 0]);
}

#[test]
fn a_frame_without_an_end_is_given_up_and_the_next_comes_out() {
    let mut publisher = Publisher::new(Codec::Vp8, 6);
    let mut assembler = Assembler::new(Codec::Vp8, 0, ExtensionIds::default());
    let head = [
        0x90, 0x80, 0x80, 0, 0x10, 2, 0, 0x9D, 0x01, 0x2A, 0x80, 2, 0x68, 1,
    ];
    let rest = [&[0x80, 0x80, 0x80, 0], [0; 1_200].as_slice()].concat();
    let mut endless = vec![head.to_vec()];
    endless.resize(MAX_FRAME_BYTES / 1_200 + 2, rest);
    let count = endless.len() as u32;
    let packets: Vec<_> = endless
        .iter()
        .map(|payload| publisher.packet(0, false, payload))
        .collect();
    let key = publisher.make(2_970, true);
    let mut out = Vec::new();
    for bytes in packets.iter().chain(&key.packets) {
        assembler.handle_packet(0, 0, &RtpPacket::parse(bytes).expect("a packet"));
        out.extend(std::iter::from_fn(|| assembler.poll(0)));
    }
    assert_eq!(
        out.iter().map(|frame| &frame.data).collect::<Vec<_>>(),
        [&key.data]
    );
    assert_eq!(
        (out[0].lost_before, assembler.ignored().incomplete_frames),
        (count, 1)
    );
}

#[test]
fn a_full_track_refuses_packets_instead_of_growing() {
    let mut publisher = Publisher::new(Codec::Opus, 7);
    let mut assembler = Assembler::new(Codec::Opus, HOLD_US, ExtensionIds::default());
    for index in 0..5_000 {
        let bytes = publisher.make(index * 960, false).packets.concat();
        assembler.handle_packet(0, 0, &RtpPacket::parse(&bytes).expect("a packet"));
    }
    let out: Vec<Frame> = std::iter::from_fn(|| assembler.poll(HOLD_US)).collect();
    let refused = assembler.ignored().refused_packets;
    assert_eq!(out.len() as u64 + refused, 5_000);
    assert!(refused > 0);
}

#[test]
fn a_frame_whose_first_slice_is_lost_does_not_come_out() {
    let mut publisher = Publisher::new(Codec::H264, 8);
    let mut assembler = Assembler::new(Codec::H264, 0, ExtensionIds::default());
    let mut packets = publisher.make(0, true).packets;
    // Two slices of the picture with the number 1; the second begins with another macroblock.
    let first = publisher.packet(2_970, false, &[0x41, 0x9A, 0x30, 1, 2]);
    let second = publisher.packet(2_970, true, &[0x41, 0x46, 0x88, 3, 4]);
    packets.push(second);
    let feed = |assembler: &mut Assembler, bytes: &[u8]| {
        assembler.handle_packet(0, 0, &RtpPacket::parse(bytes).expect("a packet"));
        std::iter::from_fn(|| assembler.poll(0)).count()
    };
    let out: usize = packets
        .iter()
        .map(|bytes| feed(&mut assembler, bytes))
        .sum();
    assert_eq!((out, assembler.ignored().incomplete_frames), (1, 1));
    assert_eq!(feed(&mut assembler, &first), 0, "too late");
}
