//! Demultiplexing: the stream of each packet, and conflicts between publishers.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{
    Codec, EncodingParameters, ForwardError, PayloadAccess, PublisherHandle, TransportHandle,
    UpTrackParameters,
};
use support::wire::{retransmission, rtp, vp8};
use support::*;

const STRANGER: TransportHandle = TransportHandle(99);
const SECOND: PublisherHandle = PublisherHandle(11);

fn clear() -> Session {
    Session::with(PayloadAccess::Clear, up_track(Codec::Vp8))
}

fn undeclared() -> Session {
    let mut parameters = up_track(Codec::Vp8);
    parameters.encodings = vec![EncodingParameters::default()];
    Session::with(PayloadAccess::Clear, parameters)
}

#[test]
fn a_declared_ssrc_is_forwarded_under_the_subscribers_ssrc_and_payload_type() {
    let mut session = clear();
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).marker().bytes());
    let sent = session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].packet().payload_type(), DOWN_TRACK_PAYLOAD_TYPE);
    assert!(sent[0].packet().marker());
    assert_eq!(sent[0].packet().payload(), vp8(true, 1, b"a"));
}

#[test]
fn an_ssrc_of_another_transport_is_never_matched() {
    let mut session = clear();
    session.take(STRANGER, &rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    session.take(
        STRANGER,
        &rtp(1, 0, &vp8(true, 1, b"a"))
            .extension(MID_ID, b"0")
            .bytes(),
    );
    session.router.flush(session.now, &mut session.out);
    assert!(session.out.rtp.is_empty());
    assert_eq!(session.dropped("unknown_stream"), 2);
}

#[test]
fn an_ssrc_that_no_offer_named_is_found_by_its_mid_and_stays_found_without() {
    let mut session = undeclared();
    session.rtp(
        &rtp(1, 0, &vp8(true, 1, b"a"))
            .extension(MID_ID, b"0")
            .bytes(),
    );
    session.rtp(&rtp(2, 0, &vp8(false, 2, b"b")).bytes());
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 2);
}

#[test]
fn an_ssrc_without_mid_is_found_by_a_payload_type_that_one_up_track_has() {
    let mut session = undeclared();
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    assert_eq!(session.out.rtp.len(), 1);
}

#[test]
fn a_payload_type_of_two_up_tracks_finds_neither() {
    let mut session = undeclared();
    let mut second = up_track(Codec::Vp8);
    second.mid = "1".into();
    second.encodings = vec![EncodingParameters::default()];
    session.publish(SECOND, UPLINK, second);
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    assert_eq!(session.dropped("unknown_stream"), 1);
}

#[test]
fn a_mid_that_nobody_has_is_not_replaced_by_the_payload_type() {
    let mut session = undeclared();
    session.rtp(
        &rtp(1, 0, &vp8(true, 1, b"a"))
            .extension(MID_ID, b"8")
            .bytes(),
    );
    assert_eq!(session.dropped("unknown_stream"), 1);
}

#[test]
fn simulcast_encodings_are_found_by_rid() {
    let mut session = Session::with(PayloadAccess::Clear, simulcast(Codec::Vp8));
    for (index, rid) in ["q", "h", "f"].into_iter().enumerate() {
        for sequence in 1..3 {
            let packet = rtp(sequence, 0, &vp8(true, sequence, b"a")).ssrc(100 + index as u32);
            let packet = packet
                .extension(MID_ID, b"0")
                .extension(RID_ID, rid.as_bytes());
            session.rtp(&packet.bytes());
        }
    }
    let up_track = &session.router.snapshot().up_tracks[0];
    let found = up_track.encodings.iter().map(|encoding| {
        let rid = encoding.rid.as_deref().expect("a RID");
        (rid.to_owned(), encoding.active, encoding.packets)
    });
    let expected = ["q", "h", "f"].map(|rid| (rid.to_owned(), true, 2));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn a_retransmission_found_by_its_repaired_rid_fills_the_gap() {
    let mut session = Session::with(PayloadAccess::Clear, simulcast(Codec::Vp8));
    let named = |sequence: u16| {
        let packet = rtp(sequence, 0, &vp8(true, sequence, &[sequence as u8])).ssrc(100);
        packet.extension(MID_ID, b"0").extension(RID_ID, b"q")
    };
    session.rtp(&named(1).bytes());
    session.rtp(&named(3).bytes());
    let mut again = retransmission(1, &named(2)).ssrc(200);
    again.extensions = vec![(MID_ID, b"0".to_vec()), (REPAIRED_RID_ID, b"q".to_vec())];
    session.rtp(&again.bytes());
    let sequences = session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
    assert_eq!(sequences, [1, 3, 2]);
    let payload = session.out.rtp[2].packet().payload().to_vec();
    assert_eq!(payload, vp8(true, 2, &[2]));
}

#[test]
fn a_taken_ssrc_or_mid_refuses_the_second_publisher_and_leaves_the_first() {
    let mut session = clear();
    let mut same_ssrc = up_track(Codec::Vp8);
    same_ssrc.mid = "1".into();
    for second in [same_ssrc, up_track(Codec::Vp8)] {
        let outcome = session
            .router
            .publish(session.now, SECOND, UPLINK, vec![second]);
        assert_eq!(outcome, Err(ForwardError::Conflict));
    }
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 1);
    assert_eq!(
        session.router.unpublish(SECOND),
        Err(ForwardError::UnknownHandle)
    );
}

#[test]
fn two_encodings_of_one_rid_are_refused() {
    let mut session = Session::new(PayloadAccess::Clear);
    let mut parameters = simulcast(Codec::Vp8);
    parameters.encodings[1].rid = Some("q".into());
    let outcome = session
        .router
        .publish(session.now, PUBLISHER, UPLINK, vec![parameters]);
    assert_eq!(outcome, Err(ForwardError::Conflict));
}

#[test]
fn a_transport_that_tries_many_ssrcs_binds_a_bounded_number() {
    let mut session = Session::new(PayloadAccess::Clear);
    let mut parameters = simulcast(Codec::Vp8);
    let rid = |index: u32| EncodingParameters {
        rid: Some(index.to_string()),
        ..EncodingParameters::default()
    };
    parameters.encodings = (0..100).map(rid).collect();
    session.publish(PUBLISHER, UPLINK, parameters);
    for index in 0..100_u32 {
        let packet = rtp(1, 0, &vp8(true, 1, b"a"))
            .ssrc(1_000 + index)
            .extension(MID_ID, b"0");
        session.rtp(
            &packet
                .extension(RID_ID, index.to_string().as_bytes())
                .bytes(),
        );
    }
    assert_eq!(session.dropped("unknown_stream"), 100 - 16);
}

#[test]
fn what_is_not_rtp_is_malformed_and_a_foreign_payload_type_has_its_reason() {
    let mut session = clear();
    session.rtp(&[0x80; 5]);
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).payload_type(120).bytes());
    assert_eq!(session.dropped("malformed"), 1);
    assert_eq!(session.dropped("payload_type"), 1);
}

#[test]
fn an_up_track_has_a_bounded_number_of_encodings() {
    let with = |count: u32| {
        let encodings = (0..count).map(|index| EncodingParameters {
            ssrc: Some(SSRC + index),
            ..EncodingParameters::default()
        });
        let up_track = UpTrackParameters {
            encodings: encodings.collect(),
            ..up_track(Codec::Vp8)
        };
        let mut session = Session::new(PayloadAccess::Opaque);
        let now = session.now;
        let outcome = session
            .router
            .publish(now, PUBLISHER, UPLINK, vec![up_track]);
        outcome.map_err(ForwardError::name)
    };
    assert_eq!(with(128), Ok(()));
    assert_eq!(with(129), Err("invalid"));
    assert_eq!(with(300), Err("invalid"));
}
