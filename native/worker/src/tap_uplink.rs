//! What a tap's reader sends: requests for key frames, and packets of what it publishes.
//!
//! A reader is a process of this host, but what it publishes comes from elsewhere, and a process can
//! be taken over: nothing that it sends is trusted, and it sends no more than a stream needs.

use sealroute_rtp::rtcp::{Compound, RtcpPacket};
use sealroute_rtp::tap_record::{Record, RecordKind};

use crate::drop_reason::NetworkDrop;

/// Key-frame requests in one record: more than a reader has tracks.
pub(crate) const MAX_REQUESTS: usize = 128;
/// An audio stream has 50, a video of 4 Mbit/s about 450.
const PACKETS_PER_S: u64 = 500;
/// What a reader that was held up may send at once.
const PACKETS_AT_ONCE: u64 = 250;
const PACKET_US: u64 = 1_000_000 / PACKETS_PER_S;

/// What a reader sent, as far as it was taken.
#[derive(Default)]
pub(crate) struct Received {
    /// The tracks that need a key frame.
    pub(crate) requested: Vec<u32>,
    /// RTP packets to publish.
    pub(crate) packets: Vec<Vec<u8>>,
}

/// How much a reader may still publish.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    /// The time until which packets have been taken, at the rate.
    spent_until_us: u64,
}

impl Allowance {
    fn takes(&mut self, now_us: u64) -> bool {
        let earliest = now_us.saturating_sub(PACKETS_AT_ONCE * PACKET_US);
        let next = self.spent_until_us.max(earliest) + PACKET_US;
        let has_room = next <= now_us;
        if has_room {
            self.spent_until_us = next;
        }
        has_room
    }
}

impl Received {
    /// Takes one datagram of a reader.
    pub(crate) fn take(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        allowance: &mut Allowance,
    ) -> Result<(), NetworkDrop> {
        let refused = NetworkDrop::TapRecordRefused;
        let record = Record::parse(datagram).map_err(|_| refused)?;
        match record.header.kind {
            RecordKind::Feedback if self.take_requests(record.body) => Ok(()),
            RecordKind::Publish if record.body.is_empty() => Err(refused),
            RecordKind::Publish if allowance.takes(now_us) => {
                self.packets.push(record.body.to_vec());
                Ok(())
            }
            RecordKind::Publish => Err(NetworkDrop::TapRateExceeded),
            _ => Err(refused),
        }
    }

    /// Adds the tracks that a compound requests key frames of. Returns whether it does that and
    /// nothing else: any other RTCP of a reader would be taken for that of a network.
    fn take_requests(&mut self, compound: &[u8]) -> bool {
        let before = self.requested.len();
        let mut is_clean = true;
        for packet in Compound::new(compound).take(MAX_REQUESTS) {
            match packet {
                RtcpPacket::Pli { media_ssrc } => self.requested.push(media_ssrc),
                _ => is_clean = false,
            }
        }
        is_clean && self.requested.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_rtp::tap_record::RecordHeader;

    fn record(kind: RecordKind, body: &[u8]) -> Vec<u8> {
        let header = RecordHeader {
            kind,
            ssrc: 0,
            arrival_us: 0,
        };
        [&header.to_bytes()[..], body].concat()
    }

    #[test]
    fn a_reader_publishes_at_a_bounded_rate_with_a_bounded_burst() {
        let (mut received, mut allowance) = (Received::default(), Allowance::default());
        let packet = record(RecordKind::Publish, b"packet");
        let mut send = |now_us| received.take(now_us, &packet, &mut allowance);
        let start = 5_000_000;
        let taken = (0..1_000).filter(|_| send(start).is_ok()).count();
        assert_eq!(taken, PACKETS_AT_ONCE as usize);
        assert_eq!(send(start), Err(NetworkDrop::TapRateExceeded));
        let later = (1..=1_000_u64).map(|ms| start + ms * 1_000);
        let taken = { later.flat_map(|at| [at; 3]) }
            .filter(|&at| send(at).is_ok())
            .count();
        assert_eq!(taken, PACKETS_PER_S as usize);
        assert_eq!(received.packets.len(), 750);
    }

    #[test]
    fn a_packet_that_is_refused_is_not_kept() {
        let (mut received, mut allowance) = (Received::default(), Allowance::default());
        let refused = Err(NetworkDrop::TapRecordRefused);
        for datagram in [
            record(RecordKind::Publish, b""),
            record(RecordKind::Rtp, b"packet"),
            record(RecordKind::Json, b"{}"),
            b"short".to_vec(),
        ] {
            assert_eq!(received.take(9, &datagram, &mut allowance), refused);
        }
        assert!(received.packets.is_empty());
    }
}
