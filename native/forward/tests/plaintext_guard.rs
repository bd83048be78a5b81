//! Encrypted sessions forward only the e2ee/2 format under a declared key id.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, ForwardEvent, PayloadAccess};
use std::time::Duration;
use support::wire::{
    aggregate, encrypted, fragments, packetise, rtp, units, vp8, vp8_continuation,
};
use support::*;

const VECTORS: &str = include_str!("../../../tests/vectors/e2ee-v2-vectors.json");
const OTHER_KID: [u8; 8] = [0x82; 8];

struct Frame {
    codec: Codec,
    counter: u64,
    wire: Vec<u8>,
    plain: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).expect("hex") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn frames() -> Vec<Frame> {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("vectors");
    let frames = vectors["frames"].as_array().expect("frames").iter();
    frames
        .map(|frame| Frame {
            codec: match frame["codec"].as_str().expect("codec") {
                "opus" => Codec::Opus,
                "vp8" => Codec::Vp8,
                "vp9" => Codec::Vp9,
                "h264" => Codec::H264,
                "av1" => Codec::Av1,
                other => panic!("codec {other}"),
            },
            counter: frame["ctr"].as_u64().expect("ctr"),
            wire: unhex(frame["wire"].as_str().expect("wire")),
            plain: unhex(frame["plain"].as_str().expect("plain")),
        })
        .collect()
}

/// Sends payloads into an encrypted session; returns how many the guard refused.
fn refused(codec: Codec, payloads: &[Vec<u8>]) -> u64 {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(codec));
    for (index, payload) in payloads.iter().enumerate() {
        session.rtp(&rtp(index as u16, 0, payload).bytes());
    }
    assert_eq!(session.counter("rtp_received"), payloads.len() as u64);
    session.dropped("not_encrypted")
}

#[test]
fn every_frame_of_the_vectors_passes_in_packets_of_any_size() {
    for frame in frames().iter().filter(|frame| frame.counter < 1 << 32) {
        for limit in [1_200, 60, 34] {
            let payloads = packetise(frame.codec, &frame.wire, limit);
            let what = format!("{:?} {} in {limit}", frame.codec, frame.counter);
            assert_eq!(refused(frame.codec, &payloads), 0, "{what}");
        }
    }
}

#[test]
fn a_counter_that_no_client_may_reach_is_refused() {
    let frame = frames()
        .into_iter()
        .find(|frame| frame.codec == Codec::Opus && frame.counter == (1 << 32) - 1)
        .expect("the largest counter");
    let (header, counter) = frame.wire.split_at(9);
    let beyond = [&[0xFC], &header[1..], &[1, 0, 0, 0, 0], &counter[4..]].concat();
    assert_eq!(refused(frame.codec, &[frame.wire.clone(), beyond]), 1);
}

#[test]
fn h264_passes_aggregated_and_in_fragments() {
    for frame in frames()
        .iter()
        .filter(|f| f.codec == Codec::H264 && f.counter < 1 << 32)
    {
        let units = units(&frame.wire);
        assert_eq!(refused(Codec::H264, &[aggregate(&units)]), 0);
        let pieces: Vec<_> = units.iter().flat_map(|unit| fragments(unit, 30)).collect();
        assert_eq!(refused(Codec::H264, &pieces), 0);
    }
}

#[test]
fn the_plaintext_of_every_frame_is_refused_in_packets_of_any_size() {
    for frame in frames() {
        let payloads = match frame.codec {
            Codec::H264 => {
                let mut payloads = packetise(Codec::H264, &frame.plain, 20);
                // Parameter sets pass; a packet that only follows them may not.
                payloads.retain(|payload| !matches!(payload[0] & 0x1F, 7 | 8));
                payloads
            }
            codec => packetise(codec, &frame.plain, 20),
        };
        assert_eq!(
            refused(frame.codec, &payloads),
            payloads.len() as u64,
            "{:?}",
            frame.codec
        );
    }
}

#[test]
fn plaintext_h264_in_an_aggregate_is_refused() {
    let frame = frames()
        .into_iter()
        .find(|f| f.codec == Codec::H264)
        .expect("h264");
    assert_eq!(refused(Codec::H264, &[aggregate(&units(&frame.plain))]), 1);
}

#[test]
fn parameter_sets_pass_alone_but_not_with_something_hidden_behind_them() {
    let parameter_set = vec![0x67, 0x42, 0xC0, 0x1F, 0xD9];
    assert_eq!(
        refused(Codec::H264, std::slice::from_ref(&parameter_set)),
        0
    );
    let mut long = parameter_set;
    long.resize(200, 0x55);
    let hidden = aggregate(&[long, vec![0x65, 0x88, 0x84, 0x3A, 0x0B]]);
    assert_eq!(refused(Codec::H264, &[hidden]), 1);
}

#[test]
fn payload_forms_that_encrypting_clients_never_send_are_refused_after_encrypted_frames_too() {
    let frames = frames();
    let frame = frames.iter().find(|frame| frame.codec == Codec::H264);
    let frame = frame.expect("a frame of H.264");
    let encrypted_unit = units(&frame.wire).pop().expect("a slice");
    for head in [0_u8, 25, 26, 27, 29, 30, 31] {
        let payload = vec![head, 0x85, 1, 2, 3, 4];
        assert_eq!(
            refused(Codec::H264, &[encrypted_unit.clone(), payload]),
            1,
            "{head}"
        );
    }
    let broken_descriptor = vec![0x80];
    assert_eq!(
        refused(Codec::Vp8, &[vp8(true, 1, b"a"), broken_descriptor]),
        1
    );
    let broken_descriptor = vec![0x80];
    let start = [&[0x08], encrypted(b"a").as_slice()].concat();
    assert_eq!(refused(Codec::Vp9, &[start, broken_descriptor]), 1);
}

#[test]
fn a_continuation_passes_after_an_encrypted_start_and_not_before_one() {
    let continuation = vp8_continuation(1, b"more");
    assert_eq!(refused(Codec::Vp8, std::slice::from_ref(&continuation)), 1);
    let start = vp8(true, 1, b"a");
    assert_eq!(refused(Codec::Vp8, &[start, continuation.clone()]), 0);
    let plaintext = vec![0x10, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    assert_eq!(
        refused(Codec::Vp8, &[vp8(true, 1, b"a"), plaintext, continuation]),
        2
    );
}

#[test]
fn an_undeclared_key_id_is_refused_until_it_is_declared_and_the_old_one_afterwards() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    let frame = |kid: [u8; 8]| [&[0xF0], kid.as_slice(), b"body"].concat();
    session.rtp(&rtp(1, 0, &frame(OTHER_KID)).bytes());
    assert_eq!(session.dropped("not_encrypted"), 1);
    session.rtp(&rtp(2, 0, &frame(KID)).bytes());
    let declared = session.router.declare_kids(PUBLISHER, "0", vec![OTHER_KID]);
    assert_eq!(declared, Ok(()));
    session.rtp(&rtp(3, 0, &frame(OTHER_KID)).bytes());
    session.rtp(&rtp(4, 0, &frame(KID)).bytes());
    assert_eq!(session.dropped("not_encrypted"), 2);
    let sent = session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
    assert_eq!(sent, [frame(KID), frame(OTHER_KID)]);
}

#[test]
fn refused_packets_are_reported_when_they_are_due_even_if_nothing_more_arrives() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    session.pass(Duration::from_millis(500));
    session.rtp(&rtp(0, 0, b"plain").bytes());
    session.pass(Duration::from_millis(200));
    session.rtp(&rtp(1, 0, b"plain").bytes());
    let reports = |session: &Session| {
        let events = session.out.events.iter();
        { events }
            .filter(|event| matches!(event, ForwardEvent::NotEncrypted { .. }))
            .count()
    };
    assert_eq!(reports(&session), 1);
    session.pass(Duration::from_millis(800));
    assert_eq!(reports(&session), 2);
}

#[test]
fn refused_packets_are_reported_at_most_once_a_second_with_their_count() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    for sequence in 0..150 {
        session.rtp(&rtp(sequence, 0, b"plain").bytes());
        session.pass(Duration::from_millis(10));
    }
    session.pass(Duration::from_secs(2));
    let report = |event: &ForwardEvent| match event {
        ForwardEvent::NotEncrypted {
            publisher,
            mid,
            packets,
        } => {
            assert_eq!((*publisher, mid.as_str()), (PUBLISHER, "0"));
            *packets
        }
        other => panic!("{other:?}"),
    };
    let reports: Vec<u64> = session.out.events.iter().map(report).collect();
    assert_eq!(reports.iter().sum::<u64>(), 150);
    assert!(reports.len() <= 3, "{reports:?}");
}

/// The number of packets that the publisher is notified of: it sends one every 10 ms for `sent_ms`
/// and declares their key id after `declared_ms`.
fn reported_packets(sent_ms: u64, declared_ms: u64) -> u64 {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    for step in 0..sent_ms / 10 {
        if step == declared_ms / 10 {
            let declared = session.router.declare_kids(PUBLISHER, "0", vec![OTHER_KID]);
            assert_eq!(declared, Ok(()));
        }
        let frame = [&[0xF0], OTHER_KID.as_slice(), b"body"].concat();
        session.rtp(&rtp(step as u16, 0, &frame).bytes());
        session.pass(Duration::from_millis(10));
    }
    session.pass(Duration::from_secs(2));
    let undeclared_ms = declared_ms.min(sent_ms);
    assert_eq!(session.dropped("not_encrypted"), undeclared_ms / 10);
    let packets = |event: &ForwardEvent| match event {
        ForwardEvent::NotEncrypted { packets, .. } => *packets,
        other => panic!("{other:?}"),
    };
    session.out.events.iter().map(packets).sum()
}

#[test]
fn media_that_overtakes_its_declaration_is_not_reported_and_media_that_is_never_declared_is() {
    assert_eq!(reported_packets(3_000, 200), 0);
    let packets = reported_packets(3_000, u64::MAX);
    assert!((200..=300).contains(&packets), "{packets}");
}

#[test]
fn late_packets_of_two_changes_of_the_secret_are_not_reported() {
    let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::Opus));
    for step in 0..300_u16 {
        let kid = if matches!(step, 10 | 100) {
            OTHER_KID
        } else {
            KID
        };
        let frame = [&[0xF0], kid.as_slice(), b"body"].concat();
        session.rtp(&rtp(step, 0, &frame).bytes());
        session.pass(Duration::from_millis(10));
    }
    assert_eq!(session.dropped("not_encrypted"), 2);
    assert_eq!(session.out.events, []);
}

#[test]
fn clear_sessions_forward_plaintext() {
    let mut session = Session::with(PayloadAccess::Clear, up_track(Codec::Opus));
    session.rtp(&rtp(1, 0, b"plain").bytes());
    assert_eq!(session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC), [b"plain"]);
}

#[test]
fn what_is_forwarded_does_not_depend_on_bytes_that_routing_must_not_read() {
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let run = |padding: u8| {
            let mut session = Session::with(PayloadAccess::Opaque, up_track(codec));
            let mut number = 0;
            for (index, frame) in frames().iter().filter(|f| f.codec == codec).enumerate() {
                for mut payload in packetise(codec, &frame.wire, 1_200) {
                    payload.resize(payload.len().max(160), 0x5A);
                    payload.resize(payload.len() + 300, padding);
                    number += 1;
                    session.rtp(&rtp(number, index as u32 * 3_000, &payload).bytes());
                }
            }
            let sent = session.out.rtp.iter();
            let heads: Vec<_> = sent
                .map(|s| s.bytes[..s.packet().header_bytes() + 160].to_vec())
                .collect();
            let counters: Vec<_> = session.router.counters().iter().collect();
            (
                heads,
                session.out.rtcp.len(),
                session.out.events.clone(),
                counters,
            )
        };
        let (zeros, ones, codes) = (run(0), run(0xFF), run(0x01));
        assert!(!zeros.0.is_empty(), "{codec:?}");
        assert_eq!(zeros, ones);
        assert_eq!(zeros, codes);
    }
}

#[test]
fn a_unit_that_begins_behind_the_first_160_bytes_is_not_looked_at() {
    let frames = frames();
    let frame = frames.iter().find(|frame| frame.codec == Codec::H264);
    let frame = frame.expect("a frame of H.264");
    let mut first = units(&frame.wire).pop().expect("a slice");
    first.resize(200, 0x5A);
    let run = |second: &[u8]| {
        let mut session = Session::with(PayloadAccess::Opaque, up_track(Codec::H264));
        session.rtp(&rtp(1, 0, &aggregate(&[first.clone(), second.to_vec()])).bytes());
        let counters: Vec<_> = session.router.counters().iter().collect();
        (session.out.rtp.len(), counters)
    };
    let (parameter_set, slice) = (run(&[0x67, 1, 2, 3, 4, 5]), run(&[0x61, 1, 2, 3, 4, 5]));
    assert_eq!(parameter_set.0, 1);
    assert_eq!(parameter_set, slice);
}
