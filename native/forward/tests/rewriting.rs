//! The rewritten headers that a subscriber sees.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, Extension, MediaKind, PayloadAccess, SubscriberHandle};
use std::time::Duration;
use support::wire::{picture_of, probe, retransmission, rtp, vp8, vp8_continuation};
use support::*;

const SECOND_UP_TRACK_SSRC: u32 = 0x5555;

fn opaque() -> Session {
    Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8))
}

fn delta(number: u16) -> Vec<u8> {
    rtp(
        number,
        u32::from(number) * 3_000,
        &vp8(false, number, &number.to_be_bytes()),
    )
    .bytes()
}

fn key(number: u16) -> Vec<u8> {
    rtp(
        number,
        u32::from(number) * 3_000,
        &vp8(true, number, &number.to_be_bytes()),
    )
    .bytes()
}

fn timestamps(session: &Session) -> Vec<u32> {
    let stream = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    stream
        .iter()
        .map(|sent| sent.packet().timestamp())
        .collect()
}

#[test]
fn probes_and_refused_packets_leave_no_gap_and_lost_ones_do() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&probe(11));
    session.rtp(&delta(12));
    session.rtp(&rtp(13, 0, b"\x10\x11 not encrypted at all").bytes());
    session.rtp(&delta(14));
    session.rtp(&delta(16));
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [10, 11, 12, 14]
    );
    assert_eq!(session.dropped("padding_only"), 1);
    assert_eq!(session.dropped("not_encrypted"), 1);
}

#[test]
fn a_late_packet_from_before_a_probe_gets_the_sequence_number_left_for_it() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&probe(12));
    session.rtp(&delta(13));
    session.rtp(&delta(11));
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [10, 12, 11]
    );
}

#[test]
fn a_probe_that_comes_again_is_counted_once() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&probe(11));
    session.rtp(&probe(11));
    session.rtp(&delta(12));
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [10, 11]);
}

#[test]
fn media_under_the_sequence_number_of_a_probe_is_too_late() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&probe(11));
    let original = rtp(11, 0, &vp8(false, 11, b"late"));
    session.rtp(&retransmission(1, &original).bytes());
    assert_eq!(session.dropped("too_late"), 1);
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [10]);
}

#[test]
fn a_pause_leaves_no_gap_and_time_goes_on() {
    let mut session = opaque();
    session.rtp(&key(10));
    let set = |session: &mut Session, forwarding| {
        let outcome =
            session
                .router
                .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, forwarding);
        assert_eq!(outcome, Ok(()));
    };
    set(&mut session, false);
    session.rtp(&delta(11));
    session.pass(Duration::from_secs(2));
    set(&mut session, true);
    session.rtp(&delta(12));
    session.rtp(&key(13));
    assert_eq!(session.dropped("paused"), 1);
    assert_eq!(session.dropped("awaiting_key_frame"), 1);
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [10, 11]);
    let times = timestamps(&session);
    assert_eq!(times[1].wrapping_sub(times[0]), 180_000);
}

#[test]
fn a_muted_up_track_forwards_nothing_and_goes_on_without_a_gap() {
    let mut session = opaque();
    session.rtp(&key(10));
    session
        .router
        .set_up_track_forwarding(PUBLISHER, "0", false)
        .expect("muted");
    session.rtp(&key(11));
    session
        .router
        .set_up_track_forwarding(PUBLISHER, "0", true)
        .expect("unmuted");
    session.rtp(&key(12));
    assert_eq!(session.dropped("muted"), 1);
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC), [10, 11]);
}

/// A receiver that misses the first packets takes the first one that it sees for the first of all
/// (RFC 3711, section 3.3.1): after a wrap that it has not seen, it could never decrypt.
#[test]
fn a_subscription_begins_half_a_round_of_sequence_numbers_before_their_wrap() {
    for first in [0, 0x7FFF, 0x8000, 0xFFFE] {
        let mut session = opaque();
        session.rtp(&key(first));
        for step in 1..4 {
            session.rtp(&delta(first.wrapping_add(step)));
        }
        let begun = first & 0x7FFF;
        assert_eq!(
            session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
            [begun, begun + 1, begun + 2, begun + 3]
        );
    }
}

#[test]
fn an_ssrc_reused_by_another_subscriber_continues_its_sequence_numbers() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&delta(11));
    session
        .router
        .unsubscribe(SUBSCRIBER)
        .expect("unsubscribed");
    session.pass(Duration::from_secs(1));
    session.subscribe(SubscriberHandle(30), DOWNLINK, down_track());
    session.rtp(&key(500));
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [10, 11, 12]
    );
    let times = timestamps(&session);
    assert_eq!(times[2].wrapping_sub(times[1]), 90_000);
}

#[test]
fn an_ssrc_reused_never_repeats_the_former_streams_sequence_numbers_with_other_contents() {
    let mut session = opaque();
    session
        .router
        .unsubscribe(SUBSCRIBER)
        .expect("unsubscribed");
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track_without_rtx());
    session.rtp(&key(10));
    session.rtp(&delta(11));
    session.router.unpublish(PUBLISHER).expect("unpublished");
    let mut second = up_track(Codec::Vp8);
    second.encodings[0].ssrc = Some(SECOND_UP_TRACK_SSRC);
    session.publish(PUBLISHER, UPLINK, second);
    session.subscribe(OTHER_SUBSCRIBER, DOWNLINK, down_track_without_rtx());
    for number in 10..14 {
        let packet = rtp(number, 0, &vp8(true, 900, b"another")).ssrc(SECOND_UP_TRACK_SSRC);
        session.rtp(&packet.bytes());
    }
    session.out.clear();
    session.rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[10, 11]));
    assert!(session.out.rtp.is_empty(), "{:?}", session.out.rtp);
    assert_eq!(session.dropped("not_cached"), 2);
}

#[test]
fn a_retransmission_ssrc_reused_under_another_ssrc_continues_its_sequence_numbers() {
    let mut session = opaque();
    let mut again = down_track();
    again.ssrc = 0x7777;
    for (number, parameters) in [(10, down_track()), (20, again)] {
        let ssrc = parameters.ssrc;
        let _ = session.router.unsubscribe(SUBSCRIBER);
        session.subscribe(SUBSCRIBER, DOWNLINK, parameters);
        session.rtp(&key(number));
        session.rtcp(DOWNLINK, &nack(ssrc, &[number]));
    }
    assert_eq!(session.out.sequences(DOWNLINK, DOWN_TRACK_RTX_SSRC), [1, 2]);
}

#[test]
fn an_ssrc_never_changes_its_role_on_a_transport() {
    let mut session = opaque();
    session
        .router
        .unsubscribe(SUBSCRIBER)
        .expect("unsubscribed");
    let mut swapped = down_track();
    (swapped.ssrc, swapped.rtx_ssrc) = (DOWN_TRACK_RTX_SSRC, Some(DOWN_TRACK_SSRC));
    let now = session.now;
    let outcome = session
        .router
        .subscribe(now, SUBSCRIBER, PUBLISHER, DOWNLINK, &[swapped]);
    assert_eq!(outcome, Err(sealroute_forward::ForwardError::Conflict));
}

#[test]
fn vp8_picture_ids_continue_by_one_over_a_resumption() {
    let mut session = opaque();
    session.rtp(&rtp(1, 0, &vp8(true, 0x7FFE, b"a")).bytes());
    session.rtp(&rtp(2, 3_000, &vp8(false, 0x7FFF, b"b")).bytes());
    for forwarding in [false, true] {
        let outcome =
            session
                .router
                .set_down_track_forwarding(SUBSCRIBER, MediaKind::Video, forwarding);
        outcome.expect("set");
    }
    session.rtp(&rtp(3, 6_000, &vp8(true, 1_234, b"c")).bytes());
    session.rtp(&rtp(4, 6_000, &vp8_continuation(1_234, b"d")).bytes());
    session.rtp(&rtp(5, 9_000, &vp8(false, 1_235, b"e")).bytes());
    let payloads = session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
    let pictures: Vec<_> = payloads.iter().map(|payload| picture_of(payload)).collect();
    let ids: Vec<u16> = pictures.iter().map(|&(id, _)| id).collect();
    assert_eq!(ids, [0x7FFE, 0x7FFF, 0, 0, 1]);
    let indices: Vec<u8> = pictures.iter().map(|&(_, index)| index).collect();
    assert_eq!(indices, [0xFE, 0xFF, 0, 0, 1]);
    assert_eq!(payloads[2][6..], vp8(true, 1_234, b"c")[6..]);
}

#[test]
fn extensions_get_the_subscribers_ids_and_unknown_ones_are_left_out() {
    let mut parameters = up_track(Codec::Vp8);
    let known = [
        (Extension::Mid, MID_ID),
        (Extension::VideoOrientation, 13),
        (Extension::AbsSendTime, 2),
    ];
    parameters.extensions = ids(&known);
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, parameters);
    let mut one_byte = down_track();
    one_byte.extensions = ids(&[
        (Extension::Mid, DOWN_TRACK_MID_ID),
        (Extension::VideoOrientation, 3),
        (Extension::AbsSendTime, 2),
    ]);
    session.subscribe(SUBSCRIBER, DOWNLINK, one_byte);
    let mut two_byte = other_down_track();
    two_byte.extensions = ids(&[(Extension::VideoOrientation, 200)]);
    session.subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, two_byte);
    let packet = rtp(1, 0, &vp8(true, 1, b"a"))
        .extension(MID_ID, b"0")
        .extension(13, &[1]);
    session.rtp(
        &packet
            .extension(2, &[1, 2, 3])
            .extension(6, b"unknown")
            .bytes(),
    );
    let found = |sent: &Sent| {
        let packet = sent.packet();
        let elements = packet.extensions();
        elements
            .map(|(id, value)| (id, value.to_vec()))
            .collect::<Vec<_>>()
    };
    let first = found(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC)[0]);
    // The send time is that of this hop, not the publisher's.
    let own = (2, vec![0, 0, 0]);
    assert_eq!(
        first,
        [(DOWN_TRACK_MID_ID, b"7".to_vec()), own, (3, vec![1])]
    );
    let second = session.out.stream(OTHER_DOWNLINK, OTHER_DOWN_TRACK_SSRC)[0];
    assert_eq!(found(second), [(200, vec![1])]);
    assert_eq!(second.bytes[12..14], [0x10, 0x00]);
}

#[test]
fn a_large_extension_goes_over_in_the_two_byte_form() {
    let mut parameters = up_track(Codec::Vp8);
    parameters.extensions = ids(&[
        (Extension::Mid, MID_ID),
        (Extension::DependencyDescriptor, 12),
    ]);
    let mut session = Session::new(PayloadAccess::Clear);
    session.publish(PUBLISHER, UPLINK, parameters);
    let mut receiver = down_track();
    receiver.extensions = ids(&[(Extension::DependencyDescriptor, 5)]);
    session.subscribe(SUBSCRIBER, DOWNLINK, receiver);
    let descriptor = [0xC3; 23];
    session.rtp(
        &rtp(1, 0, &vp8(true, 1, b"a"))
            .extension(12, &descriptor)
            .bytes(),
    );
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC)[0];
    assert_eq!(
        sent.packet().extensions().get(5),
        Some(descriptor.as_slice())
    );
    assert_eq!(sent.packet().payload(), vp8(true, 1, b"a"));
}

#[test]
fn an_uplink_jump_too_large_to_follow_becomes_one_step() {
    let mut session = opaque();
    session.rtp(&key(10));
    session.rtp(&probe(30_000));
    session.rtp(&delta(60_000));
    session.rtp(&delta(60_001));
    session.rtp(&delta(59_000));
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [10, 11, 12]
    );
    assert_eq!(session.dropped("too_late"), 1);
}
