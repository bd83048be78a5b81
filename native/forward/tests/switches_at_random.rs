//! Switches of encodings and layers at random, while packets are lost and repaired.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::Layer;
use sealroute_netem::Random;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use support::camera::{Camera, LARGE, Part};
use support::wire::{Rtp, at_temporal, picture_of};
use support::*;

/// Three encodings with temporal layers. Packets are lost and repaired up to a second later, while
/// the preferred layers change.
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
            self.camera.prefer(LARGE);
            self.camera.allocate(layer);
        }
        let session = &mut self.camera.session;
        session.router.flush(session.now, &mut session.out);
        session.pass(Duration::from_millis(33));
    }
}

/// Every packet was forwarded or dropped for one reason, except those that were both.
fn account(session: &Session) {
    let taken = session.router.snapshot().up_tracks[0].packets;
    let outcomes = [
        "rtp_forwarded",
        "awaiting_key_frame",
        "other_encoding",
        "upper_layer",
        "bandwidth",
        "too_late",
    ];
    let sum: u64 = outcomes.iter().map(|name| session.counter(name)).sum();
    assert_eq!(sum, taken + session.counter("rtp_caught_up"));
}

#[test]
fn repairs_around_switches_keep_sequence_numbers_timestamps_and_picture_ids_in_order() {
    for seed in 1..=6 {
        let mut turmoil = Turmoil::new(seed);
        for _ in 0..3_000 {
            turmoil.picture();
        }
        account(&turmoil.camera.session);
        let stream = turmoil.camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
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
