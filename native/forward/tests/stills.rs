//! Still frames of video that its subscriber's downlink has no room for.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{MediaKind, StreamState, SubscriberHandle};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::pli;
use support::room::{LAYERS, Room, SIZES};

const FIRST_VIDEO_SSRC: u32 = 0x9000;
/// Of a key frame of the smallest layer.
const STILL_BYTES: usize = 2_250;
const SMALLEST: [f64; 1] = [LAYERS[0]];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A room with one viewer whose path carries audio and next to nothing else.
fn starved(cameras: usize, layers: &[f64], rate_bps: f64) -> Room {
    let mut room = Room::with_cameras(cameras, layers);
    room.key_frames_on_request = true;
    room.key_frame_delay = Duration::from_millis(100);
    let path = room.add_path(3e6 * cameras as f64);
    room.join(path);
    room.run(seconds(6));
    room.paths[0].set_rate(rate_bps);
    room.run(seconds(8));
    assert!(room.all_paused(0), "{}", room.trace(0));
    room
}

/// Bytes of each video that arrived since `begin`.
fn video_bytes(room: &Room, begin: Instant) -> BTreeMap<u32, usize> {
    let mut videos = BTreeMap::new();
    for &(at, ssrc, bytes) in &room.viewers[0].received {
        if at > begin && ssrc & 0xF000 == FIRST_VIDEO_SSRC && ssrc.is_multiple_of(2) {
            *videos.entry(ssrc).or_default() += bytes;
        }
    }
    videos
}

#[test]
fn paused_video_shows_the_smallest_layers_key_frame_every_few_seconds_and_audio_passes() {
    let mut room = starved(1, &LAYERS, 80e3);
    let (begin, before) = (room.session.now, room.viewers[0].key_frames.len());
    let (sent, heard) = (room.viewers[0].audio_sent, room.viewers[0].audio_received());
    room.run(seconds(30));
    let stills = &room.viewers[0].key_frames[before..];
    assert!(
        (5..=7).contains(&stills.len()),
        "{stills:?} {}",
        room.trace(0)
    );
    assert!(
        stills.iter().all(|&(_, size)| size == SIZES[0]),
        "{stills:?}"
    );
    let bytes = video_bytes(&room, begin)[&FIRST_VIDEO_SSRC];
    assert!(bytes >= stills.len() * STILL_BYTES, "{bytes}");
    assert!(bytes < stills.len() * 2 * STILL_BYTES, "{bytes}");
    assert_eq!(room.stream_state(0), Some(StreamState::Paused));
    let sent = (room.viewers[0].audio_sent - sent) as f64;
    let heard = (room.viewers[0].audio_received() - heard) as f64;
    assert!(heard >= 0.99 * sent, "{heard} of {sent} {}", room.trace(0));
    let counted = room.session.router.snapshot().counters["still_frames"];
    assert!(counted >= stills.len() as u64, "{counted}");
}

#[test]
fn all_videos_of_a_starved_downlink_take_turns_at_a_bounded_bitrate() {
    let mut room = starved(7, &SMALLEST, 120e3);
    let begin = room.session.now;
    room.run(seconds(12));
    let videos = video_bytes(&room, begin);
    assert_eq!(videos.len(), 7, "{videos:?} {}", room.trace(0));
    assert!(
        videos.values().all(|&bytes| bytes >= STILL_BYTES),
        "{videos:?}"
    );
    let bps = videos.values().sum::<usize>() as f64 * 8.0 / 12.0;
    assert!(bps < 40e3, "{bps}");
}

#[test]
fn many_paused_subscribers_ask_a_publisher_no_more_often_than_one_in_two_seconds() {
    let mut room = Room::with_cameras(1, &SMALLEST);
    room.key_frames_on_request = true;
    for _ in 0..12 {
        let path = room.add_path(3e6);
        room.join(path);
    }
    room.run(seconds(6));
    for path in &mut room.paths {
        path.set_rate(80e3);
    }
    room.run(seconds(10));
    let (begin, asked) = (room.session.now, room.requests.len());
    room.run(seconds(20));
    for viewer in 0..12 {
        assert!(room.all_paused(viewer), "{}", room.trace(viewer));
        let later = room.viewers[viewer].key_frames.iter();
        assert!({ later }.any(|&(at, _)| at > begin), "{viewer}");
    }
    let asked = room.requests.len() - asked;
    assert!(asked <= 10, "{asked}");
}

#[test]
fn requests_of_a_paused_subscriber_do_not_reach_the_publisher() {
    let mut room = starved(1, &SMALLEST, 80e3);
    let asked = room.requests.len();
    let viewer = room.viewers[0].transport;
    for _ in 0..20 {
        room.session.rtcp(viewer, &pli(FIRST_VIDEO_SSRC));
        room.run(Duration::from_millis(500));
    }
    assert!(room.requests.len() - asked <= 3, "{:?}", room.requests);
}

#[test]
fn a_subscriber_that_switched_video_off_gets_no_still_frames() {
    let mut room = starved(1, &SMALLEST, 80e3);
    let off = room.session.router.set_down_track_forwarding(
        SubscriberHandle(200),
        MediaKind::Video,
        false,
    );
    off.expect("switched off");
    room.run(seconds(1));
    let begin = room.session.now;
    room.run(seconds(15));
    assert_eq!(video_bytes(&room, begin), BTreeMap::new());
}

#[test]
fn video_that_was_paused_resumes_without_any_audio() {
    let mut room = starved(1, &SMALLEST, 30e3);
    room.silent = true;
    room.run(seconds(20));
    room.paths[0].set_rate(3e6);
    room.run(seconds(20));
    assert_eq!(
        room.stream_state(0),
        Some(StreamState::Ok),
        "{}",
        room.trace(0)
    );
    let bps = room.viewers[0].bps(room.session.now, seconds(2));
    assert!(bps > 0.9 * LAYERS[0], "{bps} {}", room.trace(0));
}
