//! Downlinks that carry less than is published, over simulated bottlenecks in virtual time.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, MediaKind, PayloadAccess, StreamState};
use sealroute_netem::Random;
use std::time::Duration;
use support::room::{LAYERS, Room, SIZES};
use support::wire::{rtp, vp8_sized};
use support::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_ample_path_soon_carries_the_best_layer() {
    let mut room = Room::new(&LAYERS, &[(20e6, 1)]);
    room.run(seconds(5));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(1));
    assert!(bps > LAYERS[2], "{bps} {}", room.trace(0));
    assert_eq!(room.stream_state(0), None);
}

#[test]
fn a_path_that_shrinks_is_followed_within_three_seconds_and_back_within_fifteen() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1), (50e6, 1)]);
    room.run(seconds(12));
    let before = room.viewers[1].received.len();
    room.paths[0].set_rate(600e3);
    room.run(seconds(3));
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        room.run(Duration::from_millis(50));
        longest = longest.max(room.paths[0].queueing(room.session.now));
    }
    assert!(
        longest < Duration::from_millis(300),
        "{longest:?} {}",
        room.trace(0)
    );
    room.paths[0].set_rate(3e6);
    room.run(seconds(15));
    let now = room.session.now;
    let back = room.viewers[0].bps(now, seconds(2));
    let best = LAYERS[2] * 0.9;
    assert!(back >= best, "{back} {}", room.trace(0));
    let other = room.viewers[1].bps(now, seconds(28));
    assert!(other > LAYERS[2], "{other}");
    assert!(room.viewers[1].received.len() > before);
    assert_eq!(room.stream_state(1), None);
}

#[test]
fn a_tenth_lost_at_random_leaves_the_path_in_use() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1)]);
    room.viewers[0].loss = 0.1;
    room.run(seconds(30));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(10));
    let arriving = LAYERS[2] * 0.9 * 0.95;
    assert!(bps > arriving, "{bps} {}", room.trace(0));
    let estimate = room.session.router.snapshot().downlinks[0].estimate_bps as f64;
    assert!(estimate >= 0.7 * 3e6, "{estimate} {}", room.trace(0));
}

#[test]
fn two_subscribers_on_one_path_get_the_same_within_a_fifth() {
    let mut room = Room::new(&LAYERS, &[(1.6e6, 2)]);
    room.run(seconds(60));
    let now = room.session.now;
    let each: Vec<f64> = room
        .viewers
        .iter()
        .map(|viewer| viewer.bps(now, seconds(30)))
        .collect();
    let (less, more) = (each[0].min(each[1]), each[0].max(each[1]));
    assert!(
        less >= 0.8 * more,
        "{each:?} {} {}",
        room.trace(0),
        room.trace(1)
    );
}

#[test]
fn at_80_kbps_audio_passes_and_video_pauses_with_an_event() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1)]);
    room.run(seconds(5));
    room.paths[0].set_rate(80e3);
    room.run(seconds(6));
    assert_eq!(
        room.stream_state(0),
        Some(StreamState::Paused),
        "{}",
        room.trace(0)
    );
    let (sent, received) = (room.viewers[0].audio_sent, room.viewers[0].audio_received());
    room.run(seconds(30));
    let sent = room.viewers[0].audio_sent - sent;
    let received = (room.viewers[0].audio_received() - received) as f64;
    assert!(
        received >= 0.99 * sent as f64,
        "{received} of {sent} {}",
        room.trace(0)
    );
    room.paths[0].set_rate(3e6);
    room.run(seconds(20));
    assert_eq!(
        room.stream_state(0),
        Some(StreamState::Ok),
        "{}",
        room.trace(0)
    );
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, seconds(2));
    assert!(bps > LAYERS[1], "{bps} {}", room.trace(0));
}

#[test]
fn video_that_is_paused_stays_so_when_something_else_is_subscribed_to() {
    let mut room = Room::new(&LAYERS, &[(3e6, 1)]);
    room.run(seconds(5));
    room.paths[0].set_rate(80e3);
    room.run(seconds(8));
    let paused = |room: &Room| room.session.router.snapshot().down_tracks[0].paused;
    assert!(paused(&room), "{}", room.trace(0));
    room.subscribe_to_audio(room.viewers[0].transport, 7);
    assert!(paused(&room), "{}", room.trace(0));
}

#[test]
fn lies_neither_pass_the_cap_nor_touch_others() {
    let lies: [fn(&mut Random, &mut Vec<u8>); 3] = [
        |_, compound| compound.iter_mut().skip(12).for_each(|byte| *byte = 0),
        |_, compound| compound.iter_mut().skip(12).for_each(|byte| *byte = 0xFF),
        |random, compound| {
            for byte in compound.iter_mut().skip(12) {
                *byte = random.below(256) as u8;
            }
        },
    ];
    for lie in lies {
        let mut room = Room::new(&LAYERS, &[(3e6, 1), (3e6, 1)]);
        room.lies = Some(lie);
        room.run(seconds(5));
        let remb = [
            0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0xFF, 0xFF, 0xFF,
            0, 0, 0, 1,
        ];
        let liar = room.viewers[0].transport;
        room.session.rtcp(liar, &remb);
        room.run(seconds(10));
        let estimate = room.session.router.snapshot().downlinks[0].estimate_bps;
        assert!(estimate <= 100_000_000);
        let now = room.session.now;
        let honest = room.viewers[1].bps(now, seconds(5));
        assert!(honest > 0.9 * LAYERS[2], "{honest} {}", room.trace(1));
    }
}

#[test]
fn without_feedback_nothing_is_held_back() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    for number in 0..200_u16 {
        let payload = vp8_sized(number == 0, number, SIZES[0], &[1; 1_000]);
        session.rtp(&rtp(number, 0, &payload).bytes());
    }
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 200);
    assert_eq!(up_track(Codec::Vp8).kind, MediaKind::Video);
}
