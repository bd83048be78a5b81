//! Taps: the records that a reader gets, and what it may ask for.

use std::time::Duration;

use sealroute_forward::{
    Codec, DownTrackParameters, Extension, ExtensionIds, MediaKind, UpTrackParameters,
};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{Compound, RtcpPacket};
use sealroute_rtp::tap_record::{RecordHeader, RecordKind};

use crate::api::{Command, Publish, Subscribe, Unpublish, Unsubscribe};
use crate::core::bench::{ANN, Bench, MediaPeer, ROUTER, down_track, up_track};
use crate::drop_reason::NetworkDrop;

use super::bench::{ANNS, Reader, TAP, TAPPED, close, tapped, write};

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
