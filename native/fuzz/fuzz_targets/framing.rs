//! The packets of a stream do not depend on its fragmentation, and are never too long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::{BadFrame, Deframer, frame};

const MAX_PACKET: usize = 300;

/// Deframes `bytes` in fragments whose lengths cycle through `lengths`.
fn deframed(bytes: &[u8], lengths: &[u8], confirmed: bool) -> (Vec<Vec<u8>>, Result<(), BadFrame>) {
    let mut deframer = Deframer::new(MAX_PACKET, 0);
    if confirmed {
        deframer.confirm();
    }
    let (mut found, mut at, mut turn) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let wanted = lengths
            .get(turn % lengths.len().max(1))
            .map_or(64, |length| usize::from(*length) + 1);
        turn += 1;
        let space = deframer.space();
        assert!(!space.is_empty());
        let count = wanted.min(space.len()).min(bytes.len() - at);
        space[..count].copy_from_slice(&bytes[at..at + count]);
        at += count;
        let outcome = deframer.advance(count, |packet| {
            assert!(!packet.is_empty() && packet.len() <= MAX_PACKET);
            found.push(packet.to_vec());
        });
        if outcome.is_err() {
            return (found, outcome);
        }
    }
    (found, Ok(()))
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, bool)| {
    let (bytes, lengths, confirmed) = input;
    let pieces = deframed(&bytes, &lengths, confirmed);
    assert_eq!(pieces, deframed(&bytes, &[], confirmed));
    let mut again = Vec::new();
    for packet in &pieces.0 {
        let mut out = [0; MAX_PACKET + 2];
        let length = frame(packet, &mut out).expect("what was taken fits");
        again.extend_from_slice(&out[..length]);
    }
    assert_eq!(deframed(&again, &lengths, true).0, pieces.0);
});
