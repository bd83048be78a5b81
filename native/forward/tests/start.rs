//! The first seconds of a downlink, before any feedback.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::ForwardSettings;
use sealroute_rtp::rtcp::{ReportBlock, write_receiver_report};
use std::time::Duration;
use support::room::{LAYERS, Room, SIZES};

const SMALL: (u16, u16) = SIZES[0];
const LARGE: (u16, u16) = SIZES[2];
const STEP: Duration = Duration::from_millis(5);

/// A subscriber to this many cameras, each of which already sends three sizes.
fn joined(cameras: usize, rate_bps: f64) -> Room {
    let mut room = Room::with_cameras(cameras, &LAYERS);
    room.key_frames_on_request = true;
    room.run(Duration::from_secs(3));
    let path = room.add_path(rate_bps);
    room.join(path);
    room
}

/// The longest time that a packet is queued on the subscriber's path.
fn longest_queue(room: &mut Room, time: Duration) -> Duration {
    let end = room.session.now + time;
    let mut longest = Duration::ZERO;
    while room.session.now < end {
        room.run(STEP);
        longest = longest.max(room.paths[0].queueing(room.session.now));
    }
    longest
}

#[test]
fn three_cameras_in_three_sizes_begin_on_600_kbps_without_a_loss_or_a_long_queue() {
    let mut room = joined(3, 600e3);
    let joined_at = room.session.now;
    let longest = longest_queue(&mut room, Duration::from_secs(5));
    assert!(
        longest < Duration::from_millis(200),
        "{longest:?} {}",
        room.trace(0)
    );
    assert_eq!(room.paths[0].dropped(), 0, "{}", room.trace(0));
    let viewer = &room.viewers[0];
    let first = viewer.first_key_frame[&SMALL].duration_since(joined_at);
    assert!(first < Duration::from_millis(250), "{first:?}");
    assert!(!viewer.first_key_frame.contains_key(&LARGE));
}

#[test]
fn cameras_that_began_a_moment_ago_are_not_taken_to_cost_nothing() {
    let mut room = Room::with_cameras(3, &LAYERS);
    room.key_frames_on_request = true;
    room.run(Duration::from_millis(200));
    let path = room.add_path(600e3);
    room.join(path);
    let longest = longest_queue(&mut room, Duration::from_secs(3));
    assert!(
        longest < Duration::from_millis(200),
        "{longest:?} {}",
        room.trace(0)
    );
    assert_eq!(room.paths[0].dropped(), 0, "{}", room.trace(0));
}

#[test]
fn on_a_good_path_the_large_encoding_starts_with_the_next_key_frame_that_may_be_requested() {
    for cameras in [1, 3] {
        let mut room = joined(cameras, 20e6);
        let joined_at = room.session.now;
        room.run(Duration::from_secs(1));
        let shown = &room.viewers[0].first_key_frame;
        let first = shown.values().min().expect("a picture");
        let first = first.duration_since(joined_at);
        assert!(first < Duration::from_millis(100), "{first:?}");
        let large = shown[&LARGE].duration_since(joined_at);
        assert!(large < Duration::from_millis(650), "{large:?}");
    }
}

#[test]
fn a_silent_subscriber_is_sent_no_more_than_the_start_estimate() {
    let mut room = joined(3, 20e6);
    room.viewers[0].silent = true;
    room.run(Duration::from_secs(8));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, Duration::from_secs(5));
    let start_bps = ForwardSettings::default().start_downlink.bps();
    assert!(bps < start_bps, "{bps} {}", room.trace(0));
}

#[test]
fn a_subscriber_that_reports_without_the_negotiated_feedback_is_not_held_back_for_long() {
    let mut room = joined(3, 20e6);
    room.viewers[0].silent = true;
    let mut report = Vec::new();
    let block = ReportBlock {
        ssrc: 0x9000,
        ..ReportBlock::default()
    };
    write_receiver_report(&mut report, 1, &[block]);
    for _ in 0..4 {
        room.run(Duration::from_secs(1));
        let transport = room.viewers[0].transport;
        room.session.rtcp(transport, &report);
    }
    room.run(Duration::from_secs(2));
    let now = room.session.now;
    let bps = room.viewers[0].bps(now, Duration::from_secs(1));
    assert!(bps > 2.5 * LAYERS[2], "{bps} {}", room.trace(0));
}

#[test]
fn a_path_wide_enough_for_what_it_began_with_is_not_limited_by_the_first_probe() {
    let mut room = joined(3, 3e6);
    room.run(Duration::from_secs(1));
    let downlink = &room.session.router.snapshot().downlinks[0];
    assert!(!downlink.limited, "{downlink:?}");
    let expected = 2_000_000..3_100_000;
    assert!(expected.contains(&downlink.estimate_bps), "{downlink:?}");
}

#[test]
fn a_subscriber_of_cameras_that_have_not_started_starts_with_no_more() {
    let mut room = Room::with_cameras(3, &LAYERS);
    room.key_frames_on_request = true;
    let path = room.add_path(600e3);
    room.join(path);
    let longest = longest_queue(&mut room, Duration::from_secs(3));
    assert!(
        longest < Duration::from_millis(200),
        "{longest:?} {}",
        room.trace(0)
    );
    assert_eq!(room.paths[0].dropped(), 0, "{}", room.trace(0));
}
