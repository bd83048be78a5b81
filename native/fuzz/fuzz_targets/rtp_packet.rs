//! Parsed RTP stays within its bytes, and survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_rtp::{MAX_PACKET_BYTES, RtpHeader, RtpPacket};

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = RtpPacket::parse(bytes) else {
        return;
    };
    assert!(packet.header_bytes() + packet.payload().len() <= bytes.len());
    let header = RtpHeader {
        marker: packet.marker(),
        payload_type: packet.payload_type(),
        sequence: packet.sequence().0,
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
    };
    let mut out = [0; MAX_PACKET_BYTES];
    // Id 15 exists in the two-byte form only; the writer may choose the one-byte form.
    let elements = packet.extensions().filter(|&(id, _)| id != 15);
    let length = header.write(elements.clone(), &mut out);
    let again = RtpPacket::parse(&out[..length]).unwrap();
    assert_eq!(again.sequence(), packet.sequence());
    assert_eq!(again.ssrc(), packet.ssrc());
    assert!(again.extensions().count() <= elements.count());
    assert!(again.payload().is_empty());
});
