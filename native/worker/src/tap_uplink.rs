//! What a tap's reader sends: requests for key frames, and packets of what it publishes.
//!
//! A reader is a process of this host, but what it publishes comes from elsewhere, and a process can
//! be taken over: nothing that it sends is trusted, and it has a budget ([`ReaderBudget`]).

use sealroute_rtp::rtcp::{Compound, RtcpPacket};
use sealroute_rtp::tap_record::{Record, RecordKind};

use crate::drop_reason::NetworkDrop;
use crate::reader_budget::ReaderBudget;

/// Key-frame requests in one record: more than a reader has tracks.
pub(crate) const MAX_REQUESTS: usize = 128;

/// What a reader sent, as far as it was taken.
#[derive(Default)]
pub(crate) struct Received {
    /// The tracks that need a key frame.
    pub(crate) requested: Vec<u32>,
    /// RTP packets to publish.
    pub(crate) packets: Vec<Vec<u8>>,
}

impl Received {
    /// Takes one datagram of a reader, or refuses it.
    pub(crate) fn take(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        budget: &mut ReaderBudget,
    ) -> Result<(), NetworkDrop> {
        let outcome = self.take_record(now_us, datagram, budget);
        if outcome.is_err() {
            budget.on_refused(now_us);
        }
        outcome
    }

    fn take_record(
        &mut self,
        now_us: u64,
        datagram: &[u8],
        budget: &mut ReaderBudget,
    ) -> Result<(), NetworkDrop> {
        let refused = NetworkDrop::TapRecordRefused;
        let record = Record::parse(datagram).map_err(|_| refused)?;
        match record.header.kind {
            RecordKind::Feedback => self.take_requests(now_us, record.body, budget),
            RecordKind::Publish if record.body.is_empty() => Err(refused),
            RecordKind::Publish if budget.takes_packet(now_us) => {
                self.packets.push(record.body.to_vec());
                Ok(())
            }
            RecordKind::Publish => Err(NetworkDrop::TapRateExceeded),
            _ => Err(refused),
        }
    }

    /// Adds the tracks that a compound requests key frames of. It must do that and nothing else: any
    /// other RTCP of a reader would be taken for that of a network.
    fn take_requests(
        &mut self,
        now_us: u64,
        compound: &[u8],
        budget: &mut ReaderBudget,
    ) -> Result<(), NetworkDrop> {
        let before = self.requested.len();
        let mut is_clean = true;
        for packet in Compound::new(compound).take(MAX_REQUESTS) {
            match packet {
                RtcpPacket::Pli { media_ssrc } => self.requested.push(media_ssrc),
                _ => is_clean = false,
            }
        }
        let count = self.requested.len() - before;
        let outcome = if !is_clean || count == 0 {
            Err(NetworkDrop::TapRecordRefused)
        } else if !budget.takes_requests(now_us, count) {
            Err(NetworkDrop::TapFlood)
        } else {
            return Ok(());
        };
        self.requested.truncate(before);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealroute_rtp::rtcp::write_pli;
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
        let (mut received, mut budget) = (Received::default(), ReaderBudget::default());
        let packet = record(RecordKind::Publish, b"packet");
        let mut send = |now_us| received.take(now_us, &packet, &mut budget);
        let start = 5_000_000;
        let taken = (0..1_000).filter(|_| send(start).is_ok()).count();
        assert_eq!(taken, 250);
        assert_eq!(send(start), Err(NetworkDrop::TapRateExceeded));
        let later = (1..=1_000_u64).map(|ms| start + ms * 1_000);
        let taken = { later.flat_map(|at| [at; 3]) }
            .filter(|&at| send(at).is_ok())
            .count();
        assert_eq!(taken, 500);
        assert_eq!(received.packets.len(), 750);
    }

    #[test]
    fn a_packet_that_is_refused_is_not_kept() {
        let (mut received, mut budget) = (Received::default(), ReaderBudget::default());
        let refused = Err(NetworkDrop::TapRecordRefused);
        for datagram in [
            record(RecordKind::Publish, b""),
            record(RecordKind::Rtp, b"packet"),
            record(RecordKind::Json, b"{}"),
            b"short".to_vec(),
        ] {
            assert_eq!(received.take(9, &datagram, &mut budget), refused);
        }
        assert!(received.packets.is_empty());
    }

    #[test]
    fn requests_beyond_the_budget_are_not_kept_and_end_in_a_flood_whatever_the_record_is() {
        let mut requests = Vec::new();
        for ssrc in 0..100 {
            write_pli(&mut requests, 1, ssrc);
        }
        let rows = [
            (RecordKind::Feedback, &requests[..], NetworkDrop::TapFlood),
            (RecordKind::Publish, b"packet", NetworkDrop::TapRateExceeded),
            (RecordKind::End, b"", NetworkDrop::TapRecordRefused),
        ];
        for (kind, body, reason) in rows {
            let (mut received, mut budget) = (Received::default(), ReaderBudget::default());
            let datagram = record(kind, body);
            let mut refused = 0;
            while !budget.is_flooded() {
                if let Err(found) = received.take(5_000_000, &datagram, &mut budget) {
                    assert_eq!(found, reason);
                    refused += 1;
                }
            }
            assert_eq!(refused, 1_025, "{reason:?}");
            assert!(received.requested.len() <= 256 && received.packets.len() <= 250);
        }
    }
}
