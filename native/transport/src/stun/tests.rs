use super::*;
use crate::test_hex::hex;
use proptest::prelude::*;

/// RFC 5769, section 2.1, whose SOFTWARE attribute is skipped.
const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74 002400046e0001ff 80290008932ff9b151263b36\
    000600096576746a3a68367659202020 000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";
/// RFC 5769, section 2.2.
const SAMPLE_IPV4_SUCCESS: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220 002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96";
/// RFC 5769, section 2.3.
const SAMPLE_IPV6_SUCCESS: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220 002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c";
const SAMPLE_PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const SAMPLE_ID: TransactionId = [
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
];

fn request(out: &mut [u8; 200]) -> usize {
    let request = BindingRequest {
        transaction_id: [7; 12],
        username: "server:client",
        priority: 0x7eff_ffff,
        controlling: 99,
        use_candidate: true,
    };
    write_binding_request(&request, b"password", out)
}

#[test]
fn the_sample_request_of_rfc_5769_is_understood() {
    let sample = hex(SAMPLE_REQUEST);
    let request = parse_request(&sample).unwrap();
    assert_eq!(request.transaction_id, SAMPLE_ID);
    assert_eq!(request.username, Some(&b"evtj:h6vY"[..]));
    assert_eq!(request.local_ufrag(), Some(&b"evtj"[..]));
    assert_eq!(request.priority, Some(0x6e00_01ff));
    assert_eq!(request.controlled, Some(0x932f_f9b1_5126_3b36));
    assert_eq!(request.controlling, None);
    assert!(!request.use_candidate);
    assert_eq!(verify_integrity(&sample, SAMPLE_PASSWORD), Ok(()));
    let refusal = verify_integrity(&sample, b"another");
    assert_eq!(refusal, Err(StunError::BadIntegrity));
}

#[test]
fn the_sample_answers_of_rfc_5769_are_understood() {
    for (sample, address) in [
        (SAMPLE_IPV4_SUCCESS, "192.0.2.1:32853"),
        (
            SAMPLE_IPV6_SUCCESS,
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let sample = hex(sample);
        let response = parse_response(&sample).unwrap();
        assert!(response.success);
        assert_eq!(response.transaction_id, SAMPLE_ID);
        assert_eq!(response.mapped, Some(address.parse().unwrap()));
        assert_eq!(verify_integrity(&sample, SAMPLE_PASSWORD), Ok(()));
    }
}

#[test]
fn a_success_carries_the_address_and_authenticates() {
    for address in ["127.0.0.1:4660", "[2001:db8::1]:65535"] {
        let mapped = address.parse().unwrap();
        let mut out = [0xff; MAX_SUCCESS_BYTES];
        let length = write_success([9; 12], mapped, b"password", &mut out);
        let response = parse_response(&out[..length]).unwrap();
        assert_eq!(response.mapped, Some(mapped));
        assert_eq!(response.transaction_id, [9; 12]);
        assert_eq!(verify_integrity(&out[..length], b"password"), Ok(()));
        assert!(
            out[..length].ends_with(&(crc32(&out[..length - 8]) ^ FINGERPRINT_MASK).to_be_bytes())
        );
    }
}

#[test]
fn a_written_request_parses_to_the_same_fields() {
    let mut out = [0; 200];
    let length = request(&mut out);
    let read = parse_request(&out[..length]).unwrap();
    assert_eq!(read.username, Some(&b"server:client"[..]));
    assert_eq!(read.local_ufrag(), Some(&b"server"[..]));
    assert_eq!(read.priority, Some(0x7eff_ffff));
    assert_eq!(read.controlling, Some(99));
    assert!(read.use_candidate);
    assert_eq!(read.unknown_attribute, None);
    assert_eq!(verify_integrity(&out[..length], b"password"), Ok(()));
}

#[test]
fn nothing_is_written_to_buffers_that_are_too_small() {
    let mapped = "[::1]:9".parse().unwrap();
    let mut out = [0; MAX_SUCCESS_BYTES - 1];
    assert_eq!(write_success([1; 12], mapped, b"password", &mut out), 0);
    let request = BindingRequest {
        transaction_id: [7; 12],
        username: "a:b",
        priority: 1,
        controlling: 1,
        use_candidate: false,
    };
    assert_eq!(write_binding_request(&request, b"p", &mut [0; 50]), 0);
}

#[test]
fn every_modified_bit_up_to_the_fingerprint_is_detected() {
    let mut out = [0; 200];
    let length = request(&mut out);
    for bit in 0..(length - 8) * 8 {
        let mut changed = out;
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = &changed[..length];
        let read = parse_request(changed).map(|_| ());
        let proven = verify_integrity(changed, b"password");
        assert!(read.is_err() || proven.is_err(), "bit {bit}");
    }
}

#[test]
fn attributes_after_the_integrity_are_ignored() {
    let mut out = [0; 200];
    let length = request(&mut out);
    let mut forged = out[..length - 8].to_vec();
    forged.extend_from_slice(&[0x00, 0x24, 0, 4, 0, 0, 0, 1]);
    let attributes = (forged.len() - HEADER_BYTES) as u16;
    forged[2..4].copy_from_slice(&attributes.to_be_bytes());
    assert_eq!(verify_integrity(&forged, b"password"), Ok(()));
    assert_eq!(parse_request(&forged).unwrap().priority, Some(0x7eff_ffff));
}

#[test]
fn each_kind_of_bad_message_has_its_own_error() {
    let mut out = [0; 200];
    let length = request(&mut out);
    let good = &out[..length];
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        parse_request(&bytes).map(|_| ())
    };
    assert_eq!(parse_request(&good[..19]), Err(StunError::TooShort));
    assert_eq!(
        parse_request(&good[..length - 4]),
        Err(StunError::BadLength)
    );
    assert_eq!(with(0, 0x40), Err(StunError::NotStun));
    assert_eq!(with(4, 0x20), Err(StunError::NotStun));
    assert_eq!(with(23, 0xff), Err(StunError::BadAttribute));
    assert_eq!(
        with(length - 1, !good[length - 1]),
        Err(StunError::BadFingerprint)
    );
    assert_eq!(parse_response(good), Err(StunError::OtherMessage));
    let bare = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[1; 12]].concat();
    assert_eq!(verify_integrity(&bare, b"p"), Err(StunError::NoIntegrity));
    let many = [
        &[0, 1, 0, 160, 0x21, 0x12, 0xa4, 0x42][..],
        &[1; 12],
        &[0x90, 0, 0, 0].repeat(40),
    ];
    assert_eq!(parse_request(&many.concat()), Err(StunError::BadAttribute));
}

#[test]
fn the_checksum_is_the_ieee_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

proptest! {
    #[test]
    fn random_bytes_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200), is_stun in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if is_stun && bytes.len() >= HEADER_BYTES {
            let length = (bytes.len() - HEADER_BYTES) as u16;
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&COOKIE.to_be_bytes());
        }
        let _ = parse_request(&bytes);
        let _ = parse_response(&bytes);
        prop_assert!(verify_integrity(&bytes, b"password").is_err());
    }
}
