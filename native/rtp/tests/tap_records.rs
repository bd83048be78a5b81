//! Records of a tap: their bytes, what comes back from them, and what is refused.
#![allow(missing_docs)]

use proptest::prelude::*;
use sealroute_rtp::tap_record::{
    HEADER_BYTES, Record, RecordError, RecordHeader, RecordKind, VERSION,
};

const KINDS: [RecordKind; 7] = [
    RecordKind::Rtp,
    RecordKind::Rtcp,
    RecordKind::Json,
    RecordKind::Lost,
    RecordKind::End,
    RecordKind::Feedback,
    RecordKind::Publish,
];

fn header(kind: RecordKind) -> RecordHeader {
    RecordHeader {
        kind,
        ssrc: 0x0102_0304,
        arrival_us: 0x1122_3344_5566_7788,
    }
}

#[test]
fn a_header_is_little_endian_and_names_its_version() {
    let bytes = header(RecordKind::Lost).to_bytes();
    let expected = [
        4, 0, 1, 0, 4, 3, 2, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn every_kind_comes_back_as_written() {
    for kind in KINDS {
        let mut bytes = header(kind).to_bytes().to_vec();
        bytes.extend_from_slice(b"body");
        let record = Record::parse(&bytes).unwrap();
        assert_eq!((record.header, record.body), (header(kind), &b"body"[..]));
    }
}

#[test]
fn what_is_shorter_newer_or_unknown_is_refused() {
    let whole = header(RecordKind::Rtp).to_bytes();
    for length in 0..HEADER_BYTES {
        assert_eq!(Record::parse(&whole[..length]), Err(RecordError::TooShort));
    }
    for version in [0, VERSION + 1, u16::MAX] {
        let mut other = whole;
        other[2..4].copy_from_slice(&version.to_le_bytes());
        assert_eq!(Record::parse(&other), Err(RecordError::Version));
    }
    for kind in [0, KINDS.len() as u8 + 1, u8::MAX] {
        let mut other = whole;
        other[0] = kind;
        assert_eq!(Record::parse(&other), Err(RecordError::Kind));
    }
}

#[test]
fn a_later_flag_does_not_hide_a_record() {
    let mut bytes = header(RecordKind::End).to_bytes();
    bytes[1] = 0x80;
    assert_eq!(Record::parse(&bytes).unwrap().header.kind, RecordKind::End);
}

#[test]
fn only_a_lost_record_has_a_number_of_lost_packets() {
    for kind in KINDS {
        let mut bytes = header(kind).to_bytes().to_vec();
        assert_eq!(Record::parse(&bytes).unwrap().lost(), None);
        bytes.extend_from_slice(&7_u32.to_le_bytes());
        let expected = (kind == RecordKind::Lost).then_some(7);
        assert_eq!(Record::parse(&bytes).unwrap().lost(), expected);
    }
}

proptest! {
    #[test]
    fn what_can_be_read_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(record) = Record::parse(&bytes) {
            let mut written = record.header.to_bytes();
            written[1] = bytes[1];
            prop_assert_eq!(&written[..], &bytes[..HEADER_BYTES]);
        }
    }
}
