//! What becomes of packets around a switch from one encoding to another.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, Layer, LayerWish, PayloadAccess};
use sealroute_netem::Random;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use support::wire::{
    Rtp, at_temporal, picture_of, retransmission, rtp, vp8_continuation, vp8_sized,
};
use support::*;

const SMALL: usize = 0;
const LARGE: usize = 2;
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const RIDS: [&[u8]; 3] = [b"q", b"h", b"f"];
const TICKS: u32 = 3_000;
/// All layers of all encodings.
const WHOLE: Layer = Layer {
    encoding: LARGE as u8,
    spatial: 3,
    temporal: 7,
};

/// A publisher whose packets are sent one by one; numbers of an encoding begin at a hundred, a
/// thousand or ten thousand.
struct Camera {
    session: Session,
    rtx: u16,
}

/// Where in its picture a packet stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    First,
    Middle,
    Last,
    /// All of a key frame.
    WholeKey,
    /// All of another one.
    Whole,
}

impl Camera {
    /// The subscriber gets the small encoding, and has not got anything yet.
    fn new() -> Self {
        Self::of(sink())
    }

    fn of(sink: sealroute_forward::SinkParameters) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, simulcast(Codec::Vp8));
        session.subscribe(SUBSCRIBER, DOWNLINK, sink);
        let mut camera = Self { session, rtx: 0 };
        camera.wish(SMALL);
        camera
    }

    fn wish(&mut self, encoding: usize) {
        let wish = LayerWish {
            max_width_px: Some(u32::from(SIZES[encoding].0)),
            ..LayerWish::default()
        };
        let outcome = self.session.router.set_layer_wish(SUBSCRIBER, wish);
        outcome.expect("set");
    }

    fn allocate(&mut self, layer: Option<Layer>) {
        let outcome = self.session.router.set_allocation(SUBSCRIBER, "7", layer);
        outcome.expect("set");
    }

    fn packet(encoding: usize, number: u16, picture: u16, part: Part) -> Rtp {
        let body = [&[0x5A; 40], number.to_be_bytes().as_slice()].concat();
        let id = picture + 500 * encoding as u16;
        let payload = match part {
            Part::Middle | Part::Last => vp8_continuation(id, &body),
            _ => {
                let key_frame = part == Part::WholeKey;
                vp8_sized(key_frame, id, SIZES[encoding], &body)
            }
        };
        let timestamp = u32::from(picture) * TICKS + 77_777 * encoding as u32;
        let packet = rtp(number, timestamp, &payload)
            .ssrc(100 + encoding as u32)
            .extension(MID_ID, b"0")
            .extension(RID_ID, RIDS[encoding]);
        match part {
            Part::Last | Part::WholeKey | Part::Whole => packet.marker(),
            _ => packet,
        }
    }

    fn send(&mut self, encoding: usize, number: u16, picture: u16, part: Part) {
        self.take(&Self::packet(encoding, number, picture, part));
    }

    fn take(&mut self, packet: &Rtp) {
        self.session.rtp(&packet.bytes());
        self.session.pass(Duration::from_millis(5));
    }

    /// A packet that was lost comes again.
    fn repair(&mut self, encoding: usize, number: u16, picture: u16, part: Part) {
        self.repair_packet(encoding, &Self::packet(encoding, number, picture, part));
    }

    fn repair_packet(&mut self, encoding: usize, original: &Rtp) {
        self.rtx += 1;
        let mut again = retransmission(self.rtx, original).ssrc(200 + encoding as u32);
        again.extensions = vec![
            (MID_ID, b"0".to_vec()),
            (REPAIRED_RID_ID, RIDS[encoding].to_vec()),
        ];
        self.take(&again);
    }

    fn sequences(&self) -> Vec<u16> {
        self.session.out.sequences(DOWNLINK, SINK_SSRC)
    }

    /// Number, timestamp and picture ids of what was sent last.
    fn last(&self) -> (u16, u32, (u16, u8)) {
        let stream = self.session.out.stream(DOWNLINK, SINK_SSRC);
        let packet = stream.last().expect("a packet").packet();
        let picture = picture_of(packet.payload());
        (packet.sequence().0, packet.timestamp(), picture)
    }

    /// The small encoding until packet 103 of picture 3, of which 102 was lost, then the large one
    /// from 10000 on.
    fn lose_one_and_switch(&mut self) {
        self.send(SMALL, 100, 1, Part::WholeKey);
        self.send(SMALL, 101, 2, Part::First);
        self.send(SMALL, 103, 3, Part::Whole);
        self.wish(LARGE);
        self.send(LARGE, 10_000, 3, Part::WholeKey);
        assert_eq!(self.sequences(), [100, 101, 103, 104]);
    }
}

#[test]
fn a_packet_lost_before_a_switch_and_repaired_after_it_gets_the_number_left_for_it() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.last().0, 102);
    camera.send(LARGE, 10_001, 4, Part::Whole);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 102, 105]);
}

#[test]
fn what_was_repaired_after_a_switch_can_be_asked_for_again() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    camera.repair(SMALL, 102, 2, Part::Last);
    camera.session.rtcp(DOWNLINK, &nack(SINK_SSRC, &[102]));
    let again = camera.session.out.payloads(DOWNLINK, SINK_RTX_SSRC);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0][..2], 102_u16.to_be_bytes());
    assert!(again[0].ends_with(&102_u16.to_be_bytes()));
}

#[test]
fn without_retransmission_streams_it_keeps_its_number_too() {
    let mut camera = Camera::of(sink_without_rtx());
    camera.lose_one_and_switch();
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.last().0, 102);
}

#[test]
fn a_packet_repaired_after_a_switch_has_the_time_and_picture_id_of_its_own_frame() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    camera.wish(SMALL);
    camera.send(SMALL, 120, 20, Part::WholeKey);
    camera.send(SMALL, 121, 21, Part::First);
    let of_its_frame = camera.last();
    camera.send(SMALL, 123, 22, Part::Whole);
    camera.wish(LARGE);
    camera.send(LARGE, 10_020, 22, Part::WholeKey);
    camera.repair(SMALL, 122, 21, Part::Last);
    let (number, timestamp, picture) = camera.last();
    assert_eq!(number, of_its_frame.0 + 1);
    assert_eq!((timestamp, picture), (of_its_frame.1, of_its_frame.2));
    assert_ne!(picture.0, 21, "it was moved");
}

#[test]
fn probes_before_and_after_a_switch_do_not_move_a_late_packet() {
    let mut camera = Camera::new();
    let probe = |number: u16| {
        let mut bytes = Camera::packet(SMALL, number, 2, Part::Middle);
        bytes.payload = vec![0, 0, 0, 4];
        let mut bytes = bytes.bytes();
        bytes[0] |= 0x20;
        bytes
    };
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.session.rtp(&probe(101));
    camera.send(SMALL, 103, 3, Part::First);
    camera.session.rtp(&probe(104));
    camera.send(SMALL, 105, 3, Part::Last);
    camera.wish(LARGE);
    camera.send(LARGE, 10_000, 3, Part::WholeKey);
    camera.session.rtp(&probe(106));
    camera.repair(SMALL, 102, 2, Part::Whole);
    assert_eq!(camera.sequences(), [100, 102, 103, 104, 101]);
}

#[test]
fn of_the_encoding_before_nothing_is_sent_that_lies_behind_the_switch() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    camera.send(SMALL, 104, 4, Part::First);
    camera.send(SMALL, 106, 5, Part::Whole);
    camera.repair(SMALL, 105, 4, Part::Last);
    assert_eq!(camera.session.dropped("other_encoding"), 3);
    assert_eq!(camera.sequences(), [100, 101, 103, 104]);
}

#[test]
fn after_one_more_switch_a_lost_packet_comes_too_late() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    camera.wish(1);
    camera.send(1, 1_000, 4, Part::WholeKey);
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.session.dropped("other_encoding"), 1);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 105]);
}

#[test]
fn what_can_no_longer_be_sent_again_is_not_sent_late_either() {
    let mut camera = Camera::new();
    camera.lose_one_and_switch();
    for packet in 1..520 {
        camera.send(LARGE, 10_000 + packet, 3 + packet, Part::Whole);
    }
    let before = camera.sequences().len();
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.sequences().len(), before);
    assert_eq!(camera.session.dropped("other_encoding"), 1);
}

#[test]
fn a_packet_lost_before_a_pause_is_filled_in_when_the_stream_goes_on() {
    let mut camera = Camera::new();
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.send(SMALL, 101, 2, Part::First);
    camera.send(SMALL, 103, 3, Part::Whole);
    camera.allocate(None);
    camera.send(SMALL, 104, 4, Part::Whole);
    camera.allocate(Some(WHOLE));
    camera.send(SMALL, 105, 5, Part::WholeKey);
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 102]);
}

fn layered(number: u16, picture: u16, temporal: u8, part: Part) -> Rtp {
    let mut packet = Camera::packet(SMALL, number, picture, part);
    packet.payload = at_temporal(packet.payload, temporal, temporal > 0);
    packet
}

#[test]
fn a_late_packet_of_an_upper_layer_is_sent_to_whoever_had_that_layer() {
    let mut camera = Camera::new();
    camera.take(&layered(100, 1, 0, Part::WholeKey));
    camera.take(&layered(101, 2, 1, Part::Whole));
    camera.take(&layered(102, 3, 0, Part::Whole));
    camera.take(&layered(103, 4, 1, Part::First));
    camera.take(&layered(105, 5, 0, Part::Whole));
    camera.wish(LARGE);
    camera.send(LARGE, 10_000, 5, Part::WholeKey);
    camera.repair_packet(SMALL, &layered(104, 4, 1, Part::Last));
    let stream = camera.session.out.stream(DOWNLINK, SINK_SSRC);
    let repaired = stream.last().expect("a packet").packet();
    assert_eq!(repaired.sequence().0, 104);
    assert!(repaired.payload().ends_with(&104_u16.to_be_bytes()));
}

#[test]
fn a_late_packet_of_a_left_out_layer_does_not_take_the_number_of_the_key_frame() {
    let mut camera = Camera::new();
    camera.take(&layered(100, 1, 0, Part::WholeKey));
    camera.take(&layered(101, 2, 1, Part::Whole));
    camera.take(&layered(102, 3, 0, Part::Whole));
    camera.allocate(Some(Layer::default()));
    camera.take(&layered(103, 4, 0, Part::Whole));
    camera.take(&layered(105, 6, 0, Part::Whole));
    // 106 is lost, 107 left out: nothing was sent behind 105 that keeps a number free.
    camera.take(&layered(107, 8, 1, Part::Whole));
    camera.wish(LARGE);
    camera.allocate(Some(WHOLE));
    camera.send(LARGE, 10_000, 8, Part::WholeKey);
    assert_eq!(camera.sequences(), [100, 101, 102, 103, 105, 106]);
    camera.repair_packet(SMALL, &layered(106, 7, 0, Part::Whole));
    assert_eq!(camera.sequences(), [100, 101, 102, 103, 105, 106]);
    camera.repair_packet(SMALL, &layered(104, 5, 1, Part::Whole));
    let stream = camera.session.out.stream(DOWNLINK, SINK_SSRC);
    let filler = stream.last().expect("a packet").packet();
    assert_eq!((filler.sequence().0, filler.payload().len()), (104, 0));
}

/// Three encodings with temporal layers, whose packets get lost and are repaired up to a second
/// later, while what the subscriber is to get changes.
struct Turmoil {
    camera: Camera,
    random: Random,
    numbers: [u16; 3],
    lost: VecDeque<(u32, usize, Rtp)>,
    step: u32,
}

impl Turmoil {
    fn new(seed: u64) -> Self {
        Self {
            camera: Camera::new(),
            random: Random::new(seed),
            numbers: [100, 1_000, 10_000],
            lost: VecDeque::new(),
            step: 0,
        }
    }

    fn emit(&mut self, encoding: usize, picture: u16, part: Part) {
        let number = self.numbers[encoding];
        self.numbers[encoding] += 1;
        let (temporal, sync) = wire::temporal_of(u64::from(picture));
        let is_key = matches!(part, Part::WholeKey);
        let temporal = if is_key { 0 } else { temporal };
        let mut packet = Camera::packet(encoding, number, picture, part);
        packet.payload = at_temporal(packet.payload, temporal, sync);
        if self.random.chance(0.1) {
            let due = self.step + self.random.below(30) as u32;
            self.lost.push_back((due, encoding, packet));
        } else {
            self.camera.session.take(UPLINK, &packet.bytes());
        }
    }

    fn picture(&mut self) {
        self.step += 1;
        let picture = self.step as u16;
        for encoding in 0..3 {
            if picture == 1 || self.random.chance(0.1) {
                self.emit(encoding, picture, Part::WholeKey);
            } else if self.random.chance(0.5) {
                self.emit(encoding, picture, Part::Whole);
            } else {
                self.emit(encoding, picture, Part::First);
                self.emit(encoding, picture, Part::Middle);
                self.emit(encoding, picture, Part::Last);
            }
        }
        for _ in 0..self.lost.len() {
            let Some((due, encoding, packet)) = self.lost.pop_front() else {
                break;
            };
            if due <= self.step {
                self.camera.repair_packet(encoding, &packet);
            } else {
                self.lost.push_back((due, encoding, packet));
            }
        }
        if self.random.chance(0.1) {
            let layer = (!self.random.chance(0.1)).then(|| Layer {
                encoding: self.random.below(3) as u8,
                spatial: 0,
                temporal: self.random.below(3) as u8,
            });
            self.camera.wish(LARGE);
            self.camera.allocate(layer);
        }
        let session = &mut self.camera.session;
        session.router.flush(session.now, &mut session.out);
        session.pass(Duration::from_millis(33));
    }
}

#[test]
fn however_packets_are_repaired_around_switches_numbers_times_and_pictures_stay_in_one_order() {
    for seed in 1..=6 {
        let mut turmoil = Turmoil::new(seed);
        for _ in 0..3_000 {
            turmoil.picture();
        }
        let stream = turmoil.camera.session.out.stream(DOWNLINK, SINK_SSRC);
        let mut by_number = BTreeMap::new();
        let mut newest = 0x1_0000 + i64::from(stream[0].sequence());
        for sent in stream {
            let ahead = i64::from(sent.sequence().wrapping_sub(newest as u16) as i16);
            newest = newest.max(newest + ahead);
            let number = newest + ahead.min(0);
            let before = by_number.insert(number, sent.packet());
            assert!(before.is_none(), "{seed}: {number} twice");
        }
        assert!(by_number.len() > 3_000, "{}", by_number.len());
        let later = by_number.iter().skip(1);
        for ((number, before), (next, after)) in by_number.iter().zip(later) {
            let ticks = after.timestamp().wrapping_sub(before.timestamp()) as i32;
            assert!(ticks >= 0, "{seed}: {next}");
            if before.payload().is_empty() || after.payload().is_empty() {
                continue;
            }
            let [old, new] = [before, after].map(|packet| picture_of(packet.payload()).0);
            let step = new.wrapping_sub(old) & 0x7FFF;
            assert_eq!(step == 0, ticks == 0, "{seed}: {next}: {old} then {new}");
            let most = if next - number == 1 { 1 } else { 40 };
            assert!(step <= most, "{seed}: {next}: {old} then {new}");
        }
    }
}
