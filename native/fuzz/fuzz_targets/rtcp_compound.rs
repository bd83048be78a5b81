//! A compound yields a bounded number of items, and NACKs survive a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_rtp::Sequence;
use sealroute_rtp::rtcp::{Compound, RtcpPacket, write_nack};
use std::collections::HashSet;

fuzz_target!(|bytes: &[u8]| {
    let mut items = 0;
    for packet in Compound::new(bytes) {
        items += 1;
        match packet {
            RtcpPacket::SenderReport { reports, .. } | RtcpPacket::ReceiverReport { reports } => {
                items += reports.count();
            }
            RtcpPacket::Nack { media_ssrc, lost } => {
                let lost: Vec<Sequence> = lost.collect();
                items += lost.len();
                let mut written = Vec::new();
                write_nack(&mut written, 1, media_ssrc, &lost);
                let Some(RtcpPacket::Nack { lost: again, .. }) = Compound::new(&written).next()
                else {
                    panic!("what was written is no NACK");
                };
                // Peers may list a sequence number twice and in any order.
                let (again, lost): (HashSet<_>, HashSet<_>) =
                    (again.collect(), lost.into_iter().collect());
                assert_eq!(again, lost);
            }
            _ => {}
        }
    }
    assert!(items <= bytes.len() * 17 / 4 + 1);
});
