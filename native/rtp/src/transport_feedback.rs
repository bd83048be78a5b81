//! Transport-wide feedback, and REMB's bitrate limit.

use crate::DataRate;

/// More packets than a transport sends within any feedback interval; bounds the work on one packet.
const MAX_STATUSES: u16 = 4_096;
const FIXED_BYTES: usize = 8;
const REFERENCE_TICK_US: i64 = 64_000;
const DELTA_TICK_US: i64 = 250;

/// One sequence number of a feedback packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketStatus {
    /// Transport-wide sequence number as on the wire.
    pub sequence: u16,
    /// On the receiver's clock, in microseconds; None: lost.
    pub arrival_us: Option<i64>,
}

/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
#[derive(Clone, Debug)]
pub struct TransportFeedback<'a> {
    next: u16,
    left: u16,
    chunks: &'a [u8],
    deltas: &'a [u8],
    /// Symbols of the current chunk: a run, or a vector with its position.
    chunk: Chunk,
    clock_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    word: u16,
    used: u16,
    length: u16,
}

impl<'a> TransportFeedback<'a> {
    /// Parses the body after the two SSRCs. `None`: malformed, or about more packets than any
    /// receiver reports at once.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = body.split_at_checked(FIXED_BYTES)?;
        let count = u16::from_be_bytes([head[2], head[3]]);
        if count > MAX_STATUSES {
            return None;
        }
        let reference = i32::from_be_bytes([head[4], head[5], head[6], 0]) >> 8;
        let mut covered = 0_u32;
        let mut at = 0;
        while covered < u32::from(count) {
            let word = u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?);
            covered += u32::from(chunk_length(word).max(1));
            at += 2;
        }
        Some(Self {
            next: u16::from_be_bytes([head[0], head[1]]),
            left: count,
            chunks: &rest[..at],
            deltas: &rest[at..],
            chunk: Chunk {
                word: 0,
                used: 0,
                length: 0,
            },
            clock_us: i64::from(reference) * REFERENCE_TICK_US,
        })
    }

    fn next_symbol(&mut self) -> Option<u16> {
        while self.chunk.used >= self.chunk.length {
            let (word, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            let word = u16::from_be_bytes(*word);
            self.chunk = Chunk {
                word,
                used: 0,
                length: chunk_length(word),
            };
        }
        let Chunk { word, used, .. } = self.chunk;
        self.chunk.used += 1;
        Some(match (word >> 15, word >> 14 & 1) {
            (0, _) => word >> 13 & 3,
            (_, 0) => word >> (13 - used) & 1,
            _ => word >> (12 - 2 * used) & 3,
        })
    }

    fn next_delta(&mut self, symbol: u16) -> Option<i64> {
        let (ticks, rest) = if symbol == 1 {
            let (&delta, rest) = self.deltas.split_first()?;
            (i64::from(delta), rest)
        } else {
            let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
            (i64::from(i16::from_be_bytes(*delta)), rest)
        };
        self.deltas = rest;
        Some(ticks * DELTA_TICK_US)
    }
}

fn chunk_length(word: u16) -> u16 {
    match (word >> 15, word >> 14 & 1) {
        (0, _) => word & 0x1FFF,
        (_, 0) => 14,
        _ => 7,
    }
}

impl Iterator for TransportFeedback<'_> {
    type Item = PacketStatus;

    fn next(&mut self) -> Option<PacketStatus> {
        self.left = self.left.checked_sub(1)?;
        let symbol = self.next_symbol()?;
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        let arrival_us = if symbol == 1 || symbol == 2 {
            self.clock_us += self.next_delta(symbol)?;
            Some(self.clock_us)
        } else {
            None
        };
        Some(PacketStatus {
            sequence,
            arrival_us,
        })
    }
}

/// The limit in a REMB body after the two SSRCs (draft-alvestrand-rmcat-remb-03 section 2.2).
pub fn remb_rate(body: &[u8]) -> Option<DataRate> {
    let &[b'R', b'E', b'M', b'B', _, first, second, third, ..] = body else {
        return None;
    };
    let mantissa = u32::from(first & 3) << 16 | u32::from(second) << 8 | u32::from(third);
    let bps = f64::from(mantissa) * 2_f64.powi(i32::from(first >> 2));
    Some(DataRate::from_bps(bps))
}

#[cfg(test)]
mod tests {
    use super::{DataRate, PacketStatus, TransportFeedback, remb_rate};

    fn statuses(body: &[u8]) -> Vec<(u16, Option<i64>)> {
        TransportFeedback::parse(body)
            .expect("well formed")
            .map(
                |PacketStatus {
                     sequence,
                     arrival_us,
                 }| (sequence, arrival_us),
            )
            .collect()
    }

    #[test]
    fn runs_and_vectors_give_each_number_its_arrival() {
        // From 0xFFFE on five packets, reference 2 * 64 ms: a run of two with small deltas, then
        // two-bit symbols: lost, large delta, small delta.
        let body = [
            0xFF, 0xFE, 0, 5, 0, 0, 2, 9, 0x20, 0x02, 0xC9, 0x00, 4, 8, 0xFF, 0xFC, 1,
        ];
        assert_eq!(
            statuses(&body),
            [
                (0xFFFE, Some(129_000)),
                (0xFFFF, Some(131_000)),
                (0, None),
                (1, Some(130_000)),
                (2, Some(130_250)),
            ]
        );
    }

    #[test]
    fn one_bit_vectors_are_read_from_the_highest_bit_on() {
        let body = [0, 7, 0, 3, 0, 0, 0, 0, 0x80 | 0x28, 0, 4, 4];
        assert_eq!(
            statuses(&body),
            [(7, Some(1_000)), (8, None), (9, Some(2_000))]
        );
    }

    #[test]
    fn a_body_that_ends_early_is_refused_or_read_as_far_as_it_goes() {
        assert!(TransportFeedback::parse(&[0, 1, 0, 1, 0, 0]).is_none());
        assert!(TransportFeedback::parse(&[0, 1, 0, 1, 0, 0, 0, 0]).is_none());
        let without_deltas = [0, 1, 0, 2, 0, 0, 0, 0, 0x20, 2, 4];
        assert_eq!(statuses(&without_deltas), [(1, Some(1_000))]);
    }

    #[test]
    fn a_report_on_more_packets_than_can_be_meant_is_refused() {
        assert!(TransportFeedback::parse(&[0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 0x1F, 0xFF]).is_none());
        // Chunks without symbols must not loop forever.
        assert!(TransportFeedback::parse(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0]).is_none());
    }

    #[test]
    fn remb_is_mantissa_times_a_power_of_two() {
        let body = [b'R', b'E', b'M', b'B', 1, 4 << 2 | 1, 0x86, 0xA0];
        let rate = DataRate::from_bps(f64::from(0x1_86A0) * 16.0);
        assert_eq!(remb_rate(&body), Some(rate));
        assert_eq!(remb_rate(b"REMB"), None);
    }
}
