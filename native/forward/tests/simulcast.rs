//! Simulcast: which encoding a subscriber gets.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, EncodingSnapshot, Layer, PayloadAccess, PreferredLayers};
use std::time::Duration;
use support::wire::{encrypted, picture_of, rtp, vp8_sized};
use support::*;

const FRAME: Duration = Duration::from_millis(33);
const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const RIDS: [&[u8]; 3] = [b"q", b"h", b"f"];

/// A publisher of three encodings, each with its own sequence numbers and picture ids.
struct Camera {
    session: Session,
    frames: u16,
    live: [bool; 3],
}

impl Camera {
    fn new() -> Self {
        Self {
            session: Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp8)),
            frames: 0,
            live: [true; 3],
        }
    }

    /// Sends a frame on each live encoding; encodings with a pending request send a key frame.
    fn frame(&mut self) {
        self.frames += 1;
        for index in (0..3).filter(|&index| self.live[index]) {
            let ssrc = 100 + index as u32;
            let asked = self.session.out.plis(UPLINK, ssrc) > 0;
            if asked {
                self.session.out.rtcp.clear();
            }
            let number = self.frames + 1_000 * index as u16;
            let payload = vp8_sized(
                asked || self.frames == 1,
                number,
                SIZES[index],
                &[index as u8; 40],
            );
            let timestamp = u32::from(self.frames) * 2_970 + 7_777 * index as u32;
            let packet = rtp(number, timestamp, &payload)
                .ssrc(ssrc)
                .marker()
                .extension(MID_ID, b"0");
            self.session
                .rtp(&packet.extension(RID_ID, RIDS[index]).bytes());
        }
        self.session.pass(FRAME);
    }

    fn frames(&mut self, count: u32) {
        for _ in 0..count {
            self.frame();
        }
    }

    fn prefer(&mut self, width: Option<u32>) {
        let preferred = PreferredLayers {
            max_width_px: width,
            ..PreferredLayers::default()
        };
        self.session
            .router
            .set_preferred_layers(SUBSCRIBER, preferred)
            .expect("set");
    }

    fn allocate(&mut self, encoding: Option<u8>) {
        let layer = encoding.map(|encoding| Layer {
            encoding,
            ..Layer::default()
        });
        self.session
            .router
            .set_allocation(SUBSCRIBER, "7", layer)
            .expect("set");
    }

    fn encodings(&self) -> Vec<EncodingSnapshot> {
        encodings(&self.session)
    }

    /// The encoding of the last forwarded frame.
    fn received(&self) -> u8 {
        let payloads = self.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
        *payloads.last().expect("a packet").last().expect("a byte")
    }
}

fn encodings(session: &Session) -> Vec<EncodingSnapshot> {
    let mut snapshot = session.router.snapshot();
    snapshot.up_tracks.remove(0).encodings
}

#[test]
fn a_subscriber_without_preference_gets_the_largest_encoding() {
    let mut camera = Camera::new();
    camera.frames(60);
    assert_eq!(camera.received(), 2);
}

#[test]
fn a_preference_limits_the_size_and_its_end_lifts_it_again() {
    let mut camera = Camera::new();
    camera.frames(60);
    for (width, encoding) in [(Some(640), 1), (Some(320), 0), (Some(16), 0), (None, 2)] {
        camera.prefer(width);
        camera.frames(60);
        assert_eq!(camera.received(), encoding, "{width:?}");
    }
}

#[test]
fn an_allocation_limits_the_encoding_and_the_lower_of_it_and_the_preferred_is_sent() {
    let mut camera = Camera::new();
    camera.frames(60);
    for (allocated, width, encoding) in [
        (0, None, 0),
        (1, None, 1),
        (1, Some(320), 0),
        (0, Some(640), 0),
        (2, Some(640), 1),
        (2, None, 2),
    ] {
        camera.allocate(Some(allocated));
        camera.prefer(width);
        camera.frames(60);
        assert_eq!(camera.received(), encoding, "{allocated} {width:?}");
    }
}

#[test]
fn a_link_without_room_for_the_smallest_layer_gets_nothing_and_resumes_at_a_key_frame() {
    let mut camera = Camera::new();
    camera.frames(60);
    camera.allocate(None);
    let before = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len();
    camera.session.out.rtcp.clear();
    camera.frames(60);
    let paused = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len();
    assert_eq!(paused, before);
    assert_eq!(camera.session.dropped("bandwidth"), 180);
    for ssrc in 100..103 {
        assert_eq!(camera.session.out.plis(UPLINK, ssrc), 0, "{ssrc}");
    }
    camera.allocate(Some(1));
    camera.frames(60);
    let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let first = stream[paused].packet();
    assert_eq!(first.payload()[6] & 1, 0, "a key frame");
    let last = stream[paused - 1].packet();
    assert_eq!(first.sequence().distance_from(last.sequence()), 1);
    assert_eq!(camera.received(), 1);
}

#[test]
fn the_snapshot_has_size_and_rate_of_each_encoding() {
    let mut camera = Camera::new();
    camera.frames(90);
    let encodings = camera.encodings();
    assert_eq!(encodings.len(), 3);
    for (encoding, size) in encodings.iter().zip(SIZES) {
        assert_eq!(encoding.size, Some(size));
        let rate = encoding.frame_rate.expect("measured");
        assert!((29.0..32.0).contains(&rate), "{rate}");
        // About 56 bytes of payload and 64 of headers in each of 30 packets a second.
        let bitrate = encoding.bitrate_bps;
        assert!((20_000..40_000).contains(&bitrate), "{encoding:?}");
    }
}

#[test]
fn an_encoding_that_falls_silent_is_replaced_and_taken_again_when_it_is_back() {
    let mut camera = Camera::new();
    camera.frames(60);
    camera.live[2] = false;
    camera.frames(10);
    let before = camera.session.out.rtp.len();
    camera.frames(60);
    assert_eq!(camera.received(), 1);
    assert!(camera.session.out.rtp.len() > before + 30);
    camera.live[2] = true;
    camera.frames(60);
    assert_eq!(camera.received(), 2);
}

#[test]
fn a_switch_happens_at_a_key_frame_with_continuous_sequence_numbers_timestamps_and_picture_ids() {
    let mut camera = Camera::new();
    for width in [None, Some(320), Some(640), None, Some(16), None] {
        camera.prefer(width);
        camera.frames(50);
    }
    let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let mut switches = 0;
    for pair in stream.windows(2) {
        let (before, after) = (pair[0].packet(), pair[1].packet());
        assert_eq!(after.sequence().distance_from(before.sequence()), 1);
        let ticks = after.timestamp().wrapping_sub(before.timestamp());
        assert!((1..90_000).contains(&ticks), "{ticks}");
        let (old, new) = (picture_of(before.payload()), picture_of(after.payload()));
        assert_eq!(new.0, (old.0 + 1) & 0x7FFF);
        assert_eq!(new.1, old.1.wrapping_add(1));
        if before.payload().last() != after.payload().last() {
            switches += 1;
            assert_eq!(after.payload()[6] & 1, 0, "a key frame");
        }
    }
    assert!(switches >= 5, "{switches}");
}

/// The sender's layers allocation for its three encodings with the sizes of [`SIZES`], on encoding
/// `index`.
fn layers_allocation(index: usize) -> Vec<u8> {
    let mut value = vec![(index as u8) << 6 | 0x21, 0];
    value.extend([50, 100, 127]);
    for (width, height) in SIZES {
        value.extend((width - 1).to_be_bytes());
        value.extend((height - 1).to_be_bytes());
        value.push(30);
    }
    value
}

/// One VP9 key frame with an encrypted size on each encoding; `said` = the extension on it.
fn vp9_frame(session: &mut Session, frame: u16, said: impl Fn(usize) -> Option<Vec<u8>>) {
    for (index, rid) in RIDS.into_iter().enumerate() {
        let payload = [&[0x0C], encrypted(&[index as u8; 40]).as_slice()].concat();
        let mut packet = rtp(frame, u32::from(frame) * 2_970, &payload)
            .ssrc(100 + index as u32)
            .marker()
            .extension(MID_ID, b"0")
            .extension(RID_ID, rid);
        if let Some(value) = said(index) {
            packet = packet.extension(LAYERS_ID, &value);
        }
        session.rtp(&packet.bytes());
    }
    session.pass(FRAME);
}

fn last_encoding(session: &Session) -> Option<u8> {
    let payloads = session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
    payloads.last()?.last().copied()
}

#[test]
fn a_preference_finds_its_encoding_by_the_sizes_that_the_sender_says_where_frames_do_not_show_them()
{
    let mut session = Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp9));
    // As browsers do: only now and then, on some of the streams.
    let said = |index| (index == 1).then(|| layers_allocation(index));
    for (step, (width, encoding)) in [(320, 0), (640, 1), (1280, 2)].into_iter().enumerate() {
        let preferred = PreferredLayers {
            max_width_px: Some(width),
            ..PreferredLayers::default()
        };
        session
            .router
            .set_preferred_layers(SUBSCRIBER, preferred)
            .expect("set");
        for frame in 0..30 {
            vp9_frame(&mut session, step as u16 * 30 + frame, said);
        }
        assert_eq!(last_encoding(&session), Some(encoding), "{width}");
    }
}

#[test]
fn sizes_said_in_the_name_of_another_stream_or_cut_short_change_nothing() {
    let mut session = Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp9));
    for frame in 0..30 {
        vp9_frame(&mut session, frame, |index| {
            let cut = usize::from(frame % 2);
            let mut value = layers_allocation((index + 1 - cut) % 3);
            value.truncate(value.len() - cut);
            Some(value)
        });
    }
    let encodings = encodings(&session);
    assert!(encodings.iter().all(|encoding| encoding.size.is_none()));
}

#[test]
fn packets_of_encodings_not_chosen_are_counted_as_such() {
    let mut camera = Camera::new();
    camera.frames(60);
    let session = &camera.session;
    let forwarded = session.counter("rtp_forwarded");
    let rest = session.dropped("other_encoding") + session.dropped("awaiting_key_frame");
    assert_eq!(forwarded + rest, 180);
}

#[test]
fn two_subscribers_get_encodings_of_their_own() {
    let mut camera = Camera::new();
    camera
        .session
        .subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_down_track());
    camera.prefer(Some(320));
    camera.frames(60);
    assert_eq!(camera.received(), 0);
    let other = camera
        .session
        .out
        .payloads(OTHER_DOWNLINK, OTHER_DOWN_TRACK_SSRC);
    assert_eq!(other.last().and_then(|payload| payload.last()), Some(&2));
}
