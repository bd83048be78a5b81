//! Trunks: one session on two workers.

use std::sync::Arc;
use std::time::Duration;

use sealroute_forward::{
    DownTrackParameters, EncodingParameters, PublisherHandle, SubscriberHandle, TransportHandle,
    UpTrackParameters,
};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver};

use crate::api::{
    CloseRouter, CloseTransport, Command, Event, FeedTrunk, OpenTrunk, Publish, Subscribe,
};
use crate::core::bench::{BEN, Bench, KEY, MediaPeer, ROUTER, SALT, down_track, up_track};
use crate::drop_reason::NetworkDrop;
use crate::trunk_ring::{BATCH, CAPACITY, Doorbell, ring};
use crate::trunks::Link;

const ANNS: PublisherHandle = PublisherHandle(4);
const INPUT: PublisherHandle = PublisherHandle(40);
/// The trunk's handles: at the origin, and at the other worker.
const SINK_END: TransportHandle = TransportHandle(50);
const INPUT_END: TransportHandle = TransportHandle(60);
const SSRC: u32 = 99;

/// Two workers; Ann publishes on the first, and there is a subscriber on each.
struct Pair {
    origin: Bench,
    other: Bench,
    ann: MediaPeer,
}

fn open(transport: TransportHandle, worker: u32, remote: TransportHandle) -> Command {
    Command::OpenTrunk(OpenTrunk {
        router: ROUTER,
        transport,
        worker,
        remote,
    })
}

fn close(transport: TransportHandle) -> Command {
    Command::CloseTransport(CloseTransport { transport })
}

fn link(one: &mut Bench, other: &mut Bench) {
    let bell = || Arc::new(Doorbell::new().unwrap());
    let ((to_other, from_one), (to_one, from_other)) = (ring(bell()), ring(bell()));
    one.core.trunks.link(Link {
        worker: 1,
        writer: to_other,
        reader: from_other,
    });
    other.core.trunks.link(Link {
        worker: 0,
        writer: to_one,
        reader: from_one,
    });
}

impl Pair {
    fn new() -> Self {
        let (mut origin, mut other) = (Bench::in_call(), Bench::in_call());
        link(&mut origin, &mut other);
        origin.apply(open(SINK_END, 1, INPUT_END));
        origin.apply(Command::FeedTrunk(FeedTrunk {
            publisher: ANNS,
            mid: "0".into(),
            transport: SINK_END,
            ssrcs: vec![1],
        }));
        other.apply(open(INPUT_END, 0, SINK_END));
        let encodings = vec![EncodingParameters {
            ssrc: Some(1),
            ..EncodingParameters::default()
        }];
        other.apply(Command::Publish(Publish {
            router: ROUTER,
            publisher: INPUT,
            transport: INPUT_END,
            up_tracks: vec![UpTrackParameters {
                encodings,
                nack: true,
                ..up_track()
            }],
        }));
        other.apply(Command::Subscribe(Subscribe {
            router: ROUTER,
            subscriber: SubscriberHandle(41),
            publisher: INPUT,
            transport: BEN,
            down_tracks: vec![DownTrackParameters {
                ssrc: SSRC,
                mid: "2".into(),
                ..down_track()
            }],
        }));
        assert_eq!((origin.events(), other.events()), (vec![], vec![]));
        Self {
            origin,
            other,
            ann: MediaPeer::new(),
        }
    }

    fn send(&mut self, packets: usize) {
        for _ in 0..packets {
            let packet = self.ann.next();
            self.origin.receive(1, &packet);
        }
    }

    /// Both workers handle what the other has passed on.
    fn serve(&mut self) {
        for _ in 0..1_100 {
            self.other.core.serve_trunks(self.other.now);
            self.origin.core.serve_trunks(self.origin.now);
        }
    }

    /// The packets that the subscriber of the other worker got.
    fn received(&mut self) -> Vec<Vec<u8>> {
        let keys = SrtpKeys {
            key: &KEY,
            salt: &SALT,
        };
        let mut receiver = SrtpReceiver::new(SrtpProfile::AeadAes128Gcm, keys).unwrap();
        let mut packets = Vec::new();
        for (to, mut datagram) in self.other.sent() {
            let is_of_it = datagram.get(8..12) == Some(&SSRC.to_be_bytes()[..]);
            if to.port() == 2 && is_of_it && datagram[1] & 0x7F == 111 {
                let length = receiver.unprotect_rtp(&mut datagram).unwrap();
                packets.push(datagram[..length].to_vec());
            }
        }
        packets
    }
}

#[test]
fn a_publisher_on_one_worker_is_received_on_the_other() {
    let mut pair = Pair::new();
    pair.send(3);
    assert_eq!(pair.received().len(), 0);
    pair.serve();
    let received = pair.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|packet| packet.ends_with(b"audio")));
    assert_eq!(pair.origin.core.counters.trunk_packets_sent, 3);
    assert_eq!(pair.other.core.counters.trunk_packets_received, 3);
}

#[test]
fn a_full_ring_drops_packets_by_name_and_the_origin_repeats_those_it_keeps() {
    let mut pair = Pair::new();
    pair.send(CAPACITY + 20);
    assert_eq!(pair.origin.dropped(NetworkDrop::TrunkFull), 20);
    pair.serve();
    assert_eq!(pair.received().len(), CAPACITY);
    // The next packet shows what is missing.
    pair.send(1);
    pair.serve();
    assert_eq!(pair.received().len(), 21);
}

#[test]
fn a_flood_over_a_trunk_overflows_no_up_track() {
    let mut pair = Pair::new();
    pair.send(20 * BATCH);
    pair.serve();
    assert_eq!(pair.received().len(), 20 * BATCH);
    let snapshot = pair.other.core.snapshot(pair.other.now, ROUTER).unwrap();
    let dropped = snapshot.forwarding.counters.iter();
    let overflow = dropped.filter(|(name, _)| **name == "overflow");
    assert_eq!(overflow.map(|(_, total)| *total).sum::<u64>(), 0);
}

#[test]
fn what_is_on_its_way_to_a_closed_end_is_counted_and_both_ends_close_alone() {
    let mut pair = Pair::new();
    pair.send(2);
    pair.other.apply(close(INPUT_END));
    pair.serve();
    assert_eq!(pair.other.dropped(NetworkDrop::TrunkClosed), 2);
    assert_eq!(pair.received().len(), 0);
    pair.origin.apply(close(SINK_END));
    pair.send(1);
    assert_eq!(pair.origin.core.counters.trunk_packets_sent, 2);
    assert_eq!(
        (pair.origin.events(), pair.other.events()),
        (vec![], vec![])
    );
    assert!(!pair.other.core.trunks.contains(INPUT_END));
    pair.origin.pass(Duration::from_secs(2));
    assert_eq!(pair.origin.dropped(NetworkDrop::SendNoAddress), 0);
}

#[test]
fn a_session_ends_with_its_trunks() {
    let mut pair = Pair::new();
    pair.origin
        .apply(Command::CloseRouter(CloseRouter { router: ROUTER }));
    assert_eq!(pair.origin.core.trunks.len(), 0);
    assert_eq!(pair.origin.events(), []);
}

#[test]
fn packets_to_a_worker_that_has_ended_are_counted() {
    let mut pair = Pair::new();
    pair.other = Bench::new();
    pair.send(2);
    assert_eq!(pair.origin.dropped(NetworkDrop::TrunkGone), 2);
}

#[test]
fn a_trunk_takes_the_place_of_no_other_transport_and_none_takes_its_place() {
    let mut pair = Pair::new();
    pair.origin.apply(open(SINK_END, 1, INPUT_END));
    pair.origin.apply(open(BEN, 1, INPUT_END));
    pair.origin.apply(open(TransportHandle(70), 9, INPUT_END));
    let failed = |handle, reason| Event::CommandFailed {
        command: "open_trunk",
        handle,
        reason,
    };
    let expected = [
        failed(SINK_END.0, "handle_taken"),
        failed(BEN.0, "handle_taken"),
        failed(70, "unknown_worker"),
    ];
    assert_eq!(pair.origin.events(), expected);
}
