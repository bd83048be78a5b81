//! RTP headers against golden bytes, round trips, and anything at all.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use sealroute_rtp::{
    MAX_PACKET_BYTES, PacketError, RtpHeader, RtpPacket, Sequence, SequenceUnwrapper, is_rtcp,
};

/// Padding, extension, one CSRC; marker, payload type 111.
const GOLDEN: [u8; 37] = [
    0xB1, 0xEF, 0x12, 0x34, 0x00, 0x00, 0x03, 0xC0, 0xDE, 0xAD, 0xBE, 0xEF, 0x01, 0x02, 0x03,
    0x04, // head
    0xBE, 0xDE, 0x00, 0x02, 0x10, 0x8A, 0x00, 0x31, 0x30, 0x31, 0x00, 0x00, // ids 1 and 3
    b'm', b'e', b'd', b'i', b'a', 0, 0, 0, 4,
];

fn parse(bytes: &[u8]) -> Result<(usize, usize), PacketError> {
    RtpPacket::parse(bytes).map(|packet| (packet.header_bytes(), packet.payload().len()))
}

#[test]
fn every_part_of_a_packet_is_read() {
    let packet = RtpPacket::parse(&GOLDEN).expect("a packet");
    assert!(packet.marker());
    assert_eq!(packet.payload_type(), 111);
    assert_eq!(packet.sequence(), Sequence(0x1234));
    assert_eq!(packet.timestamp(), 960);
    assert_eq!(packet.ssrc(), 0xDEAD_BEEF);
    assert_eq!(packet.payload(), b"media");
    let found: Vec<_> = packet.extensions().collect();
    assert_eq!(found, [(1, [0x8A].as_slice()), (3, b"01".as_slice())]);
    assert_eq!(packet.extensions().get(3), Some(b"01".as_slice()));
    assert_eq!(packet.extensions().get(2), None);
}

#[test]
fn every_cut_of_the_header_is_too_short() {
    for length in 0..28 {
        let error = parse(&GOLDEN[..length]);
        assert_eq!(error, Err(PacketError::TooShort), "{length}");
    }
}

#[test]
fn bad_versions_paddings_and_lengths_are_distinguished() {
    let mut packet = GOLDEN;
    packet[0] = 0x71;
    assert_eq!(parse(&packet), Err(PacketError::Version));
    for padding in [0, 10, 255] {
        let mut packet = GOLDEN;
        packet[36] = padding;
        assert_eq!(parse(&packet), Err(PacketError::Padding), "{padding}");
    }
    let mut packet = GOLDEN;
    packet[36] = 9;
    assert_eq!(parse(&packet), Ok((28, 0)), "nothing but padding");
    assert_eq!(
        parse(&[0x80; MAX_PACKET_BYTES + 1]),
        Err(PacketError::TooLong)
    );
}

#[test]
fn the_two_byte_form_is_read_with_empty_elements_and_padding() {
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0x00, 0, 2];
    packet.extend_from_slice(&[0, 200, 0, 5, 2, b'h', b'i', 0]);
    let packet = RtpPacket::parse(&packet).expect("a packet");
    let found: Vec<_> = packet.extensions().collect();
    assert_eq!(found, [(200, b"".as_slice()), (5, b"hi".as_slice())]);
}

#[test]
fn id_15_ends_the_one_byte_form_and_an_unknown_profile_has_no_elements() {
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1];
    packet.extend_from_slice(&[0x10, 7, 0xF0, 0x20]);
    let elements = |bytes: &[u8]| {
        RtpPacket::parse(bytes)
            .expect("a packet")
            .extensions()
            .count()
    };
    assert_eq!(elements(&packet), 1);
    packet[12] = 0xAA;
    assert_eq!(elements(&packet), 0);
}

#[test]
fn rtcp_is_distinguished_from_rtp_by_the_second_byte() {
    let kinds = [
        (191, false),
        (192, true),
        (200, true),
        (223, true),
        (224, false),
    ];
    for (second, rtcp) in kinds {
        assert_eq!(is_rtcp(&[0x80, second]), rtcp, "{second}");
    }
    assert!(!is_rtcp(&[0x80]));
}

#[test]
fn sequence_numbers_unwrap_over_the_end_and_back() {
    let mut unwrapper = SequenceUnwrapper::default();
    let mut full = |wire| unwrapper.unwrap(Sequence(wire)).0;
    let first = full(0xFFFE);
    assert_eq!(
        [full(0xFFFF), full(1), full(0), full(0xFFFD)],
        [first + 1, first + 3, first + 2, first - 1]
    );
    assert_eq!(
        unwrapper.highest().map(|highest| highest.0),
        Some(first + 3)
    );
}

fn element() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (1_u8..=255, prop::collection::vec(any::<u8>(), 0..40))
        .prop_filter("15 ends the short form", |(id, _)| *id != 15)
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        marker: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32,
        elements in prop::collection::vec(element(), 0..6), payload in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc };
        let mut head = [0; MAX_PACKET_BYTES];
        let written = elements.iter().map(|(id, value)| (*id, value.as_slice()));
        let length = header.write(written.clone(), &mut head);
        let bytes = [&head[..length], &payload].concat();
        let packet = RtpPacket::parse(&bytes).expect("what was written");
        let again = RtpHeader {
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            sequence: packet.sequence().0,
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
        };
        prop_assert_eq!(again, header);
        prop_assert_eq!(packet.payload(), payload.as_slice());
        prop_assert!(packet.extensions().eq(written));
    }

    #[test]
    fn no_bytes_can_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), first in 0x80_u8..0xC0) {
        for version in [None, Some(first)] {
            if let (Some(version), Some(byte)) = (version, bytes.first_mut()) {
                *byte = version;
            }
            if let Ok(packet) = RtpPacket::parse(&bytes) {
                prop_assert!(packet.header_bytes() + packet.payload().len() <= bytes.len());
                let total: usize = packet.extensions().map(|(_, value)| value.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }

    #[test]
    fn a_sequence_number_near_the_highest_keeps_its_place(start: u16, steps in prop::collection::vec(-30_000_i64..30_000, 1..50)) {
        let mut unwrapper = SequenceUnwrapper::default();
        let mut highest = unwrapper.unwrap(Sequence(start)).0 as i64;
        for step in steps {
            let wanted = (highest + step).max(0x8000);
            prop_assume!((wanted - highest).abs() < 32_768);
            prop_assert_eq!(unwrapper.unwrap(Sequence(wanted as u16)).0 as i64, wanted);
            highest = highest.max(wanted);
        }
    }
}
