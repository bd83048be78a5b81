//! Key-frame requests to publishers.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{
    Codec, DownTrackParameters, MediaKind, PayloadAccess, PublisherHandle, SubscriberHandle,
    TransportHandle,
};
use sealroute_rtp::rtcp::{Compound, RtcpPacket};
use std::time::Duration;
use support::wire::{encrypted, retransmission, rtp, vp8, vp8_continuation, vp8_sized};
use support::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A session with two active subscribers.
fn playing() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_down_track());
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    session.pass(Duration::from_secs(2));
    session.out.clear();
    session
}

#[test]
fn video_starts_at_a_key_frame_and_the_publisher_is_asked_for_it_until_it_comes() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
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
    session.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
}

#[test]
fn a_flood_of_requests_becomes_at_most_one_in_half_a_second_and_stops_no_other_receiver() {
    let mut session = playing();
    let seconds = 10;
    let mut asked_at = Vec::new();
    for millisecond in 0..seconds * 1_000_u32 {
        session.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
        session.pass(MILLISECOND);
        if session.out.plis(UPLINK, SSRC) > asked_at.len() {
            asked_at.push(millisecond);
        }
        if millisecond % 100 == 99 {
            let number = 2 + (millisecond / 100) as u16;
            session.rtp(&rtp(number, 0, &vp8(true, number, b"a")).bytes());
        }
    }
    assert!(asked_at.windows(2).all(|pair| pair[1] - pair[0] >= 499));
    assert!((5..=9).contains(&asked_at.len()), "{asked_at:?}");
    assert_eq!(session.counter("plis_received"), 10_000);
    assert!(session.counter("plis_refused") > 5_000);
    assert_eq!(
        session
            .out
            .stream(OTHER_DOWNLINK, OTHER_DOWN_TRACK_SSRC)
            .len(),
        100
    );
    session.out.clear();
    session.pass(Duration::from_secs(1));
    session.rtcp(OTHER_DOWNLINK, &pli(OTHER_DOWN_TRACK_SSRC));
    assert_eq!(
        session.out.plis(UPLINK, SSRC),
        1,
        "the other's request still counts"
    );
}

#[test]
fn however_many_ask_a_publisher_is_asked_once_a_second_in_the_long_run() {
    let mut session = playing();
    for number in 0..200 {
        let subscriber = SubscriberHandle(1_000 + u64::from(number));
        let down_track = DownTrackParameters {
            ssrc: 0x2_0000 + number,
            rtx_ssrc: None,
            ..down_track()
        };
        session.subscribe(subscriber, DOWNLINK, down_track);
    }
    session.rtp(&rtp(2, 0, &vp8(true, 2, b"a")).bytes());
    session.pass(Duration::from_secs(2));
    session.out.clear();
    for tick in 0..200_u16 {
        let ssrc = 0x2_0000 + u32::from(tick);
        session.rtcp(DOWNLINK, &pli(ssrc));
        session.rtp(&rtp(3 + tick, 0, &vp8(true, 3 + tick, b"a")).bytes());
        session.pass(100 * MILLISECOND);
    }
    assert_eq!(session.out.plis(UPLINK, SSRC), 20 + 3);
}

#[test]
fn a_request_for_what_is_on_its_way_costs_its_receiver_nothing() {
    let mut session = playing();
    for _ in 0..100 {
        session.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
        session.pass(MILLISECOND);
    }
    assert_eq!(session.counter("plis_refused"), 0);
    session.rtp(&rtp(2, 0, &vp8(true, 2, b"a")).bytes());
    session.pass(Duration::from_secs(1));
    session.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
    assert_eq!(session.out.plis(UPLINK, SSRC), 2);
}

#[test]
fn all_encodings_of_an_up_track_are_asked_for_together() {
    let mut session = Session::with(PayloadAccess::Opaque, simulcast(Codec::Vp8));
    for (number, rid) in (0..).zip([b"q", b"h", b"f"]) {
        let first = rtp(1, 0, &vp8(true, 1, b"a")).ssrc(SSRC + 16 * number);
        session.rtp(&first.extension(RID_ID, rid).bytes());
    }
    session.pass(Duration::from_secs(2));
    session.out.clear();
    session.resume(MediaKind::Video);
    session.pass(900 * MILLISECOND);
    let compounds = session.out.rtcp.iter().filter(|sent| sent.to == UPLINK);
    let requests = compounds.map(|sent| {
        let packets = Compound::new(&sent.bytes);
        let wanted = |p: &RtcpPacket| matches!(p, RtcpPacket::Pli { .. });
        packets.filter(wanted).count()
    });
    let requests: Vec<_> = requests.filter(|&count| count > 0).collect();
    assert_eq!(requests, [3]);
}

#[test]
fn a_new_subscriber_asks_for_the_encoding_that_it_is_to_get() {
    let mut session = Session::new(PayloadAccess::Opaque);
    session.publish(PUBLISHER, UPLINK, simulcast(Codec::Vp8));
    for (number, rid) in (0..).zip([b"q", b"h", b"f"]) {
        let size = (320_u16 << number, 180_u16 << number);
        let first = rtp(1, 0, &vp8_sized(true, 1, size, b"a")).ssrc(SSRC + 16 * number);
        session.rtp(&first.extension(RID_ID, rid).bytes());
    }
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    session.pass(Duration::from_millis(100));
    let asked = [0, 16, 32].map(|step| session.out.plis(UPLINK, SSRC + step));
    assert_eq!(asked, [0, 0, 1]);
}

const NEXT_KID: [u8; 8] = [0x81, 0x23, 0x45, 0x67, 0x89, 0xAB, 0x11, 0x22];
const MEMBERS: u64 = 1_000;
const SENDERS: u64 = 4;
const FRAME: Duration = Duration::from_millis(50);

/// As [`vp8`], under another key id.
fn under(kid: [u8; 8], key_frame: bool, picture: u16) -> Vec<u8> {
    let mut payload = vp8(key_frame, picture, b"body");
    let at = payload.windows(8).position(|window| window == KID);
    let at = at.expect("encrypted");
    payload[at..at + 8].copy_from_slice(&kid);
    payload
}

fn sender(number: u64) -> (PublisherHandle, TransportHandle) {
    (PublisherHandle(500 + number), TransportHandle(500 + number))
}

fn member(number: u64, of: u64) -> (SubscriberHandle, TransportHandle) {
    let subscriber = SubscriberHandle(10_000 + number * SENDERS + of);
    (subscriber, TransportHandle(10_000 + number))
}

/// Every client subscribes to every sender, and all play.
fn meeting() -> Session {
    let mut session = Session::new(PayloadAccess::Opaque);
    for of in 0..SENDERS {
        let (publisher, uplink) = sender(of);
        let mut up_track = up_track(Codec::Vp8);
        up_track.declared_kids = vec![KID, NEXT_KID];
        session.publish(publisher, uplink, up_track);
        for number in 0..MEMBERS {
            let (subscriber, downlink) = member(number, of);
            let down_track = DownTrackParameters {
                ssrc: 1 + of as u32,
                rtx_ssrc: None,
                mid: of.to_string(),
                ..down_track()
            };
            let (router, now) = (&mut session.router, session.now);
            let made = router.subscribe(now, subscriber, publisher, downlink, &[down_track]);
            made.expect("subscribed");
        }
    }
    for of in 0..SENDERS {
        session.take(sender(of).1, &rtp(1, 0, &under(KID, true, 1)).bytes());
    }
    session.router.flush(session.now, &mut session.out);
    session.pass(Duration::from_secs(2));
    session.out.clear();
    session
}

/// One frame of each sender: `frame` gives its key id and whether it is a key frame.
fn play(session: &mut Session, number: u16, frame: impl Fn(u64) -> ([u8; 8], bool)) {
    for of in 0..SENDERS {
        let (kid, key_frame) = frame(of);
        let packet = rtp(
            number,
            u32::from(number) * 4_500,
            &under(kid, key_frame, number),
        );
        session.take(sender(of).1, &packet.bytes());
    }
    session.router.flush(session.now, &mut session.out);
    session.out.rtp.clear();
    session.pass(FRAME);
}

fn asked(session: &Session) -> Vec<usize> {
    (0..SENDERS)
        .map(|of| session.out.plis(sender(of).1, SSRC))
        .collect()
}

#[test]
fn when_one_of_a_thousand_leaves_each_sender_is_asked_for_one_key_frame_at_most() {
    let mut session = meeting();
    for of in 0..SENDERS {
        let (subscriber, _) = member(0, of);
        session.router.unsubscribe(subscriber).expect("left");
    }
    // The first half of the senders start the new secret with a key frame of their own, two frames
    // late; the others are asked and send one two frames later.
    let mut answer = [None; SENDERS as usize];
    for number in 2..100_u16 {
        let frame = |of: u64| {
            let kid = if number < 10 + of as u16 {
                KID
            } else {
                NEXT_KID
            };
            let own = of < SENDERS / 2 && number == 12 + of as u16;
            (kid, own || answer[of as usize] == Some(number))
        };
        play(&mut session, number, frame);
        for (of, plis) in asked(&session).into_iter().enumerate() {
            if plis == 1 {
                answer[of].get_or_insert(number + 2);
            }
        }
    }
    assert_eq!(asked(&session), [0, 0, 1, 1]);
    assert_eq!(session.dropped("not_encrypted"), 0);
}

#[test]
fn receivers_that_get_the_secret_late_cause_no_more_requests_than_the_interval_allows() {
    let mut session = meeting();
    // Four hundred receivers could not decrypt the new frames; they return one by one over two
    // seconds.
    let late = || (0..400).flat_map(|number| (0..SENDERS).map(move |of| member(number, of).0));
    for subscriber in late() {
        let router = &mut session.router;
        let held = router.set_down_track_forwarding(subscriber, MediaKind::Video, false);
        held.expect("held");
    }
    let mut returning = late();
    for number in 2..62_u16 {
        for subscriber in returning.by_ref().take(40) {
            let router = &mut session.router;
            let resumed = router.set_down_track_forwarding(subscriber, MediaKind::Video, true);
            resumed.expect("resumed");
        }
        // Senders answer with the next frame.
        let due = asked(&session);
        let key_frame = |of: u64| due[of as usize] > 0;
        play(&mut session, number, |of| (NEXT_KID, key_frame(of)));
    }
    for plis in asked(&session) {
        assert!((1..=6).contains(&plis), "{plis}");
    }
}

#[test]
fn requests_of_a_paused_subscriber_or_for_unknown_streams_are_ignored() {
    let mut session = playing();
    session
        .router
        .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, false)
        .expect("paused");
    session.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
    session.rtcp(DOWNLINK, &pli(OTHER_DOWN_TRACK_SSRC));
    session.rtcp(DOWNLINK, &pli(SSRC));
    session.pass(Duration::from_secs(1));
    assert_eq!(session.out.plis(UPLINK, SSRC), 0);
}

#[test]
fn a_resumed_video_asks_and_audio_is_never_asked() {
    let mut session = playing();
    session.resume(MediaKind::Video);
    session.pass(900 * MILLISECOND);
    assert_eq!(session.out.plis(UPLINK, SSRC), 1);
    let mut audio = Session::with(PayloadAccess::Clear, up_track(Codec::Opus));
    audio.rtp(&rtp(1, 0, b"audio").bytes());
    audio.resume(MediaKind::Audio);
    audio.rtcp(DOWNLINK, &pli(DOWN_TRACK_SSRC));
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
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
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
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
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
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [2, 3, 4, 5, 6, 7]
    );
}

#[test]
fn what_comes_in_one_batch_with_a_late_key_frame_is_forwarded_once() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.rtp(&rtp(1, 0, &vp8(false, 1, b"a")).bytes());
    session.rtp(&rtp(3, 3_000, &vp8_continuation(2, b"b")).bytes());
    let first = rtp(2, 3_000, &vp8(true, 2, b"a"));
    session.take(UPLINK, &retransmission(1, &first).bytes());
    session.take(UPLINK, &rtp(4, 3_000, &vp8_continuation(2, b"b")).bytes());
    session.router.flush(session.now, &mut session.out);
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [2, 3, 4]);
}

/// An encrypted H.264 slice of the given unit type.
fn slice(unit_type: u8) -> Vec<u8> {
    [
        &[0x60 | unit_type, 0xB8, 0x80],
        encrypted(b"slice").as_slice(),
    ]
    .concat()
}

#[test]
fn no_subscriber_starts_at_an_idr_whose_parameter_sets_were_lost() {
    let mut session = Session::with(PayloadAccess::Clear, up_track(Codec::H264));
    let sps = rtp(2, 3_000, &[0x67, 0x42, 0xE0, 0x1F]);
    session.rtp(&rtp(1, 0, &slice(1)).bytes());
    session.rtp(&rtp(3, 3_000, &[0x68, 0xCE, 0x3C, 0x80]).bytes());
    session.rtp(&rtp(4, 3_000, &slice(5)).bytes());
    assert!(session.out.rtp.is_empty());
    session.rtp(&retransmission(1, &sps).bytes());
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [2, 3, 4]);
}

#[test]
fn an_idr_without_parameter_sets_of_its_own_starts_when_nothing_before_it_was_lost() {
    let mut session = Session::with(PayloadAccess::Clear, up_track(Codec::H264));
    session.rtp(&rtp(1, 0, &slice(1)).bytes());
    session.rtp(&rtp(2, 3_000, &slice(5)).bytes());
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [2]);
}
