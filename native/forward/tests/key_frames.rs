//! When publishers are asked for key frames.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, MediaKind, PayloadAccess};
use std::time::Duration;
use support::wire::{retransmission, rtp, sealed, vp8, vp8_continuation};
use support::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A session of two subscribers that both receive.
fn playing() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, source(Codec::Vp8));
    session.subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_sink());
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    session.pass(Duration::from_secs(2));
    session.out.clear();
    session
}

#[test]
fn video_starts_at_a_key_frame_and_the_publisher_is_asked_for_it_until_it_comes() {
    let mut session = Session::with(PayloadAccess::Opaque, source(Codec::Vp8));
    for number in 0..250 {
        session.rtp(&rtp(number, 0, &vp8(false, number, b"a")).bytes());
        session.pass(10 * MILLISECOND);
    }
    assert!(session.out.rtp.is_empty());
    assert_eq!(session.dropped("awaiting_key_frame"), 250);
    assert_eq!(session.out.plis(UPLINK, SSRC), 3);
    session.rtp(&rtp(250, 0, &vp8(true, 250, b"a")).bytes());
    session.out.rtcp.clear();
    session.pass(Duration::from_secs(5));
    assert_eq!(session.out.rtp.len(), 1);
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
}

#[test]
fn the_first_request_goes_to_the_publisher_at_once() {
    let mut session = playing();
    session.rtcp(DOWNLINK, &pli(SINK_SSRC));
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
}

#[test]
fn a_flood_of_requests_becomes_at_most_one_a_second_and_stops_no_other_receiver() {
    let mut session = playing();
    let seconds = 10;
    for millisecond in 0..seconds * 1_000_u32 {
        session.rtcp(DOWNLINK, &pli(SINK_SSRC));
        session.pass(MILLISECOND);
        if millisecond % 100 == 99 {
            let number = 2 + (millisecond / 100) as u16;
            session.rtp(&rtp(number, 0, &vp8(true, number, b"a")).bytes());
        }
    }
    let asked = session.out.plis(UPLINK, SSRC);
    assert!((1..=seconds as usize).contains(&asked), "{asked}");
    assert_eq!(
        session.out.stream(OTHER_DOWNLINK, OTHER_SINK_SSRC).len(),
        100
    );
    session.out.clear();
    session.pass(Duration::from_secs(1));
    session.rtcp(OTHER_DOWNLINK, &pli(OTHER_SINK_SSRC));
    assert_eq!(
        session.out.plis(UPLINK, SSRC),
        1,
        "the other's request still counts"
    );
}

#[test]
fn requests_of_a_paused_subscriber_or_for_unknown_streams_are_ignored() {
    let mut session = playing();
    session
        .router
        .set_sink_forwarding(SUBSCRIBER, MediaKind::Video, false)
        .expect("paused");
    session.rtcp(DOWNLINK, &pli(SINK_SSRC));
    session.rtcp(DOWNLINK, &pli(OTHER_SINK_SSRC));
    session.rtcp(DOWNLINK, &pli(SSRC));
    session.pass(Duration::from_secs(1));
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
}

#[test]
fn the_control_plane_may_ask_and_audio_is_never_asked() {
    let mut session = playing();
    session.router.request_key_frame(PUBLISHER).expect("asked");
    session.pass(900 * MILLISECOND);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
    let mut audio = Session::with(PayloadAccess::Clear, source(Codec::Opus));
    audio.rtp(&rtp(1, 0, b"sound").bytes());
    audio.router.request_key_frame(PUBLISHER).expect("asked");
    audio.rtcp(DOWNLINK, &pli(SINK_SSRC));
    audio.pass(Duration::from_secs(5));
    assert_eq!(audio.out.plis(UPLINK, SSRC), 0);
}

#[test]
fn a_new_subscriber_of_a_quiet_stream_has_its_key_frame_asked_for_at_once() {
    let mut session = playing();
    session
        .router
        .unsubscribe(SUBSCRIBER)
        .expect("unsubscribed");
    session.subscribe(SUBSCRIBER, DOWNLINK, sink());
    assert!(
        session
            .router
            .poll_timeout()
            .is_some_and(|due| due <= session.now)
    );
    session.pass(Duration::ZERO);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
}

#[test]
fn a_key_frame_whose_first_packet_came_late_is_forwarded_whole() {
    let mut session = Session::with(PayloadAccess::Opaque, source(Codec::Vp8));
    session.rtp(&rtp(1, 0, &vp8(false, 1, b"a")).bytes());
    let first = rtp(2, 3_000, &vp8(true, 2, b"a"));
    for number in 3..6 {
        session.rtp(&rtp(number, 3_000, &vp8_continuation(2, b"b")).bytes());
    }
    session.rtp(&rtp(6, 6_000, &vp8(false, 3, b"c")).bytes());
    assert!(session.out.rtp.is_empty());
    session.rtp(&retransmission(1, &first).bytes());
    session.rtp(&rtp(7, 9_000, &vp8(false, 4, b"d")).bytes());
    assert_eq!(
        session.out.sequences(DOWNLINK, SINK_SSRC),
        [2, 3, 4, 5, 6, 7]
    );
}

#[test]
fn what_comes_in_one_batch_with_a_late_key_frame_is_forwarded_once() {
    let mut session = Session::with(PayloadAccess::Opaque, source(Codec::Vp8));
    session.rtp(&rtp(1, 0, &vp8(false, 1, b"a")).bytes());
    session.rtp(&rtp(3, 3_000, &vp8_continuation(2, b"b")).bytes());
    let first = rtp(2, 3_000, &vp8(true, 2, b"a"));
    session.take(UPLINK, &retransmission(1, &first).bytes());
    session.take(UPLINK, &rtp(4, 3_000, &vp8_continuation(2, b"b")).bytes());
    session.router.flush(session.now, &mut session.out);
    assert_eq!(session.out.sequences(DOWNLINK, SINK_SSRC), [2, 3, 4]);
}

/// A sealed H.264 slice of the given unit type.
fn slice(unit_type: u8) -> Vec<u8> {
    [&[0x60 | unit_type, 0xB8, 0x80], sealed(b"slice").as_slice()].concat()
}

#[test]
fn nobody_starts_at_an_idr_whose_parameter_sets_were_lost() {
    let mut session = Session::with(PayloadAccess::Clear, source(Codec::H264));
    let sps = rtp(2, 3_000, &[0x67, 0x42, 0xE0, 0x1F]);
    session.rtp(&rtp(1, 0, &slice(1)).bytes());
    session.rtp(&rtp(3, 3_000, &[0x68, 0xCE, 0x3C, 0x80]).bytes());
    session.rtp(&rtp(4, 3_000, &slice(5)).bytes());
    assert!(session.out.rtp.is_empty());
    session.rtp(&retransmission(1, &sps).bytes());
    assert_eq!(session.out.sequences(DOWNLINK, SINK_SSRC), [2, 3, 4]);
}

#[test]
fn an_idr_without_parameter_sets_of_its_own_starts_when_nothing_before_it_was_lost() {
    let mut session = Session::with(PayloadAccess::Clear, source(Codec::H264));
    session.rtp(&rtp(1, 0, &slice(1)).bytes());
    session.rtp(&rtp(2, 3_000, &slice(5)).bytes());
    assert_eq!(session.out.sequences(DOWNLINK, SINK_SSRC), [2]);
}
