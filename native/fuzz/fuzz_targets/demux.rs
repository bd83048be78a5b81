//! Every datagram has one kind, and STUN is never classified as media.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::{PacketKind, classify, rtp_header_bytes, stun};

fuzz_target!(|datagram: &[u8]| {
    let kind = classify(datagram);
    if stun::parse_request(datagram).is_ok() {
        assert_eq!(kind, PacketKind::Stun);
    }
    if let Ok(header) = rtp_header_bytes(datagram) {
        assert!((12..=datagram.len()).contains(&header));
        assert!(matches!(kind, PacketKind::Rtp | PacketKind::Rtcp));
    }
});
