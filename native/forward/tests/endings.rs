//! An ended publisher, subscriber or transport leaves nothing behind and takes nothing else down.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, ForwardError, PayloadAccess};
use std::time::Duration;
use support::wire::{rtp, vp8};
use support::*;

fn two_subscribers() -> Session {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Vp8));
    session.subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_down_track());
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    session.out.clear();
    session
}

fn lengths(session: &Session) -> (usize, usize) {
    let snapshot = session.router.snapshot();
    (snapshot.up_tracks.len(), snapshot.down_tracks.len())
}

#[test]
fn an_unsubscribed_client_gets_nothing_more_and_the_other_goes_on() {
    let mut session = two_subscribers();
    session
        .router
        .unsubscribe(SUBSCRIBER)
        .expect("unsubscribed");
    session.rtp(&rtp(2, 0, &vp8(false, 2, b"b")).bytes());
    assert!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).is_empty());
    assert_eq!(
        session
            .out
            .stream(OTHER_DOWNLINK, OTHER_DOWN_TRACK_SSRC)
            .len(),
        1
    );
    assert_eq!(
        session.router.unsubscribe(SUBSCRIBER),
        Err(ForwardError::UnknownHandle)
    );
}

#[test]
fn unpublishing_ends_the_deliveries_and_frees_every_handle_and_ssrc() {
    let mut session = two_subscribers();
    session.take(UPLINK, &rtp(2, 0, &vp8(false, 2, b"b")).bytes());
    session.router.unpublish(PUBLISHER).expect("unpublished");
    session.router.flush(session.now, &mut session.out);
    assert!(session.out.rtp.is_empty());
    assert_eq!(lengths(&session), (0, 0));
    assert_eq!(
        session.router.unpublish(PUBLISHER),
        Err(ForwardError::UnknownHandle)
    );
    session.rtp(&rtp(3, 0, &vp8(true, 3, b"c")).bytes());
    assert_eq!(session.dropped("unknown_stream"), 1);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    session.subscribe(OTHER_SUBSCRIBER, OTHER_DOWNLINK, other_down_track());
    session.rtp(&rtp(4, 0, &vp8(true, 4, b"d")).bytes());
    assert_eq!(session.out.rtp.len(), 2);
}

#[test]
fn a_closed_subscriber_transport_frees_its_handles_and_ssrcs() {
    let mut session = two_subscribers();
    session.router.close_transport(DOWNLINK).expect("closed");
    assert_eq!(lengths(&session), (1, 1));
    session.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    session.rtp(&rtp(90, 0, &vp8(true, 2, b"b")).bytes());
    assert_eq!(
        session.out.sequences(DOWNLINK, DOWN_TRACK_SSRC),
        [90],
        "sequence numbers restart"
    );
    assert_eq!(
        session
            .out
            .stream(OTHER_DOWNLINK, OTHER_DOWN_TRACK_SSRC)
            .len(),
        1
    );
}

#[test]
fn a_closed_publisher_transport_leaves_no_timer() {
    let mut session = two_subscribers();
    session.rtp(&rtp(5, 0, &vp8(false, 5, b"b")).bytes());
    session.router.close_transport(UPLINK).expect("closed");
    assert_eq!(lengths(&session), (0, 0));
    session.out.clear();
    session.pass(Duration::from_secs(5));
    assert!(session.out.rtp.is_empty() && session.out.rtcp.is_empty());
    assert_eq!(session.router.poll_timeout(), None);
}

#[test]
fn commands_for_handles_that_do_not_exist_are_refused_by_name() {
    let mut session = Session::new(PayloadAccess::Opaque);
    let now = session.now;
    let router = &mut session.router;
    let outcomes = [
        router.unpublish(PUBLISHER),
        router.unsubscribe(SUBSCRIBER),
        router.declare_kids(PUBLISHER, "0", vec![KID]),
        router.set_up_track_forwarding(PUBLISHER, "0", true),
        router.subscribe(now, SUBSCRIBER, PUBLISHER, DOWNLINK, &[down_track()]),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.map_err(ForwardError::name), Err("unknown_handle"));
    }
}

#[test]
fn a_handle_in_use_and_an_ssrc_in_use_are_refused() {
    let mut session = two_subscribers();
    let now = session.now;
    let again = session
        .router
        .publish(now, PUBLISHER, OTHER_DOWNLINK, vec![up_track(Codec::Vp8)]);
    assert_eq!(again, Err(ForwardError::HandleTaken));
    let again =
        session
            .router
            .subscribe(now, SUBSCRIBER, PUBLISHER, DOWNLINK, &[other_down_track()]);
    assert_eq!(again, Err(ForwardError::HandleTaken));
    let third = sealroute_forward::SubscriberHandle(40);
    let again = session
        .router
        .subscribe(now, third, PUBLISHER, DOWNLINK, &[down_track()]);
    assert_eq!(again, Err(ForwardError::Conflict));
}

#[test]
fn packets_that_nobody_subscribes_to_are_counted_once() {
    let mut session = Session::new(PayloadAccess::Opaque);
    session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
    session.rtp(&rtp(1, 0, &vp8(true, 1, b"a")).bytes());
    assert_eq!(session.dropped("no_subscriber"), 1);
}

#[test]
fn more_packets_between_two_flushes_than_are_held_overflow() {
    let mut session = two_subscribers();
    for number in 2..402 {
        session.take(UPLINK, &rtp(number, 0, &vp8(false, number, b"a")).bytes());
    }
    session.router.flush(session.now, &mut session.out);
    assert_eq!(session.dropped("overflow"), 400 - 256);
    assert_eq!(session.out.stream(DOWNLINK, DOWN_TRACK_SSRC).len(), 256);
}
