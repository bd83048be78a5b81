//! Queued packets at a switch, a pause, or after too long a wait.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_netem::Random;
use std::collections::BTreeMap;
use std::time::Duration;
use support::room::{LAYERS, Room, SIZES};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A room whose publisher sends a key frame 100 ms after a request, and one path that carries
/// everything.
fn settled(cameras: usize, layers: &[f64]) -> Room {
    let mut room = Room::with_cameras(cameras, layers);
    room.key_frames_on_request = true;
    room.key_frame_delay = ms(100);
    let path = room.add_path(3e6 * cameras as f64);
    room.join(path);
    room.run(ms(12_000));
    room
}

/// Every sequence number of each video was sent once, without gaps.
fn assert_sequence_numbers_continue(room: &Room) {
    let mut videos: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    for &(ssrc, number) in &room.viewers[0].numbers {
        let is_video = ssrc & 0xF000 == 0x9000 && ssrc.is_multiple_of(2);
        if is_video {
            videos.entry(ssrc).or_default().push(number);
        }
    }
    assert!(!videos.is_empty());
    for numbers in videos.values_mut() {
        numbers.sort_unstable();
        for pair in numbers.windows(2) {
            assert_eq!(pair[1], pair[0] + 1, "{}", room.trace(0));
        }
    }
}

#[test]
fn a_smaller_encoding_does_not_wait_behind_the_rest_of_the_larger_one() {
    let mut room = settled(1, &LAYERS);
    room.paths[0].set_rate(600e3);
    let (begin, before) = (room.session.now, room.viewers[0].key_frames.len());
    room.run(ms(4_000));
    let later = &room.viewers[0].key_frames[before..];
    let smaller = later.iter().find(|(_, size)| *size != SIZES[2]);
    let (at, _) = smaller.expect("a smaller picture");
    let took = at.duration_since(begin);
    // 500 ms of this are the queue of the path.
    assert!(took < ms(1_050), "{took:?} {}", room.trace(0));
    assert_eq!(room.session.dropped("pacer_late"), 0);
    assert_sequence_numbers_continue(&room);
}

#[test]
fn video_that_fell_behind_restarts_instead_of_continuing_with_gaps() {
    let mut room = settled(1, &[1_500e3]);
    room.paths[0].set_rate(500e3);
    room.run(ms(700));
    room.paths[0].set_rate(3e6);
    let (begin, before) = (room.session.now, room.viewers[0].key_frames.len());
    room.run(ms(8_000));
    assert_eq!(room.session.dropped("pacer_late"), 1);
    assert!(room.session.dropped("pacer_overtaken") > 0);
    let (at, _) = room.viewers[0].key_frames[before];
    assert!(at.duration_since(begin) < ms(4_000), "{}", room.trace(0));
    assert_sequence_numbers_continue(&room);
}

#[test]
fn whatever_a_path_does_no_sequence_number_is_sent_twice_or_missing() {
    for seed in 1..=6 {
        let mut random = Random::new(seed);
        let mut room = settled(2, &LAYERS);
        for _ in 0..60 {
            let rate_bps = 80e3 + random.below(3_000_000) as f64;
            room.paths[0].set_rate(rate_bps);
            room.run(ms(100 + random.below(1_500)));
        }
        assert!(room.session.dropped("pacer_overtaken") > 0);
        assert_sequence_numbers_continue(&room);
    }
}

#[test]
fn excess_packets_are_not_added_to_a_full_path_while_a_smaller_encoding_is_requested() {
    let mut room = settled(1, &LAYERS);
    room.key_frame_delay = ms(400);
    room.paths[0].set_rate(600e3);
    room.run(ms(1_000));
    let queue = room.paths[0].queueing(room.session.now);
    assert!(queue < ms(150), "{queue:?} {}", room.trace(0));
    assert_sequence_numbers_continue(&room);
}
