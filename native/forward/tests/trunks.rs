//! Trunks: a session that goes on on another worker, where the packets of a publisher are an input.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use sealroute_forward::{
    Codec, DownTrackParameters, ForwardError, ForwardEvent, PayloadAccess, SubscriberHandle,
    TransportHandle,
};
use sealroute_netem::Random;
use sealroute_rtp::rtcp::{Compound, RtcpPacket, SenderInfo, write_sender_report};
use support::trunk::{
    FRAME, INPUT, LEVEL_ID, MILLISECOND, Pair, TRUNK, audio, frame, in_order, repaired_audio, voice,
};
use support::wire::{probe, retransmission, rtp, vp8};
use support::*;

#[test]
fn everything_crosses_as_it_came_but_for_the_ssrc() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    for number in [65_534, 65_535, 0] {
        pair.take(&voice(number).bytes());
    }
    assert_eq!(pair.crossed.len(), 3);
    for (sent, number) in pair.crossed.iter().zip([65_534, 65_535, 0]) {
        let (packet, came) = (sent.packet(), voice(number));
        assert_eq!(packet.payload(), came.payload);
        assert_eq!(packet.sequence().0, number);
        assert_eq!(packet.timestamp(), came.header.timestamp);
        assert_eq!(packet.payload_type(), PAYLOAD_TYPE);
        assert!(packet.marker());
        assert_eq!(packet.ssrc(), 1);
        assert_eq!(packet.extensions().get(LEVEL_ID), Some(&[30][..]));
        assert_eq!(packet.extensions().get(MID_ID), None, "of one hop");
    }
    let [here, there] = pair.payloads();
    assert_eq!(here, there);
}

#[test]
fn a_subscriber_behind_a_trunk_gets_the_same_payloads_in_the_same_order() {
    for seed in 1..=10 {
        let mut pair = Pair::of(PayloadAccess::Opaque, repaired_audio());
        let mut publisher = Random::new(seed + 1_000);
        let mut late = Vec::new();
        pair.take(&voice(0).bytes());
        (pair.random, pair.loss) = (Random::new(seed), 0.1);
        for number in 1..400 {
            let packet = voice(number);
            match publisher.below(12) {
                // Lost on the way from the publisher, and sent once more; or a little late.
                0 => late.push((number + 3, retransmission(number, &packet).bytes())),
                1 => late.push((number + 1, packet.bytes())),
                2 => pair.origin.take(UPLINK, &packet.bytes()),
                _ => pair.take(&packet.bytes()),
            }
            for (_, bytes) in late.extract_if(.., |(due, _)| *due <= number) {
                pair.origin.take(UPLINK, &bytes);
            }
            pair.pass(20 * MILLISECOND);
        }
        pair.loss = 0.0;
        pair.take(&voice(400).bytes());
        pair.pass(Duration::from_secs(1));
        let [here, there] = pair.payloads();
        assert_eq!(here.len(), there.len(), "seed {seed}");
        assert_eq!(here, there, "seed {seed}");
    }
}

#[test]
fn what_is_lost_on_a_trunk_is_repaired_by_the_origin_and_its_publisher_is_not_asked() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.take(&voice(1).bytes());
    pair.loss = 1.0;
    pair.take(&voice(2).bytes());
    pair.take(&voice(3).bytes());
    pair.loss = 0.0;
    pair.take(&voice(4).bytes());
    let [here, there] = pair.payloads();
    assert_eq!((here.len(), &here), (4, &there));
    assert_eq!(pair.origin.out.asked(UPLINK, SSRC), [0_u16; 0]);
    assert_eq!(pair.origin.counter("rtx_sent"), 2);
}

#[test]
fn a_double_is_dropped_and_an_unwanted_request_answered_with_nothing() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.take(&voice(7).bytes());
    let again = pair.crossed[0].bytes.clone();
    pair.other.rtp_from(INPUT, &again);
    assert_eq!(pair.other.dropped("duplicate"), 1);
    assert_eq!(in_order(&pair.other.out).len(), 1);
    // Neither kept, nor ever passed on, nor of any stream.
    for (ssrc, number) in [(1, 6), (1, 9_000), (5, 7)] {
        pair.origin.rtcp(TRUNK, &nack(ssrc, &[number]));
    }
    assert_eq!(
        pair.origin
            .out
            .rtp
            .iter()
            .filter(|one| one.to == TRUNK)
            .count(),
        0
    );
    assert_eq!(pair.origin.dropped("not_cached"), 2);
}

#[test]
fn what_the_origin_refuses_never_crosses_and_nobody_there_waits_for_its_number() {
    let mut pair = Pair::of(PayloadAccess::Opaque, up_track(Codec::Vp8));
    let clear = [
        0x90, 0xE0, 0x80, 3, 3, 0x20, 0x11, b'c', b'l', b'e', b'a', b'r',
    ];
    // In one batch: the order of what is forwarded and what is not counts.
    for packet in [
        rtp(1, 10, &vp8(true, 1, b"a")).marker().bytes(),
        probe(2),
        rtp(3, 20, &clear).marker().bytes(),
        rtp(4, 30, &vp8(false, 4, b"b")).marker().bytes(),
        probe(5),
    ] {
        pair.origin.take(UPLINK, &packet);
    }
    pair.origin
        .router
        .flush(pair.origin.now, &mut pair.origin.out);
    pair.carry();
    pair.take(&rtp(6, 40, &vp8(false, 5, b"c")).marker().bytes());
    pair.pass(Duration::from_secs(2));
    let sizes = pair
        .crossed
        .iter()
        .map(|sent| sent.packet().payload().len());
    assert_eq!(
        sizes.map(|size| size > 0).collect::<Vec<_>>(),
        [true, false, false, true, false, true]
    );
    let has_clear = |sent: &Sent| sent.bytes.windows(5).any(|five| five == b"clear");
    assert!(!pair.crossed.iter().any(has_clear));
    for side in [&pair.origin, &pair.other] {
        let numbers = side.out.sequences(DOWNLINK, DOWN_TRACK_SSRC);
        assert_eq!(numbers.len(), 3);
        assert!(
            numbers.is_sorted_by(|a, b| b.wrapping_sub(*a) == 1),
            "{numbers:?}"
        );
    }
    assert_eq!(pair.other.out.asked(INPUT, 1), [0_u16; 0]);
    assert_eq!(pair.other.dropped("not_encrypted"), 0);
}

#[test]
fn an_input_accepts_every_key_id_and_no_frame_without_one() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.take(&voice(1).bytes());
    assert_eq!(in_order(&pair.other.out).len(), 1);
    // The origin would have refused it.
    let plain = rtp(2, 960, b"plain audio").ssrc(1);
    pair.other.rtp_from(INPUT, &plain.bytes());
    assert_eq!(in_order(&pair.other.out).len(), 1);
    assert_eq!(pair.other.dropped("not_encrypted"), 1);
}

/// Sends `seconds` of three encodings; a key frame comes where one is asked for.
fn film(pair: &mut Pair, number: &mut u16, seconds: u32) {
    for _ in 0..seconds * 30 {
        for encoding in 0..3 {
            let asked = pair.origin.out.plis(UPLINK, 100 + encoding as u32) > 0;
            pair.take(&frame(encoding, *number, asked || *number == 1).bytes());
        }
        pair.origin.out.rtcp.retain(|sent| sent.to != UPLINK);
        *number += 1;
        pair.pass(FRAME);
    }
}

/// The last demand of an input.
fn demand(side: &Session) -> Option<Vec<Option<String>>> {
    let mut events = side.out.events.iter().rev();
    events.find_map(|event| match event {
        ForwardEvent::SubscribedLayersChanged { subscribed, .. } => Some(subscribed.clone()),
        _ => None,
    })
}

#[test]
fn an_encoding_that_nobody_behind_a_trunk_wants_does_not_cross_and_comes_back_with_a_key_frame() {
    let mut pair = Pair::of(PayloadAccess::Opaque, simulcast(Codec::Vp8));
    let mut number = 1;
    film(&mut pair, &mut number, 1);
    pair.other.router.unsubscribe(SUBSCRIBER).expect("known");
    film(&mut pair, &mut number, 7);
    assert_eq!(demand(&pair.other), Some(Vec::new()));
    let set = |pair: &mut Pair, rids: &[&str]| {
        let rids: Vec<_> = rids.iter().map(|&rid| Some(rid.to_owned())).collect();
        let router = &mut pair.origin.router;
        { router.set_trunk_demand(PUBLISHER, "0", TRUNK, &rids) }.expect("known");
    };
    set(&mut pair, &[]);
    pair.crossed.clear();
    film(&mut pair, &mut number, 1);
    assert!(pair.crossed.is_empty());
    assert_eq!(pair.origin.dropped("unwanted_behind_trunk"), 90);
    // The publisher still sends it, for the subscriber at the origin.
    assert_eq!(demand(&pair.origin), None);
    pair.other.subscribe(SUBSCRIBER, DOWNLINK, down_track());
    pair.pass(MILLISECOND);
    assert_eq!(demand(&pair.other).map(|rids| rids.len()), Some(3));
    set(&mut pair, &["q", "h", "f"]);
    let before = in_order(&pair.other.out).len();
    film(&mut pair, &mut number, 1);
    assert!(in_order(&pair.other.out).len() > before + 20);
}

#[test]
fn after_a_pause_of_any_length_packets_pass_behind_a_trunk() {
    for pause in [300_u32, 0x7FFF, 0x8000, 0xC000, 0x1_0000, 200_000] {
        let mut pair = Pair::of(PayloadAccess::Opaque, up_track(Codec::Vp8));
        let send = |pair: &mut Pair, number: u32| {
            let payload = vp8(true, number as u16, b"a");
            let packet = rtp(number as u16, number * 3_000, &payload);
            pair.take(&packet.marker().bytes());
        };
        send(&mut pair, 5);
        {
            pair.origin
                .router
                .set_trunk_demand(PUBLISHER, "0", TRUNK, &[])
        }
        .expect("known");
        for number in (6..pause).step_by(9_999) {
            send(&mut pair, number);
        }
        {
            pair.origin
                .router
                .set_trunk_demand(PUBLISHER, "0", TRUNK, &[None])
        }
        .expect("known");
        for number in pause..pause + 10 {
            send(&mut pair, number);
        }
        assert_eq!(in_order(&pair.other.out).len(), 11, "{pause}");
    }
}

#[test]
fn all_who_watch_behind_a_trunk_are_one_receiver_that_asks_for_key_frames() {
    let mut pair = Pair::of(PayloadAccess::Opaque, up_track(Codec::Vp8));
    pair.take(&rtp(1, 0, &vp8(true, 1, b"a")).marker().bytes());
    for viewer in 0..500_u64 {
        let parameters = DownTrackParameters {
            ssrc: 50_000 + viewer as u32,
            rtx_ssrc: None,
            rtx_payload_type: None,
            ..down_track()
        };
        let handle = SubscriberHandle(1_000 + viewer);
        pair.other
            .subscribe(handle, TransportHandle(1_000 + viewer), parameters);
    }
    let mut number = 1;
    for _ in 0..300 {
        number += 1;
        for viewer in 0..500 {
            let (ssrc, from) = (50_000 + viewer as u32, TransportHandle(1_000 + viewer));
            pair.other.rtcp(from, &pli(ssrc));
        }
        let packet = rtp(number, u32::from(number) * 2_970, &vp8(false, number, b"b"));
        pair.take(&packet.marker().bytes());
        pair.pass(FRAME);
    }
    let asked = pair.origin.out.plis(UPLINK, SSRC);
    assert!((5..=20).contains(&asked), "{asked} in ten seconds");
}

#[test]
fn a_request_for_a_key_frame_makes_its_encoding_wanted() {
    let mut pair = Pair::of(PayloadAccess::Opaque, up_track(Codec::Vp8));
    pair.take(&rtp(1, 0, &vp8(true, 1, b"a")).marker().bytes());
    {
        pair.origin
            .router
            .set_trunk_demand(PUBLISHER, "0", TRUNK, &[])
    }
    .expect("known");
    pair.take(&rtp(2, 3_000, &vp8(false, 2, b"b")).marker().bytes());
    assert_eq!(pair.crossed.len(), 1);
    pair.origin.rtcp(TRUNK, &pli(1));
    assert_eq!(pair.origin.out.plis(UPLINK, SSRC), 1);
    pair.take(&rtp(3, 6_000, &vp8(true, 3, b"c")).marker().bytes());
    assert_eq!(pair.crossed.len(), 2);
}

#[test]
fn sender_reports_pass_under_the_ssrc_of_the_input_and_one_comes_with_the_first_packet() {
    let reports = |side: &Session, to: TransportHandle| -> Vec<(u32, SenderInfo)> {
        let sent = side.out.rtcp.iter().filter(|sent| sent.to == to);
        sent.flat_map(|sent| Compound::new(&sent.bytes))
            .filter_map(|packet| match packet {
                RtcpPacket::SenderReport { ssrc, info, .. } => Some((ssrc, info)),
                _ => None,
            })
            .collect()
    };
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    let info = SenderInfo {
        ntp_time: 1_000 << 32,
        rtp_time: 960,
        packets: 5,
        bytes: 500,
    };
    let mut compound = Vec::new();
    write_sender_report(&mut compound, SSRC, &info);
    pair.origin.take(UPLINK, &voice(1).bytes());
    pair.origin.rtcp(UPLINK, &compound);
    assert_eq!(reports(&pair.origin, TRUNK), [(1, info)]);
    pair.origin.out.rtcp.clear();
    pair.origin.pass(500 * MILLISECOND);
    pair.origin
        .router
        .flush(pair.origin.now, &mut pair.origin.out);
    let moved = SenderInfo {
        ntp_time: info.ntp_time + (1 << 31),
        rtp_time: info.rtp_time + 24_000,
        ..info
    };
    assert_eq!(reports(&pair.origin, TRUNK), [(1, moved)]);
    pair.other.now = pair.origin.now;
    pair.carry();
    assert_eq!(reports(&pair.other, DOWNLINK).len(), 1);
}

#[test]
fn a_closed_trunk_carries_nothing_and_an_ended_publisher_leaves_nothing_on_it() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.take(&voice(1).bytes());
    pair.origin.router.close_transport(TRUNK).expect("closed");
    pair.take(&voice(2).bytes());
    assert_eq!(pair.crossed.len(), 1);
    pair.origin.rtcp(TRUNK, &nack(1, &[1]));
    pair.origin.rtcp(TRUNK, &pli(1));
    assert_eq!(pair.origin.out.rtp.len(), 2, "to the subscriber here");
    pair.other.router.close_transport(INPUT).expect("closed");
    assert!(!pair.other.router.has_publisher(PUBLISHER));
    assert!(!pair.other.router.has_subscriber(SUBSCRIBER));

    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.origin.router.unpublish(PUBLISHER).expect("known");
    pair.origin.rtcp(TRUNK, &pli(1));
    pair.origin.publish(PUBLISHER, UPLINK, audio());
    let again = pair
        .origin
        .router
        .feed_trunk(PUBLISHER, "0", TRUNK, vec![1]);
    assert_eq!(again, Ok(()));
}

#[test]
fn a_trunk_is_fed_once_by_who_publishes_here_and_under_ssrcs_of_its_own() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    let mut feed = |mid, transport, ssrcs: &[u32]| {
        let router = &mut pair.origin.router;
        router.feed_trunk(PUBLISHER, mid, transport, ssrcs.to_vec())
    };
    assert_eq!(feed("0", TRUNK, &[2]), Err(ForwardError::Conflict));
    assert_eq!(feed("9", TRUNK, &[2]), Err(ForwardError::UnknownHandle));
    assert_eq!(feed("0", UPLINK, &[2]), Err(ForwardError::UnknownHandle));
    assert_eq!(feed("0", TRUNK, &[]), Err(ForwardError::Invalid));
    let router = &mut pair.origin.router;
    assert_eq!(router.open_trunk(TRUNK), Err(ForwardError::HandleTaken));
    let demand = router.set_trunk_demand(PUBLISHER, "0", INPUT, &[]);
    assert_eq!(demand, Err(ForwardError::UnknownHandle));
    // What came over a trunk does not leave by one.
    pair.other.router.open_trunk(TRUNK).expect("opened");
    let on = pair.other.router.feed_trunk(PUBLISHER, "0", TRUNK, vec![9]);
    assert_eq!(on, Err(ForwardError::Conflict));
}

#[test]
fn nobody_reports_on_a_trunk_and_its_packets_count_as_watched() {
    let mut pair = Pair::of(PayloadAccess::Opaque, audio());
    pair.origin.router.unsubscribe(SUBSCRIBER).expect("known");
    for number in 1..100 {
        pair.take(&voice(number).bytes());
        pair.pass(20 * MILLISECOND);
    }
    assert_eq!(pair.origin.dropped("no_subscriber"), 0);
    assert_eq!(in_order(&pair.other.out).len(), 99);
    assert_eq!(
        pair.other
            .out
            .rtcp
            .iter()
            .filter(|sent| sent.to == INPUT)
            .count(),
        0
    );
}
