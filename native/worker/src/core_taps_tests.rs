//! Taps: who may have one, in which order, and what becomes of their descriptors.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use sealroute_forward::{
    Codec, DownTrackParameters, Extension, ExtensionIds, MediaKind, PayloadAccess, PublisherHandle,
    SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{Compound, RtcpPacket, write_pli};
use sealroute_rtp::tap_record::{Record, RecordHeader, RecordKind};

use crate::api::{
    CloseRouter, CloseTransport, Command, Event, OpenRouter, OpenTap, OpenTransport, Publish,
    RouterHandle, Secret, Subscribe, Unpublish, Unsubscribe, WriteTap,
};
use crate::core::bench::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, ROUTER, check, down_track, up_track,
};
use crate::drop_reason::NetworkDrop;
use crate::local_socket::LocalSocket;

const TAP: TransportHandle = TransportHandle(60);
const TAPPED: SubscriberHandle = SubscriberHandle(61);
const ANNS: PublisherHandle = PublisherHandle(4);
const OPAQUE: RouterHandle = RouterHandle(70);

/// A reader's end of a tap.
struct Reader(OwnedFd);

/// A record as (kind, ssrc, arrival, body).
type Read = (RecordKind, u32, u64, Vec<u8>);

fn pair() -> (LocalSocket, Reader) {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (LocalSocket::new(ours), Reader(theirs))
}

impl Reader {
    fn datagram(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4_096];
        let flags = RecvFlags::DONTWAIT;
        let (_, length) = rustix::net::recv(&self.0, &mut buffer[..], flags).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    fn all(&self) -> Vec<Read> {
        let datagrams = std::iter::from_fn(|| self.datagram().filter(|bytes| !bytes.is_empty()));
        let read = datagrams.map(|bytes| {
            let record = Record::parse(&bytes).unwrap();
            let header = record.header;
            (
                header.kind,
                header.ssrc,
                header.arrival_us,
                record.body.to_vec(),
            )
        });
        read.collect()
    }

    fn kinds(&self) -> Vec<RecordKind> {
        self.all().into_iter().map(|(kind, ..)| kind).collect()
    }

    /// Whether the core has closed its end. Only when everything is read.
    fn is_at_end(&self) -> bool {
        self.datagram().is_some_and(|bytes| bytes.is_empty())
    }

    fn request_key_frame(&self, ssrc: u32) {
        let header = RecordHeader {
            kind: RecordKind::Feedback,
            ssrc: 0,
            arrival_us: 0,
        };
        let mut record = header.to_bytes().to_vec();
        write_pli(&mut record, 1, ssrc);
        let flags = rustix::net::SendFlags::empty();
        rustix::net::send(&self.0, &record, flags).unwrap();
    }
}

fn open(router: RouterHandle, transport: TransportHandle) -> (Command, Reader) {
    let (socket, reader) = pair();
    let command = Command::OpenTap(OpenTap {
        router,
        transport,
        socket,
    });
    (command, reader)
}

fn tapped(subscriber: SubscriberHandle, transport: TransportHandle) -> Command {
    Command::Subscribe(Subscribe {
        router: ROUTER,
        subscriber,
        publisher: ANNS,
        transport,
        down_tracks: vec![DownTrackParameters {
            ssrc: 1,
            ..down_track()
        }],
    })
}

fn close(transport: TransportHandle) -> Command {
    Command::CloseTransport(CloseTransport { transport })
}

fn write(body: &[u8]) -> Command {
    Command::WriteTap(WriteTap {
        transport: TAP,
        body: Secret(body.to_vec().into()),
    })
}

fn failed(command: &'static str, handle: u64, reason: &'static str) -> Event {
    Event::CommandFailed {
        command,
        handle,
        reason,
    }
}

impl Bench {
    fn open_tap(&mut self) -> Reader {
        let (command, reader) = open(ROUTER, TAP);
        self.apply(command);
        assert_eq!(self.events(), []);
        reader
    }

    fn serve(&mut self) {
        self.core.serve_taps(self.now);
        self.core.end_batch(self.now);
    }
}

#[test]
fn a_subscribed_tap_gets_each_packet_clear_with_its_time_beside_the_other_subscribers() {
    let mut bench = Bench::in_call();
    let reader = bench.open_tap();
    bench.apply(write(b"{}"));
    bench.apply(tapped(TAPPED, TAP));
    let mut peer = MediaPeer::new();
    for _ in 0..3 {
        bench.receive(1, &peer.next());
        bench.pass(Duration::from_millis(20));
    }
    bench.apply(Command::Unsubscribe(Unsubscribe { subscriber: TAPPED }));
    bench.receive(1, &peer.next());
    bench.apply(close(TAP));
    assert_eq!(bench.events(), []);
    let records = reader.all();
    let kinds: Vec<_> = records.iter().map(|(kind, ..)| *kind).collect();
    let rtp = [RecordKind::Rtp; 3];
    assert_eq!(
        kinds,
        [&[RecordKind::Json][..], &rtp, &[RecordKind::End]].concat()
    );
    for (_, ssrc, _, body) in &records[1..4] {
        let packet = RtpPacket::parse(body).unwrap();
        assert_eq!(
            (packet.ssrc(), *ssrc, packet.payload()),
            (1, 1, &b"audio"[..])
        );
        // The header extension of the uplink was that of its congestion control.
        assert_eq!(body[0] & 0x10, 0);
    }
    let spacing: Vec<_> = records[1..4]
        .windows(2)
        .map(|two| two[1].2 - two[0].2)
        .collect();
    assert_eq!(spacing, [20_000, 20_000]);
    assert!(reader.is_at_end());
    let to_ben = bench
        .sent()
        .into_iter()
        .filter(|(to, _)| to.port() == 2)
        .count();
    assert_eq!(to_ben, 4);
}

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
fn a_tap_serves_its_own_session_only_and_publishes_nothing() {
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
    bench.apply(Command::Publish(Publish {
        router: other,
        publisher: PublisherHandle(90),
        transport: TAP,
        up_tracks: vec![up_track()],
    }));
    assert_eq!(bench.events(), [failed("publish", 90, "unknown_handle")]);
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

fn video() -> UpTrackParameters {
    UpTrackParameters {
        kind: MediaKind::Video,
        codec: Codec::Vp8,
        clock_rate_hz: 90_000,
        ..up_track()
    }
}

/// Ann sends video instead, and only the tap is subscribed.
fn tapped_video() -> (Bench, Reader) {
    let mut bench = Bench::in_call();
    bench.apply(Command::Unpublish(Unpublish { publisher: ANNS }));
    bench.apply(Command::Publish(Publish {
        router: ROUTER,
        publisher: ANNS,
        transport: ANN,
        up_tracks: vec![video()],
    }));
    let reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    assert_eq!(bench.events(), []);
    bench.sent();
    (bench, reader)
}

#[test]
fn a_reader_that_keeps_asking_for_key_frames_spends_a_budget() {
    let (mut bench, reader) = tapped_video();
    let mut peer = MediaPeer::new();
    bench.receive(1, &peer.next());
    bench.pass(Duration::from_secs(1));
    bench.sent();
    for _ in 0..200 {
        reader.request_key_frame(1);
        reader.request_key_frame(0xDEAD);
        bench.serve();
        bench.pass(Duration::from_millis(10));
    }
    // RTCP, protected: reports each second, and requests.
    let to_ann = bench
        .sent()
        .into_iter()
        .filter(|(to, sent)| to.port() == 1 && sent[1] >= 200);
    let sent = to_ann.count();
    assert!((1..=8).contains(&sent), "{sent}");
    let snapshot = bench.core.snapshot(bench.now, ROUTER).unwrap();
    assert_eq!(snapshot.forwarding.counters["plis_received"], 400);
}

#[test]
fn a_readers_loss_and_rate_reports_reach_no_congestion_control() {
    let (mut bench, reader) = tapped_video();
    let header = RecordHeader {
        kind: RecordKind::Feedback,
        ssrc: 0,
        arrival_us: 0,
    };
    let mut remb = vec![0x8F, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    remb.extend_from_slice(b"REMB\x01\x00\x03\xE8\x00\x00\x00\x01");
    let record = [&header.to_bytes()[..], &remb].concat();
    rustix::net::send(&reader.0, &record, rustix::net::SendFlags::empty()).unwrap();
    bench.serve();
    bench.receive(1, &MediaPeer::new().next());
    bench.pass(Duration::from_secs(1));
    let snapshot = bench.core.snapshot(bench.now, ROUTER).unwrap();
    let downlinks = &snapshot.forwarding.downlinks;
    let link = downlinks.iter().find(|link| link.transport == TAP).unwrap();
    assert_eq!((link.reason, link.limited), ("start", false));
    assert_eq!(bench.dropped(NetworkDrop::TapRecordRefused), 1);
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
fn negotiated_extensions_but_loudness_and_orientation_stay_out_of_records() {
    let mut bench = Bench::in_call();
    bench.apply(Command::Unpublish(Unpublish { publisher: ANNS }));
    let id = crate::core::bench::FEEDBACK_ID;
    for (kind, is_kept) in [
        (Extension::AudioLevel, true),
        (Extension::VideoOrientation, true),
        (Extension::DependencyDescriptor, false),
        (Extension::AbsCaptureTime, false),
    ] {
        bench.apply(Command::Publish(Publish {
            router: ROUTER,
            publisher: ANNS,
            transport: ANN,
            up_tracks: vec![UpTrackParameters {
                extensions: ExtensionIds(vec![(kind, id)]),
                ..up_track()
            }],
        }));
        let reader = bench.open_tap();
        bench.apply(Command::Subscribe(Subscribe {
            router: ROUTER,
            subscriber: TAPPED,
            publisher: ANNS,
            transport: TAP,
            down_tracks: vec![DownTrackParameters {
                ssrc: 1,
                extensions: ExtensionIds(vec![(kind, 2), (Extension::Mid, 5)]),
                ..down_track()
            }],
        }));
        assert_eq!(bench.events(), []);
        let mut peer = MediaPeer::new();
        peer.1 = 100 * u16::from(kind as u8);
        bench.receive(1, &peer.next());
        let records = reader.all();
        let packet = RtpPacket::parse(&records[0].3).unwrap();
        assert_eq!(packet.extensions().get(2).is_some(), is_kept, "{kind:?}");
        assert_eq!(packet.extensions().get(5), None);
        bench.apply(close(TAP));
        bench.apply(Command::Unpublish(Unpublish { publisher: ANNS }));
    }
}

#[test]
fn sender_reports_reach_the_reader_with_its_own_times() {
    let mut bench = Bench::in_call();
    let reader = bench.open_tap();
    bench.apply(tapped(TAPPED, TAP));
    let mut peer = MediaPeer::new();
    bench.receive(1, &peer.next());
    bench.receive(1, &peer.sender_report());
    let reports: Vec<_> = reader
        .all()
        .into_iter()
        .filter(|of| of.0 == RecordKind::Rtcp)
        .collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].1, 1);
    let first = Compound::new(&reports[0].3).next();
    assert!(matches!(
        first,
        Some(RtcpPacket::SenderReport { ssrc: 1, .. })
    ));
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
