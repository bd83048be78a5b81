//! Taps: who may have one, in which order, and what becomes of their descriptors.

use std::os::fd::AsFd;
use std::time::Duration;

use sealroute_forward::{PayloadAccess, PublisherHandle, TransportHandle};
use sealroute_rtp::tap_record::RecordKind;

use crate::api::{
    CloseRouter, Command, Event, OpenRouter, OpenTransport, Publish, RouterHandle, Secret,
    Unpublish, Unsubscribe,
};
use crate::core::bench::{ANN, BEN, Bench, MediaPeer, PASSWORD, ROUTER, check, up_track};
use crate::drop_reason::NetworkDrop;

use super::bench::{ANNS, OPAQUE, TAP, TAPPED, close, failed, open, pair, tapped};

#[test]
fn an_opaque_session_has_no_tap_whatever_came_before() {
    for publish_first in [true, false] {
        let mut bench = Bench::in_call();
        let access = PayloadAccess::Opaque;
        bench.apply(Command::OpenRouter(OpenRouter {
            router: OPAQUE,
            access,
        }));
        if publish_first {
            let uplink = TransportHandle(71);
            bench.apply(Command::OpenTransport(OpenTransport {
                router: OPAQUE,
                transport: uplink,
                direction: crate::api::Direction::Uplink,
                local_ufrag: "opq1".into(),
                local_pwd: Secret(PASSWORD.into()),
            }));
            bench.apply(Command::Publish(Publish {
                router: OPAQUE,
                publisher: PublisherHandle(72),
                transport: uplink,
                up_tracks: vec![up_track()],
            }));
        }
        let (command, reader) = open(OPAQUE, TAP);
        bench.apply(command);
        assert_eq!(bench.events(), [failed("open_tap", 60, "opaque")]);
        assert!(reader.is_at_end());
        // Nothing is left that a subscriber could be put on.
        bench.apply(tapped(TAPPED, TAP));
        bench.apply(close(TAP));
        let unknown = "unknown_handle";
        let events = [
            failed("subscribe", 61, unknown),
            failed("close_transport", 60, unknown),
        ];
        assert_eq!(bench.events(), events);
    }
}

#[test]
fn every_refused_tap_closes_its_descriptor_and_leaves_the_others_alone() {
    let mut bench = Bench::in_call();
    let kept = bench.open_tap();
    let rows = [
        (RouterHandle(99), TransportHandle(62), "unknown_handle"),
        (ROUTER, TAP, "handle_taken"),
        (ROUTER, ANN, "handle_taken"),
        (ROUTER, BEN, "handle_taken"),
    ];
    for (router, transport, reason) in rows {
        let (command, reader) = open(router, transport);
        bench.apply(command);
        assert_eq!(bench.events(), [failed("open_tap", transport.0, reason)]);
        assert!(reader.is_at_end(), "{reason}");
    }
    bench.apply(tapped(TAPPED, TAP));
    bench.receive(1, &MediaPeer::new().next());
    assert_eq!(kept.kinds(), [RecordKind::Rtp]);
}

#[test]
fn a_transport_of_a_peer_and_a_tap_do_not_take_each_others_handle() {
    let mut bench = Bench::in_call();
    let _reader = bench.open_tap();
    bench.apply(Command::OpenTransport(OpenTransport {
        router: ROUTER,
        transport: TAP,
        direction: crate::api::Direction::Downlink,
        local_ufrag: "new1".into(),
        local_pwd: Secret(PASSWORD.into()),
    }));
    assert_eq!(
        bench.events(),
        [failed("open_transport", 60, "handle_taken")]
    );
}

#[test]
fn a_tap_serves_its_own_session_only() {
    let mut bench = Bench::in_call();
    let other = RouterHandle(50);
    bench.apply(Command::OpenRouter(OpenRouter {
        router: other,
        access: PayloadAccess::Clear,
    }));
    let (command, reader) = open(other, TAP);
    bench.apply(command);
    bench.apply(tapped(TAPPED, TAP));
    assert_eq!(bench.events(), [failed("subscribe", 61, "unknown_handle")]);
    bench.receive(1, &MediaPeer::new().next());
    assert_eq!(reader.kinds(), []);
}

#[test]
fn a_handle_can_be_used_again_and_the_first_reader_gets_nothing_of_the_second() {
    let mut bench = Bench::in_call();
    let first = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    bench.apply(close(TAP));
    let second = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    assert_eq!(bench.events(), []);
    bench.receive(1, &MediaPeer::new().next());
    assert_eq!(first.kinds(), [RecordKind::End]);
    assert!(first.is_at_end());
    assert_eq!(second.kinds(), [RecordKind::Rtp]);
}

#[test]
fn with_its_session_a_tap_ends_and_with_its_publisher_a_subscription() {
    let mut bench = Bench::in_call();
    let reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    bench.apply(Command::Unpublish(Unpublish { publisher: ANNS }));
    bench.apply(Command::Unsubscribe(Unsubscribe { subscriber: TAPPED }));
    assert_eq!(
        bench.events(),
        [failed("unsubscribe", 61, "unknown_handle")]
    );
    assert_eq!(reader.kinds(), []);
    bench.apply(Command::CloseRouter(CloseRouter { router: ROUTER }));
    assert_eq!(reader.kinds(), [RecordKind::End]);
    assert!(reader.is_at_end());
    assert_eq!(bench.core.taps.len(), 0);
}

#[test]
fn a_reader_that_closes_is_reported_once_and_the_call_continues() {
    let mut bench = Bench::in_call();
    let reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    drop(reader);
    bench.serve();
    let closed = Event::TapClosed {
        transport: TAP,
        reason: "reader_gone",
    };
    assert_eq!(bench.events(), [closed]);
    let mut peer = MediaPeer::new();
    for _ in 0..3 {
        bench.receive(1, &peer.next());
        bench.serve();
    }
    assert_eq!(bench.events(), []);
    assert_eq!(bench.dropped(NetworkDrop::SendNoAddress), 3);
    bench.apply(close(TAP));
    assert_eq!(bench.events(), []);
    assert_eq!(
        bench.sent().iter().filter(|(to, _)| to.port() == 2).count(),
        3
    );
}

#[test]
fn a_reader_that_floods_loses_its_tap_and_disturbs_no_forwarding() {
    let mut bench = Bench::in_call();
    let reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    let (mut peer, mut packets) = (MediaPeer::new(), 0);
    let mut events = Vec::new();
    while events.is_empty() && packets < 1_000 {
        // As much as the socket takes, between two packets of media.
        while reader.request_key_frames(&[1, packets].repeat(60)) {}
        bench.serve();
        bench.receive(1, &peer.next());
        packets += 1;
        bench.pass(Duration::from_millis(20));
        events = bench.events();
    }
    let closed = Event::TapClosed {
        transport: TAP,
        reason: "reader_floods",
    };
    assert_eq!(events, [closed]);
    assert!(packets < 300, "{packets}");
    assert!(bench.dropped(NetworkDrop::TapFlood) > 1_000);
    let snapshot = bench.core.snapshot(bench.now, ROUTER).unwrap();
    let requests = snapshot.forwarding.counters["plis_received"];
    let allowed = 256 + 128 * (u64::from(packets) / 50 + 1);
    assert!(requests <= allowed, "{requests}");
    // It stays over, whatever comes.
    reader.request_key_frames(&[1]);
    bench.serve();
    bench.receive(1, &peer.next());
    assert_eq!(bench.events(), []);
    bench.apply(close(TAP));
    assert_eq!(bench.events(), []);
    let to_ben = bench
        .sent()
        .into_iter()
        .filter(|(to, sent)| to.port() == 2 && sent[1] < 200);
    assert_eq!(to_ben.count(), packets as usize + 1);
}

#[test]
fn a_snapshot_shows_the_tap() {
    let mut bench = Bench::in_call();
    let _reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    let snapshot = bench.core.snapshot(bench.now, ROUTER).unwrap();
    let shown = snapshot
        .transports
        .iter()
        .find(|of| of.transport == TAP)
        .unwrap();
    assert_eq!((shown.protocol, shown.has_keys), (Some("tap"), false));
    assert_eq!(shown.remote, None);
}

#[test]
fn a_closed_descriptor_is_not_closed_again() {
    let (mut bench, mut open_ones) = (Bench::in_call(), Vec::new());
    for round in 0..20 {
        let reader = bench.open_tap();
        bench.apply(close(TAP));
        assert_eq!(reader.kinds(), [RecordKind::End], "{round}");
        // They take the numbers that have become free: a second close would hit one of them.
        open_ones.push(pair());
        drop(reader);
        bench.serve();
    }
    bench.receive(1, &check("ann1", PASSWORD, false));
    for (ours, theirs) in &open_ones {
        assert!(rustix::io::fcntl_getfd(ours.as_fd()).is_ok());
        assert!(rustix::io::fcntl_getfd(&theirs.0).is_ok());
        assert!(ours.send(std::iter::once(&b"x"[..])).is_ok());
        assert_eq!(theirs.datagram().as_deref(), Some(&b"x"[..]));
    }
}
