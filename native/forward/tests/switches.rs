//! Packets around a switch from one encoding to another.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{DownTrackParameters, Layer};
use std::time::Duration;
use support::camera::{Camera, LARGE, Part, SMALL, WHOLE};
use support::wire::{Rtp, at_temporal};
use support::*;

/// The small encoding until packet 103 of frame 3, with 102 lost, then the large one from 10000 on.
fn one_lost_then_switched(down_track: DownTrackParameters) -> Camera {
    let mut camera = Camera::of(down_track);
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.send(SMALL, 101, 2, Part::First);
    camera.send(SMALL, 103, 3, Part::Whole);
    camera.prefer(LARGE);
    camera.send(LARGE, 10_000, 3, Part::WholeKey);
    assert_eq!(camera.sequences(), [100, 101, 103, 104]);
    camera
}

#[test]
fn a_packet_lost_before_a_switch_and_repaired_after_it_gets_the_sequence_number_left_for_it() {
    let mut camera = one_lost_then_switched(down_track());
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.last().0, 102);
    camera.send(LARGE, 10_001, 4, Part::Whole);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 102, 105]);
}

#[test]
fn what_was_repaired_after_a_switch_can_be_asked_for_again() {
    let mut camera = one_lost_then_switched(down_track());
    camera.repair(SMALL, 102, 2, Part::Last);
    camera
        .session
        .rtcp(DOWNLINK, &nack(DOWN_TRACK_SSRC, &[102]));
    let again = camera.session.out.payloads(DOWNLINK, DOWN_TRACK_RTX_SSRC);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0][..2], 102_u16.to_be_bytes());
    assert!(again[0].ends_with(&102_u16.to_be_bytes()));
}

#[test]
fn without_retransmission_streams_it_keeps_its_sequence_number_too() {
    let mut camera = one_lost_then_switched(down_track_without_rtx());
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.last().0, 102);
}

#[test]
fn a_packet_repaired_after_a_switch_has_the_timestamp_and_picture_id_of_its_own_frame() {
    let mut camera = one_lost_then_switched(down_track());
    camera.prefer(SMALL);
    camera.send(SMALL, 120, 20, Part::WholeKey);
    camera.send(SMALL, 121, 21, Part::First);
    let of_its_frame = camera.last();
    camera.send(SMALL, 123, 22, Part::Whole);
    camera.prefer(LARGE);
    camera.send(LARGE, 10_020, 22, Part::WholeKey);
    camera.repair(SMALL, 122, 21, Part::Last);
    let (number, timestamp, picture) = camera.last();
    assert_eq!(number, of_its_frame.0 + 1);
    assert_eq!((timestamp, picture), (of_its_frame.1, of_its_frame.2));
    assert_ne!(picture.0, 21, "it was moved");
}

#[test]
fn probes_before_and_after_a_switch_do_not_move_a_late_packet() {
    let mut camera = Camera::new();
    let probe = |number: u16| {
        let mut bytes = Camera::packet(SMALL, number, 2, Part::Middle);
        bytes.payload = vec![0, 0, 0, 4];
        let mut bytes = bytes.bytes();
        bytes[0] |= 0x20;
        bytes
    };
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.session.rtp(&probe(101));
    camera.send(SMALL, 103, 3, Part::First);
    camera.session.rtp(&probe(104));
    camera.send(SMALL, 105, 3, Part::Last);
    camera.prefer(LARGE);
    camera.send(LARGE, 10_000, 3, Part::WholeKey);
    camera.session.rtp(&probe(106));
    camera.repair(SMALL, 102, 2, Part::Whole);
    assert_eq!(camera.sequences(), [100, 102, 103, 104, 101]);
}

#[test]
fn of_the_encoding_before_nothing_is_sent_that_lies_behind_the_switch() {
    let mut camera = one_lost_then_switched(down_track());
    camera.send(SMALL, 104, 4, Part::First);
    camera.send(SMALL, 106, 5, Part::Whole);
    camera.repair(SMALL, 105, 4, Part::Last);
    assert_eq!(camera.session.dropped("other_encoding"), 3);
    assert_eq!(camera.sequences(), [100, 101, 103, 104]);
}

#[test]
fn after_one_more_switch_a_lost_packet_comes_too_late() {
    let mut camera = one_lost_then_switched(down_track());
    camera.prefer(1);
    camera.send(1, 1_000, 4, Part::WholeKey);
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.session.dropped("other_encoding"), 1);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 105]);
}

#[test]
fn what_can_no_longer_be_sent_again_is_not_sent_late_either() {
    let mut camera = one_lost_then_switched(down_track());
    for packet in 1..520 {
        camera.send(LARGE, 10_000 + packet, 3 + packet, Part::Whole);
    }
    let before = camera.sequences().len();
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.sequences().len(), before);
    assert_eq!(camera.session.dropped("other_encoding"), 1);
}

#[test]
fn a_packet_lost_before_a_pause_is_filled_in_when_the_stream_goes_on() {
    let mut camera = Camera::new();
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.send(SMALL, 101, 2, Part::First);
    camera.send(SMALL, 103, 3, Part::Whole);
    camera.allocate(None);
    camera.send(SMALL, 104, 4, Part::Whole);
    camera.allocate(Some(WHOLE));
    camera.send(SMALL, 105, 5, Part::WholeKey);
    camera.repair(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.sequences(), [100, 101, 103, 104, 102]);
}

fn layered(number: u16, picture: u16, temporal: u8, part: Part) -> Rtp {
    let mut packet = Camera::packet(SMALL, number, picture, part);
    packet.payload = at_temporal(packet.payload, temporal, temporal > 0);
    packet
}

#[test]
fn a_late_packet_of_an_upper_layer_is_sent_to_receivers_of_that_layer() {
    let mut camera = Camera::new();
    camera.take(&layered(100, 1, 0, Part::WholeKey));
    camera.take(&layered(101, 2, 1, Part::Whole));
    camera.take(&layered(102, 3, 0, Part::Whole));
    camera.take(&layered(103, 4, 1, Part::First));
    camera.take(&layered(105, 5, 0, Part::Whole));
    camera.prefer(LARGE);
    camera.send(LARGE, 10_000, 5, Part::WholeKey);
    camera.repair_packet(SMALL, &layered(104, 4, 1, Part::Last));
    let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let repaired = stream.last().expect("a packet").packet();
    assert_eq!(repaired.sequence().0, 104);
    assert!(repaired.payload().ends_with(&104_u16.to_be_bytes()));
}

#[test]
fn a_late_packet_of_a_dropped_layer_does_not_take_the_sequence_number_of_the_key_frame() {
    let mut camera = Camera::new();
    camera.take(&layered(100, 1, 0, Part::WholeKey));
    camera.take(&layered(101, 2, 1, Part::Whole));
    camera.take(&layered(102, 3, 0, Part::Whole));
    camera.allocate(Some(Layer::default()));
    camera.take(&layered(103, 4, 0, Part::Whole));
    camera.take(&layered(105, 6, 0, Part::Whole));
    // 106 is lost, 107 left out: nothing after 105 was sent, so no sequence number stays reserved.
    camera.take(&layered(107, 8, 1, Part::Whole));
    camera.prefer(LARGE);
    camera.allocate(Some(WHOLE));
    camera.send(LARGE, 10_000, 8, Part::WholeKey);
    assert_eq!(camera.sequences(), [100, 101, 102, 103, 105, 106]);
    camera.repair_packet(SMALL, &layered(106, 7, 0, Part::Whole));
    assert_eq!(camera.sequences(), [100, 101, 102, 103, 105, 106]);
    camera.repair_packet(SMALL, &layered(104, 5, 1, Part::Whole));
    let stream = camera.session.out.stream(DOWNLINK, DOWN_TRACK_SSRC);
    let padding = stream.last().expect("a packet").packet();
    assert_eq!((padding.sequence().0, padding.payload().len()), (104, 0));
}

/// The middle of a frame of the small encoding, when the large one is preferred.
fn amid_a_frame() -> Camera {
    let mut camera = Camera::new();
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.send(SMALL, 101, 2, Part::First);
    camera.prefer(LARGE);
    camera
}

/// The ends of all sent payloads: the publisher's sequence numbers.
fn published_sequences(camera: &Camera) -> Vec<u16> {
    let payloads = camera.session.out.payloads(DOWNLINK, DOWN_TRACK_SSRC);
    let end = |payload: Vec<u8>| payload.last_chunk().copied().map(u16::from_be_bytes);
    payloads.into_iter().filter_map(end).collect()
}

#[test]
fn a_switch_waits_for_the_end_of_the_current_frame() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::Key);
    camera.send(LARGE, 10_001, 2, Part::Middle);
    camera.send(SMALL, 102, 2, Part::Last);
    camera.send(LARGE, 10_002, 2, Part::Last);
    camera.send(SMALL, 103, 3, Part::Whole);
    camera.send(LARGE, 10_003, 3, Part::Whole);
    let expected = [100, 101, 102, 10_000, 10_001, 10_002, 10_003];
    assert_eq!(published_sequences(&camera), expected);
    assert_eq!(camera.sequences(), [100, 101, 102, 103, 104, 105, 106]);
    assert_eq!(camera.session.counter("rtp_caught_up"), 2);
}

#[test]
fn a_switch_waits_within_what_came_at_once_too() {
    let mut camera = amid_a_frame();
    for packet in [
        Camera::packet(LARGE, 10_000, 2, Part::Key),
        Camera::packet(SMALL, 102, 2, Part::Last),
        Camera::packet(LARGE, 10_001, 2, Part::Last),
    ] {
        camera.session.take(UPLINK, &packet.bytes());
    }
    camera
        .session
        .router
        .flush(camera.session.now, &mut camera.session.out);
    assert_eq!(
        published_sequences(&camera),
        [100, 101, 102, 10_000, 10_001]
    );
}

#[test]
fn when_its_end_is_the_last_that_came_the_switch_does_not_wait_for_more() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::WholeKey);
    camera.send(SMALL, 102, 2, Part::Last);
    assert_eq!(published_sequences(&camera), [100, 101, 102, 10_000]);
}

#[test]
fn a_switch_does_not_wait_long() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::Key);
    camera.session.pass(Duration::from_millis(25));
    camera.send(LARGE, 10_001, 2, Part::Last);
    assert_eq!(published_sequences(&camera), [100, 101, 10_000, 10_001]);
    camera.send(SMALL, 102, 2, Part::Last);
    assert_eq!(camera.sequences(), [100, 101, 102, 103]);
}

#[test]
fn a_switch_does_not_wait_for_an_encoding_that_fell_silent() {
    let mut camera = amid_a_frame();
    camera.session.pass(Duration::from_millis(30));
    camera.send(LARGE, 10_000, 2, Part::Key);
    assert_eq!(published_sequences(&camera), [100, 101, 10_000]);
}

#[test]
fn a_switch_that_waits_does_not_happen_when_it_is_no_longer_wanted() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::Key);
    camera.prefer(SMALL);
    camera.send(SMALL, 102, 2, Part::Last);
    camera.send(SMALL, 103, 3, Part::Whole);
    assert_eq!(published_sequences(&camera), [100, 101, 102, 103]);
    camera.prefer(LARGE);
    camera.send(SMALL, 104, 4, Part::Whole);
    assert_eq!(published_sequences(&camera), [100, 101, 102, 103, 104]);
}

#[test]
fn the_key_frame_that_a_switch_waits_with_is_not_asked_for_again() {
    let mut camera = Camera::new();
    camera.send(SMALL, 100, 1, Part::WholeKey);
    camera.send(LARGE, 9_999, 1, Part::WholeKey);
    camera.send(SMALL, 101, 2, Part::First);
    camera.session.pass(Duration::from_secs(1));
    camera.prefer(LARGE);
    camera.send(LARGE, 10_000, 2, Part::Whole);
    camera.send(SMALL, 102, 2, Part::Middle);
    camera.session.pass(Duration::from_millis(10));
    assert!(camera.session.out.plis(UPLINK, 102) > 0, "requested");
    camera.session.out.rtcp.clear();
    camera.send(LARGE, 10_001, 2, Part::Key);
    camera.send(LARGE, 10_002, 2, Part::Last);
    camera.send(SMALL, 103, 2, Part::Last);
    camera.session.pass(Duration::from_secs(3));
    camera.send(LARGE, 10_003, 3, Part::Whole);
    assert_eq!(camera.session.out.plis(UPLINK, 102), 0);
    let expected = [100, 101, 102, 103, 10_001, 10_002, 10_003];
    assert_eq!(published_sequences(&camera), expected);
}

#[test]
fn a_switch_that_waits_gives_way_to_one_to_another_encoding() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::Key);
    camera.prefer(1);
    camera.send(1, 1_000, 2, Part::WholeKey);
    camera.send(SMALL, 102, 2, Part::Last);
    camera.send(LARGE, 10_001, 2, Part::Last);
    assert_eq!(published_sequences(&camera), [100, 101, 102, 1_000]);
}

#[test]
fn a_switch_that_waited_too_long_begins_with_the_first_packet_of_its_key_frame() {
    let mut camera = amid_a_frame();
    camera.send(LARGE, 10_000, 2, Part::Key);
    camera.session.pass(Duration::from_millis(25));
    // A sender that sets the marker on all packets of a key frame.
    camera.send(LARGE, 10_001, 2, Part::Key);
    assert_eq!(published_sequences(&camera), [100, 101, 10_000, 10_001]);
}
